//! What is done in a transaction that writes: insert, retract, trim, cut back.

use super::tables::{
    self, BY_GIVEN, BY_GIVEN_RETRACTED, BY_TOPIC, EVENTS, FORMAT, LOST, Row, TOTALS, Totals, UNDO, event_id,
    event_key, given_key, topic_key,
};
use crate::disk::tables::{Bytes, number, set_number, torn};
use crate::event::{Event, Frame, Id};
use crate::history::retract::Candidate;
use crate::history::{Bounds, to_nanos};
use crate::topic::Topic;
use redb::{ReadableTable, Table, WriteTransaction};
use std::slice;
use std::time::SystemTime;

/// The tables of a transaction that writes.
pub(super) struct Writing<'txn> {
    txn: &'txn WriteTransaction,
    events: Table<'txn, Bytes, Bytes>,
    by_topic: Table<'txn, Bytes, Bytes>,
    by_given: Table<'txn, Bytes, Bytes>,
    lost: Table<'txn, Bytes, Bytes>,
    numbers: Table<'txn, Bytes, Bytes>,
    pub(super) totals: Totals,
}

impl<'txn> Writing<'txn> {
    /// Opens the tables, making those that are missing.
    fn open(txn: &'txn WriteTransaction) -> Result<Writing<'txn>, redb::Error> {
        let numbers = txn.open_table(TOTALS)?;
        let totals = tables::load(&numbers)?;
        Ok(Writing {
            txn,
            events: txn.open_table(EVENTS)?,
            by_topic: txn.open_table(BY_TOPIC)?,
            by_given: txn.open_table(BY_GIVEN)?,
            lost: txn.open_table(LOST)?,
            numbers,
            totals,
        })
    }

    /// Lets `act` change the tables, and writes the totals that result; gives them too.
    pub(super) fn run<T>(
        txn: &'txn WriteTransaction,
        act: impl FnOnce(&mut Writing) -> Result<T, redb::Error>,
    ) -> Result<(Totals, T), redb::Error> {
        let mut tables = Writing::open(txn)?;
        let value = act(&mut tables)?;
        tables.write_totals()?;
        Ok((tables.totals, value))
    }

    /// What is kept on this topic under this id of its publisher, as a frame.
    pub(super) fn kept_under(&self, given: &str, topic: &Topic) -> Result<Option<Vec<u8>>, redb::Error> {
        let Some(id) = tables::find_given(&self.by_given, given, slice::from_ref(topic))? else {
            return Ok(None);
        };
        let row = self.events.get(&event_key(id)[..])?.ok_or_else(torn)?;
        Ok(Row::decode(id, row.value())?.frame.map(<[u8]>::to_vec))
    }

    /// Inserts an event under an id that is newer than all before it.
    pub(super) fn insert(
        &mut self,
        id: Id,
        at: SystemTime,
        event: &Event,
        frame: &Frame,
    ) -> Result<(), redb::Error> {
        let topics = event.topics().iter().map(Topic::as_str).collect();
        let row = Row { at, topics, given: event.given_id(), frame: Some(frame) };
        self.events.insert(&event_key(id)[..], &*row.encode())?;
        self.index(id, &row)?;
        self.totals.oldest.get_or_insert(at);
        self.totals.last = id;
        self.totals.events += 1;
        self.totals.bytes += row.bytes();
        Ok(())
    }

    /// Makes the reads find an event that is kept.
    fn index(&mut self, id: Id, row: &Row) -> Result<(), redb::Error> {
        for topic in &row.topics {
            self.by_topic.insert(&*topic_key(topic, id), &[][..])?;
            if let Some(given) = row.given {
                set_number(&mut self.by_given, given_key(topic, given), id.key())?;
            }
        }
        Ok(())
    }

    /// The opposite of [`Writing::index`].
    fn unindex(&mut self, id: Id, row: &Row) -> Result<(), redb::Error> {
        for topic in &row.topics {
            self.by_topic.remove(&*topic_key(topic, id))?;
            if let Some(given) = row.given {
                remove_given(&mut self.by_given, topic, given, id)?;
            }
        }
        Ok(())
    }

    /// The event with this id on the wire, if it is kept on this topic.
    pub(super) fn candidate(&self, topic: &Topic, asked: &str) -> Result<Option<Candidate>, redb::Error> {
        let given = tables::find_given(&self.by_given, asked, slice::from_ref(topic))?;
        let Some(id) = given.or_else(|| Id::parse(asked)) else { return Ok(None) };
        let is_on_topic = self.by_topic.get(&*topic_key(topic.as_str(), id))?.is_some();
        is_on_topic.then(|| self.to_candidate(id)).transpose()
    }

    /// All events that are kept on this topic.
    pub(super) fn candidates(&self, topic: &Topic) -> Result<Vec<Candidate>, redb::Error> {
        let key = |id| topic_key(topic.as_str(), id);
        let mut candidates = Vec::new();
        for entry in self.by_topic.range(&*key(Id::default())..=&*key(Id::MAX))? {
            let (_, id) = tables::split_topic_key(entry?.0.value())?;
            candidates.push(self.to_candidate(id)?);
        }
        Ok(candidates)
    }

    fn to_candidate(&self, id: Id) -> Result<Candidate, redb::Error> {
        let row = self.events.get(&event_key(id)[..])?.ok_or_else(torn)?;
        let row = Row::decode(id, row.value())?;
        let topics = row.topics.iter().map(|topic| Topic::new(topic)).collect::<Result<_, _>>();
        let topics = topics.map_err(|_| torn())?;
        Ok(Candidate::new(id, row.given, topics, row.frame.ok_or_else(torn)?))
    }

    /// Takes kept events out of every read and lets their bytes go. Their ids stay known, so that a browser that
    /// saw one last can go on. Until the next commit `undo` holds what they were.
    pub(super) fn retract(&mut self, ids: &[Id]) -> Result<(), redb::Error> {
        if ids.is_empty() {
            return Ok(());
        }
        let mut undo = self.txn.open_table(UNDO)?;
        let mut by_given_retracted = self.txn.open_table(BY_GIVEN_RETRACTED)?;
        for &id in ids {
            let key = event_key(id);
            let bytes = self.events.get(&key[..])?.ok_or_else(torn)?.value().to_vec();
            let row = Row::decode(id, &bytes)?;
            undo.insert(&key[..], &*bytes)?;
            self.unindex(id, &row)?;
            for (topic, given) in row.topics.iter().filter_map(|topic| Some((topic, row.given?))) {
                let key = given_key(topic, given);
                if number(&by_given_retracted, &key)?.is_none() {
                    set_number(&mut by_given_retracted, key, id.key())?;
                }
            }
            self.totals.bytes -= row.bytes();
            let row = Row { frame: None, ..row };
            self.totals.bytes += row.bytes();
            self.totals.events -= 1;
            self.totals.retracted += 1;
            self.events.insert(&key[..], &*row.encode())?;
        }
        Ok(())
    }

    /// Lets the bytes of events go that the commit before this one retracted: it was acknowledged.
    pub(super) fn clear_undo(&mut self) -> Result<(), redb::Error> {
        self.txn.delete_table(UNDO)?;
        Ok(())
    }

    /// Lets the oldest events go that are past the bounds, but not more than `events_max` of them, so
    /// that trimming never stops writing for long.
    pub(super) fn trim(&mut self, bounds: Bounds, events_max: usize) -> Result<(), redb::Error> {
        for _ in 0..events_max {
            if !self.totals.wants_trim(bounds) {
                break;
            }
            let Some((id, row)) = self.events.pop_first()?.map(owned).transpose()? else { break };
            let row = Row::decode(id, &row)?;
            self.forget(id, &row)?;
            for topic in &row.topics {
                self.note_lost(topic, id)?;
            }
            self.totals.oldest = match self.events.first()? {
                Some((id, row)) => Some(Row::decode(event_id(id.value())?, row.value())?.at),
                None => None,
            };
        }
        Ok(())
    }

    fn note_lost(&mut self, topic: &str, id: Id) -> Result<(), redb::Error> {
        if tables::has_no_room(&self.lost)? && self.lost.get(topic.as_bytes())?.is_none() {
            self.totals.floor = id;
            self.lost.retain(|_, _| false)?;
        }
        set_number(&mut self.lost, topic, id.key())
    }

    /// Undoes the commit that gave the ids after `last`: it was refused, and may have reached the disk all the
    /// same. Its events go, and what it retracted is there again. What it trimmed stays trimmed.
    pub(super) fn cut_back(&mut self, last: Id) -> Result<(), redb::Error> {
        while self.events.last()?.is_some_and(|(id, _)| id.value() > &event_key(last)[..]) {
            let Some((id, row)) = self.events.pop_last()?.map(owned).transpose()? else { break };
            self.forget(id, &Row::decode(id, &row)?)?;
        }
        if self.totals.events + self.totals.retracted == 0 {
            self.totals.oldest = None;
        }
        self.undo_retractions()?;
        self.clear_undo()
    }

    fn undo_retractions(&mut self) -> Result<(), redb::Error> {
        let undo = self.txn.open_table(UNDO)?;
        let mut by_given_retracted = self.txn.open_table(BY_GIVEN_RETRACTED)?;
        for entry in undo.iter()? {
            let (key, bytes) = entry?;
            let id = event_id(key.value())?;
            // It may have been trimmed by the same commit.
            if self.events.get(key.value())?.is_none() {
                continue;
            }
            let row = Row::decode(id, bytes.value())?;
            for (topic, given) in row.topics.iter().filter_map(|topic| Some((topic, row.given?))) {
                remove_given(&mut by_given_retracted, topic, given, id)?;
            }
            self.index(id, &row)?;
            self.totals.bytes -= Row { frame: None, ..row.clone() }.bytes();
            self.totals.bytes += row.bytes();
            self.totals.events += 1;
            self.totals.retracted -= 1;
            self.events.insert(key.value(), bytes.value())?;
        }
        Ok(())
    }

    /// Removes all traces of a row that was taken out of `events`.
    fn forget(&mut self, id: Id, row: &Row) -> Result<(), redb::Error> {
        self.totals.bytes -= row.bytes();
        if row.frame.is_some() {
            self.totals.events -= 1;
            return self.unindex(id, row);
        }
        self.totals.retracted -= 1;
        let Some(given) = row.given else { return Ok(()) };
        let mut by_given_retracted = self.txn.open_table(BY_GIVEN_RETRACTED)?;
        for topic in &row.topics {
            remove_given(&mut by_given_retracted, topic, given, id)?;
        }
        Ok(())
    }

    fn write_totals(&mut self) -> Result<(), redb::Error> {
        let Totals { last, floor, events, retracted, bytes, oldest } = self.totals;
        for (name, number) in [
            ("format", FORMAT),
            ("last", last.key()),
            ("floor", floor.key()),
            ("events", events),
            ("retracted", retracted),
            ("bytes", bytes),
            ("oldest", oldest.map_or(0, to_nanos)),
        ] {
            set_number(&mut self.numbers, name, number)?;
        }
        Ok(())
    }
}

/// A row that was taken out of `events`, with its id.
fn owned(
    (key, row): (redb::AccessGuard<Bytes>, redb::AccessGuard<Bytes>),
) -> Result<(Id, Vec<u8>), redb::Error> {
    Ok((event_id(key.value())?, row.value().to_vec()))
}

/// Removes an event from an index by its publisher's id, unless another one bears the same.
fn remove_given(
    table: &mut Table<Bytes, Bytes>,
    topic: &str,
    given: &str,
    id: Id,
) -> Result<(), redb::Error> {
    let key = given_key(topic, given);
    if number(table, &key)? == Some(id.key()) {
        table.remove(&*key)?;
    }
    Ok(())
}
