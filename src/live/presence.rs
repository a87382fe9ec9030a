//! Presence: who is here, broadcast to everyone whenever it changes.
//!
//! It is ephemeral: no id, never kept, dropped for a browser that is behind, which is sent the present state when
//! it has caught up. A change goes out at once; changes that follow within the pause go out together, so that a
//! thousand who arrive together are not a million messages.
//!
//! A user whose browser says goodbye leaves at once. A connection that merely ends may come back (a page that is
//! reloaded, a telephone that changes its network, a proxy that cuts), and nobody can tell from the connection
//! whether it will. So its user stays for a grace, and coming back within it is no change.

use crate::access::Grant;
use crate::event::{Event, Frame};
use crate::hub::Hub;
use crate::os::threads::Threads;
use crate::publisher::Publisher;
use crate::topic::Topic;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// How long a user stays whose last connection ended without a goodbye.
const GRACE: Duration = Duration::from_secs(3);

/// The most connections that ended within the grace. When there are more, their users leave at once.
const GRACE_CONNECTIONS: usize = 1_000;

/// The least time between two presence events, and what each client adds to it.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_PER_CLIENT: Duration = Duration::from_micros(50);

/// The most names in one event, in alphabetical order. How many are left out stands in `more`.
const NAMES_MAX: usize = 500;

/// Who is here on one topic. Clones share it.
#[derive(Clone)]
pub struct Presence {
    room: Arc<Room>,
    /// Holds one message at most: a stream came or went since the thread looked.
    changed: Sender<()>,
}

struct Room {
    topic: Topic,
    users: Mutex<Users>,
}

#[derive(Default)]
struct Users {
    /// How many streams each user has. With none, the user is within the grace.
    streams: BTreeMap<String, usize>,
    /// The streams that are open and have not said goodbye, by their tokens, with their users.
    tokens: HashMap<String, String>,
    /// Streams that ended without a goodbye and were their users' last, in the order in which their graces end. A
    /// user who came back has a stream in [`Users::streams`], and one who went again is here once more.
    grace: VecDeque<Ended>,
    /// Somebody came or went since the last event.
    is_changed: bool,
}

/// A stream within the grace.
struct Ended {
    until: Instant,
    user: String,
    token: String,
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

    /// One more stream of this user, until the guard is dropped or its browser says goodbye.
    pub fn enter(&self, user: &str) -> Present {
        // Keyed by the system's random numbers, so that nobody can guess another's.
        let token = format!("{:016x}", RandomState::new().hash_one(user));
        self.room.users.lock().enter(user, &token);
        self.look();
        Present { presence: self.clone(), token }
    }

    /// The browser of the stream with this token has said goodbye; the end of the stream may have been noticed before.
    /// Where there is no such stream, nothing changes.
    pub fn leave(&self, token: &str) {
        self.end(token, Duration::ZERO);
        self.room.users.lock().forgo(|ended| ended.token == token);
        self.look();
    }

    fn end(&self, token: &str, grace: Duration) {
        self.room.users.lock().end(token, grace);
        self.look();
    }

    /// The event `presence` with `{"users":[…]}` as it is now.
    pub fn frame(&self) -> Frame {
        self.room.frame()
    }

    /// Lets the thread look at who is here.
    fn look(&self) {
        // Full means that the thread is about to look anyway.
        let _ = self.changed.try_send(());
    }
}

impl Users {
    fn enter(&mut self, user: &str, token: &str) {
        self.tokens.insert(token.to_owned(), user.to_owned());
        // Whoever is within the grace was never away.
        self.is_changed |= !self.streams.contains_key(user);
        *self.streams.entry(user.to_owned()).or_default() += 1;
    }

    fn end(&mut self, token: &str, grace: Duration) {
        let Some(user) = self.tokens.remove(token) else { return };
        let streams = self.streams.get_mut(&user).expect("a token's user has a stream");
        *streams -= 1;
        if *streams > 0 {
            return;
        }
        if grace.is_zero() || self.grace.len() == GRACE_CONNECTIONS {
            self.streams.remove(&user);
            self.is_changed = true;
        } else {
            self.grace.push_back(Ended { until: Instant::now() + grace, user, token: token.to_owned() });
        }
    }

    /// Ends the grace of a stream: its user goes, unless the user came back.
    fn forgo(&mut self, is_it: impl Fn(&Ended) -> bool) {
        let Some(at) = self.grace.iter().position(is_it) else { return };
        let Some(ended) = self.grace.remove(at) else { return };
        // A user who went again has come back before, so an earlier end says nothing any more.
        let went_again = self.grace.range(at..).any(|later| later.user == ended.user);
        if !went_again && self.streams.get(&ended.user) == Some(&0) {
            self.streams.remove(&ended.user);
            self.is_changed = true;
        }
    }

    /// Lets those go whose grace is over.
    fn sweep(&mut self, now: Instant) {
        while self.grace.front().is_some_and(|ended| ended.until <= now) {
            self.forgo(|_| true);
        }
    }
}

impl Room {
    fn frame(&self) -> Frame {
        let users = self.users.lock();
        let names: Vec<&String> = users.streams.keys().take(NAMES_MAX).collect();
        let data = match users.streams.len() - names.len() {
            0 => serde_json::json!({ "users": names }),
            more => serde_json::json!({ "users": names, "more": more }),
        };
        Event::presence(data.to_string()).encode(None)
    }
}

/// One stream of one user who is present.
pub struct Present {
    presence: Presence,
    token: String,
}

impl Present {
    /// What [`Presence::leave`] knows the stream by.
    pub fn token(&self) -> &str {
        &self.token
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.presence.end(&self.token, GRACE);
    }
}

fn broadcast(publisher: &Publisher, hub: &Hub, room: &Room, changes: &Receiver<()>) {
    let grant = Grant::of_program(std::slice::from_ref(&room.topic));
    loop {
        let next = room.users.lock().grace.front().map(|ended| ended.until);
        let looked = match next {
            Some(until) => changes.recv_deadline(until),
            None => changes.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        if looked == Err(RecvTimeoutError::Disconnected) {
            return;
        }
        let is_changed = {
            let mut users = room.users.lock();
            users.sweep(Instant::now());
            std::mem::take(&mut users.is_changed)
        };
        if !is_changed {
            continue;
        }
        publisher.broadcast_frame(&grant, room.frame());
        let clients = u32::try_from(hub.counters().clients.load(Relaxed)).unwrap_or(u32::MAX);
        std::thread::sleep(PAUSE + PAUSE_PER_CLIENT.saturating_mul(clients));
    }
}
