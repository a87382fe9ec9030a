//! The index in memory: which events are kept, on which topics, and where they stand.
//!
//! An event takes 14 bytes in `entries` and 8 for each of its topics, and some more where its publisher gave an id.
//! Everything else about it stands in its record, which is read when it is needed. The index is changed by the thread
//! that writes alone, after what changed it is on disk.

use super::active::Moved;
use super::fault::Fault;
use super::record::{EventRecord, Record};
use super::segment::{Segment, Window};
use super::segments::Segments;
use crate::event::Id;
use crate::history::EVENT_OVERHEAD_BYTES;
use crate::history::edges::Edges;
use crate::history::retention::{Row, Shelf};
use crate::topic::Topic;
use slab::Slab;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// How much is read at once where one record is wanted. Those that are let go stand one behind the other.
const ROW_PIECE_BYTES: usize = 16 * 1024;

/// Lists grow by this share, so that little of what they hold is room.
const GROWTH_SHARE: usize = 16;

/// Removed entries are cleared away once they are this share of all.
const HOLES_SHARE: usize = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition {
    Kept,
    Retracted,
    /// It is no more, and is cleared away later.
    Removed,
}

/// Where an event stands. Packed, since there is one for each event.
#[derive(Clone, Copy)]
#[repr(Rust, packed(2))]
struct Entry {
    key: u64,
    /// The offset in the segment in units of eight bytes, and in the two lowest bits the condition.
    place: u32,
    /// The lowest bits of the segment's number.
    segment: u16,
}

impl Entry {
    fn new(id: Id, segment: u64, offset: u64, condition: Condition) -> Entry {
        // A segment ends far below 8 GB.
        let place = ((offset / 8) as u32) << 2 | condition as u32;
        Entry { key: id.key(), place, segment: segment as u16 }
    }

    fn id(self) -> Id {
        Id::from_key(self.key)
    }

    fn condition(self) -> Condition {
        match self.place & 3 {
            0 => Condition::Kept,
            1 => Condition::Retracted,
            _ => Condition::Removed,
        }
    }

    fn set_condition(&mut self, condition: Condition) {
        self.place = self.place & !3 | condition as u32;
    }

    fn offset(self) -> u64 {
        u64::from(self.place >> 2) * 8
    }
}

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
    id: Id,
    pub(super) at: SystemTime,
    kept_at: Duration,
}

impl Oldest {
    /// How old it is, where so much time has passed.
    pub(super) fn age(self, passed: Duration) -> Duration {
        passed.saturating_sub(self.kept_at)
    }
}

/// A number that is a good hash already.
#[derive(Default)]
struct Hashed(u64);

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
type ByGiven = HashMap<u64, Id, BuildHasherDefault<Hashed>>;

/// See the module.
pub(super) struct Index {
    entries: VecDeque<Entry>,
    holes: usize,
    /// In the order of the topics, so that they can be listed part by part. The numbers are those of their lists.
    topics: BTreeMap<Topic, usize>,
    lists: Slab<VecDeque<Id>>,
    by_given: ByGiven,
    /// Of several events that were retracted under the same id, the oldest.
    by_given_retracted: ByGiven,
    hashes: RandomState,
    pub(super) edges: Edges,
    pub(super) segments: Segments,
    oldest: Option<Oldest>,
    window: Window,
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
        let entry = self.entries[self.position(id)?];
        Some(Place { id, segment: self.segments.get(entry.segment)?.clone(), offset: entry.offset() })
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

    /// These topics have lost no event that is newer than this.
    pub(super) fn edge(&self, topics: &[Topic]) -> Id {
        topics.iter().map(|topic| self.edges.of(topic, self.oldest_on(topic))).max().unwrap_or_default()
    }

    /// The oldest event on one of these topics that is kept under this id of its publisher.
    pub(super) fn find_given(&self, given: &str, topics: &[Topic]) -> Option<Id> {
        let found = topics.iter().filter_map(|topic| self.by_given.get(&self.hash(topic.as_str(), given)));
        found.copied().filter(|id| self.knows(*id)).min()
    }

    /// The same among those that are retracted.
    pub(super) fn find_given_retracted(&self, given: &str, topics: &[Topic]) -> Option<Id> {
        let found =
            topics.iter().filter_map(|topic| self.by_given_retracted.get(&self.hash(topic.as_str(), given)));
        found.copied().filter(|id| self.knows(*id)).min()
    }

    fn hash(&self, topic: &str, given: &str) -> u64 {
        self.hashes.hash_one((topic, given))
    }

    fn position(&self, id: Id) -> Option<usize> {
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
        for topic in row.topics.iter() {
            let hash = self.hash(topic.as_str(), given);
            let oldest = self.by_given_retracted.entry(hash).or_insert(id);
            *oldest = id.min(*oldest);
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
    fn clear(&mut self) {
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

    /// What the record of an entry says, and how many bytes its frame takes there.
    pub(super) fn read_row(&mut self, id: Id) -> Result<(Row, usize), Fault> {
        let missing = || Fault("an event that is kept has no place".into());
        let place = self.place(id).ok_or_else(missing)?;
        let is_retracted = self.condition(id) == Some(Condition::Retracted);
        let (event, record_bytes) =
            event_at(&mut self.window, &place.segment, place.offset, ROW_PIECE_BYTES)?;
        if event.id != id {
            return Err(Fault::damaged(&place.segment.path, "another event stands where one should"));
        }
        Ok(row(&event, record_bytes, is_retracted, |name| {
            self.topics.get_key_value(name).map(|(t, _)| t.clone())
        }))
    }

    /// Reads when the oldest entry was published, after it has changed.
    pub(super) fn look_at_oldest(&mut self) {
        let oldest = self.entries.iter().find(|entry| entry.condition() != Condition::Removed);
        let oldest = oldest.map(|entry| entry.id());
        if self.oldest.map(|oldest| oldest.id) == oldest {
            return;
        }
        self.oldest = oldest.and_then(|id| {
            let place = self.place(id)?;
            let event = event_at(&mut self.window, &place.segment, place.offset, ROW_PIECE_BYTES);
            let (event, _) =
                event.inspect_err(|fault| log::error!("the history cannot be trimmed: {fault}")).ok()?;
            Some(Oldest { id, at: event.at, kept_at: event.kept_at })
        });
    }

    /// Brings the entries in their order, after older ones were inserted behind newer ones.
    pub(super) fn sort(&mut self) {
        self.entries.make_contiguous().sort_by_key(|entry| entry.key);
        self.lists.iter_mut().for_each(|(_, list)| list.make_contiguous().sort());
    }
}

impl Shelf for Index {
    fn next(&self, after: Id) -> Option<Id> {
        let start = match self.entries.front() {
            Some(oldest) if oldest.id() > after => 0,
            _ => self.entries.partition_point(|entry| entry.id() <= after),
        };
        let rest = self.entries.range(start..);
        rest.copied().find(|entry| entry.condition() != Condition::Removed).map(Entry::id)
    }

    fn row(&mut self, id: Id) -> Row {
        match self.read_row(id) {
            Ok((row, _)) => row,
            Err(fault) => {
                log::error!("an event that is let go cannot be read: {fault}");
                let is_retracted = self.condition(id) == Some(Condition::Retracted);
                let on = |(topic, number): (&Topic, &usize)| {
                    self.lists[*number].binary_search(&id).is_ok().then(|| topic.clone())
                };
                let topics = self.topics.iter().filter_map(on).collect();
                Row { topics, given: None, bytes: EVENT_OVERHEAD_BYTES, record_bytes: 0, is_retracted }
            }
        }
    }

    fn kept_at(&mut self, id: Id) -> Option<Duration> {
        self.look_at_oldest();
        if let Some(oldest) = self.oldest.filter(|oldest| oldest.id == id) {
            return Some(oldest.kept_at);
        }
        let place = self.place(id)?;
        let event = event_at(&mut self.window, &place.segment, place.offset, ROW_PIECE_BYTES);
        Some(event.ok()?.0.kept_at)
    }

    fn rank(&self, topic: &Topic, id: Id) -> Option<usize> {
        let list = self.on(topic.as_str())?;
        if list.front() == Some(&id) {
            return Some(list.len());
        }
        list.binary_search(&id).ok().map(|position| list.len() - position)
    }

    fn oldest_on(&self, topic: &Topic) -> Option<Id> {
        self.on(topic.as_str())?.front().copied()
    }

    fn lose(&mut self, topic: &Topic, id: Id, row: &Row) {
        self.unlist(topic, id, row);
        self.edges.note(topic, id);
    }

    fn remove(&mut self, id: Id, row: &Row) {
        if row.is_retracted {
            for topic in row.topics.iter() {
                if let Some(given) = &row.given {
                    let hash = self.hash(topic.as_str(), given);
                    remove_given(&mut self.by_given_retracted, hash, id);
                }
                // What the topic still lists may be older, and is not lost.
                if self.oldest_on(topic).is_none_or(|oldest| oldest > id) {
                    self.edges.note(topic, id);
                }
            }
        }
        let Some(position) = self.position(id) else { return };
        self.segments.note_gone(self.entries[position].segment, row.record_bytes);
        self.entries[position].set_condition(Condition::Removed);
        self.holes += 1;
        self.clear();
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

/// The event that stands at this place, and how many bytes its record takes.
pub(super) fn event_at<'w>(
    window: &'w mut Window,
    segment: &Segment,
    offset: u64,
    piece_bytes: usize,
) -> Result<(EventRecord<'w>, usize), Fault> {
    match window.record(segment, offset, piece_bytes)? {
        (Record::Event(event), record_bytes) => Ok((event, record_bytes)),
        _ => Err(Fault::damaged(&segment.path, format!("no event stands at byte {offset}"))),
    }
}

/// What the rules need to know of an event, from its record, and how many bytes its frame takes there. `known` gives
/// a topic that is known already.
fn row(
    event: &EventRecord,
    record_bytes: usize,
    is_retracted: bool,
    known: impl Fn(&str) -> Option<Topic>,
) -> (Row, usize) {
    let topics = event.topics().filter_map(|name| known(name).or_else(|| Topic::new(name).ok())).collect();
    let frame_bytes = event.frame.map_or(0, <[u8]>::len);
    let kept_bytes = if is_retracted { 0 } else { frame_bytes };
    let row = Row {
        topics,
        given: event.given.map(Box::from),
        bytes: kept_bytes + EVENT_OVERHEAD_BYTES,
        record_bytes: record_bytes - (frame_bytes - kept_bytes),
        is_retracted,
    };
    (row, frame_bytes)
}
