//! The history in memory: ordered, numbered, bounded by count, bytes and age; gone when the process ends.

use super::edges::Edges;
use super::lists::WALKED_MAX;
use super::retention::{Retention, Row, Shelf, each_once};
use super::retract::{self, Candidate, Plan};
use super::{
    Bounds, EVENT_OVERHEAD_BYTES, History, Kept, PART_BYTES, PART_EVENTS, Part, Receipt, Resume, Retracted,
    Start, Status, TOPICS_PART, TopicStatus, next_id, now, topic_of,
};
use super::{given, lists};
use crate::error::Error;
use crate::event::{Event, Frame, Id};
use crate::hub::{Dispatch, Hub};
use crate::selector::Selector;
use crate::topic::Topic;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;
use std::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Release},
};
use std::time::{Duration, Instant, SystemTime};

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
    /// Held from before an event gets its id until it is handed to the hub, so that the hub sees the ids in their
    /// order. Everyone may wait for the hub: readers do not take this lock, so they need not.
    turn: Mutex<()>,
    /// Taken after `turn`, and never held while the hub is waited for.
    kept: Mutex<Shelved>,
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
            began: Instant::now(),
            // A process before this one may have given out what is older.
            edges: Edges::new(birth),
            entries: VecDeque::new(),
            removed: 0,
            by_topic: BTreeMap::new(),
            by_given: HashMap::new(),
            by_given_retracted: HashMap::new(),
        };
        let kept = Mutex::new(Shelved { log, retention: Retention::new(bounds) });
        let handed = AtomicU64::new(birth.key());
        Memory { hub, turn: Mutex::default(), kept, handed }
    }

    /// Keeps an event, or finds that it is kept already. Gives what is to be handed to the hub.
    fn keep(&self, kept: &mut Shelved, event: &Event) -> Result<(Receipt, Option<Dispatch>), Error> {
        if let Some(receipt) = kept.log.published_before(event)? {
            return Ok((receipt, None));
        }
        // Publishing is acknowledged after the event has its id and is where the history keeps it; from then on every
        // read finds it.
        let id = next_id(kept.log.last, now())?;
        let dispatch = self.append(kept, id, event);
        let id = event.given_id().map_or_else(|| id.to_string(), str::to_owned);
        Ok((Receipt { id, duplicate: false }, Some(dispatch)))
    }

    /// Keeps an event under this id. Gives what is to be handed to the hub.
    fn append(&self, kept: &mut Shelved, id: Id, event: &Event) -> Dispatch {
        let frame = event.encode(Some(id));
        kept.insert(id, event, frame.clone());
        Dispatch::kept(event, id, frame)
    }

    /// Hands events to the hub, which everyone may wait for. To be called with the turn and without the log.
    fn hand_over(&self, dispatches: impl IntoIterator<Item = Dispatch>) {
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
        let mut kept = self.kept.lock();
        let (receipt, dispatch) = self.keep(&mut kept, &event)?;
        drop(kept);
        self.hand_over(dispatch);
        Ok(receipt)
    }

    fn publish_all(&self, events: Vec<Event>) -> Vec<Result<Receipt, Error>> {
        let _turn = self.turn.lock();
        let mut kept = self.kept.lock();
        let mut dispatches = Vec::with_capacity(events.len());
        let mut keep = |event: &Event| {
            let (receipt, dispatch) = self.keep(&mut kept, event)?;
            dispatches.extend(dispatch);
            Ok(receipt)
        };
        let receipts = events.iter().map(&mut keep).collect();
        drop(kept);
        self.hand_over(dispatches);
        receipts
    }

    fn retract(&self, topic: &Topic, id: Option<&str>) -> Result<Retracted, Error> {
        let _turn = self.turn.lock();
        let mut kept = self.kept.lock();
        kept.trim();
        let Plan { taken, count, events } = match id {
            Some(asked) => retract::one(topic, kept.log.candidate(topic, asked))?,
            None => retract::all(topic, kept.log.candidates(topic)),
        };
        // All are numbered before the first is taken back: what is refused changes nothing.
        let mut last = kept.log.last;
        let ids = events.iter().map(|_| next_id(last, now()).inspect(|&id| last = id));
        let ids = ids.collect::<Result<Vec<Id>, Error>>()?;
        taken.into_iter().for_each(|id| kept.retract(id));
        let dispatches: Vec<Dispatch> =
            ids.iter().zip(&events).map(|(&id, event)| self.append(&mut kept, id, event)).collect();
        drop(kept);
        self.hand_over(dispatches);
        Ok(Retracted { count, id: ids.last().map(Id::to_string) })
    }

    fn resume(&self, start: &Start, selectors: &[Selector]) -> Result<Resume, Error> {
        let mut kept = self.kept.lock();
        // Where nothing is published, only reading shows that an event has grown too old.
        kept.trim();
        let log = &kept.log;
        let handed = Id::from_key(self.handed.load(Acquire));
        let edge = log.edge(selectors);
        let (after, gap) = match start {
            Start::Live | Start::Latest(0) => (handed, false),
            Start::Earliest => (lists::earliest(log.lists(selectors), log.next(Id::default()), edge), false),
            Start::Latest(count) => {
                (lists::before_latest(&log.newest(selectors, *count, handed), *count, edge), false)
            }
            // Nobody can have seen an event that is kept and was not yet handed to the hub.
            Start::After(asked) => match log.find(asked, selectors).filter(|id| *id <= handed) {
                Some(id) => (id, false),
                None => (edge, true),
            },
        };
        let newest = log.newest(selectors, 1, after).first().copied();
        Ok(Resume { after, position: lists::position(newest, after, edge).to_string(), gap })
    }

    fn read(&self, after: Id, through: Id, selectors: &[Selector]) -> Result<Part, Error> {
        Ok(self.kept.lock().log.read(after, through, selectors))
    }

    fn status(&self) -> Status {
        let mut kept = self.kept.lock();
        kept.trim();
        let (events, bytes) = (kept.retention.events(), kept.retention.bytes());
        let oldest = kept.log.entries.front().filter(|_| events > 0).map(|entry| entry.at);
        Status { events, bytes, oldest, ..Status::default() }
    }

    fn topics(&self, after: &str) -> Result<Vec<TopicStatus>, Error> {
        let log = &self.kept.lock().log;
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
    /// How much time had passed then since the history began.
    kept_at: Duration,
    /// Each of them once.
    topics: Arc<[Topic]>,
    given: Option<Box<str>>,
    /// None once the event is retracted: the entry stays so that its id is known.
    frame: Option<Frame>,
    /// It is not kept any more: taking it out from between others would move all of these.
    is_removed: bool,
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
    began: Instant,
    edges: Edges,
    /// The first is never one that was removed.
    entries: VecDeque<Entry>,
    /// Those of them that were removed.
    removed: usize,
    /// Entries that are not retracted. In the order of the topics, so that they can be listed part by part.
    by_topic: BTreeMap<Topic, VecDeque<Id>>,
    /// The same. There is one at most for a topic and an id, since a second is refused.
    by_given: ByGiven,
    /// Entries that are retracted; of several, the oldest.
    by_given_retracted: ByGiven,
}

/// The entries, and the rules by which they are let go.
struct Shelved {
    log: Log,
    retention: Retention,
}

impl Shelved {
    fn insert(&mut self, id: Id, event: &Event, frame: Frame) {
        let entry = self.log.insert(id, event, frame);
        let (row, topics, now) = (entry.row(), entry.topics.clone(), entry.kept_at);
        self.retention.note_added(&row);
        self.retention.settle(&mut self.log, &topics, now);
        self.retention.trim(&mut self.log, now, usize::MAX);
    }

    fn trim(&mut self) {
        let now = self.log.began.elapsed();
        self.retention.trim_topics(&mut self.log, now);
        self.retention.trim(&mut self.log, now, usize::MAX);
    }

    /// Takes an event out of every read and lets its bytes go. Its id stays known, so that a browser that saw it
    /// last can go on.
    fn retract(&mut self, id: Id) {
        let Some(row) = self.log.retract(id) else { return };
        row.topics.iter().for_each(|topic| self.retention.note_lost(topic, &row));
        self.retention.note_retracted(id, &row, EVENT_OVERHEAD_BYTES);
    }
}

impl Log {
    fn insert(&mut self, id: Id, event: &Event, frame: Frame) -> &Entry {
        let topics = each_once(event.topics());
        for topic in topics.iter() {
            self.by_topic.entry(topic.clone()).or_default().push_back(id);
            if let Some(given) = event.given_id() {
                self.by_given.insert((topic.clone(), given.into()), id);
            }
        }
        let (given, kept_at) = (event.given_id().map(Into::into), self.began.elapsed());
        self.entries.push_back(Entry {
            id,
            at: now(),
            kept_at,
            topics,
            given,
            frame: Some(frame),
            is_removed: false,
        });
        self.last = id;
        &self.entries[self.entries.len() - 1]
    }

    /// Gives what the entry was, if there is one.
    fn retract(&mut self, id: Id) -> Option<Row> {
        let index = self.index_of(id).ok()?;
        let row = self.entries[index].row();
        row.topics.iter().for_each(|topic| self.unlist(topic, id, &row));
        self.entries[index].frame = None;
        for (topic, given) in row.topics.iter().filter_map(|topic| Some((topic, row.given.clone()?))) {
            self.by_given_retracted.entry((topic.clone(), given)).or_insert(id);
        }
        Some(row)
    }

    /// Takes an event from the list of a topic.
    fn unlist(&mut self, topic: &Topic, id: Id, row: &Row) {
        if let Some(ids) = self.by_topic.get_mut(topic) {
            if ids.front() == Some(&id) {
                ids.pop_front();
            } else if let Ok(index) = ids.binary_search(&id) {
                ids.remove(index);
            }
            if ids.is_empty() {
                self.by_topic.remove(topic);
            }
        }
        remove_given(&mut self.by_given, topic, id, row);
    }

    /// The topics of these selectors have lost no event that is newer than this.
    fn edge(&self, selectors: &[Selector]) -> Id {
        let edge = |selector: &Selector| match selector.topic() {
            Some(topic) => self.edges.of(topic, self.oldest_on(topic)),
            None => self.edges.of_prefix(selector),
        };
        selectors.iter().map(edge).max().unwrap_or_default()
    }

    /// The event with this id on the wire, if it is kept on this topic.
    fn candidate(&self, topic: &Topic, asked: &str) -> Option<Candidate> {
        let given = self.by_given.get(&(topic.clone(), asked.into())).copied();
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

    /// The id that a browser says it saw last: its publisher's on a topic of these selectors, or one of ours that was
    /// given out and after which nothing is missing. Of several events that bear the publisher's id the oldest, so
    /// that the browser misses nothing whichever of them it saw.
    fn find(&self, asked: &str, selectors: &[Selector]) -> Option<Id> {
        let (kept, retracted) = self.find_given(asked, selectors);
        match (kept, retracted) {
            (None, None) => {
                Id::parse(asked).filter(|&id| id == self.edge(selectors) || self.index_of(id).is_ok())
            }
            // The id was used again after it was retracted. Nothing says which of the two events the browser saw,
            // so it is told of a gap rather than left with one.
            (Some(_), Some(_)) => None,
            (kept, retracted) => kept.or(retracted),
        }
    }

    /// The oldest event on a topic of these selectors that is kept under this id of its publisher, and the same of those
    /// that are retracted.
    fn find_given(&self, asked: &str, selectors: &[Selector]) -> (Option<Id>, Option<Id>) {
        let on = |by_given: &ByGiven, topic: &Topic| by_given.get(&(topic.clone(), asked.into())).copied();
        let (mut kept, mut retracted) = (Vec::new(), Vec::new());
        for selector in selectors {
            if let Some(topic) = selector.topic() {
                kept.extend(on(&self.by_given, topic));
                retracted.extend(on(&self.by_given_retracted, topic));
            } else if Id::parse(asked).is_none() {
                // No publisher's id looks like one of ours, so this is not done for each browser that comes back.
                let topics = lists::named(&self.by_topic, selector);
                kept.extend(topics.filter_map(|(topic, _)| on(&self.by_given, topic)));
                let is_it = |topic: &Topic, given: &str| given == asked && selector.matches(topic);
                let all = self.by_given_retracted.iter();
                retracted.extend(all.filter(|((topic, given), _)| is_it(topic, given)).map(|(_, id)| *id));
            }
        }
        (kept.into_iter().min(), retracted.into_iter().min())
    }

    /// The lists of the topics of these selectors.
    fn lists<'a>(&'a self, selectors: &'a [Selector]) -> impl Iterator<Item = &'a VecDeque<Id>> {
        selectors.iter().flat_map(|selector| lists::named(&self.by_topic, selector)).map(|(_, list)| list)
    }

    /// Whether these selectors name more topics than are merged.
    fn are_many(&self, selectors: &[Selector]) -> bool {
        let have_prefix = selectors.iter().any(|selector| selector.prefix().is_some());
        have_prefix && lists::are_many(self.lists(selectors), self.entries.len())
    }

    /// The newest so many events up to this id on the topics of these selectors, the newest first.
    fn newest(&self, selectors: &[Selector], count: usize, through: Id) -> Vec<Id> {
        if !self.are_many(selectors) {
            return lists::newest(self.lists(selectors), count, through);
        }
        let end = self.entries.partition_point(|entry| entry.id <= through);
        let walked = self.entries.range(..end).rev().filter(|entry| entry.is_for(selectors));
        walked.take(count).map(|entry| entry.id).collect()
    }

    /// The oldest events in this span on the topics of these selectors, one more than fit into a part, and up to where
    /// they are all.
    fn wanted(&self, after: Id, through: Id, selectors: &[Selector]) -> (Vec<Id>, Id) {
        let count = PART_EVENTS + 1;
        if !self.are_many(selectors) {
            return (lists::oldest(self.lists(selectors), count, (after, through)), through);
        }
        let from = self.entries.partition_point(|entry| entry.id <= after);
        let walked = || self.entries.range(from..).take(WALKED_MAX).take_while(|entry| entry.id <= through);
        let ids: Vec<Id> =
            walked().filter(|entry| entry.is_for(selectors)).take(count).map(|entry| entry.id).collect();
        let is_cut = self.entries.get(from + WALKED_MAX).is_some_and(|next| next.id <= through);
        // Where a part ends does not depend on events that are not in it.
        let end = ids.last().copied().or_else(|| walked().last().map(|entry| entry.id));
        (ids, end.filter(|_| is_cut).unwrap_or(through))
    }

    /// What a request asks for of the time before the edge: the newest of it.
    fn read_older(&self, older: &[Id], selectors: &[Selector], through: Id) -> Part {
        let (mut events, mut bytes) = (Vec::new(), 0);
        for &id in older {
            if bytes >= PART_BYTES {
                break;
            }
            let entry = self.entry(id);
            let topic = topic_of(entry.topics.iter().map(Topic::as_str), selectors);
            let (Some(frame), Some(topic)) = (entry.frame.clone(), topic) else { continue };
            bytes += frame.len();
            events.push(Kept { id, at: entry.at, topic, frame });
        }
        events.reverse();
        Part { events, through, gap: None }
    }

    fn read(&self, after: Id, through: Id, selectors: &[Selector]) -> Part {
        // Most reads are behind all edges.
        let edge = if after < self.edges.newest() { self.edge(selectors) } else { Id::default() };
        if let Some(older) = lists::requested(self.lists(selectors), after, through, edge) {
            return self.read_older(&older, selectors, edge.min(through));
        }
        let gap = (after < edge).then_some(edge);
        let (ids, end) = self.wanted(after, through, selectors);
        let mut part = Part { gap, ..Part::default() };
        let mut bytes = 0;
        for id in ids {
            if part.events.len() == PART_EVENTS || bytes >= PART_BYTES {
                return part;
            }
            let entry = self.entry(id);
            let topic = topic_of(entry.topics.iter().map(Topic::as_str), selectors);
            let (Some(frame), Some(topic)) = (entry.frame.clone(), topic) else { continue };
            bytes += frame.len();
            part.events.push(Kept { id, at: entry.at, topic, frame });
            part.through = id;
        }
        part.through = end.max(after);
        part
    }

    /// The entry of an id that an index names.
    fn entry(&self, id: Id) -> &Entry {
        let index = self.index_of(id).expect("the indexes name entries only");
        &self.entries[index]
    }

    fn index_of(&self, id: Id) -> Result<usize, usize> {
        // The oldest is asked for with each event.
        if self.entries.front().is_some_and(|oldest| oldest.id == id) {
            return Ok(0);
        }
        let index = self.entries.binary_search_by_key(&id, |entry| entry.id)?;
        if self.entries[index].is_removed { Err(index) } else { Ok(index) }
    }

    /// Takes an entry out. One between others goes with the first, or once half of all were removed.
    fn remove_entry(&mut self, id: Id) {
        let Ok(index) = self.index_of(id) else { return };
        let entry = &mut self.entries[index];
        (entry.is_removed, entry.frame, entry.given) = (true, None, None);
        self.removed += 1;
        while self.entries.front().is_some_and(|entry| entry.is_removed) {
            self.entries.pop_front();
            self.removed -= 1;
        }
        if self.removed > self.entries.len() / 2 {
            self.entries.retain(|entry| !entry.is_removed);
            self.removed = 0;
        }
    }
}

impl Shelf for Log {
    fn next(&self, after: Id) -> Option<Id> {
        let index = match self.entries.front() {
            Some(oldest) if oldest.id > after => 0,
            _ => self.entries.partition_point(|entry| entry.id <= after),
        };
        self.entries.range(index..).find(|entry| !entry.is_removed).map(|entry| entry.id)
    }

    fn row(&mut self, id: Id) -> Row {
        self.entry(id).row()
    }

    fn kept_at(&mut self, id: Id) -> Option<Duration> {
        Some(self.entry(id).kept_at)
    }

    fn rank(&self, topic: &Topic, id: Id) -> Option<usize> {
        let ids = self.by_topic.get(topic)?;
        if ids.front() == Some(&id) {
            return Some(ids.len());
        }
        ids.binary_search(&id).ok().map(|index| ids.len() - index)
    }

    fn oldest_on(&self, topic: &Topic) -> Option<Id> {
        self.by_topic.get(topic)?.front().copied()
    }

    fn lose(&mut self, topic: &Topic, id: Id, row: &Row) {
        self.unlist(topic, id, row);
        self.edges.note(topic, id);
    }

    fn remove(&mut self, id: Id, row: &Row) {
        if row.is_retracted {
            for topic in row.topics.iter() {
                remove_given(&mut self.by_given_retracted, topic, id, row);
                // What the topic still lists may be older, and is not lost.
                if self.oldest_on(topic).is_none_or(|oldest| oldest > id) {
                    self.edges.note(topic, id);
                }
            }
        }
        self.remove_entry(id);
    }
}

/// Removes an event from what is found by its publisher's id, unless another one bears the same.
fn remove_given(by_given: &mut ByGiven, topic: &Topic, id: Id, row: &Row) {
    let Some(given) = &row.given else { return };
    let key = (topic.clone(), given.clone());
    if by_given.get(&key) == Some(&id) {
        by_given.remove(&key);
    }
}

impl Entry {
    fn row(&self) -> Row {
        let (topics, given) = (self.topics.clone(), self.given.clone());
        Row { topics, given, bytes: self.bytes(), record_bytes: 0, is_retracted: self.frame.is_none() }
    }

    /// Whether it is kept, and on a topic of one of these selectors.
    fn is_for(&self, selectors: &[Selector]) -> bool {
        let is_named = |topic: &Topic| selectors.iter().any(|selector| selector.matches(topic));
        self.frame.is_some() && self.topics.iter().any(is_named)
    }

    fn to_candidate(&self) -> Candidate {
        let frame = self.frame.as_deref().unwrap_or_default();
        Candidate::new(self.id, self.given.as_deref(), self.topics.to_vec(), frame)
    }
}
