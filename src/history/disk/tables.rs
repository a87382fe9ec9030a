//! The tables, and what is done with them inside one transaction.
//!
//! | table | key | value |
//! |---|---|---|
//! | `events` | id | topics, the publisher's id, frame |
//! | `by_topic` | topic, id | nothing: being there says it |
//! | `by_given` | topic, the publisher's id | the newest id that goes with it |
//! | `stock` | name | the numbers of [`Stock`] |

use crate::event::{Event, Frame, Id};
use crate::history::{Bounds, EVENT_OVERHEAD_BYTES, PAGE_BYTES, PAGE_EVENTS, Page, Start, TopicStatus, now};
use crate::topic::Topic;
use redb::{
    ReadOnlyTable, ReadTransaction, ReadableTable, Table, TableDefinition, TableError, WriteTransaction,
};

/// A row of `events`: topics, the publisher's id, frame.
type Row<'a> = (Vec<&'a str>, Option<&'a str>, &'a [u8]);

const EVENTS: TableDefinition<u64, Row> = TableDefinition::new("events");
const BY_TOPIC: TableDefinition<(&str, u64), ()> = TableDefinition::new("by_topic");
const BY_GIVEN: TableDefinition<(&str, &str), u64> = TableDefinition::new("by_given");
const STOCK: TableDefinition<&str, u64> = TableDefinition::new("stock");

/// The version of this layout. A file of a newer one is refused.
pub(super) const FORMAT: u64 = 1;

/// The numbers that stand beside the events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Stock {
    /// The newest id that was given.
    pub(super) last: Id,
    /// The newest event that is no longer kept; at first, the edge before which nothing was.
    pub(super) trimmed: Id,
    /// Events kept.
    pub(super) events: u64,
    /// Bytes kept, as [`Bounds`] counts them.
    pub(super) bytes: u64,
    /// The oldest event kept; `trimmed` if there is none.
    pub(super) oldest: Id,
}

impl Stock {
    /// Whether the oldest event has to go.
    pub(super) fn wants_trim(&self, bounds: Bounds) -> bool {
        self.events > 0 && bounds.are_passed(self.events as usize, self.bytes as usize, self.oldest, now())
    }
}

/// The layout's version in a file that has one.
pub(super) fn format(txn: &ReadTransaction) -> Result<Option<u64>, redb::Error> {
    match txn.open_table(STOCK) {
        Ok(table) => Ok(table.get("format")?.map(|value| value.value())),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The tables of a transaction that writes.
pub(super) struct Writing<'txn> {
    events: Table<'txn, u64, Row<'static>>,
    by_topic: Table<'txn, (&'static str, u64), ()>,
    by_given: Table<'txn, (&'static str, &'static str), u64>,
    numbers: Table<'txn, &'static str, u64>,
    pub(super) stock: Stock,
}

impl<'txn> Writing<'txn> {
    /// Opens the tables, making those that are missing.
    pub(super) fn open(txn: &'txn WriteTransaction) -> Result<Writing<'txn>, redb::Error> {
        let numbers = txn.open_table(STOCK)?;
        let stock = load(&numbers)?;
        Ok(Writing {
            events: txn.open_table(EVENTS)?,
            by_topic: txn.open_table(BY_TOPIC)?,
            by_given: txn.open_table(BY_GIVEN)?,
            numbers,
            stock,
        })
    }

    /// The newest event on one of these topics that bears this id of its publisher's.
    pub(super) fn find_given(&self, given: &str, topics: &[Topic]) -> Result<Option<Id>, redb::Error> {
        find_given(&self.by_given, given, topics)
    }

    /// Keeps an event under an id that is newer than all before it.
    pub(super) fn keep(&mut self, id: Id, event: &Event, frame: &Frame) -> Result<(), redb::Error> {
        let topics: Vec<&str> = event.topics().iter().map(Topic::as_str).collect();
        for topic in &topics {
            self.by_topic.insert((*topic, id.0), ())?;
            if let Some(given) = event.given_id() {
                self.by_given.insert((*topic, given), id.0)?;
            }
        }
        self.events.insert(id.0, (topics, event.given_id(), &frame[..]))?;
        if self.stock.events == 0 {
            self.stock.oldest = id;
        }
        self.stock.last = id;
        self.stock.events += 1;
        self.stock.bytes += (frame.len() + EVENT_OVERHEAD_BYTES) as u64;
        Ok(())
    }

    /// Lets the oldest events go that are past the bounds, but not more than `events_max` of them, so
    /// that trimming never stops writing for long.
    pub(super) fn trim(&mut self, bounds: Bounds, events_max: usize) -> Result<(), redb::Error> {
        for _ in 0..events_max {
            if !self.stock.wants_trim(bounds) {
                break;
            }
            self.remove_oldest()?;
        }
        Ok(())
    }

    fn remove_oldest(&mut self) -> Result<(), redb::Error> {
        let Some((id, bytes)) = self.forget_row(true)? else { return Ok(()) };
        self.stock.trimmed = id;
        self.stock.events -= 1;
        self.stock.bytes -= bytes;
        self.stock.oldest = self.events.first()?.map_or(id, |(next, _)| Id(next.value()));
        Ok(())
    }

    /// Removes events newer than `last`: a commit that was refused may have reached the disk all the
    /// same.
    pub(super) fn cut_back(&mut self, last: Id) -> Result<(), redb::Error> {
        while self.events.last()?.is_some_and(|(id, _)| id.value() > last.0) {
            let Some((_, bytes)) = self.forget_row(false)? else { break };
            self.stock.events -= 1;
            self.stock.bytes -= bytes;
        }
        Ok(())
    }

    /// Takes the oldest or the newest event out of all tables; gives its id and what it counted for.
    fn forget_row(&mut self, oldest: bool) -> Result<Option<(Id, u64)>, redb::Error> {
        let row = if oldest { self.events.pop_first()? } else { self.events.pop_last()? };
        let Some((id, row)) = row else { return Ok(None) };
        let id = id.value();
        let (topics, given, frame) = row.value();
        for topic in topics {
            self.by_topic.remove((topic, id))?;
            let Some(given) = given else { continue };
            // A newer event may bear the same id.
            if self.by_given.get((topic, given))?.is_some_and(|newest| newest.value() == id) {
                self.by_given.remove((topic, given))?;
            }
        }
        Ok(Some((Id(id), (frame.len() + EVENT_OVERHEAD_BYTES) as u64)))
    }

    /// Writes the numbers, as the last thing before the commit.
    pub(super) fn finish(mut self) -> Result<Stock, redb::Error> {
        let Stock { last, trimmed, events, bytes, oldest } = self.stock;
        let numbers = [("format", FORMAT), ("last", last.0), ("trimmed", trimmed.0), ("events", events)];
        for (name, number) in numbers.into_iter().chain([("bytes", bytes), ("oldest", oldest.0)]) {
            self.numbers.insert(name, number)?;
        }
        Ok(self.stock)
    }
}

/// The tables of a transaction that reads.
pub(super) struct Reading {
    events: ReadOnlyTable<u64, Row<'static>>,
    by_topic: ReadOnlyTable<(&'static str, u64), ()>,
    by_given: ReadOnlyTable<(&'static str, &'static str), u64>,
    pub(super) stock: Stock,
}

impl Reading {
    pub(super) fn open(txn: &ReadTransaction) -> Result<Reading, redb::Error> {
        Ok(Reading {
            events: txn.open_table(EVENTS)?,
            by_topic: txn.open_table(BY_TOPIC)?,
            by_given: txn.open_table(BY_GIVEN)?,
            stock: load(&txn.open_table(STOCK)?)?,
        })
    }

    /// The place after which a stream goes on, none if it asks for an id that is unknown or too old.
    /// `last` is the newest event that was handed to the hub.
    pub(super) fn place(&self, start: &Start, topics: &[Topic], last: Id) -> Result<Option<Id>, redb::Error> {
        Ok(match start {
            Start::Live => Some(last),
            Start::Earliest => Some(self.stock.trimmed),
            Start::Latest(count) => Some(self.before_latest(*count, topics, last)?),
            Start::After(asked) => match find_given(&self.by_given, asked, topics)? {
                Some(id) => Some(id),
                None => match Id::parse(asked) {
                    Some(id) if id == self.stock.trimmed || self.events.get(id.0)?.is_some() => Some(id),
                    _ => None,
                },
            },
        })
    }

    /// The newest id at or before `after` on these topics; else the edge of what is kept.
    pub(super) fn position(&self, after: Id, topics: &[Topic]) -> Result<Id, redb::Error> {
        let mut position = self.stock.trimmed;
        for topic in topics {
            let newest = self.by_topic.range((topic.as_str(), 0)..=(topic.as_str(), after.0))?.next_back();
            if let Some(row) = newest {
                position = position.max(Id(row?.0.value().1));
            }
        }
        Ok(position)
    }

    fn before_latest(&self, count: usize, topics: &[Topic], last: Id) -> Result<Id, redb::Error> {
        let mut newest = Vec::new();
        for topic in topics {
            let ids = self.by_topic.range((topic.as_str(), 0)..=(topic.as_str(), u64::MAX))?;
            for row in ids.rev().take(count) {
                newest.push(row?.0.value().1);
            }
        }
        newest.sort_unstable_by(|a, b| b.cmp(a));
        newest.dedup();
        Ok(match (count, newest.get(count.saturating_sub(1))) {
            (0, _) => last,
            // One less than an id is before it and not before any other.
            (_, Some(oldest)) => Id(oldest - 1),
            (_, None) => self.stock.trimmed,
        })
    }

    pub(super) fn page(&self, after: Id, through: Id, topics: &[Topic]) -> Result<Page, redb::Error> {
        let gap = (after < self.stock.trimmed).then_some(self.stock.trimmed);
        let mut page = Page { gap, ..Page::default() };
        let mut ids = Vec::new();
        if after < through {
            for topic in topics {
                let range = (topic.as_str(), after.0 + 1)..=(topic.as_str(), through.0);
                for row in self.by_topic.range(range)?.take(PAGE_EVENTS + 1) {
                    ids.push(row?.0.value().1);
                }
            }
        }
        ids.sort_unstable();
        ids.dedup();
        let mut bytes = 0;
        for id in ids {
            if page.events.len() == PAGE_EVENTS || bytes >= PAGE_BYTES {
                return Ok(page);
            }
            let Some(row) = self.events.get(id)? else { continue };
            let frame = row.value().2;
            bytes += frame.len();
            page.events.push((Id(id), frame.into()));
            page.through = Id(id);
        }
        page.through = through.max(after);
        Ok(page)
    }

    pub(super) fn topics(&self) -> Result<Vec<TopicStatus>, redb::Error> {
        let mut topics: Vec<TopicStatus> = Vec::new();
        for row in self.by_topic.iter()? {
            let key = row?.0;
            let (topic, id) = key.value();
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

fn load(numbers: &impl ReadableTable<&'static str, u64>) -> Result<Stock, redb::Error> {
    let number = |name: &str| -> Result<u64, redb::Error> {
        Ok(numbers.get(name)?.map_or(0, |number| number.value()))
    };
    Ok(Stock {
        last: Id(number("last")?),
        trimmed: Id(number("trimmed")?),
        events: number("events")?,
        bytes: number("bytes")?,
        oldest: Id(number("oldest")?),
    })
}

fn find_given(
    by_given: &impl ReadableTable<(&'static str, &'static str), u64>,
    given: &str,
    topics: &[Topic],
) -> Result<Option<Id>, redb::Error> {
    let mut newest = None;
    for topic in topics {
        let id = by_given.get((topic.as_str(), given))?.map(|id| Id(id.value()));
        newest = newest.max(id);
    }
    Ok(newest)
}
