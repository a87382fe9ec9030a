//! The handler: one thread that takes the events from the outbox, files posts in their feeds, and tells
//! everyone.
//!
//! An event is forgotten after it was handled. So each is handled at least once, whenever the process ends,
//! and handling one twice changes nothing.

use super::PostEvent;
use super::store::{FeedStore, PostStore};
use super::{to_json, topics};
use crate::access::Grant;
use crate::error::Error;
use crate::event::Draft;
use crate::live::snapshot::Snapshots;
use crate::os::threads::Threads;
use crate::publisher::Publisher;
use crate::topic::Topic;
use crossbeam_channel::RecvTimeoutError;
use serde_json::json;
use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// How long it takes until handling is tried again after it failed.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// Where events are told, for the program around the server: `PostCreated` and `PostUpdated` with the post,
/// `FeedUpdated` with the feed's name.
const POST_EVENTS_TOPIC: &str = "$posts/events";
const FEED_EVENTS_TOPIC: &str = "$feeds/events";

struct Handler {
    publisher: Publisher,
    posts: Arc<dyn PostStore>,
    feeds: Arc<dyn FeedStore>,
    snapshots: Snapshots,
}

/// Starts the thread, which ends with the store of the posts.
pub(super) fn start(
    publisher: Publisher,
    threads: &Threads,
    posts: Arc<dyn PostStore>,
    feeds: Arc<dyn FeedStore>,
    snapshots: Snapshots,
) -> io::Result<()> {
    let bell = posts.bell();
    let handler = Handler { publisher, posts, feeds, snapshots };
    threads.spawn_essential("feeds", move || {
        let mut is_behind = false;
        loop {
            let rung = if is_behind { bell.recv_timeout(TRY_AGAIN) } else { bell.recv().map_err(Into::into) };
            if rung == Err(RecvTimeoutError::Disconnected) {
                return;
            }
            match handler.handle_all() {
                Ok(()) => is_behind = false,
                Err(error) if std::mem::replace(&mut is_behind, true) => {
                    log::debug!("feeds are behind: {error}")
                }
                Err(error) => log::warn!("feeds are behind until this works again: {error}"),
            }
        }
    })
}

impl Handler {
    fn handle_all(&self) -> Result<(), Error> {
        loop {
            let events = self.posts.unhandled()?;
            let Some(last) = events.last().map(|event| event.number) else { return Ok(()) };
            let changed = self.feeds.apply(events.clone())?;
            // Before they are forgotten: told twice is better than never.
            self.broadcast_all(&events, &changed)?;
            self.posts.handled(last)?;
        }
    }

    fn broadcast_all(&self, events: &[PostEvent], changed: &BTreeSet<String>) -> Result<(), Error> {
        for event in events {
            self.broadcast(POST_EVENTS_TOPIC, event.name(), to_json(&event.post)?)?;
            self.snapshots.note_change(&topics::post(event.post.id)?);
        }
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
