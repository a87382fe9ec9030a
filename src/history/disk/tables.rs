//! The tables of the store, and the numbers that stand beside them.
//!
//! | table | key | value |
//! |---|---|---|
//! | `events` | id | topics, the publisher's id, frame |
//! | `by_topic` | topic, id | nothing: being there says it |
//! | `by_given` | topic, the publisher's id | the newest id that goes with it |
//! | `lost` | topic | the newest event that this topic has lost |
//! | `totals` | name | the numbers of [`Totals`] |
//!
//! All of it as bytes: see [`crate::disk::tables`].

use crate::disk::tables::{Bytes, Definition, number, to_number, torn};
use crate::event::Id;
use crate::history::edges::EDGES_MAX;
use crate::history::{Bounds, now};
use crate::topic::Topic;
use redb::ReadableTable;

pub(super) const EVENTS: Definition = Definition::new("events");
pub(super) const BY_TOPIC: Definition = Definition::new("by_topic");
pub(super) const BY_GIVEN: Definition = Definition::new("by_given");
pub(super) const LOST: Definition = Definition::new("lost");
pub(super) const TOTALS: Definition = Definition::new("stock");

/// The version of this layout. A file of a newer one is refused.
pub(super) const FORMAT: u64 = 1;

/// The numbers that stand beside the events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Totals {
    /// The newest id that was given.
    pub(super) last: Id,
    /// What every topic may have lost: all up to here.
    pub(super) floor: Id,
    /// Events kept.
    pub(super) events: u64,
    /// Bytes kept, as [`Bounds`] counts them.
    pub(super) bytes: u64,
    /// The oldest event kept, if there is one.
    pub(super) oldest: Id,
}

impl Totals {
    /// Whether the oldest event has to go.
    pub(super) fn wants_trim(&self, bounds: Bounds) -> bool {
        self.events > 0 && bounds.are_passed(self.events as usize, self.bytes as usize, self.oldest, now())
    }
}

pub(super) fn load(numbers: &impl ReadableTable<Bytes, Bytes>) -> Result<Totals, redb::Error> {
    let number = |name: &str| -> Result<u64, redb::Error> { Ok(number(numbers, name)?.unwrap_or(0)) };
    Ok(Totals {
        last: Id(number("last")?),
        floor: Id(number("floor")?),
        events: number("events")?,
        bytes: number("bytes")?,
        oldest: Id(number("oldest")?),
    })
}

/// A row of `events`.
pub(super) struct Row<'a> {
    pub(super) topics: Vec<&'a str>,
    /// The publisher's id.
    pub(super) given: Option<&'a str>,
    pub(super) frame: &'a [u8],
}

/// Between two topics, and twice before the publisher's id. Neither holds it.
const NUL: &str = "\0";

impl<'a> Row<'a> {
    /// How many bytes of names there are, the names, the frame.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut names = self.topics.join(NUL);
        if let Some(given) = self.given {
            names = [&names, NUL, NUL, given].concat();
        }
        let names_bytes = u32::try_from(names.len()).expect("an event's names are far below 4 GB");
        [&names_bytes.to_be_bytes(), names.as_bytes(), self.frame].concat()
    }

    pub(super) fn decode(row: &'a [u8]) -> Result<Row<'a>, redb::Error> {
        let split = || {
            let (names_bytes, rest) = row.split_first_chunk()?;
            let (names, frame) = rest.split_at_checked(u32::from_be_bytes(*names_bytes) as usize)?;
            let names = str::from_utf8(names).ok()?;
            let (topics, given) = match names.split_once("\0\0") {
                Some((topics, given)) => (topics, Some(given)),
                None => (names, None),
            };
            Some(Row { topics: topics.split(NUL).collect(), given, frame })
        };
        split().ok_or_else(torn)
    }
}

/// A key of `events`.
pub(super) fn event_key(id: Id) -> [u8; 8] {
    id.0.to_be_bytes()
}

/// The id in a key of `events`.
pub(super) fn event_id(key: &[u8]) -> Result<Id, redb::Error> {
    to_number(key).map(Id)
}

/// A key of `by_topic`. A topic holds no NUL, so none of its events stand among those of another.
pub(super) fn topic_key(topic: &str, id: u64) -> Vec<u8> {
    [topic.as_bytes(), &[0], &id.to_be_bytes()].concat()
}

/// The topic and the id in a key of `by_topic`.
pub(super) fn split_topic_key(key: &[u8]) -> Result<(&str, u64), redb::Error> {
    let (topic, id) = key.split_last_chunk().ok_or_else(torn)?;
    let topic = topic.strip_suffix(&[0]).and_then(|topic| str::from_utf8(topic).ok()).ok_or_else(torn)?;
    Ok((topic, u64::from_be_bytes(*id)))
}

/// A key of `by_given`.
pub(super) fn given_key(topic: &str, given: &str) -> Vec<u8> {
    [topic.as_bytes(), &[0], given.as_bytes()].concat()
}

pub(super) fn find_given(
    by_given: &impl ReadableTable<Bytes, Bytes>,
    given: &str,
    topics: &[Topic],
) -> Result<Option<Id>, redb::Error> {
    let mut newest = None;
    for topic in topics {
        newest = newest.max(number(by_given, given_key(topic.as_str(), given))?.map(Id));
    }
    Ok(newest)
}

/// Of what is newer than this, nothing on these topics was lost.
pub(super) fn edge(
    lost: &impl ReadableTable<Bytes, Bytes>,
    floor: Id,
    topics: &[Topic],
) -> Result<Id, redb::Error> {
    let mut edge = floor;
    for topic in topics {
        edge = edge.max(Id(number(lost, topic.as_str())?.unwrap_or(0)));
    }
    Ok(edge)
}

/// Whether one more topic would be too many to know the edge of each; then they share one.
pub(super) fn has_no_room(lost: &impl ReadableTable<Bytes, Bytes>) -> Result<bool, redb::Error> {
    Ok(redb::ReadableTableMetadata::len(lost)? >= EDGES_MAX as u64)
}
