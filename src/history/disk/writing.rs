//! What is done in a transaction that writes: keep, trim, cut back.

use super::tables::{
    self, BY_GIVEN, BY_TOPIC, EVENTS, FORMAT, LOST, Row, TOTALS, Totals, event_id, event_key, given_key,
    topic_key,
};
use crate::disk::tables::{Bytes, number, set_number};
use crate::event::{Event, Frame, Id};
use crate::history::{Bounds, EVENT_OVERHEAD_BYTES, to_nanos};
use crate::topic::Topic;
use redb::{ReadableTable, Table, WriteTransaction};
use std::time::SystemTime;

/// The tables of a transaction that writes.
pub(super) struct Writing<'txn> {
    events: Table<'txn, Bytes, Bytes>,
    by_topic: Table<'txn, Bytes, Bytes>,
    by_given: Table<'txn, Bytes, Bytes>,
    lost: Table<'txn, Bytes, Bytes>,
    numbers: Table<'txn, Bytes, Bytes>,
    pub(super) totals: Totals,
}

impl<'txn> Writing<'txn> {
    /// Opens the tables, making those that are missing.
    pub(super) fn open(txn: &'txn WriteTransaction) -> Result<Writing<'txn>, redb::Error> {
        let numbers = txn.open_table(TOTALS)?;
        let totals = tables::load(&numbers)?;
        Ok(Writing {
            events: txn.open_table(EVENTS)?,
            by_topic: txn.open_table(BY_TOPIC)?,
            by_given: txn.open_table(BY_GIVEN)?,
            lost: txn.open_table(LOST)?,
            numbers,
            totals,
        })
    }

    /// The newest event on one of these topics that bears this id of its publisher's.
    pub(super) fn find_given(&self, given: &str, topics: &[Topic]) -> Result<Option<Id>, redb::Error> {
        tables::find_given(&self.by_given, given, topics)
    }

    /// Keeps an event under an id that is newer than all before it.
    pub(super) fn insert(
        &mut self,
        id: Id,
        at: SystemTime,
        event: &Event,
        frame: &Frame,
    ) -> Result<(), redb::Error> {
        let topics: Vec<&str> = event.topics().iter().map(Topic::as_str).collect();
        for topic in &topics {
            self.by_topic.insert(&*topic_key(topic, id), &[][..])?;
            if let Some(given) = event.given_id() {
                set_number(&mut self.by_given, given_key(topic, given), id.key())?;
            }
        }
        let row = Row { at, topics, given: event.given_id(), frame };
        self.events.insert(&event_key(id)[..], &*row.encode())?;
        self.totals.oldest.get_or_insert(at);
        self.totals.last = id;
        self.totals.events += 1;
        self.totals.bytes += (frame.len() + EVENT_OVERHEAD_BYTES) as u64;
        Ok(())
    }

    /// Lets the oldest events go that are past the bounds, but not more than `events_max` of them, so
    /// that trimming never stops writing for long.
    pub(super) fn trim(&mut self, bounds: Bounds, events_max: usize) -> Result<(), redb::Error> {
        for _ in 0..events_max {
            if !self.totals.wants_trim(bounds) {
                break;
            }
            self.remove_oldest()?;
        }
        Ok(())
    }

    fn remove_oldest(&mut self) -> Result<(), redb::Error> {
        let Some((id, topics, bytes)) = self.forget_row(true)? else { return Ok(()) };
        for topic in &topics {
            self.note_lost(topic, id)?;
        }
        self.totals.events -= 1;
        self.totals.bytes -= bytes;
        self.totals.oldest = match self.events.first()? {
            Some((id, row)) => Some(Row::decode(event_id(id.value())?, row.value())?.at),
            None => None,
        };
        Ok(())
    }

    fn note_lost(&mut self, topic: &str, id: Id) -> Result<(), redb::Error> {
        if tables::has_no_room(&self.lost)? && self.lost.get(topic.as_bytes())?.is_none() {
            self.totals.floor = id;
            self.lost.retain(|_, _| false)?;
        }
        set_number(&mut self.lost, topic, id.key())
    }

    /// Removes events newer than `last`: a commit that was refused may have reached the disk all the
    /// same.
    pub(super) fn cut_back(&mut self, last: Id) -> Result<(), redb::Error> {
        while self.events.last()?.is_some_and(|(id, _)| id.value() > &event_key(last)[..]) {
            let Some((_, _, bytes)) = self.forget_row(false)? else { break };
            self.totals.events -= 1;
            self.totals.bytes -= bytes;
        }
        Ok(())
    }

    /// Takes the oldest or the newest event out of all tables; gives its id, its topics and the bytes that
    /// it counted for.
    fn forget_row(&mut self, oldest: bool) -> Result<Option<(Id, Vec<String>, u64)>, redb::Error> {
        let row = if oldest { self.events.pop_first()? } else { self.events.pop_last()? };
        let Some((id, row)) = row else { return Ok(None) };
        let id = event_id(id.value())?;
        let Row { topics, given, frame, .. } = Row::decode(id, row.value())?;
        for topic in &topics {
            self.by_topic.remove(&*topic_key(topic, id))?;
            let Some(given) = given else { continue };
            // A newer event may bear the same id.
            if number(&self.by_given, given_key(topic, given))? == Some(id.key()) {
                self.by_given.remove(&*given_key(topic, given))?;
            }
        }
        let topics = topics.into_iter().map(str::to_owned).collect();
        Ok(Some((id, topics, (frame.len() + EVENT_OVERHEAD_BYTES) as u64)))
    }

    /// Writes the numbers, as the last thing before the commit.
    pub(super) fn finish(mut self) -> Result<Totals, redb::Error> {
        let Totals { last, floor, events, bytes, oldest } = self.totals;
        for (name, number) in [
            ("format", FORMAT),
            ("last", last.key()),
            ("floor", floor.key()),
            ("events", events),
            ("bytes", bytes),
            ("oldest", oldest.map_or(0, to_nanos)),
        ] {
            set_number(&mut self.numbers, name, number)?;
        }
        Ok(self.totals)
    }
}
