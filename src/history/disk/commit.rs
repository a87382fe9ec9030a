//! What is done in one transaction that keeps events.

use super::Totals;
use super::writing::Writing;
use crate::event::{Event, Frame, Id};
use crate::history::{Receipt, next_id};
use crate::hub::Dispatch;
use redb::WriteTransaction;
use std::time::SystemTime;

/// What became of a publication in a commit.
pub(super) struct Outcome {
    pub(super) receipt: Receipt,
    /// What the hub is handed; nothing for a duplicate.
    pub(super) dispatch: Option<Dispatch>,
}

/// Acts on the tables in a transaction; gives the numbers as they are then.
pub(super) fn act<T>(
    txn: &WriteTransaction,
    act: impl FnOnce(&mut Writing) -> Result<T, redb::Error>,
) -> Result<(Totals, T), redb::Error> {
    let mut tables = Writing::open(txn)?;
    let value = act(&mut tables)?;
    Ok((tables.finish()?, value))
}

/// Keeps one event under the next id, or finds that it is kept already.
pub(super) fn keep(tables: &mut Writing, event: &Event, given: &mut Id) -> Result<Outcome, redb::Error> {
    if let Some(id) = event.given_id()
        && tables.find_given(id, event.topics())?.is_some()
    {
        return Ok(Outcome { receipt: Receipt { id: id.to_owned(), duplicate: true }, dispatch: None });
    }
    let now = SystemTime::now();
    *given = next_id(*given, now);
    let id = *given;
    let frame: Frame = event.encode(Some(id));
    tables.insert(id, now, event, &frame)?;
    let receipt =
        Receipt { id: event.given_id().map_or_else(|| id.to_string(), str::to_owned), duplicate: false };
    Ok(Outcome { receipt, dispatch: Some(Dispatch::kept(event, id, frame)) })
}
