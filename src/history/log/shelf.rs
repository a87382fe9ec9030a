//! What the rules of retention ask of the index, and what has to be read from records for that.

use super::entry::{Condition, Entry};
use super::fault::Fault;
use super::index::{Index, Oldest};
use super::record::{EventRecord, Record};
use super::segment::{Segment, Window};
use crate::event::Id;
use crate::history::EVENT_OVERHEAD_BYTES;
use crate::history::retention::{Row, Shelf};
use crate::topic::Topic;
use std::time::Duration;

/// How much is read at once where one record is wanted. Those that are let go stand one behind the other.
const ROW_PIECE_BYTES: usize = 16 * 1024;

impl Index {
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
        let Some(position) = self.position(id) else { return };
        if row.is_retracted {
            if let Some(given) = &row.given {
                self.forget_given_retracted(id, given, &row.topics);
            }
            for topic in row.topics.iter() {
                // What the topic still lists may be older, and is not lost.
                if self.oldest_on(topic).is_none_or(|oldest| oldest > id) {
                    self.edges.note(topic, id);
                }
            }
        }
        self.segments.note_gone(self.entries[position].segment, row.record_bytes);
        self.entries[position].set_condition(Condition::Removed);
        self.holes += 1;
        self.clear();
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
    let topics = event.topics().filter_map(|name| known(name).or_else(|| Topic::kept(name).ok())).collect();
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
