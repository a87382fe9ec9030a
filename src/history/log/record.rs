//! A record: how it is written, and how it is told from what is none.
//!
//! | bytes | what |
//! |---|---|
//! | 4 | checksum (CRC-32) of the segment's salt, the record's offset, and what follows |
//! | 4 | how many bytes the body has |
//! | 1 | the kind |
//! | … | the body; then zeros up to the next multiple of 8 |
//!
//! Numbers have their least significant byte first. The salt is chosen at random for each segment and the offset is
//! part of the checksum, so nothing that a publisher writes, and no piece of another segment, is taken for a record.
//!
//! A later version may add kinds. One that is not known is refused: what it means for the others is not known either.

use super::fault::Fault;
use crate::event::Id;
use crate::history::{from_nanos, to_nanos};
use std::time::{Duration, SystemTime};

/// What stands before the body.
pub(super) const HEAD_BYTES: usize = 9;

/// Records begin at multiples of this.
pub(super) const ALIGN: usize = 8;

/// The longest body. A larger number in a head is no length.
const BODY_BYTES_MAX: usize = 1 << 30;

const EVENT: u8 = 1;
const RETRACTED: u8 = 2;
const RETRACTION: u8 = 3;
const STATE: u8 = 4;
const COMMIT: u8 = 5;
const SUMMARY: u8 = 6;

/// A record, as it is read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Record<'a> {
    Event(EventRecord<'a>),
    /// Events that are retracted by this commit; their ids, eight bytes each.
    Retraction(&'a [u8]),
    /// What holds from here on, in the encoding of `state`.
    State(&'a [u8]),
    /// The end of a commit: what stands between it and the commit before counts as a whole.
    Commit(Commit),
    /// The end of a sealed segment: what is in it, in the encoding of `summary`.
    Summary(&'a [u8]),
}

/// An event that is kept, or what is left of one that was retracted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct EventRecord<'a> {
    pub(super) id: Id,
    /// When it was published, by the clock of that moment.
    pub(super) at: SystemTime,
    /// How much time had passed then, by the log's own count.
    pub(super) kept_at: Duration,
    /// Each with its length, in one byte less one.
    topics: &'a [u8],
    /// The id of its publisher.
    pub(super) given: Option<&'a str>,
    /// None where the event was retracted before this record was written.
    pub(super) frame: Option<&'a [u8]>,
}

/// What is known at the end of a commit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Commit {
    /// What stands before this offset was synced before this commit was written, so it was acknowledged.
    pub(super) synced: u64,
    /// No id beyond this one was given before the next commit.
    pub(super) given_through: Id,
    /// How much time has passed, by the log's own count.
    pub(super) passed: Duration,
    /// The clock, in nanoseconds since 1970.
    pub(super) at: u64,
}

impl<'a> EventRecord<'a> {
    pub(super) fn topics(&self) -> impl Iterator<Item = &'a str> {
        let mut rest = Bytes(self.topics);
        std::iter::from_fn(move || rest.topic())
    }
}

/// Writes records one behind the other, as they stand in a segment from an offset on.
pub(super) struct Encoder {
    pub(super) bytes: Vec<u8>,
    salt: u64,
    /// Where the first of them will stand.
    offset: u64,
}

impl Encoder {
    pub(super) fn new(salt: u64, offset: u64) -> Encoder {
        Encoder { bytes: Vec::new(), salt, offset }
    }

    /// Where the next record will stand.
    pub(super) fn offset(&self) -> u64 {
        self.offset + self.bytes.len() as u64
    }

    /// Writes an event; gives where it stands.
    pub(super) fn event<'t>(
        &mut self,
        id: Id,
        (at, kept_at): (SystemTime, Duration),
        topics: impl Iterator<Item = &'t str> + Clone,
        given: Option<&str>,
        frame: Option<&[u8]>,
    ) -> u64 {
        self.record(if frame.is_some() { EVENT } else { RETRACTED }, |bytes| {
            for number in [id.key(), to_nanos(at), nanos(kept_at)] {
                bytes.extend_from_slice(&number.to_le_bytes());
            }
            let topics_bytes: usize = topics.clone().map(|topic| 1 + topic.len()).sum();
            bytes.extend_from_slice(&u32::try_from(topics_bytes).expect("far below 4 GB").to_le_bytes());
            topics.for_each(|topic| put_topic(bytes, topic));
            // A publisher's id has 1 to 64 bytes.
            let given = given.unwrap_or_default();
            bytes.push(given.len() as u8);
            bytes.extend_from_slice(given.as_bytes());
            bytes.extend_from_slice(frame.unwrap_or_default());
        })
    }

    pub(super) fn retraction(&mut self, ids: &[Id]) {
        self.record(RETRACTION, |bytes| {
            ids.iter().for_each(|id| bytes.extend_from_slice(&id.key().to_le_bytes()));
        });
    }

    pub(super) fn state(&mut self, state: &[u8]) -> u64 {
        self.record(STATE, |bytes| bytes.extend_from_slice(state))
    }

    pub(super) fn commit(&mut self, commit: &Commit) -> u64 {
        self.record(COMMIT, |bytes| {
            let Commit { synced, given_through, passed, at } = *commit;
            for number in [synced, given_through.key(), nanos(passed), at] {
                bytes.extend_from_slice(&number.to_le_bytes());
            }
        })
    }

    pub(super) fn summary(&mut self, summary: &[u8]) -> u64 {
        self.record(SUMMARY, |bytes| bytes.extend_from_slice(summary))
    }

    /// Copies a retraction that was read elsewhere.
    pub(super) fn copy_retraction(&mut self, ids: &[u8]) {
        self.record(RETRACTION, |bytes| bytes.extend_from_slice(ids));
    }

    /// Copies an event that was read elsewhere, with this frame.
    pub(super) fn copy_event(&mut self, event: &EventRecord, frame: Option<&[u8]>) -> u64 {
        let topics: Vec<&str> = event.topics().collect();
        self.event(event.id, (event.at, event.kept_at), topics.into_iter(), event.given, frame)
    }

    fn record(&mut self, kind: u8, body: impl FnOnce(&mut Vec<u8>)) -> u64 {
        let offset = self.offset();
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; HEAD_BYTES]);
        self.bytes[start + 8] = kind;
        body(&mut self.bytes);
        let length = u32::try_from(self.bytes.len() - start - HEAD_BYTES).expect("below the limit of a body");
        self.bytes[start + 4..start + 8].copy_from_slice(&length.to_le_bytes());
        let checksum = checksum(self.salt, offset, &self.bytes[start + 4..]);
        self.bytes[start..start + 4].copy_from_slice(&checksum.to_le_bytes());
        self.bytes.resize(start + aligned(self.bytes.len() - start), 0);
        offset
    }
}

/// How many bytes a record takes whose head this is; none if it is no head.
pub(super) fn length(head: &[u8]) -> Option<usize> {
    let length = u32::from_le_bytes(head.get(4..8)?.try_into().ok()?) as usize;
    let kind = *head.get(8)?;
    (kind != 0 && length <= BODY_BYTES_MAX).then(|| aligned(HEAD_BYTES + length))
}

/// Whether these bytes begin as a commit does.
pub(super) fn is_commit(bytes: &[u8]) -> bool {
    bytes.get(8) == Some(&COMMIT) && bytes.get(4..8) == Some(&32u32.to_le_bytes()[..])
}

/// Reads the record at the beginning of these bytes, which stand at this offset of a segment with this salt. None where
/// there is none, or not a whole one.
pub(super) fn decode(salt: u64, offset: u64, bytes: &[u8]) -> Option<Result<Record<'_>, Fault>> {
    let length = length(bytes)?;
    let record = bytes.get(..length)?;
    let body_bytes = u32::from_le_bytes(record[4..8].try_into().ok()?) as usize;
    let (head, body) = record[..HEAD_BYTES + body_bytes].split_at(HEAD_BYTES);
    let written = u32::from_le_bytes(head[..4].try_into().ok()?);
    if checksum(salt, offset, &record[4..HEAD_BYTES + body_bytes]) != written {
        return None;
    }
    let kind = head[8];
    let known = match kind {
        EVENT => event(body, true).map(Record::Event),
        RETRACTED => event(body, false).map(Record::Event),
        RETRACTION => Some(Record::Retraction(body)),
        STATE => Some(Record::State(body)),
        COMMIT => commit(body).map(Record::Commit),
        SUMMARY => Some(Record::Summary(body)),
        _ => None,
    };
    Some(known.ok_or_else(|| Fault::newer(format!("a record of kind {kind} at byte {offset}"))))
}

fn event(body: &[u8], has_frame: bool) -> Option<EventRecord<'_>> {
    let mut rest = Bytes(body);
    let (id, at, kept_at) = (Id::from_key(rest.number()?), rest.number()?, rest.number()?);
    let topics_bytes = rest.short_number()? as usize;
    let topics = rest.take(topics_bytes)?;
    let given_bytes = usize::from(*rest.take(1)?.first()?);
    let given = str::from_utf8(rest.take(given_bytes)?).ok()?;
    Some(EventRecord {
        id,
        at: from_nanos(at),
        kept_at: Duration::from_nanos(kept_at),
        topics,
        given: Some(given).filter(|given| !given.is_empty()),
        frame: has_frame.then_some(rest.0),
    })
}

fn commit(body: &[u8]) -> Option<Commit> {
    let mut rest = Bytes(body);
    let (synced, given_through) = (rest.number()?, Id::from_key(rest.number()?));
    let (passed, at) = (Duration::from_nanos(rest.number()?), rest.number()?);
    Some(Commit { synced, given_through, passed, at })
}

/// What is left of an encoding that is being read.
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

impl<'a> Bytes<'a> {
    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn number(&mut self) -> Option<u64> {
        self.take(8)?.try_into().ok().map(u64::from_le_bytes)
    }

    pub(super) fn short_number(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_le_bytes)
    }

    /// A topic, with its length in one byte less one.
    pub(super) fn topic(&mut self) -> Option<&'a str> {
        let length = usize::from(*self.take(1)?.first()?) + 1;
        str::from_utf8(self.take(length)?).ok()
    }
}

/// Writes a topic as [`Bytes::topic`] reads it.
pub(super) fn put_topic(bytes: &mut Vec<u8>, topic: &str) {
    // A topic has 1 to 256 bytes.
    bytes.push((topic.len() - 1) as u8);
    bytes.extend_from_slice(topic.as_bytes());
}

/// Ids as they stand in a retraction.
pub(super) fn ids(bytes: &[u8]) -> impl Iterator<Item = Id> {
    bytes.as_chunks::<8>().0.iter().map(|key| Id::from_key(u64::from_le_bytes(*key)))
}

pub(super) fn nanos(duration: Duration) -> u64 {
    // That is 584 years.
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The next multiple of [`ALIGN`].
pub(super) fn aligned(bytes: usize) -> usize {
    bytes.next_multiple_of(ALIGN)
}

fn checksum(salt: u64, offset: u64, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&salt.to_le_bytes());
    hasher.update(&offset.to_le_bytes());
    hasher.update(bytes);
    hasher.finalize()
}
