//! What is done in a transaction that reads: find a position, read a part.

use super::tables::{
    self, BY_GIVEN, BY_GIVEN_RETRACTED, BY_TOPIC, EVENTS, LOST, Row, TOTALS, Totals, event_id, event_key,
};
use crate::disk::tables::{Bytes, torn};
use crate::event::Id;
use crate::history::{Kept, PART_BYTES, PART_EVENTS, Part, Start, TOPICS_PART, TopicStatus, topic_of};
use crate::topic::Topic;
use redb::{AccessGuard, Range, ReadOnlyTable, ReadTransaction, ReadableTable, TableError};
use std::ops::Bound::{Excluded, Unbounded};
use std::time::SystemTime;

/// Entries of `by_topic`.
type Entries = Range<'static, Bytes, Bytes>;
type Entry = (AccessGuard<'static, Bytes>, AccessGuard<'static, Bytes>);

/// The tables of a transaction that reads.
pub(super) struct Reading<'txn> {
    txn: &'txn ReadTransaction,
    events: ReadOnlyTable<Bytes, Bytes>,
    by_topic: ReadOnlyTable<Bytes, Bytes>,
    by_given: ReadOnlyTable<Bytes, Bytes>,
    lost: ReadOnlyTable<Bytes, Bytes>,
    pub(super) totals: Totals,
}

impl<'txn> Reading<'txn> {
    pub(super) fn open(txn: &'txn ReadTransaction) -> Result<Reading<'txn>, redb::Error> {
        Ok(Reading {
            txn,
            events: txn.open_table(EVENTS)?,
            by_topic: txn.open_table(BY_TOPIC)?,
            by_given: txn.open_table(BY_GIVEN)?,
            lost: txn.open_table(LOST)?,
            totals: tables::load(&txn.open_table(TOTALS)?)?,
        })
    }

    /// The id after which a stream goes on; none if it asks for an id that is unknown or too old. `last` is the
    /// newest event that was handed to the hub.
    pub(super) fn find(&self, start: &Start, topics: &[Topic], last: Id) -> Result<Option<Id>, redb::Error> {
        Ok(match start {
            Start::Live => Some(last),
            Start::Earliest => Some(self.edge(topics)?),
            Start::Latest(count) => Some(self.before_latest(*count, topics, last)?),
            // Nobody can have seen an event that is committed and was not yet handed to the hub.
            Start::After(asked) => self.find_asked(asked, topics)?.filter(|id| *id <= last),
        })
    }

    /// The id that a browser says it saw last: its publisher's on one of these topics, or one of ours that was
    /// given out and after which nothing is missing.
    fn find_asked(&self, asked: &str, topics: &[Topic]) -> Result<Option<Id>, redb::Error> {
        let kept = tables::find_given(&self.by_given, asked, topics)?;
        let retracted = self.find_given_retracted(asked, topics)?;
        Ok(match (kept, retracted) {
            (None, None) => match Id::parse(asked) {
                Some(id) if id == self.edge(topics)? => Some(id),
                Some(id) if self.events.get(&event_key(id)[..])?.is_some() => Some(id),
                _ => None,
            },
            // The id was used again after it was retracted. Nothing says which of the two events the browser saw,
            // so it is told of a gap rather than left with one.
            (Some(_), Some(_)) => None,
            (kept, retracted) => kept.or(retracted),
        })
    }

    fn find_given_retracted(&self, asked: &str, topics: &[Topic]) -> Result<Option<Id>, redb::Error> {
        match self.txn.open_table(BY_GIVEN_RETRACTED) {
            Ok(table) => tables::find_given(&table, asked, topics),
            // Nothing was ever retracted.
            Err(TableError::TableDoesNotExist(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The newest event that is kept, if there is one.
    pub(super) fn newest(&self) -> Result<Id, redb::Error> {
        let newest = self.events.last()?.map(|(id, _)| event_id(id.value())).transpose()?;
        Ok(newest.unwrap_or_default())
    }

    /// These topics have lost no event that is newer than this.
    pub(super) fn edge(&self, topics: &[Topic]) -> Result<Id, redb::Error> {
        tables::edge(&self.lost, self.totals.floor, topics)
    }

    /// The newest id at or before `after` on these topics; else the edge of what they have lost.
    pub(super) fn position(&self, after: Id, topics: &[Topic]) -> Result<Id, redb::Error> {
        let mut position = self.edge(topics)?;
        for topic in topics {
            if let Some(newest) = self.entries(topic, Id::default(), after)?.next_back() {
                position = position.max(id(newest)?);
            }
        }
        Ok(position)
    }

    fn before_latest(&self, count: usize, topics: &[Topic], last: Id) -> Result<Id, redb::Error> {
        let mut newest = Vec::new();
        for topic in topics {
            for entry in self.entries(topic, Id::default(), last)?.rev().take(count) {
                newest.push(id(entry)?);
            }
        }
        newest.sort_unstable_by(|a, b| b.cmp(a));
        newest.dedup();
        Ok(match (count, newest.get(count.saturating_sub(1))) {
            (0, _) => last,
            // One less than an id is before it and not before any other.
            (_, Some(oldest)) => Id::from_key(oldest.key() - 1),
            (_, None) => self.edge(topics)?,
        })
    }

    pub(super) fn read(&self, after: Id, through: Id, topics: &[Topic]) -> Result<Part, redb::Error> {
        let edge = self.edge(topics)?;
        let gap = (after < edge).then_some(edge);
        let mut part = Part { gap, ..Part::default() };
        let mut ids = Vec::new();
        if after < through {
            let next = Id::from_key(after.key() + 1);
            for topic in topics {
                for entry in self.entries(topic, next, through)?.take(PART_EVENTS + 1) {
                    ids.push(id(entry)?);
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
            let row = self.row(id)?;
            let Row { at, topics: names, frame, .. } = Row::decode(id, row.value())?;
            let frame = frame.ok_or_else(torn)?;
            let topic = topic_of(names, topics).ok_or_else(torn)?;
            bytes += frame.len();
            part.events.push(Kept { id, at, topic, frame: frame.into() });
            part.through = id;
        }
        part.through = through.max(after);
        Ok(part)
    }

    pub(super) fn topics(&self, after: &str) -> Result<Vec<TopicStatus>, redb::Error> {
        /// A topic, how many entries it has, its first and its last.
        type Span = (String, usize, Id, Id);
        let mut spans: Vec<Span> = Vec::new();
        let rest = tables::topic_key(after, Id::MAX);
        for entry in self.by_topic.range::<&[u8]>((Excluded(&*rest), Unbounded))? {
            let key = entry?.0;
            let (topic, id) = tables::split_topic_key(key.value())?;
            let is_full = spans.len() == TOPICS_PART;
            match spans.last_mut().filter(|(last, ..)| last == topic) {
                Some((_, events, _, newest)) => (*events, *newest) = (*events + 1, id),
                None if is_full => break,
                None => spans.push((topic.to_owned(), 1, id, id)),
            }
        }
        let status = |(topic, events, oldest, newest): Span| {
            Ok(TopicStatus { topic, events, oldest: self.time(oldest)?, newest: self.time(newest)? })
        };
        spans.into_iter().map(status).collect()
    }

    /// When an event was published.
    fn time(&self, id: Id) -> Result<SystemTime, redb::Error> {
        Ok(Row::decode(id, self.row(id)?.value())?.at)
    }

    /// The row of an event that `by_topic` names.
    fn row(&self, id: Id) -> Result<AccessGuard<'static, Bytes>, redb::Error> {
        self.events.get(&event_key(id)[..])?.ok_or_else(torn)
    }

    /// The entries of a topic from one id to another, both included.
    fn entries(&self, topic: &Topic, from: Id, through: Id) -> Result<Entries, redb::Error> {
        let key = |id| tables::topic_key(topic.as_str(), id);
        Ok(self.by_topic.range(&*key(from)..=&*key(through))?)
    }
}

/// The id of an event, from its entry.
fn id(entry: Result<Entry, redb::StorageError>) -> Result<Id, redb::Error> {
    Ok(tables::split_topic_key(entry?.0.value())?.1)
}
