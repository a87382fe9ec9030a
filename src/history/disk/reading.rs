//! What is done in a transaction that reads: find a place, read a part.

use super::tables::{self, BY_GIVEN, BY_TOPIC, EVENTS, LOST, Row, TOTALS, Totals, event_id, event_key};
use crate::disk::tables::Bytes;
use crate::event::Id;
use crate::history::{PART_BYTES, PART_EVENTS, Part, Start, TopicStatus};
use crate::topic::Topic;
use redb::{AccessGuard, Range, ReadOnlyTable, ReadTransaction, ReadableTable};

/// Entries of `by_topic`.
type Entries = Range<'static, Bytes, Bytes>;
type Entry = (AccessGuard<'static, Bytes>, AccessGuard<'static, Bytes>);

/// The tables of a transaction that reads.
pub(super) struct Reading {
    events: ReadOnlyTable<Bytes, Bytes>,
    by_topic: ReadOnlyTable<Bytes, Bytes>,
    by_given: ReadOnlyTable<Bytes, Bytes>,
    lost: ReadOnlyTable<Bytes, Bytes>,
    pub(super) totals: Totals,
}

impl Reading {
    pub(super) fn open(txn: &ReadTransaction) -> Result<Reading, redb::Error> {
        Ok(Reading {
            events: txn.open_table(EVENTS)?,
            by_topic: txn.open_table(BY_TOPIC)?,
            by_given: txn.open_table(BY_GIVEN)?,
            lost: txn.open_table(LOST)?,
            totals: tables::load(&txn.open_table(TOTALS)?)?,
        })
    }

    /// The place after which a stream goes on, none if it asks for an id that is unknown or too old.
    /// `last` is the newest event that was handed to the hub.
    pub(super) fn place(&self, start: &Start, topics: &[Topic], last: Id) -> Result<Option<Id>, redb::Error> {
        Ok(match start {
            Start::Live => Some(last),
            Start::Earliest => Some(self.edge(topics)?),
            Start::Latest(count) => Some(self.before_latest(*count, topics, last)?),
            Start::After(asked) => {
                let given = tables::find_given(&self.by_given, asked, topics)?;
                match (given, Id::parse(asked)) {
                    (Some(id), _) => Some(id),
                    (None, Some(id)) if self.events.get(&event_key(id)[..])?.is_some() => Some(id),
                    (None, Some(id)) if id == self.edge(topics)? => Some(id),
                    _ => None,
                }
                // What is committed but was not handed to the hub yet, nobody can have seen.
                .filter(|id| *id <= last)
            }
        })
    }

    /// The newest event that is kept, if there is one.
    pub(super) fn newest(&self) -> Result<Id, redb::Error> {
        let newest = self.events.last()?.map(|(id, _)| event_id(id.value())).transpose()?;
        Ok(newest.unwrap_or_default())
    }

    /// Of what is newer than this, nothing on these topics was lost.
    pub(super) fn edge(&self, topics: &[Topic]) -> Result<Id, redb::Error> {
        tables::edge(&self.lost, self.totals.floor, topics)
    }

    /// The newest id at or before `after` on these topics; else the edge of what they have lost.
    pub(super) fn position(&self, after: Id, topics: &[Topic]) -> Result<Id, redb::Error> {
        let mut position = self.edge(topics)?;
        for topic in topics {
            if let Some(newest) = self.ids(topic, 0, after.0)?.next_back() {
                position = position.max(Id(id(newest)?));
            }
        }
        Ok(position)
    }

    fn before_latest(&self, count: usize, topics: &[Topic], last: Id) -> Result<Id, redb::Error> {
        let mut newest = Vec::new();
        for topic in topics {
            for row in self.ids(topic, 0, last.0)?.rev().take(count) {
                newest.push(id(row)?);
            }
        }
        newest.sort_unstable_by(|a, b| b.cmp(a));
        newest.dedup();
        Ok(match (count, newest.get(count.saturating_sub(1))) {
            (0, _) => last,
            // One less than an id is before it and not before any other.
            (_, Some(oldest)) => Id(oldest - 1),
            (_, None) => self.edge(topics)?,
        })
    }

    pub(super) fn read(&self, after: Id, through: Id, topics: &[Topic]) -> Result<Part, redb::Error> {
        let edge = self.edge(topics)?;
        let gap = (after < edge).then_some(edge);
        let mut part = Part { gap, ..Part::default() };
        let mut ids = Vec::new();
        if after < through {
            for topic in topics {
                for row in self.ids(topic, after.0 + 1, through.0)?.take(PART_EVENTS + 1) {
                    ids.push(id(row)?);
                }
            }
        }
        ids.sort_unstable();
        ids.dedup();
        let mut bytes = 0;
        for id in ids {
            if part.events.len() == PART_EVENTS || bytes >= PART_BYTES {
                return Ok(part);
            }
            let Some(row) = self.events.get(&event_key(Id(id))[..])? else { continue };
            let Row { frame, .. } = Row::decode(row.value())?;
            bytes += frame.len();
            part.events.push((Id(id), frame.into()));
            part.through = Id(id);
        }
        part.through = through.max(after);
        Ok(part)
    }

    /// The entries of a topic from one id to another.
    fn ids(&self, topic: &Topic, from: u64, through: u64) -> Result<Entries, redb::Error> {
        let (from, through) =
            (tables::topic_key(topic.as_str(), from), tables::topic_key(topic.as_str(), through));
        Ok(self.by_topic.range(&*from..=&*through)?)
    }

    pub(super) fn topics(&self) -> Result<Vec<TopicStatus>, redb::Error> {
        let mut topics: Vec<TopicStatus> = Vec::new();
        for row in self.by_topic.range::<&[u8]>(..)? {
            let key = row?.0;
            let (topic, id) = tables::split_topic_key(key.value())?;
            match topics.last_mut().filter(|status| status.topic == topic) {
                Some(status) => {
                    status.events += 1;
                    status.newest = Id(id);
                }
                None => topics.push(TopicStatus {
                    topic: topic.to_owned(),
                    events: 1,
                    oldest: Id(id),
                    newest: Id(id),
                }),
            }
        }
        Ok(topics)
    }
}

/// The id of an event, from its entry.
fn id(entry: Result<Entry, redb::StorageError>) -> Result<u64, redb::Error> {
    Ok(tables::split_topic_key(entry?.0.value())?.1)
}
