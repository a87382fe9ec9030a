//! A store on disk, as the history and the posts both have one: one file of `redb`, opened by one process at
//! a time, checked as a whole when it is opened, and never made anew where there was one.
//!
//! The store panics where a damaged file contradicts itself. Here that is a fault like others.

mod file;
mod guard;
mod store;
pub(crate) mod tables;

pub use file::{Layout, Opener, opener};
pub use guard::is_guarded;

pub(crate) use guard::guarded;
pub(crate) use store::{Store, StoreWriter};

use redb::{Database, WriteTransaction};

/// What is wrong when the store panics.
const DAMAGED: &str = "the store's file is damaged (its pages contradict each other)";

/// Why a store did not do something, as text for the operator.
#[derive(Debug)]
struct Fault(String);

impl From<redb::Error> for Fault {
    fn from(error: redb::Error) -> Fault {
        Fault(file::cause(error))
    }
}

/// One transaction: all of what `act` does is committed, or nothing.
fn write<T>(
    database: &Database,
    durability: redb::Durability,
    act: impl FnOnce(&WriteTransaction) -> Result<T, redb::Error>,
) -> Result<T, Fault> {
    let written = guarded(|| -> Result<T, redb::Error> {
        let mut txn = database.begin_write()?;
        txn.set_durability(durability)?;
        // Everything is synced before the one write that makes it count, so that what fails to sync is
        // refused for good, also when the process ends before the disk is well again.
        txn.set_two_phase_commit(true);
        let value = act(&txn)?;
        txn.commit()?;
        Ok(value)
    });
    match written {
        Some(result) => Ok(result?),
        None => Err(Fault(DAMAGED.into())),
    }
}
