//! What is in a segment, without the events' text: it stands at the end of a sealed segment, so that a start reads a
//! tenth of the log; of one that is not sealed it is made by reading all records.

use super::fault::Fault;
use super::record::{self, Bytes, Commit, EventRecord, Record, put_topic};
use super::segment::{HEADER_BYTES, Segment, Window};
use crate::event::Id;
use crate::topic::Topic;
use std::collections::HashMap;

/// How much is read at once where all is read.
const PIECE_BYTES: usize = 256 * 1024;

const EVENT: u8 = 1;
const RETRACTION: u8 = 2;

/// The length of a frame that is none.
const NO_FRAME: u32 = u32::MAX;

/// What is in a segment.
#[derive(Default)]
pub(super) struct Summary {
    /// Where its records end, each in a commit that is whole.
    pub(super) end: u64,
    /// Where its newest state stands.
    pub(super) state: u64,
    /// Its newest commit.
    pub(super) commit: Commit,
    topics: Vec<Box<str>>,
    numbers: HashMap<Box<str>, u32>,
    items: Vec<u8>,
}

/// What a summary says of a record.
pub(super) enum Item<'a> {
    Event {
        id: Id,
        offset: u64,
        /// What the record takes.
        record_bytes: usize,
        /// None where the event was retracted before the record was written.
        frame_bytes: Option<usize>,
        given: Option<&'a str>,
        /// The numbers of its topics.
        topics: &'a [u8],
    },
    Retraction(&'a [u8]),
}

impl Summary {
    /// Of a sealed segment.
    pub(super) fn load(segment: &Segment) -> Result<Summary, Fault> {
        let offset = segment.summary_offset()?;
        let bytes = segment.read(offset, (segment.length()? - offset) as usize)?;
        let summary = match record::decode(segment.salt, offset, &bytes).transpose()? {
            Some(Record::Summary(summary)) => Summary::decode(summary, offset),
            _ => None,
        };
        summary.ok_or_else(|| Fault::damaged(&segment.path, "its summary does not agree with its checksum"))
    }

    /// Reads all records of a segment. It has to end at `end`; where there is no such end, it is the last segment, and
    /// what was being written when the process ended is left out.
    pub(super) fn scan(segment: &Segment, end: Option<u64>) -> Result<Summary, Fault> {
        let mut summary = Summary { end: HEADER_BYTES, ..Summary::default() };
        let (mut offset, mut whole) = (HEADER_BYTES, 0);
        let (mut window, mut state) = (Window::default(), 0);
        while end.is_none_or(|end| offset < end) && window.find(segment, offset, PIECE_BYTES)? {
            let (record, record_bytes) = window.record(segment, offset, PIECE_BYTES)?;
            match record {
                Record::Event(event) => summary.add_event(&event, offset, record_bytes),
                Record::Retraction(ids) => summary.add_retraction(ids),
                Record::State(_) => state = offset,
                Record::Commit(commit) => {
                    summary.commit = commit;
                    summary.state = state;
                    summary.end = offset + record_bytes as u64;
                    whole = summary.items.len();
                }
                Record::Summary(_) => break,
            }
            offset += record_bytes as u64;
        }
        summary.items.truncate(whole);
        let is_damaged = match end {
            Some(end) => summary.end != end,
            None => was_acknowledged(segment, summary.end)?,
        };
        if is_damaged || summary.state == 0 {
            let what = format!("what stands at byte {} does not agree with its checksum", summary.end);
            return Err(Fault::damaged(&segment.path, what));
        }
        Ok(summary)
    }

    fn add_event(&mut self, event: &EventRecord, offset: u64, record_bytes: usize) {
        self.items.push(EVENT);
        self.items.extend_from_slice(&event.id.key().to_le_bytes());
        let frame_bytes = event.frame.map_or(NO_FRAME, |frame| frame.len() as u32);
        // Records stand at multiples of eight, and a segment has less than 32 GB.
        for number in [(offset / 8) as u32, (record_bytes / 8) as u32, frame_bytes] {
            self.items.extend_from_slice(&number.to_le_bytes());
        }
        let given = event.given.unwrap_or_default();
        self.items.push(given.len() as u8);
        self.items.extend_from_slice(given.as_bytes());
        let numbers: Vec<u32> = event.topics().map(|topic| self.number(topic)).collect();
        self.items.extend_from_slice(&(numbers.len() as u32).to_le_bytes());
        numbers.iter().for_each(|number| self.items.extend_from_slice(&number.to_le_bytes()));
    }

    fn add_retraction(&mut self, ids: &[u8]) {
        self.items.push(RETRACTION);
        self.items.extend_from_slice(&(ids.len() as u32).to_le_bytes());
        self.items.extend_from_slice(ids);
    }

    /// The number of a topic.
    fn number(&mut self, topic: &str) -> u32 {
        if let Some(number) = self.numbers.get(topic) {
            return *number;
        }
        let number = self.topics.len() as u32;
        self.topics.push(topic.into());
        self.numbers.insert(topic.into(), number);
        number
    }

    /// The topics, by their numbers.
    pub(super) fn topics(&self) -> Option<Vec<Topic>> {
        self.topics.iter().map(|topic| Topic::kept(topic).ok()).collect()
    }

    /// What is in the segment, in its order; a piece that is none where the summary is not what was written.
    pub(super) fn items(&self) -> impl Iterator<Item = Option<Item<'_>>> {
        let mut rest = Bytes(&self.items);
        std::iter::from_fn(move || (!rest.0.is_empty()).then(|| item(&mut rest)))
    }

    /// How it is written at the end of its segment.
    pub(super) fn encode(&self) -> Vec<u8> {
        let Commit { synced, given_through, passed, at } = self.commit;
        let mut bytes = Vec::with_capacity(self.items.len() + 64);
        for number in [self.state, synced, given_through.key(), record::nanos(passed), at] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&(self.topics.len() as u32).to_le_bytes());
        self.topics.iter().for_each(|topic| put_topic(&mut bytes, topic));
        bytes.extend_from_slice(&self.items);
        bytes
    }

    fn decode(bytes: &[u8], end: u64) -> Option<Summary> {
        let mut rest = Bytes(bytes);
        let (state, synced) = (rest.number()?, rest.number()?);
        let (given_through, passed, at) = (rest.number()?, rest.number()?, rest.number()?);
        let (given_through, passed) = (Id::from_key(given_through), std::time::Duration::from_nanos(passed));
        let commit = Commit { synced, given_through, passed, at };
        let topics = (0..rest.short_number()?).map(|_| rest.topic().map(Box::from)).collect::<Option<_>>()?;
        let items = rest.0.to_vec();
        Some(Summary { end, state, commit, topics, items, ..Summary::default() })
    }
}

fn item<'a>(rest: &mut Bytes<'a>) -> Option<Item<'a>> {
    match *rest.take(1)?.first()? {
        EVENT => {
            let id = Id::from_key(rest.number()?);
            let offset = u64::from(rest.short_number()?) * 8;
            let record_bytes = rest.short_number()? as usize * 8;
            let frame_bytes = Some(rest.short_number()?).filter(|bytes| *bytes != NO_FRAME);
            let given_bytes = usize::from(*rest.take(1)?.first()?);
            let given = str::from_utf8(rest.take(given_bytes)?).ok()?;
            let given = Some(given).filter(|given| !given.is_empty());
            let count = rest.short_number()? as usize;
            let topics = rest.take(count.checked_mul(4)?)?;
            let frame_bytes = frame_bytes.map(|bytes| bytes as usize);
            Some(Item::Event { id, offset, record_bytes, frame_bytes, given, topics })
        }
        RETRACTION => {
            let count = rest.short_number()? as usize;
            Some(Item::Retraction(rest.take(count)?))
        }
        _ => None,
    }
}

/// The numbers of topics, as they stand in an item.
pub(super) fn numbers(topics: &[u8]) -> impl Iterator<Item = usize> {
    topics.as_chunks::<4>().0.iter().map(|number| u32::from_le_bytes(*number) as usize)
}

/// Whether what is missing at this offset was synced once: a commit behind it says so. Then it was acknowledged, and
/// the segment is damaged. Otherwise it is what was being written when the process ended.
fn was_acknowledged(segment: &Segment, end: u64) -> Result<bool, Fault> {
    const COMMIT_BYTES: usize = 64;
    let length = segment.length()?;
    let mut offset = end;
    while offset < length {
        let piece = segment.read(offset, PIECE_BYTES)?;
        for start in (0..piece.len()).step_by(record::ALIGN) {
            let bytes = &piece[start..];
            if !record::is_commit(bytes) {
                continue;
            }
            let decoded = record::decode(segment.salt, offset + start as u64, bytes);
            if let Some(Ok(Record::Commit(commit))) = decoded
                && commit.synced > end
            {
                return Ok(true);
            }
        }
        if piece.len() < PIECE_BYTES {
            break;
        }
        // Pieces overlap, so that no commit is cut in two.
        offset += (PIECE_BYTES - COMMIT_BYTES) as u64;
    }
    Ok(false)
}
