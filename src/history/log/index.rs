//! The index in memory: which events are kept, on which topics, and where they stand.
//!
//! An event takes 14 bytes in `entries` and 8 for each of its topics, and some more where its publisher gave an id.
//! Everything else about it stands in its record, which is read when it is needed. The index is changed by the thread
//! that writes alone, after what changed it is on disk.

use super::active::Moved;
use super::entry::{Condition, Entry};
use super::segment::{Segment, Window};
use super::segments::Segments;
use crate::event::Id;
use crate::history::edges::Edges;
use crate::history::lists::{are_many, named};
use crate::history::retention::{Row, Shelf};
use crate::selector::Selector;
use crate::topic::Topic;
use slab::Slab;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Lists grow by this share, so that little of what they hold is room.
const GROWTH_SHARE: usize = 16;

/// Removed entries are cleared away once they are this share of all.
const HOLES_SHARE: usize = 8;

/// Where a record is to be read.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) id: Id,
    pub(super) segment: Arc<Segment>,
    pub(super) offset: u64,
}

/// The oldest entry.
#[derive(Debug, Clone, Copy)]
pub(super) struct Oldest {
    pub(super) id: Id,
    pub(super) at: SystemTime,
    pub(super) kept_at: Duration,
}

impl Oldest {
    /// How old it is, where so much time has passed.
    pub(super) fn age(self, passed: Duration) -> Duration {
        passed.saturating_sub(self.kept_at)
    }
}

/// A number that is a good hash already.
#[derive(Default)]
pub(super) struct Hashed(u64);

impl Hasher for Hashed {
    fn write(&mut self, _: &[u8]) {
        unreachable!("the keys are numbers")
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Events by a hash of a topic and the id of their publisher. The hash has a random key, so that nobody makes two alike.
pub(super) type ByGiven = HashMap<u64, Id, BuildHasherDefault<Hashed>>;

/// See the module.
pub(super) struct Index {
    pub(super) entries: VecDeque<Entry>,
    pub(super) holes: usize,
    /// In the order of the topics, so that they can be listed part by part. The numbers are those of their lists.
    pub(super) topics: BTreeMap<Topic, usize>,
    pub(super) lists: Slab<VecDeque<Id>>,
    by_given: ByGiven,
    /// Of several events that were retracted under the same id, the oldest.
    by_given_retracted: ByGiven,
    /// How many events were retracted under an id, by its hash with the topic that nobody has.
    retracted_under: HashMap<u64, usize, BuildHasherDefault<Hashed>>,
    hashes: RandomState,
    pub(super) edges: Edges,
    pub(super) segments: Segments,
    pub(super) oldest: Option<Oldest>,
    pub(super) window: Window,
}

impl Index {
    pub(super) fn new(edges: Edges) -> Index {
        Index {
            entries: VecDeque::new(),
            holes: 0,
            topics: BTreeMap::new(),
            lists: Slab::new(),
            by_given: ByGiven::default(),
            by_given_retracted: ByGiven::default(),
            retracted_under: HashMap::default(),
            hashes: RandomState::new(),
            edges,
            segments: Segments::default(),
            oldest: None,
            window: Window::default(),
        }
    }

    // Looking things up.

    /// How many entries there are.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The newest entry.
    pub(super) fn newest(&self) -> Option<Id> {
        self.entries.back().map(|entry| entry.id())
    }

    pub(super) fn oldest(&self) -> Option<Oldest> {
        self.oldest
    }

    /// Whether an event with this id is kept, or was and is retracted.
    pub(super) fn knows(&self, id: Id) -> bool {
        self.position(id).is_some()
    }

    pub(super) fn condition(&self, id: Id) -> Option<Condition> {
        self.position(id).map(|position| self.entries[position].condition())
    }

    pub(super) fn place(&self, id: Id) -> Option<Place> {
        self.place_of(self.entries[self.position(id)?])
    }

    fn place_of(&self, entry: Entry) -> Option<Place> {
        let segment = self.segments.get(entry.segment)?.clone();
        Some(Place { id: entry.id(), segment, offset: entry.offset() })
    }

    /// Where the events stand that are kept, from the oldest that is newer than this on.
    pub(super) fn places_after(&self, after: Id) -> impl Iterator<Item = Place> {
        let from = self.entries.partition_point(|entry| entry.id() <= after);
        self.kept_places(self.entries.range(from..))
    }

    /// The same from the newest on that is not newer than this, towards the oldest.
    pub(super) fn places_before(&self, through: Id) -> impl Iterator<Item = Place> {
        let end = self.entries.partition_point(|entry| entry.id() <= through);
        self.kept_places(self.entries.range(..end).rev())
    }

    fn kept_places<'a>(&self, entries: impl Iterator<Item = &'a Entry>) -> impl Iterator<Item = Place> {
        let kept = entries.filter(|entry| entry.condition() == Condition::Kept);
        kept.filter_map(|entry| self.place_of(*entry))
    }

    /// The events that a topic lists, the oldest first.
    pub(super) fn on(&self, topic: &str) -> Option<&VecDeque<Id>> {
        self.topics.get(topic).map(|number| &self.lists[*number])
    }

    /// The topics behind this name that list something, in the order of their names.
    pub(super) fn topics_after(&self, after: &str) -> impl Iterator<Item = (&Topic, &VecDeque<Id>)> {
        use std::ops::Bound::{Excluded, Unbounded};
        let rest = self.topics.range::<str, _>((Excluded(after), Unbounded));
        rest.map(|(topic, number)| (topic, &self.lists[*number]))
    }

    /// The lists of the topics of these selectors.
    pub(super) fn lists<'a>(&'a self, selectors: &'a [Selector]) -> impl Iterator<Item = &'a VecDeque<Id>> {
        let named = selectors.iter().flat_map(|selector| named(&self.topics, selector));
        named.map(|(_, number)| &self.lists[*number])
    }

    /// Whether these selectors name more topics than are merged.
    pub(super) fn are_many(&self, selectors: &[Selector]) -> bool {
        let have_prefix = selectors.iter().any(|selector| selector.prefix().is_some());
        have_prefix && are_many(self.lists(selectors), self.entries.len())
    }

    /// The topics of these selectors have lost no event that is newer than this.
    pub(super) fn edge(&self, selectors: &[Selector]) -> Id {
        let edge = |selector: &Selector| match selector.topic() {
            Some(topic) => self.edges.of(topic, self.oldest_on(topic)),
            None => self.edges.of_prefix(selector),
        };
        selectors.iter().map(edge).max().unwrap_or_default()
    }

    /// The event that a topic keeps under this id of its publisher.
    pub(super) fn given_on(&self, topic: &Topic, given: &str) -> Option<Id> {
        self.known_under(&self.by_given, topic, given)
    }

    /// The oldest event on a topic of these selectors that is kept under this id of its publisher, and the same of those
    /// that are retracted. None if that cannot be said: nothing names the topics of what was retracted, so one that has no
    /// other event may be a prefix's.
    pub(super) fn find_given(&self, given: &str, selectors: &[Selector]) -> Option<(Option<Id>, Option<Id>)> {
        let (mut kept, mut retracted, mut is_sure) = (Vec::new(), Vec::new(), true);
        for selector in selectors {
            if let Some(topic) = selector.topic() {
                kept.extend(self.given_on(topic, given));
                retracted.extend(self.known_under(&self.by_given_retracted, topic, given));
            } else if Id::parse(given).is_none() {
                // No publisher's id looks like one of ours, so this is not done for each browser that comes back.
                for (topic, _) in named(&self.topics, selector) {
                    kept.extend(self.given_on(topic, given));
                    retracted.extend(self.known_under(&self.by_given_retracted, topic, given));
                }
                is_sure = false;
            }
        }
        retracted.sort_unstable();
        retracted.dedup();
        is_sure |= self.retracted_under.get(&self.hash("", given)).copied().unwrap_or(0) == retracted.len();
        is_sure.then(|| (kept.into_iter().min(), retracted.first().copied()))
    }

    fn known_under(&self, by_given: &ByGiven, topic: &Topic, given: &str) -> Option<Id> {
        by_given.get(&self.hash(topic.as_str(), given)).copied().filter(|id| self.knows(*id))
    }

    pub(super) fn hash(&self, topic: &str, given: &str) -> u64 {
        self.hashes.hash_one((topic, given))
    }

    pub(super) fn position(&self, id: Id) -> Option<usize> {
        // The oldest is asked for with each commit.
        if self
            .entries
            .front()
            .is_some_and(|oldest| oldest.id() == id && oldest.condition() != Condition::Removed)
        {
            return Some(0);
        }
        let position = self.entries.binary_search_by_key(&id.key(), |entry| entry.key).ok()?;
        (self.entries[position].condition() != Condition::Removed).then_some(position)
    }

    // Changing it.

    /// Adds an event that is newer than all others; else [`Index::sort`] has to follow.
    pub(super) fn insert(&mut self, id: Id, segment: u64, offset: u64, row: &Row) {
        let condition = if row.is_retracted { Condition::Retracted } else { Condition::Kept };
        grow(&mut self.entries);
        self.entries.push_back(Entry::new(id, segment, offset, condition));
        self.segments.note_kept(segment, row.record_bytes);
        if row.is_retracted {
            return self.note_given_retracted(id, row);
        }
        for topic in row.topics.iter() {
            let number = self.number(topic);
            let list = &mut self.lists[number];
            grow(list);
            list.push_back(id);
            if let Some(given) = &row.given {
                let hash = self.hash(topic.as_str(), given);
                let newest = self.by_given.entry(hash).or_insert(id);
                *newest = id.max(*newest);
            }
        }
    }

    /// The number of a topic's list, which is made where it is missing.
    fn number(&mut self, topic: &Topic) -> usize {
        match self.topics.get(topic) {
            Some(number) => *number,
            None => {
                let number = self.lists.insert(VecDeque::new());
                self.topics.insert(topic.clone(), number);
                number
            }
        }
    }

    /// Takes an event out of every read. Its id stays known.
    pub(super) fn retract(&mut self, id: Id, row: &Row, frame_bytes: usize) {
        let Some(position) = self.position(id) else { return };
        row.topics.iter().for_each(|topic| self.unlist(topic, id, row));
        let entry = &mut self.entries[position];
        entry.set_condition(Condition::Retracted);
        self.segments.note_gone(entry.segment, frame_bytes);
        self.note_given_retracted(id, row);
    }

    fn note_given_retracted(&mut self, id: Id, row: &Row) {
        let Some(given) = &row.given else { return };
        *self.retracted_under.entry(self.hash("", given)).or_default() += 1;
        for topic in row.topics.iter() {
            let hash = self.hash(topic.as_str(), given);
            let oldest = self.by_given_retracted.entry(hash).or_insert(id);
            *oldest = id.min(*oldest);
        }
    }

    /// Forgets that an event was retracted under an id of its publisher.
    pub(super) fn forget_given_retracted(&mut self, id: Id, given: &str, topics: &[Topic]) {
        for topic in topics {
            let hash = self.hash(topic.as_str(), given);
            remove_given(&mut self.by_given_retracted, hash, id);
        }
        let hash = self.hash("", given);
        if let Some(count) = self.retracted_under.get_mut(&hash) {
            *count -= 1;
            if *count == 0 {
                self.retracted_under.remove(&hash);
            }
        }
    }

    /// Notes that an event's record stands in this segment now.
    pub(super) fn move_to(&mut self, moved: &Moved, segment: u64) {
        let Some(position) = self.position(moved.id) else { return };
        let before = self.entries[position];
        self.entries[position] = Entry::new(moved.id, segment, moved.offset, before.condition());
        self.segments.note_gone(before.segment, moved.before_bytes);
        self.segments.note_kept(segment, moved.record_bytes);
    }

    /// The newest events, if they stand in this segment from this offset on.
    pub(super) fn behind(&self, segment: u64, offset: u64) -> Vec<Id> {
        let newest = self.entries.iter().rev().filter(|entry| entry.condition() != Condition::Removed);
        let is_behind = |entry: &&Entry| entry.segment == segment as u16 && entry.offset() >= offset;
        newest.take_while(is_behind).map(|entry| entry.id()).collect()
    }

    /// Events that stand in this segment: the oldest, and at most so many.
    pub(super) fn standing_in(&self, segment: u64, count_max: usize) -> Vec<Id> {
        let there = self
            .entries
            .iter()
            .filter(|entry| entry.segment == segment as u16 && entry.condition() != Condition::Removed);
        there.take(count_max).map(|entry| entry.id()).collect()
    }

    pub(super) fn unlist(&mut self, topic: &Topic, id: Id, row: &Row) {
        if let Some(given) = &row.given {
            let hash = self.hash(topic.as_str(), given);
            remove_given(&mut self.by_given, hash, id);
        }
        let Some(&number) = self.topics.get(topic) else { return };
        let list = &mut self.lists[number];
        match list.front() {
            Some(oldest) if *oldest == id => _ = list.pop_front(),
            _ => _ = list.binary_search(&id).map(|position| list.remove(position)),
        }
        if list.is_empty() {
            self.lists.remove(number);
            self.topics.remove(topic);
        } else if list.capacity() > 64 && list.len() < list.capacity() / 2 {
            list.shrink_to_fit();
        }
    }

    /// Clears removed entries away: at the old end at once, elsewhere when there are many.
    pub(super) fn clear(&mut self) {
        while self.entries.front().is_some_and(|entry| entry.condition() == Condition::Removed) {
            self.entries.pop_front();
            self.holes -= 1;
        }
        if self.holes > 64 && self.holes > self.entries.len() / HOLES_SHARE {
            self.entries.retain(|entry| entry.condition() != Condition::Removed);
            self.holes = 0;
        }
        if self.entries.capacity() > 1024 && self.entries.len() < self.entries.capacity() / 2 {
            self.entries.shrink_to_fit();
        }
    }

    /// Brings the entries in their order, after older ones were inserted behind newer ones.
    pub(super) fn sort(&mut self) {
        self.entries.make_contiguous().sort_by_key(|entry| entry.key);
        self.lists.iter_mut().for_each(|(_, list)| list.make_contiguous().sort());
    }
}

/// Removes an event from what is found by its publisher's id, unless another one bears the same.
fn remove_given(by_given: &mut ByGiven, hash: u64, id: Id) {
    if by_given.get(&hash) == Some(&id) {
        by_given.remove(&hash);
    }
}

/// Makes room for one more where there is none.
fn grow<T>(list: &mut VecDeque<T>) {
    if list.len() == list.capacity() {
        list.reserve_exact((list.len() / GROWTH_SHARE).max(4));
    }
}
