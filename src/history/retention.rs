//! What is let go, and when: one set of rules for all histories.
//!
//! Events are let go from the oldest on, when a bound on all of them together is passed (events, bytes, age). Two
//! things change that order:
//!
//! - **A reserve.** The newest few events of each topic stay when the bounds on events and bytes are passed, and newer
//!   ones of other topics go in their place: so a topic with many events does not push out those of a quiet one. All
//!   reserves together hold at most a quarter of either bound; then the oldest of them go. What is too old goes in any
//!   case: an operator who says how long something is kept is believed.
//! - **Bounds of a topic**, where there are some. They hold beside those on all topics together.
//!
//! Each topic loses its oldest events first. So one edge says what a topic has lost, and an event that belongs to
//! several topics may be gone from one and stay on another.

use crate::event::Id;
use crate::selector::Selector;
use crate::topic::Topic;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// How often it is looked for what is too old for its topic.
const LOOK: Duration = Duration::from_millis(500);

/// All reserves together hold at most this share of what may be kept.
const RESERVE_SHARE: usize = 4;

/// How much is kept: by default 100,000 events, 64 MB and 7 days. When one of the bounds is reached, the oldest events
/// are let go. Every queue, body, header, history, thread and count has a named limit and a stated consequence.
///
/// ```
/// let mut config = callout::Config::default();
/// config.bounds.events_max = 1_000;
/// config.bounds.age_max = std::time::Duration::from_secs(60 * 60);
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Bounds {
    /// Events, and the ids of retracted ones. At least 1.
    pub events_max: usize,
    /// Bytes, counting the frames and what it takes to keep them, and the ids of retracted events. At least 1.
    pub bytes_max: usize,
    /// Time that has passed since an event was published, whatever the clock said then and says now. At least a second.
    pub age_max: Duration,
    /// Of each topic so many of its newest events are kept when newer ones of other topics are let go, as long as all of
    /// these take no more than a quarter of the bounds on events and bytes.
    pub reserve_events: usize,
    /// Bounds of certain topics. The first that names a topic holds for it.
    pub topics: Vec<TopicBounds>,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds {
            events_max: 100_000,
            bytes_max: 64 * 1024 * 1024,
            age_max: Duration::from_secs(7 * 24 * 60 * 60),
            reserve_events: 10,
            topics: Vec::new(),
        }
    }
}

/// How much is kept of each topic that a selector names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicBounds {
    /// Which topics.
    pub selector: Selector,
    /// Events of one of them.
    pub events_max: Option<usize>,
    /// Their bytes, counted as in [`Bounds::bytes_max`].
    pub bytes_max: Option<usize>,
    /// Their age, counted as in [`Bounds::age_max`].
    pub age_max: Option<Duration>,
}

impl Bounds {
    /// Those of this topic, by their number.
    fn number_of(&self, topic: &Topic) -> Option<usize> {
        if self.topics.is_empty() {
            return None;
        }
        self.topics.iter().position(|bounds| bounds.selector.matches(topic))
    }

    /// How many of this topic's newest events are in reserve.
    fn reserve_of(&self, topic: &Topic) -> usize {
        let own = self.number_of(topic).and_then(|number| self.topics[number].events_max);
        let reserve = self.reserve_events.min(own.unwrap_or(usize::MAX));
        // Where a quarter of what is kept is nothing there is no reserve.
        if self.events_max < RESERVE_SHARE { 0 } else { reserve }
    }
}

/// What the rules need to know of an entry: an event that is kept, or the id of one that was retracted.
#[derive(Clone)]
pub(super) struct Row {
    /// Each of them once.
    pub(super) topics: Arc<[Topic]>,
    /// The id of its publisher.
    pub(super) given: Option<Box<str>>,
    /// As [`Bounds::bytes_max`] counts them.
    pub(super) bytes: usize,
    /// What its record takes on disk; 0 in memory.
    pub(super) record_bytes: usize,
    pub(super) is_retracted: bool,
}

/// A history's entries in the order of their ids, and for each topic those that it lists: its events that are kept.
pub(super) trait Shelf {
    /// The oldest entry that is newer than this.
    fn next(&self, after: Id) -> Option<Id>;

    fn row(&mut self, id: Id) -> Row;

    /// How much time had passed when it was published. None if that is not known: then it is young.
    fn kept_at(&mut self, id: Id) -> Option<Duration>;

    /// How many of a topic's events are this one or newer; none if the topic does not list it.
    fn rank(&self, topic: &Topic, id: Id) -> Option<usize>;

    /// The oldest event that a topic lists.
    fn oldest_on(&self, topic: &Topic) -> Option<Id>;

    /// Takes the oldest event of a topic from its list.
    fn lose(&mut self, topic: &Topic, id: Id, row: &Row);

    /// Removes an entry that no topic lists.
    fn remove(&mut self, id: Id, row: &Row);
}

/// Entries, and their bytes.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    entries: usize,
    bytes: usize,
}

/// The rules of one history, and what they count.
pub(super) struct Retention {
    bounds: Bounds,
    /// Entries that are not in reserve.
    newest: Tally,
    /// Entries that are in reserve. All of them are older than the others.
    reserve: Tally,
    reserved_through: Id,
    retracted: usize,
    /// The bytes of each topic that has bounds of its own and is not empty.
    topic_bytes: HashMap<Topic, usize>,
    /// When the topics with an age of their own were looked at.
    looked_at: Duration,
}

impl Retention {
    pub(super) fn new(bounds: Bounds) -> Retention {
        Retention {
            bounds,
            newest: Tally::default(),
            reserve: Tally::default(),
            reserved_through: Id::default(),
            retracted: 0,
            topic_bytes: HashMap::new(),
            looked_at: Duration::ZERO,
        }
    }

    /// The shortest time for which something is kept.
    pub(super) fn age_min(&self) -> Duration {
        let own = self.bounds.topics.iter().filter_map(|own| own.age_max);
        own.fold(self.bounds.age_max, Duration::min)
    }

    /// Events that are kept.
    pub(super) fn events(&self) -> usize {
        self.newest.entries + self.reserve.entries - self.retracted
    }

    /// Bytes that are kept, as [`Bounds`] counts them.
    pub(super) fn bytes(&self) -> usize {
        self.newest.bytes + self.reserve.bytes
    }

    /// How much of what may be kept is kept, from 0 to 1, where the oldest entry is so old.
    pub(super) fn fullness(&self, age: Duration) -> f64 {
        let entries = (self.newest.entries + self.reserve.entries) as f64;
        let (events_max, bytes_max) = (self.bounds.events_max as f64, self.bounds.bytes_max as f64);
        let by_age = age.as_secs_f64() / self.bounds.age_max.as_secs_f64();
        (entries / events_max).max(self.bytes() as f64 / bytes_max).max(by_age)
    }

    /// Counts an entry that was added, which is newer than all others.
    pub(super) fn note_added(&mut self, row: &Row) {
        self.newest.entries += 1;
        self.newest.bytes += row.bytes;
        self.retracted += usize::from(row.is_retracted);
        if !row.is_retracted {
            row.topics.iter().for_each(|topic| self.add_to_topic(topic, row.bytes));
        }
    }

    /// Counts an entry that is removed.
    pub(super) fn note_removed(&mut self, id: Id, row: &Row) {
        let tally = self.tally(id);
        tally.entries -= 1;
        tally.bytes -= row.bytes;
        self.retracted -= usize::from(row.is_retracted);
    }

    /// Counts an event that one of its topics no longer lists.
    pub(super) fn note_lost(&mut self, topic: &Topic, row: &Row) {
        if let Some(bytes) = self.topic_bytes.get_mut(topic) {
            *bytes = bytes.saturating_sub(row.bytes);
            if *bytes == 0 {
                self.topic_bytes.remove(topic);
            }
        }
    }

    /// Counts an event that is retracted, and now takes so many bytes.
    pub(super) fn note_retracted(&mut self, id: Id, row: &Row, bytes: usize) {
        self.retracted += 1;
        let tally = self.tally(id);
        tally.bytes -= row.bytes - bytes;
    }

    fn tally(&mut self, id: Id) -> &mut Tally {
        if id <= self.reserved_through { &mut self.reserve } else { &mut self.newest }
    }

    fn add_to_topic(&mut self, topic: &Topic, bytes: usize) {
        if !self.bounds.topics.is_empty() && self.bounds.number_of(topic).is_some() {
            *self.topic_bytes.entry(topic.clone()).or_default() += bytes;
        }
    }

    /// Lets go what these topics, which have a new event, may no longer list. `now` is how much time has passed.
    pub(super) fn settle(&mut self, shelf: &mut impl Shelf, topics: &[Topic], now: Duration) {
        // Otherwise the bounds on all topics together say what goes.
        if self.reserve.entries > 0 || !self.bounds.topics.is_empty() {
            topics.iter().for_each(|topic| while self.settle_one(shelf, topic, now) {});
        }
    }

    /// Lets the oldest event of a topic go if the topic may no longer list it.
    fn settle_one(&mut self, shelf: &mut impl Shelf, topic: &Topic, now: Duration) -> bool {
        let Some(oldest) = shelf.oldest_on(topic) else { return false };
        let count = shelf.rank(topic, oldest).unwrap_or_default();
        let is_crowded = oldest <= self.reserved_through && count > self.bounds.reserve_of(topic);
        if !is_crowded && !self.is_past_own(shelf, topic, oldest, count, now) {
            return false;
        }
        let row = shelf.row(oldest);
        self.lose(shelf, topic, oldest, &row);
        true
    }

    /// Whether a topic has bounds of its own, and this event of it, one of so many, is past them.
    fn is_past_own(
        &self,
        shelf: &mut impl Shelf,
        topic: &Topic,
        oldest: Id,
        count: usize,
        now: Duration,
    ) -> bool {
        let Some(number) = self.bounds.number_of(topic) else { return false };
        let own = &self.bounds.topics[number];
        let bytes = self.topic_bytes.get(topic).copied().unwrap_or_default();
        own.events_max.is_some_and(|max| count > max)
            || own.bytes_max.is_some_and(|max| bytes > max)
            || own.age_max.is_some_and(|max| is_older(shelf.kept_at(oldest), now, max))
    }

    /// Lets go what is past the bounds, but looks at no more than so many entries, so that it never takes long. What is
    /// left goes the next time.
    pub(super) fn trim(&mut self, shelf: &mut impl Shelf, now: Duration, entries_max: usize) {
        let mut rest = 0..entries_max;
        while let Some(oldest) = shelf.next(Id::default())
            && is_older(shelf.kept_at(oldest), now, self.bounds.age_max)
            && rest.next().is_some()
        {
            self.let_go(shelf, oldest);
        }
        while (self.is_over() || self.reserve_is_over()) && rest.next().is_some() {
            // The reserve holds only a part of what may be kept, so there is one that it does not hold.
            let next = if self.reserve_is_over() { None } else { shelf.next(self.reserved_through) };
            match next {
                Some(oldest) => self.reserve(shelf, oldest),
                None => {
                    let Some(oldest) = shelf.next(Id::default()) else { break };
                    self.let_go(shelf, oldest);
                }
            }
        }
    }

    /// Lets go what is too old for its topic. Looks at the oldest event of each topic with an age of its own, and so not
    /// more often than every [`LOOK`].
    pub(super) fn trim_topics(&mut self, shelf: &mut impl Shelf, now: Duration) {
        if now.saturating_sub(self.looked_at) < LOOK {
            return;
        }
        self.looked_at = now;
        let topics = self.aging_topics();
        self.settle(shelf, &topics, now);
    }

    /// The topics that have an age of their own and list something.
    fn aging_topics(&self) -> Vec<Topic> {
        let ages = |topic: &&Topic| {
            let number = self.bounds.number_of(topic);
            number.is_some_and(|number| self.bounds.topics[number].age_max.is_some())
        };
        self.topic_bytes.keys().filter(ages).cloned().collect()
    }

    fn is_over(&self) -> bool {
        let entries = self.newest.entries + self.reserve.entries;
        entries > self.bounds.events_max || self.bytes() > self.bounds.bytes_max
    }

    fn reserve_is_over(&self) -> bool {
        let Tally { entries, bytes } = self.reserve;
        entries > self.bounds.events_max / RESERVE_SHARE || bytes > self.bounds.bytes_max / RESERVE_SHARE
    }

    /// Moves the oldest entry that is not in reserve to it, or lets it go.
    fn reserve(&mut self, shelf: &mut impl Shelf, id: Id) {
        let row = shelf.row(id);
        let is_reserved = |shelf: &_, topic: &Topic| {
            let rank = Shelf::rank(shelf, topic, id);
            rank.is_some_and(|rank| rank <= self.bounds.reserve_of(topic))
        };
        if !row.topics.iter().any(|topic| is_reserved(shelf, topic)) {
            self.let_row_go(shelf, id, &row);
            return;
        }
        let lost: Vec<&Topic> = row.topics.iter().filter(|topic| !is_reserved(shelf, topic)).collect();
        lost.into_iter().for_each(|topic| self.lose_through(shelf, topic, id, &row));
        self.newest.entries -= 1;
        self.newest.bytes -= row.bytes;
        self.reserve.entries += 1;
        self.reserve.bytes += row.bytes;
        self.reserved_through = id;
    }

    /// Lets an entry go, from all of its topics.
    fn let_go(&mut self, shelf: &mut impl Shelf, id: Id) {
        let row = shelf.row(id);
        self.let_row_go(shelf, id, &row);
    }

    fn let_row_go(&mut self, shelf: &mut impl Shelf, id: Id, row: &Row) {
        if row.is_retracted {
            self.remove(shelf, id, row);
        }
        for topic in row.topics.iter() {
            self.lose_through(shelf, topic, id, row);
        }
    }

    /// A topic loses this event, and older ones before it: each topic loses its oldest events first.
    fn lose_through(&mut self, shelf: &mut impl Shelf, topic: &Topic, id: Id, row: &Row) {
        while let Some(oldest) = shelf.oldest_on(topic).filter(|oldest| *oldest <= id) {
            if oldest == id {
                self.lose(shelf, topic, id, row);
                break;
            }
            let row = shelf.row(oldest);
            self.lose(shelf, topic, oldest, &row);
        }
    }

    fn lose(&mut self, shelf: &mut impl Shelf, topic: &Topic, id: Id, row: &Row) {
        shelf.lose(topic, id, row);
        self.note_lost(topic, row);
        if row.topics.len() == 1 || row.topics.iter().all(|topic| shelf.rank(topic, id).is_none()) {
            self.remove(shelf, id, row);
        }
    }

    fn remove(&mut self, shelf: &mut impl Shelf, id: Id, row: &Row) {
        shelf.remove(id, row);
        self.note_removed(id, row);
    }
}

/// An event's topics, each of them once.
pub(super) fn each_once(topics: &Arc<[Topic]>) -> Arc<[Topic]> {
    let is_first = |index: usize| !topics[..index].contains(&topics[index]);
    if (0..topics.len()).all(is_first) {
        return topics.clone();
    }
    topics.iter().enumerate().filter(|(index, _)| is_first(*index)).map(|(_, topic)| topic.clone()).collect()
}

fn is_older(kept_at: Option<Duration>, now: Duration, age_max: Duration) -> bool {
    kept_at.is_some_and(|kept_at| now.saturating_sub(kept_at) > age_max)
}
