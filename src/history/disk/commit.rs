//! One transaction: all of it or nothing, and a panic of the store is a fault like others.

use super::guard::guarded;
use super::reading::Reading;
use super::writing::Writing;
use super::{Fault, Stock};
use crate::event::{Event, Frame, Id};
use crate::history::{Receipt, next_id};
use crate::hub::Dispatch;
use redb::{Database, ReadableDatabase};

/// What is wrong when the store panics.
pub(super) const DAMAGED: &str = "the history's file is damaged (its pages contradict each other)";

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
    let written = guarded(|| -> Result<(Stock, T), redb::Error> {
        let mut txn = database.begin_write()?;
        txn.set_durability(durability)?;
        // Everything is synced before the one write that makes it count, so that what fails to sync is
        // refused for good, also when the process ends before the disk is well again.
        txn.set_two_phase_commit(true);
        let mut tables = Writing::open(&txn)?;
        let value = act(&mut tables)?;
        let stock = tables.finish()?;
        txn.commit()?;
        Ok((stock, value))
    });
    match written {
        Some(result) => Ok(result?),
        None => Err(Fault(DAMAGED.into())),
    }
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
