//! The history in memory: ordered, numbered, bounded by count and by bytes; gone when the process ends.
//!
//! An id is the nanosecond at which it was given, or one more than the last where the clock does not
//! move on. So ids grow across restarts although nothing is kept, and the distance of two ids says
//! nothing about what was published between them.

use super::edges::Edges;
use super::{History, PAGE_BYTES, PAGE_EVENTS, Page, Receipt, Resume, Start};
use crate::error::Error;
use crate::event::{Event, Frame, Id};
use crate::hub::{Dispatch, Hub};
use crate::topic::Topic;
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// What an event costs beside its frame, roughly: the entry and its places in the indexes. It counts
/// towards the bound on bytes.
const EVENT_OVERHEAD_BYTES: usize = 128;

/// How much is kept. Whichever bound is reached first, the oldest events go.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Events.
    pub events_max: usize,
    /// Bytes, counting the frames and what it takes to keep them.
    pub bytes_max: usize,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds { events_max: 100_000, bytes_max: 64 * 1024 * 1024 }
    }
}

/// Keeps the newest events in memory.
pub struct Memory {
    hub: Hub,
    bounds: Bounds,
    shelf: Mutex<Shelf>,
}

impl Memory {
    /// An empty history that feeds this hub. Its ids are newer than [`Hub::last`].
    pub fn new(hub: Hub, bounds: Bounds) -> Memory {
        let birth = next_id(hub.last());
        let shelf = Shelf {
            last: birth,
            // A process before this one may have given out what is older.
            edges: Edges::new(birth),
            events: VecDeque::new(),
            bytes: 0,
            by_topic: HashMap::new(),
            by_given: HashMap::new(),
        };
        Memory { hub, bounds, shelf: Mutex::new(shelf) }
    }
}

impl History for Memory {
    fn publish(&self, event: Event) -> Result<Receipt, Error> {
        let mut shelf = self.shelf.lock();
        let id = next_id(shelf.last);
        let frame = event.encode(Some(id));
        shelf.keep(id, &event, frame.clone());
        shelf.trim(self.bounds);
        // Handed over under the lock, so that the hub sees the ids in their order. Everyone may wait
        // for the hub.
        self.hub.broadcast(Dispatch { id: Some(id), topics: event.topics().clone(), frame });
        drop(shelf);
        Ok(Receipt { id: event.given_id().map_or_else(|| id.to_string(), str::to_owned) })
    }

    fn resume(&self, start: &Start, topics: &[Topic]) -> Result<Resume, Error> {
        let shelf = self.shelf.lock();
        let edge = shelf.edges.of(topics);
        let (after, gap) = match start {
            Start::Live => (shelf.last, false),
            Start::Earliest => (edge, false),
            Start::Latest(count) => (shelf.before_latest(*count, topics), false),
            Start::After(asked) => match shelf.find(asked, topics) {
                Some(id) => (id, false),
                None => (edge, true),
            },
        };
        Ok(Resume { after, position: shelf.position(after, topics), gap })
    }

    fn page(&self, after: Id, through: Id, topics: &[Topic]) -> Result<Page, Error> {
        Ok(self.shelf.lock().page(after, through, topics))
    }

    fn kept(&self) -> (usize, usize) {
        let shelf = self.shelf.lock();
        (shelf.events.len(), shelf.bytes)
    }
}

struct Kept {
    id: Id,
    topics: Arc<[Topic]>,
    given: Option<Box<str>>,
    frame: Frame,
}

impl Kept {
    fn bytes(&self) -> usize {
        self.frame.len() + EVENT_OVERHEAD_BYTES
    }
}

/// `events` is in the order of the ids. The two indexes hold ids of events that are in it, no others.
struct Shelf {
    last: Id,
    edges: Edges,
    events: VecDeque<Kept>,
    bytes: usize,
    by_topic: HashMap<Topic, VecDeque<Id>>,
    /// The newest event on a topic that bears an id given by its publisher.
    by_given: HashMap<(Topic, Box<str>), Id>,
}

impl Shelf {
    fn keep(&mut self, id: Id, event: &Event, frame: Frame) {
        for topic in event.topics().iter() {
            let ids = self.by_topic.entry(topic.clone()).or_default();
            // An event may name a topic twice.
            if ids.back() != Some(&id) {
                ids.push_back(id);
            }
            if let Some(given) = event.given_id() {
                self.by_given.insert((topic.clone(), given.into()), id);
            }
        }
        let given = event.given_id().map(Into::into);
        let kept = Kept { id, topics: event.topics().clone(), given, frame };
        self.bytes += kept.bytes();
        self.events.push_back(kept);
        self.last = id;
    }

    fn trim(&mut self, bounds: Bounds) {
        while self.events.len() > bounds.events_max || self.bytes > bounds.bytes_max {
            let Some(oldest) = self.events.pop_front() else { return };
            self.bytes -= oldest.bytes();
            for topic in oldest.topics.iter() {
                self.forget(topic, &oldest);
            }
        }
    }

    fn forget(&mut self, topic: &Topic, oldest: &Kept) {
        self.edges.note(topic, oldest.id);
        if let Some(ids) = self.by_topic.get_mut(topic) {
            if ids.front() == Some(&oldest.id) {
                ids.pop_front();
            }
            if ids.is_empty() {
                self.by_topic.remove(topic);
            }
        }
        if let Some(given) = &oldest.given {
            let key = (topic.clone(), given.clone());
            // A newer event may bear the same id.
            if self.by_given.get(&key) == Some(&oldest.id) {
                self.by_given.remove(&key);
            }
        }
    }

    /// The id that a browser says it saw last: a publisher's on one of these topics, or one of ours
    /// that was given out and after which nothing is missing.
    fn find(&self, asked: &str, topics: &[Topic]) -> Option<Id> {
        let given = |topic: &Topic| self.by_given.get(&(topic.clone(), asked.into())).copied();
        if let Some(id) = topics.iter().filter_map(given).max() {
            return Some(id);
        }
        let id = Id::parse(asked)?;
        (id == self.edges.of(topics) || self.index_of(id).is_ok()).then_some(id)
    }

    /// The newest id at or before `after` on these topics; else the edge of what they have lost.
    fn position(&self, after: Id, topics: &[Topic]) -> String {
        let newest = topics.iter().filter_map(|topic| {
            let ids = self.by_topic.get(topic)?;
            ids.partition_point(|&id| id <= after).checked_sub(1).map(|index| ids[index])
        });
        newest.max().unwrap_or_else(|| self.edges.of(topics)).to_string()
    }

    fn before_latest(&self, count: usize, topics: &[Topic]) -> Id {
        let mut newest: Vec<Id> = topics
            .iter()
            .filter_map(|topic| self.by_topic.get(topic))
            .flat_map(|ids| ids.iter().rev().take(count))
            .copied()
            .collect();
        newest.sort_unstable();
        newest.dedup();
        match newest.len().checked_sub(count) {
            // One less than an id is before it and not before any other.
            Some(index) if count > 0 => Id(newest[index].0 - 1),
            _ if count == 0 => self.last,
            _ => self.edges.of(topics),
        }
    }

    fn page(&self, after: Id, through: Id, topics: &[Topic]) -> Page {
        let mut ids: Vec<Id> = topics
            .iter()
            .filter_map(|topic| self.by_topic.get(topic))
            .flat_map(|ids| {
                let from = ids.partition_point(|&id| id <= after);
                ids.range(from..).take_while(|&&id| id <= through).take(PAGE_EVENTS + 1)
            })
            .copied()
            .collect();
        ids.sort_unstable();
        ids.dedup();
        let edge = self.edges.of(topics);
        let gap = (after < edge).then_some(edge);
        let mut page = Page { gap, ..Page::default() };
        let mut bytes = 0;
        for id in ids {
            if page.frames.len() == PAGE_EVENTS || bytes >= PAGE_BYTES {
                return page;
            }
            let index = self.index_of(id).expect("the index by topic names kept events only");
            let frame = &self.events[index].frame;
            bytes += frame.len();
            page.frames.push(frame.clone());
            page.through = id;
        }
        page.through = through.max(after);
        page
    }

    fn index_of(&self, id: Id) -> Result<usize, usize> {
        self.events.binary_search_by_key(&id, |kept| kept.id)
    }
}

/// The time in nanoseconds, or one more than the last id where the clock stands still or went back.
fn next_id(last: Id) -> Id {
    // Before 1970 and after 2554 the clock is of no use, and counting on from the last is right.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    Id(u64::try_from(now).unwrap_or(0).max(last.0 + 1))
}
