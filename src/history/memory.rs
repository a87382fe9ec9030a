//! The history in memory: ordered, numbered, bounded by count, bytes and age; gone when the process ends.

use super::edges::Edges;
use super::given;
use super::retract::{self, Candidate, Plan};
use super::{
    Bounds, EVENT_OVERHEAD_BYTES, History, Kept, PART_BYTES, PART_EVENTS, Part, Receipt, Resume, Retracted,
    Start, Status, TOPICS_PART, TopicStatus, next_id, now, topic_of,
};
use crate::error::Error;
use crate::event::{Event, Frame, Id};
use crate::hub::{Dispatch, Hub};
use crate::topic::Topic;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Bound::{Excluded, Unbounded};
use std::slice;
use std::sync::Arc;
use std::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Release},
};
use std::time::{Duration, SystemTime};

/// Keeps the newest events in memory.
///
/// ```
/// use callout::history::Memory;
/// use callout::{Bounds, Server};
/// use std::sync::Arc;
///
/// let mut bounds = Bounds::default();
/// bounds.events_max = 10;
/// let server = Server::builder()
///     .listen(([127, 0, 0, 1], 0).into())
///     .history(move |hub| Ok(Arc::new(Memory::new(hub, bounds))))
///     .start();
/// # server.unwrap().stop(std::time::Duration::ZERO);
/// ```
pub struct Memory {
    hub: Hub,
    bounds: Bounds,
    /// Held from before an event gets its id until it is handed to the hub, so that the hub sees the ids in their
    /// order. Everyone may wait for the hub: readers do not take this lock, so they need not.
    turn: Mutex<()>,
    /// Taken after `turn`, and never held while the hub is waited for.
    log: Mutex<Log>,
    /// The newest id that was handed to the hub.
    handed: AtomicU64,
}

impl Memory {
    /// An empty history that feeds this hub.
    pub fn new(hub: Hub, bounds: Bounds) -> Memory {
        // Where ids have come to their end, publishing says so.
        let birth = next_id(Id::default(), now()).unwrap_or(Id::MAX);
        hub.begin_after(birth);
        let log = Log {
            last: birth,
            // A process before this one may have given out what is older.
            edges: Edges::new(birth),
            entries: VecDeque::new(),
            retracted: 0,
            bytes: 0,
            by_topic: BTreeMap::new(),
            by_given: HashMap::new(),
            by_given_retracted: HashMap::new(),
        };
        let handed = AtomicU64::new(birth.key());
        Memory { hub, bounds, turn: Mutex::default(), log: Mutex::new(log), handed }
    }

    /// Keeps an event under this id. Gives what is to be handed to the hub.
    fn append(&self, log: &mut Log, id: Id, event: &Event) -> Dispatch {
        let now = now();
        let frame = event.encode(Some(id));
        log.insert(id, now, event, frame.clone());
        log.trim(self.bounds, now);
        Dispatch::kept(event, id, frame)
    }

    /// Hands events to the hub, which everyone may wait for. To be called with the turn and without the log.
    fn hand_over(&self, dispatches: Vec<Dispatch>) {
        for dispatch in dispatches {
            let id = dispatch.id;
            self.hub.broadcast(dispatch);
            id.into_iter().for_each(|id| self.handed.store(id.key(), Release));
        }
    }
}

impl History for Memory {
    fn publish(&self, event: Event) -> Result<Receipt, Error> {
        let _turn = self.turn.lock();
        let mut log = self.log.lock();
        if let Some(receipt) = log.published_before(&event)? {
            return Ok(receipt);
        }
        // Publishing is acknowledged after the event has its id and is where the history keeps it; from then on every
        // read finds it.
        let id = next_id(log.last, now())?;
        let dispatch = self.append(&mut log, id, &event);
        drop(log);
        self.hand_over(vec![dispatch]);
        Ok(Receipt { id: event.given_id().map_or_else(|| id.to_string(), str::to_owned), duplicate: false })
    }

    fn retract(&self, topic: &Topic, id: Option<&str>) -> Result<Retracted, Error> {
        let _turn = self.turn.lock();
        let mut log = self.log.lock();
        log.trim(self.bounds, now());
        let Plan { taken, count, events } = match id {
            Some(asked) => retract::one(topic, log.candidate(topic, asked))?,
            None => retract::all(topic, log.candidates(topic)),
        };
        // All are numbered before the first is taken back: what is refused changes nothing.
        let mut last = log.last;
        let ids = events.iter().map(|_| next_id(last, now()).inspect(|&id| last = id));
        let ids = ids.collect::<Result<Vec<Id>, Error>>()?;
        taken.into_iter().for_each(|id| log.retract(id));
        let dispatches =
            ids.iter().zip(&events).map(|(&id, event)| self.append(&mut log, id, event)).collect();
        drop(log);
        self.hand_over(dispatches);
        Ok(Retracted { count, id: ids.last().map(Id::to_string) })
    }

    fn resume(&self, start: &Start, topics: &[Topic]) -> Result<Resume, Error> {
        let mut log = self.log.lock();
        // Where nothing is published, only reading shows that an event has grown too old.
        log.trim(self.bounds, now());
        let handed = Id::from_key(self.handed.load(Acquire));
        let edge = log.edges.of(topics);
        let (after, gap) = match start {
            Start::Live => (handed, false),
            Start::Earliest => (edge, false),
            Start::Latest(count) => (log.before_latest(*count, topics, handed), false),
            // Nobody can have seen an event that is kept and was not yet handed to the hub.
            Start::After(asked) => match log.find(asked, topics).filter(|id| *id <= handed) {
                Some(id) => (id, false),
                None => (edge, true),
            },
        };
        Ok(Resume { after, position: log.position(after, topics), gap })
    }

    fn read(&self, after: Id, through: Id, topics: &[Topic]) -> Result<Part, Error> {
        Ok(self.log.lock().read(after, through, topics))
    }

    fn status(&self) -> Status {
        let mut log = self.log.lock();
        log.trim(self.bounds, now());
        let events = log.entries.len() - log.retracted;
        let oldest = log.entries.front().filter(|_| events > 0).map(|entry| entry.at);
        Status { events, bytes: log.bytes, oldest, ..Status::default() }
    }

    fn topics(&self, after: &str) -> Result<Vec<TopicStatus>, Error> {
        let log = self.log.lock();
        let status = |(topic, ids): (&Topic, &VecDeque<Id>)| {
            let at = |id: Option<&Id>| Some(log.entry(*id?).at);
            let (oldest, newest) = (at(ids.front())?, at(ids.back())?);
            Some(TopicStatus { topic: topic.to_string(), events: ids.len(), oldest, newest })
        };
        let rest = log.by_topic.range::<str, _>((Excluded(after), Unbounded));
        Ok(rest.take(TOPICS_PART).filter_map(status).collect())
    }

    fn close(&self, _deadline: Duration) {
        // Events in memory end with the process.
    }
}

struct Entry {
    id: Id,
    at: SystemTime,
    topics: Arc<[Topic]>,
    given: Option<Box<str>>,
    /// None once the event is retracted: the entry stays so that its id is known.
    frame: Option<Frame>,
}

impl Entry {
    fn bytes(&self) -> usize {
        self.frame.as_ref().map_or(0, |frame| frame.len()) + EVENT_OVERHEAD_BYTES
    }
}

/// The id of an event on a topic that goes with an id of its publisher.
type ByGiven = HashMap<(Topic, Box<str>), Id>;

/// The entries in the order of their ids, and the indexes of them, which name no others.
struct Log {
    last: Id,
    edges: Edges,
    entries: VecDeque<Entry>,
    /// How many of the entries are retracted.
    retracted: usize,
    bytes: usize,
    /// Entries that are not retracted. In the order of the topics, so that they can be listed part by part.
    by_topic: BTreeMap<Topic, VecDeque<Id>>,
    /// The same. There is one at most for a topic and an id, since a second is refused.
    by_given: ByGiven,
    /// Entries that are retracted; of several, the oldest.
    by_given_retracted: ByGiven,
}

impl Log {
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
        let entry = Entry { id, at, topics: event.topics().clone(), given, frame: Some(frame) };
        self.bytes += entry.bytes();
        self.entries.push_back(entry);
        self.last = id;
    }

    fn trim(&mut self, bounds: Bounds, now: SystemTime) {
        while let Some(oldest) = self.entries.front()
            && bounds.are_passed(self.entries.len(), self.bytes, oldest.at, now)
            && let Some(oldest) = self.entries.pop_front()
        {
            self.bytes -= oldest.bytes();
            self.retracted -= usize::from(oldest.frame.is_none());
            for topic in oldest.topics.iter() {
                self.edges.note(topic, oldest.id);
            }
            self.remove_from_indexes(&oldest);
        }
    }

    /// Takes an event out of every read and lets its bytes go. Its id stays known, so that a browser that saw it
    /// last can go on.
    fn retract(&mut self, id: Id) {
        let Ok(index) = self.index_of(id) else { return };
        let entry = &mut self.entries[index];
        let frame = entry.frame.take();
        self.bytes -= frame.as_ref().map_or(0, |frame| frame.len());
        self.retracted += 1;
        let entry = Entry { frame, topics: entry.topics.clone(), given: entry.given.clone(), ..*entry };
        self.remove_from_indexes(&entry);
        let Some(given) = entry.given else { return };
        for topic in entry.topics.iter() {
            self.by_given_retracted.entry((topic.clone(), given.clone())).or_insert(id);
        }
    }

    fn remove_from_indexes(&mut self, entry: &Entry) {
        for topic in entry.topics.iter() {
            if let Some(ids) = self.by_topic.get_mut(topic)
                && let Ok(index) = ids.binary_search(&entry.id)
            {
                ids.remove(index);
                if ids.is_empty() {
                    self.by_topic.remove(topic);
                }
            }
            let Some(given) = &entry.given else { continue };
            let by_given =
                if entry.frame.is_some() { &mut self.by_given } else { &mut self.by_given_retracted };
            let key = (topic.clone(), given.clone());
            // Another entry may bear the same id.
            if by_given.get(&key) == Some(&entry.id) {
                by_given.remove(&key);
            }
        }
    }

    /// The event with this id on the wire, if it is kept on this topic.
    fn candidate(&self, topic: &Topic, asked: &str) -> Option<Candidate> {
        let given = oldest(&self.by_given, asked, slice::from_ref(topic));
        let id = given.or_else(|| Id::parse(asked))?;
        let is_on_topic = self.by_topic.get(topic)?.binary_search(&id).is_ok();
        is_on_topic.then(|| self.entry(id).to_candidate())
    }

    /// All events that are kept on this topic.
    fn candidates(&self, topic: &Topic) -> Vec<Candidate> {
        let ids = self.by_topic.get(topic).into_iter().flatten();
        ids.map(|&id| self.entry(id).to_candidate()).collect()
    }

    /// What became of an event whose publisher's id is kept already, on its topics.
    fn published_before(&self, event: &Event) -> Result<Option<Receipt>, Error> {
        let Some(given) = event.given_id() else { return Ok(None) };
        let kept = event.topics().iter().map(|topic| {
            let id = *self.by_given.get(&(topic.clone(), given.into()))?;
            self.entry(id).frame.as_deref()
        });
        given::published_before(event, given, &kept.collect::<Vec<_>>())
    }

    /// The id that a browser says it saw last: its publisher's on one of these topics, or one of ours that was
    /// given out and after which nothing is missing. Of several events that bear the publisher's id the oldest, so
    /// that the browser misses nothing whichever of them it saw.
    fn find(&self, asked: &str, topics: &[Topic]) -> Option<Id> {
        let kept = oldest(&self.by_given, asked, topics);
        let retracted = oldest(&self.by_given_retracted, asked, topics);
        match (kept, retracted) {
            (None, None) => {
                Id::parse(asked).filter(|&id| id == self.edges.of(topics) || self.index_of(id).is_ok())
            }
            // The id was used again after it was retracted. Nothing says which of the two events the browser saw,
            // so it is told of a gap rather than left with one.
            (Some(_), Some(_)) => None,
            (kept, retracted) => kept.or(retracted),
        }
    }

    /// The newest id at or before `after` on these topics; else the edge of what they have lost.
    fn position(&self, after: Id, topics: &[Topic]) -> String {
        let newest = topics.iter().filter_map(|topic| {
            let ids = self.by_topic.get(topic)?;
            ids.partition_point(|&id| id <= after).checked_sub(1).map(|index| ids[index])
        });
        newest.max().unwrap_or_else(|| self.edges.of(topics)).to_string()
    }

    /// `last` is the newest event that was handed to the hub.
    fn before_latest(&self, count: usize, topics: &[Topic], last: Id) -> Id {
        let mut newest: Vec<Id> = topics
            .iter()
            .filter_map(|topic| self.by_topic.get(topic))
            .flat_map(|ids| ids.iter().rev().skip_while(|&&id| id > last).take(count))
            .copied()
            .collect();
        newest.sort_unstable();
        newest.dedup();
        match newest.len().checked_sub(count) {
            // One less than an id is before it and not before any other.
            Some(index) if count > 0 => Id::from_key(newest[index].key() - 1),
            _ if count == 0 => last,
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
            let entry = self.entry(id);
            let topic = topic_of(entry.topics.iter().map(Topic::as_str), topics);
            let (Some(frame), Some(topic)) = (entry.frame.clone(), topic) else { continue };
            bytes += frame.len();
            part.events.push(Kept { id, at: entry.at, topic, frame });
            part.through = id;
        }
        part.through = through.max(after);
        part
    }

    /// The entry of an id that an index names.
    fn entry(&self, id: Id) -> &Entry {
        let index = self.index_of(id).expect("the indexes name entries only");
        &self.entries[index]
    }

    fn index_of(&self, id: Id) -> Result<usize, usize> {
        self.entries.binary_search_by_key(&id, |entry| entry.id)
    }
}

impl Entry {
    fn to_candidate(&self) -> Candidate {
        let frame = self.frame.as_deref().unwrap_or_default();
        Candidate::new(self.id, self.given.as_deref(), self.topics.to_vec(), frame)
    }
}

/// The oldest entry on one of these topics that bears this id of its publisher.
fn oldest(by_given: &ByGiven, given: &str, topics: &[Topic]) -> Option<Id> {
    let find = |topic: &Topic| by_given.get(&(topic.clone(), given.into())).copied();
    topics.iter().filter_map(find).min()
}
