//! Presence: who is here, broadcast to everyone whenever it changes.
//!
//! It is ephemeral: no id, never kept, dropped for a browser that is behind, which is sent the present state when
//! it has caught up. A change goes out at once; changes that follow within the pause go out together, so that a
//! thousand who arrive together are not a million messages.

use crate::access::Grant;
use crate::event::{Draft, Event, Frame};
use crate::hub::Hub;
use crate::os::threads::Threads;
use crate::publisher::Publisher;
use crate::topic::Topic;
use crossbeam_channel::{Receiver, Sender, bounded};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// The least time between two presence events, and what each client adds to it.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_PER_CLIENT: Duration = Duration::from_micros(50);

/// The most names in one event, in alphabetical order. How many are left out stands in `more`.
const NAMES_MAX: usize = 500;

/// Who is here on one topic. Clones share it.
#[derive(Clone)]
pub struct Presence {
    room: Arc<Room>,
    /// Holds one message at most: somebody came or went since the last event.
    changed: Sender<()>,
}

struct Room {
    topic: Topic,
    /// How many streams each user has.
    users: Mutex<BTreeMap<String, usize>>,
}

impl Presence {
    /// Nobody yet. Starts the thread that broadcasts to the topic's subscribers; it ends with the last clone.
    pub fn start(publisher: Publisher, hub: Hub, threads: &Threads, topic: Topic) -> io::Result<Presence> {
        let room = Arc::new(Room { topic, users: Mutex::default() });
        let (changed, changes) = bounded(1);
        let presence = Presence { room: room.clone(), changed };
        threads.spawn_essential("presence", move || broadcast(&publisher, &hub, &room, &changes))?;
        Ok(presence)
    }

    /// One more stream of this user, until the guard is dropped.
    pub fn enter(&self, user: &str) -> Present {
        let streams = {
            let mut users = self.room.users.lock();
            let streams = users.entry(user.to_owned()).or_default();
            *streams += 1;
            *streams
        };
        if streams == 1 {
            self.note_change();
        }
        Present { presence: self.clone(), user: user.to_owned() }
    }

    /// The event `presence` with `{"users":[…]}` as it is now.
    pub fn frame(&self) -> Frame {
        Event::new(self.room.draft()).expect("its name is valid and its data is JSON").encode(None)
    }

    fn note_change(&self) {
        // Full means that the thread is about to look anyway.
        let _ = self.changed.try_send(());
    }
}

impl Room {
    fn draft(&self) -> Draft {
        let users = self.users.lock();
        let names: Vec<&String> = users.keys().take(NAMES_MAX).collect();
        let data = match users.len() - names.len() {
            0 => serde_json::json!({ "users": names }),
            more => serde_json::json!({ "users": names, "more": more }),
        };
        let topics = vec![self.topic.clone()];
        Draft { topics, name: Some("presence".into()), data: data.to_string(), ..Draft::default() }
    }
}

/// One stream of one user who is present.
pub struct Present {
    presence: Presence,
    user: String,
}

impl Drop for Present {
    fn drop(&mut self) {
        let mut users = self.presence.room.users.lock();
        if let Some(streams) = users.get_mut(&self.user) {
            *streams -= 1;
            if *streams == 0 {
                users.remove(&self.user);
                drop(users);
                self.presence.note_change();
            }
        }
    }
}

fn broadcast(publisher: &Publisher, hub: &Hub, room: &Room, changes: &Receiver<()>) {
    let grant = Grant::of_program(std::slice::from_ref(&room.topic));
    for () in changes {
        if let Err(error) = publisher.broadcast(&grant, room.draft()) {
            log::error!("failed to broadcast who is present: {error}");
        }
        let clients = u32::try_from(hub.counters().clients.load(Relaxed)).unwrap_or(u32::MAX);
        std::thread::sleep(PAUSE + PAUSE_PER_CLIENT.saturating_mul(clients));
    }
}
