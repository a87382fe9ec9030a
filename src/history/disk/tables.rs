//! The tables of the store, and the numbers that stand beside them.
//!
//! | table | key | value |
//! |---|---|---|
//! | `events` | id | time, topics, the publisher's id; the frame, unless the event is retracted |
//! | `by_topic` | topic, id | nothing: the key says that the event is kept on the topic |
//! | `by_given` | topic, the publisher's id | the id of the event that is kept under it |
//! | `by_given_retracted` | topic, the publisher's id | the oldest id that was retracted under it |
//! | `undo` | id | the row, as it was, of an event that the newest commit has retracted |
//! | `lost` | topic | the newest event that this topic has lost |
//! | `stock` | name | the numbers of [`Totals`] |
//!
//! Keys and values are bytes: see [`crate::disk::tables`].

use crate::disk::tables::{Bytes, Definition, number, to_number, torn};
use crate::event::Id;
use crate::history::edges::EDGES_MAX;
use crate::history::{Bounds, EVENT_OVERHEAD_BYTES, from_nanos, now, to_nanos};
use crate::topic::Topic;
use redb::ReadableTable;
use std::time::SystemTime;

pub(super) const EVENTS: Definition = Definition::new("events");
pub(super) const BY_TOPIC: Definition = Definition::new("by_topic");
pub(super) const BY_GIVEN: Definition = Definition::new("by_given");
pub(super) const BY_GIVEN_RETRACTED: Definition = Definition::new("by_given_retracted");
pub(super) const UNDO: Definition = Definition::new("undo");
pub(super) const LOST: Definition = Definition::new("lost");
pub(super) const TOTALS: Definition = Definition::new("stock");

/// The version of this layout. A file of a newer one is refused. A file of an older one is read, and becomes one
/// of this version with the first commit:
///
/// - 1 (callout 0.1.0) has rows without a time, and nothing is retracted.
/// - 2 has the time in each row that was written since, and knows retracted events.
pub(super) const FORMAT: u64 = 2;

/// The numbers that stand beside the events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Totals {
    /// The newest id that was given.
    pub(super) last: Id,
    /// Every topic may have lost events up to here.
    pub(super) floor: Id,
    /// Events kept.
    pub(super) events: u64,
    /// Events that are retracted and whose ids are still known.
    pub(super) retracted: u64,
    /// Bytes kept, as [`Bounds`] counts them.
    pub(super) bytes: u64,
    /// When the oldest row was written; none where there is no row.
    pub(super) oldest: Option<SystemTime>,
}

impl Totals {
    /// Whether the oldest event has to be let go.
    pub(super) fn wants_trim(&self, bounds: Bounds) -> bool {
        let (rows, bytes) = ((self.events + self.retracted) as usize, self.bytes as usize);
        self.oldest.is_some_and(|oldest| bounds.are_passed(rows, bytes, oldest, now()))
    }
}

pub(super) fn load(numbers: &impl ReadableTable<Bytes, Bytes>) -> Result<Totals, redb::Error> {
    let number = |name: &str| -> Result<u64, redb::Error> { Ok(number(numbers, name)?.unwrap_or(0)) };
    let (format, events, retracted) = (number("format")?, number("events")?, number("retracted")?);
    let oldest = number("oldest")?;
    let oldest = if format == 1 { time_in_old_id(Id::from_key(oldest)) } else { from_nanos(oldest) };
    Ok(Totals {
        last: Id::from_key(number("last")?),
        floor: Id::from_key(number("floor")?),
        events,
        retracted,
        bytes: number("bytes")?,
        oldest: (events + retracted > 0).then_some(oldest),
    })
}

/// When an event was published whose row has no time: 0.1.0 took it from the id. This is the only function that
/// reads a time out of an id.
fn time_in_old_id(id: Id) -> SystemTime {
    from_nanos(id.key())
}

/// A row of `events`.
#[derive(Clone)]
pub(super) struct Row<'a> {
    /// When the event was published.
    pub(super) at: SystemTime,
    pub(super) topics: Vec<&'a str>,
    /// The publisher's id.
    pub(super) given: Option<&'a str>,
    /// None once the event is retracted.
    pub(super) frame: Option<&'a [u8]>,
}

/// What a row begins with. A row of format 1 has no time and begins with a zero, since the number of bytes of its
/// names is far below 16 MB.
const WITHOUT_TIME: u8 = 0;
const KEPT: u8 = 1;
const RETRACTED: u8 = 2;

/// Between two topics, and twice before the publisher's id. Neither holds it.
const NUL: &str = "\0";

impl<'a> Row<'a> {
    /// What the row counts for, as [`Bounds`] counts bytes.
    pub(super) fn bytes(&self) -> u64 {
        (self.frame.map_or(0, <[u8]>::len) + EVENT_OVERHEAD_BYTES) as u64
    }

    /// The kind of the row, the time, how many bytes of names there are, the names, the frame.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut names = self.topics.join(NUL);
        if let Some(given) = self.given {
            names = [&names, NUL, NUL, given].concat();
        }
        let names_bytes = u32::try_from(names.len()).expect("an event's names are far below 4 GB");
        let at = to_nanos(self.at).to_be_bytes();
        let (kind, frame) = self.frame.map_or((RETRACTED, &[][..]), |frame| (KEPT, frame));
        [&[kind], &at[..], &names_bytes.to_be_bytes(), names.as_bytes(), frame].concat()
    }

    pub(super) fn decode(id: Id, row: &'a [u8]) -> Result<Row<'a>, redb::Error> {
        let split = || {
            let (&kind, rest) = row.split_first()?;
            let (at, rest) = match kind {
                WITHOUT_TIME => (time_in_old_id(id), row),
                KEPT | RETRACTED => {
                    let (at, rest) = rest.split_first_chunk()?;
                    (from_nanos(u64::from_be_bytes(*at)), rest)
                }
                _ => return None,
            };
            let (names_bytes, rest) = rest.split_first_chunk()?;
            let (names, frame) = rest.split_at_checked(u32::from_be_bytes(*names_bytes) as usize)?;
            let names = str::from_utf8(names).ok()?;
            let (topics, given) = match names.split_once("\0\0") {
                Some((topics, given)) => (topics, Some(given)),
                None => (names, None),
            };
            let frame = (kind != RETRACTED).then_some(frame);
            Some(Row { at, topics: topics.split(NUL).collect(), given, frame })
        };
        split().ok_or_else(torn)
    }
}

/// A key of `events`.
pub(super) fn event_key(id: Id) -> [u8; 8] {
    id.key().to_be_bytes()
}

/// The id in a key of `events`.
pub(super) fn event_id(key: &[u8]) -> Result<Id, redb::Error> {
    to_number(key).map(Id::from_key)
}

/// A key of `by_topic`. A topic holds no NUL, so none of its events stand among those of another.
pub(super) fn topic_key(topic: &str, id: Id) -> Vec<u8> {
    [topic.as_bytes(), &[0], &event_key(id)].concat()
}

/// The topic and the id in a key of `by_topic`.
pub(super) fn split_topic_key(key: &[u8]) -> Result<(&str, Id), redb::Error> {
    let (topic, id) = key.split_last_chunk::<8>().ok_or_else(torn)?;
    let topic = topic.strip_suffix(&[0]).and_then(|topic| str::from_utf8(topic).ok()).ok_or_else(torn)?;
    Ok((topic, event_id(id)?))
}

/// A key of `by_given` and of `by_given_retracted`.
pub(super) fn given_key(topic: &str, given: &str) -> Vec<u8> {
    [topic.as_bytes(), &[0], given.as_bytes()].concat()
}

/// The oldest event in one of these two tables that bears this id of its publisher on one of these topics.
pub(super) fn find_given(
    by_given: &impl ReadableTable<Bytes, Bytes>,
    given: &str,
    topics: &[Topic],
) -> Result<Option<Id>, redb::Error> {
    let mut found = Vec::new();
    for topic in topics {
        found.extend(number(by_given, given_key(topic.as_str(), given))?.map(Id::from_key));
    }
    Ok(found.into_iter().min())
}

/// These topics have lost no event that is newer than this.
pub(super) fn edge(
    lost: &impl ReadableTable<Bytes, Bytes>,
    floor: Id,
    topics: &[Topic],
) -> Result<Id, redb::Error> {
    let mut edge = floor;
    for topic in topics {
        edge = edge.max(Id::from_key(number(lost, topic.as_str())?.unwrap_or(0)));
    }
    Ok(edge)
}

/// Whether one more topic would be too many to know the edge of each; then they share one.
pub(super) fn has_no_room(lost: &impl ReadableTable<Bytes, Bytes>) -> Result<bool, redb::Error> {
    Ok(redb::ReadableTableMetadata::len(lost)? >= EDGES_MAX as u64)
}
