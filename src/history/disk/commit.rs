//! One transaction: all of it or nothing.

use super::Stock;
use super::reading::Reading;
use super::writing::Writing;
use crate::disk::{self, Fault};
use crate::event::{Event, Frame, Id};
use crate::history::{Receipt, next_id};
use crate::hub::Dispatch;
use redb::{Database, ReadableDatabase};

/// What became of a publication in a commit.
pub(super) struct Outcome {
    pub(super) receipt: Receipt,
    /// What the hub is handed; nothing for a duplicate.
    pub(super) dispatch: Option<Dispatch>,
}

/// Acts on the tables and commits what was done.
pub(super) fn write<T>(
    database: &Database,
    durability: redb::Durability,
    act: impl FnOnce(&mut Writing) -> Result<T, redb::Error>,
) -> Result<(Stock, T), Fault> {
    disk::write(database, durability, |txn| {
        let mut tables = Writing::open(txn)?;
        let value = act(&mut tables)?;
        Ok((tables.finish()?, value))
    })
}

/// Keeps one event under the next id, or finds that it is kept already.
pub(super) fn keep(tables: &mut Writing, event: &Event, given: &mut Id) -> Result<Outcome, redb::Error> {
    if let Some(id) = event.given_id()
        && tables.find_given(id, event.topics())?.is_some()
    {
        return Ok(Outcome { receipt: Receipt { id: id.to_owned(), duplicate: true }, dispatch: None });
    }
    *given = next_id(*given);
    let id = *given;
    let frame: Frame = event.encode(Some(id));
    tables.keep(id, event, &frame)?;
    let receipt =
        Receipt { id: event.given_id().map_or_else(|| id.to_string(), str::to_owned), duplicate: false };
    Ok(Outcome { receipt, dispatch: Some(Dispatch::kept(event, id, frame)) })
}

/// The newest event there is.
pub(super) fn newest(database: &Database) -> Result<Option<Id>, Fault> {
    let txn = database.begin_read().map_err(redb::Error::from)?;
    Ok(Reading::open(&txn)?.newest()?)
}
