//! The thread that takes events from the outbox, files the posts in their feeds, and broadcasts the changes.
//!
//! An event is forgotten after it was handled. So each event is handled at least once, whenever the process
//! ends, and handling an event twice changes nothing.

use super::PostEvent;
use super::store::{FeedStore, PostStore, Stores};
use super::{to_json, topics};
use crate::access::Grant;
use crate::error::Error;
use crate::event::Draft;
use crate::live::snapshot::Snapshots;
use crate::os::threads::Threads;
use crate::publisher::Publisher;
use crate::topic::Topic;
use crossbeam_channel::{Receiver, RecvTimeoutError};
use serde_json::json;
use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// The pause before handling is tried again after it has failed.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// The events for the program around the server: `PostCreated`, `PostUpdated` and `PostDeleted` with the post,
/// and `FeedUpdated` with the name of the feed.
const POST_EVENTS_TOPIC: &str = "$posts/events";
const FEED_EVENTS_TOPIC: &str = "$feeds/events";

struct FilingThread {
    publisher: Publisher,
    posts: Arc<dyn PostStore>,
    feeds: Arc<dyn FeedStore>,
    snapshots: Snapshots,
}

/// Starts the thread, which ends with the store of the posts.
pub(super) fn start(
    publisher: Publisher,
    threads: &Threads,
    stores: &Stores,
    snapshots: Snapshots,
) -> io::Result<()> {
    let (posts, feeds) = (stores.posts.clone(), stores.feeds.clone());
    let bell = posts.bell();
    let filing = FilingThread { publisher, posts, feeds, snapshots };
    threads.spawn_essential("filing", move || filing.run(&bell))
}

impl FilingThread {
    fn run(&self, bell: &Receiver<()>) {
        let mut is_behind = false;
        loop {
            let rung = if is_behind { bell.recv_timeout(TRY_AGAIN) } else { bell.recv().map_err(Into::into) };
            if rung == Err(RecvTimeoutError::Disconnected) {
                return;
            }
            match self.handle_all() {
                Ok(()) => is_behind = false,
                Err(error) if std::mem::replace(&mut is_behind, true) => {
                    log::debug!("the feeds are behind: {error}")
                }
                Err(error) => log::warn!("the feeds are behind until this works again: {error}"),
            }
        }
    }

    fn handle_all(&self) -> Result<(), Error> {
        loop {
            let events = self.posts.unhandled()?;
            let Some(last) = events.last().map(|event| event.number) else { return Ok(()) };
            let changed = self.feeds.apply(events.clone())?;
            // Before the events are forgotten: broadcasting a change twice is better than never.
            self.broadcast_changes(&events, &changed)?;
            self.posts.forget(last)?;
        }
    }

    fn broadcast_changes(&self, events: &[PostEvent], changed: &BTreeSet<String>) -> Result<(), Error> {
        for event in events {
            self.broadcast(POST_EVENTS_TOPIC, event.name(), to_json(&event.post)?)?;
            self.snapshots.note_change(&topics::post(event.post.id)?);
        }
        self.snapshots.note_change(&Topic::new(topics::POSTS)?);
        for name in changed {
            self.broadcast(FEED_EVENTS_TOPIC, "FeedUpdated", json!({ "name": name }).to_string())?;
            self.snapshots.note_change(&topics::feed(name)?);
        }
        if !changed.is_empty() {
            self.snapshots.note_change(&Topic::new(topics::FEEDS)?);
        }
        Ok(())
    }

    fn broadcast(&self, topic: &str, name: &str, data: String) -> Result<(), Error> {
        let topics = vec![Topic::new(topic)?];
        let grant = Grant::of_program(&topics);
        self.publisher.broadcast(&grant, Draft { topics, name: Some(name.into()), data, ..Draft::default() })
    }
}
