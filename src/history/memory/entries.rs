//! The events in memory, in the order of their ids, and the ways to find them: by topic, and by the ids of their publishers.

use crate::error::Error;
use crate::event::{Event, Frame, Id};
use crate::history::edges::Edges;
use crate::history::lists::WALKED_MAX;
use crate::history::retention::{Row, Shelf, each_once};
use crate::history::retract::Candidate;
use crate::history::{
    EVENT_OVERHEAD_BYTES, Kept, PART_BYTES, PART_EVENTS, Part, Receipt, given, lists, topic_of,
};
use crate::os::clock::now;
use crate::selector::Selector;
use crate::topic::Topic;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// An event that is kept, or one that was retracted.
pub(super) struct Entry {
    id: Id,
    pub(super) at: SystemTime,
    /// How much time had passed then since the history began.
    pub(super) kept_at: Duration,
    /// Each of them once.
    pub(super) topics: Arc<[Topic]>,
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
pub(super) struct Log {
    pub(super) last: Id,
    pub(super) began: Instant,
    edges: Edges,
    /// The first is never one that was removed.
    entries: VecDeque<Entry>,
    /// Those of them that were removed.
    removed: usize,
    /// Entries that are not retracted. In the order of the topics, so that they can be listed part by part.
    pub(super) by_topic: BTreeMap<Topic, VecDeque<Id>>,
    /// The same. There is one at most for a topic and an id, since a second is refused.
    by_given: ByGiven,
    /// Entries that are retracted; of several, the oldest.
    by_given_retracted: ByGiven,
}

impl Log {
    /// Without entries. What is older than this may have been given out by a process before this one.
    pub(super) fn new(birth: Id) -> Log {
        Log {
            last: birth,
            began: Instant::now(),
            edges: Edges::new(birth),
            entries: VecDeque::new(),
            removed: 0,
            by_topic: BTreeMap::new(),
            by_given: HashMap::new(),
            by_given_retracted: HashMap::new(),
        }
    }

    /// The oldest entry.
    pub(super) fn oldest(&self) -> Option<&Entry> {
        self.entries.front()
    }

    pub(super) fn insert(&mut self, id: Id, event: &Event, frame: Frame) -> &Entry {
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
    pub(super) fn retract(&mut self, id: Id) -> Option<Row> {
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
    pub(super) fn edge(&self, selectors: &[Selector]) -> Id {
        let edge = |selector: &Selector| match selector.topic() {
            Some(topic) => self.edges.of(topic, self.oldest_on(topic)),
            None => self.edges.of_prefix(selector),
        };
        selectors.iter().map(edge).max().unwrap_or_default()
    }

    /// The event with this id on the wire, if it is kept on this topic.
    pub(super) fn candidate(&self, topic: &Topic, asked: &str) -> Option<Candidate> {
        let given = self.by_given.get(&(topic.clone(), asked.into())).copied();
        let id = given.or_else(|| Id::parse(asked))?;
        let is_on_topic = self.by_topic.get(topic)?.binary_search(&id).is_ok();
        is_on_topic.then(|| self.entry(id).to_candidate())
    }

    /// All events that are kept on this topic.
    pub(super) fn candidates(&self, topic: &Topic) -> Vec<Candidate> {
        let ids = self.by_topic.get(topic).into_iter().flatten();
        ids.map(|&id| self.entry(id).to_candidate()).collect()
    }

    /// What became of an event whose publisher's id is kept already, on its topics.
    pub(super) fn published_before(&self, event: &Event) -> Result<Option<Receipt>, Error> {
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
    pub(super) fn find(&self, asked: &str, selectors: &[Selector]) -> Option<Id> {
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
    pub(super) fn lists<'a>(&'a self, selectors: &'a [Selector]) -> impl Iterator<Item = &'a VecDeque<Id>> {
        selectors.iter().flat_map(|selector| lists::named(&self.by_topic, selector)).map(|(_, list)| list)
    }

    /// Whether these selectors name more topics than are merged.
    fn are_many(&self, selectors: &[Selector]) -> bool {
        let have_prefix = selectors.iter().any(|selector| selector.prefix().is_some());
        have_prefix && lists::are_many(self.lists(selectors), self.entries.len())
    }

    /// The newest so many events up to this id on the topics of these selectors, the newest first.
    pub(super) fn newest(&self, selectors: &[Selector], count: usize, through: Id) -> Vec<Id> {
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

    pub(super) fn read(&self, after: Id, through: Id, selectors: &[Selector]) -> Part {
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
    pub(super) fn entry(&self, id: Id) -> &Entry {
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
    pub(super) fn row(&self) -> Row {
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
