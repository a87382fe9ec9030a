//! The history in memory: ordered, numbered, bounded by count and by bytes; gone when the process ends.

use super::edges::Edges;
use super::{
    Bounds, EVENT_OVERHEAD_BYTES, History, Kept, PART_BYTES, PART_EVENTS, Part, Receipt, Resume, Start,
    Status, TopicStatus, next_id,
};
use crate::error::Error;
use crate::event::{Event, Frame, Id};
use crate::hub::{Dispatch, Hub};
use crate::topic::Topic;
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Keeps the newest events in memory.
pub struct Memory {
    hub: Hub,
    bounds: Bounds,
    contents: Mutex<Contents>,
}

impl Memory {
    /// An empty history that feeds this hub.
    pub fn new(hub: Hub, bounds: Bounds) -> Memory {
        let birth = next_id(Id::default(), SystemTime::now());
        hub.begin_after(birth);
        let contents = Contents {
            last: birth,
            // A process before this one may have given out what is older.
            edges: Edges::new(birth),
            events: VecDeque::new(),
            bytes: 0,
            by_topic: HashMap::new(),
            by_given: HashMap::new(),
        };
        Memory { hub, bounds, contents: Mutex::new(contents) }
    }
}

impl History for Memory {
    fn publish(&self, event: Event) -> Result<Receipt, Error> {
        let mut contents = self.contents.lock();
        if let Some(given) = event.given_id()
            && contents.find_given(given, event.topics()).is_some()
        {
            return Ok(Receipt { id: given.to_owned(), duplicate: true });
        }
        let now = SystemTime::now();
        let id = next_id(contents.last, now);
        let frame = event.encode(Some(id));
        contents.insert(id, now, &event, frame.clone());
        contents.trim(self.bounds, now);
        // Handed over under the lock, so that the hub sees the ids in their order. Everyone may wait
        // for the hub. Publishing is acknowledged after the event has its id and is where the history
        // keeps it.
        self.hub.broadcast(Dispatch::kept(&event, id, frame));
        drop(contents);
        Ok(Receipt { id: event.given_id().map_or_else(|| id.to_string(), str::to_owned), duplicate: false })
    }

    fn resume(&self, start: &Start, topics: &[Topic]) -> Result<Resume, Error> {
        let mut contents = self.contents.lock();
        // Where nobody publishes, nobody else sees that something has grown too old.
        contents.trim(self.bounds, SystemTime::now());
        let edge = contents.edges.of(topics);
        let (after, gap) = match start {
            Start::Live => (contents.last, false),
            Start::Earliest => (edge, false),
            Start::Latest(count) => (contents.before_latest(*count, topics), false),
            Start::After(asked) => match contents.find(asked, topics) {
                Some(id) => (id, false),
                None => (edge, true),
            },
        };
        Ok(Resume { after, position: contents.position(after, topics), gap })
    }

    fn read(&self, after: Id, through: Id, topics: &[Topic]) -> Result<Part, Error> {
        Ok(self.contents.lock().read(after, through, topics))
    }

    fn status(&self) -> Status {
        let mut contents = self.contents.lock();
        contents.trim(self.bounds, SystemTime::now());
        let oldest = contents.events.front().map(|entry| entry.at);
        Status { events: contents.events.len(), bytes: contents.bytes, oldest, ..Status::default() }
    }

    fn topics(&self) -> Result<Vec<TopicStatus>, Error> {
        let contents = self.contents.lock();
        let status = |(topic, ids): (&Topic, &VecDeque<Id>)| {
            let at = |id: Option<&Id>| Some(contents.entry(*id?).at);
            let (oldest, newest) = (at(ids.front())?, at(ids.back())?);
            Some(TopicStatus { topic: topic.to_string(), events: ids.len(), oldest, newest })
        };
        let mut topics: Vec<_> = contents.by_topic.iter().filter_map(status).collect();
        topics.sort_by(|a, b| a.topic.cmp(&b.topic));
        Ok(topics)
    }

    fn close(&self, _deadline: Duration) {
        // What is in memory ends with the process.
    }
}

struct Entry {
    id: Id,
    at: SystemTime,
    topics: Arc<[Topic]>,
    given: Option<Box<str>>,
    frame: Frame,
}

impl Entry {
    fn bytes(&self) -> usize {
        self.frame.len() + EVENT_OVERHEAD_BYTES
    }
}

/// `events` is in the order of the ids. The two indexes hold ids of events that are in it, no others.
struct Contents {
    last: Id,
    edges: Edges,
    events: VecDeque<Entry>,
    bytes: usize,
    by_topic: HashMap<Topic, VecDeque<Id>>,
    /// The newest event on a topic that bears an id given by its publisher.
    by_given: HashMap<(Topic, Box<str>), Id>,
}

impl Contents {
    fn insert(&mut self, id: Id, at: SystemTime, event: &Event, frame: Frame) {
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
        let entry = Entry { id, at, topics: event.topics().clone(), given, frame };
        self.bytes += entry.bytes();
        self.events.push_back(entry);
        self.last = id;
    }

    fn trim(&mut self, bounds: Bounds, now: SystemTime) {
        while let Some(oldest) = self.events.front()
            && bounds.are_passed(self.events.len(), self.bytes, oldest.at, now)
            && let Some(oldest) = self.events.pop_front()
        {
            self.bytes -= oldest.bytes();
            for topic in oldest.topics.iter() {
                self.forget(topic, &oldest);
            }
        }
    }

    fn forget(&mut self, topic: &Topic, oldest: &Entry) {
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
        let given = self.find_given(asked, topics);
        let ours = Id::parse(asked).filter(|&id| id == self.edges.of(topics) || self.index_of(id).is_ok());
        given.or(ours)
    }

    /// The newest event on one of these topics that bears this id of its publisher's.
    fn find_given(&self, given: &str, topics: &[Topic]) -> Option<Id> {
        let find = |topic: &Topic| self.by_given.get(&(topic.clone(), given.into())).copied();
        topics.iter().filter_map(find).max()
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
            Some(index) if count > 0 => Id::from_key(newest[index].key() - 1),
            _ if count == 0 => self.last,
            _ => self.edges.of(topics),
        }
    }

    fn read(&self, after: Id, through: Id, topics: &[Topic]) -> Part {
        let mut ids: Vec<Id> = topics
            .iter()
            .filter_map(|topic| self.by_topic.get(topic))
            .flat_map(|ids| {
                let from = ids.partition_point(|&id| id <= after);
                ids.range(from..).take_while(|&&id| id <= through).take(PART_EVENTS + 1)
            })
            .copied()
            .collect();
        ids.sort_unstable();
        ids.dedup();
        let edge = self.edges.of(topics);
        let gap = (after < edge).then_some(edge);
        let mut part = Part { gap, ..Part::default() };
        let mut bytes = 0;
        for id in ids {
            if part.events.len() == PART_EVENTS || bytes >= PART_BYTES {
                return part;
            }
            let Entry { at, frame, .. } = self.entry(id);
            bytes += frame.len();
            part.events.push(Kept { id, at: *at, frame: frame.clone() });
            part.through = id;
        }
        part.through = through.max(after);
        part
    }

    /// The entry of an event that the index by topic names.
    fn entry(&self, id: Id) -> &Entry {
        let index = self.index_of(id).expect("the index by topic names kept events only");
        &self.events[index]
    }

    fn index_of(&self, id: Id) -> Result<usize, usize> {
        self.events.binary_search_by_key(&id, |entry| entry.id)
    }
}
