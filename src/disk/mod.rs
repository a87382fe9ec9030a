//! What is kept on disk. The posts have a store: one file of `redb`, opened by one process at a time, checked as a whole
//! when it is opened, and never created again where one was before. The history has a folder of files that grow.
//!
//! `redb` panics where a damaged file contradicts itself. Here a panic becomes an error like others.

mod file;
mod folder;
mod guard;
mod store;
pub(crate) mod tables;
mod unchanged;

pub use file::{Layout, Open, Opener, opener};
pub use folder::{File, Folder};
pub use guard::is_guarded;

pub(crate) use file::open_unchanged;
pub(crate) use folder::{FileFolder, create_missing, failed};
pub(crate) use guard::guarded;
pub(crate) use store::{Store, StoreWriter};

use redb::{Database, WriteTransaction};

/// The cause that is given when `redb` panics.
const DAMAGED: &str = "the store's file is damaged (its pages contradict each other)";

/// Why the store failed, as text for the operator.
#[derive(Debug)]
struct Fault(String);

impl From<redb::Error> for Fault {
    fn from(error: redb::Error) -> Fault {
        Fault(file::cause(error))
    }
}

/// Commits all of what `act` does in one transaction, or nothing.
fn transact<T>(
    database: &Database,
    durability: redb::Durability,
    act: impl FnOnce(&WriteTransaction) -> Result<T, redb::Error>,
) -> Result<T, Fault> {
    let written = guarded(|| -> Result<T, redb::Error> {
        let mut txn = database.begin_write()?;
        txn.set_durability(durability)?;
        // With two phases all pages are synced before the one write that makes them count. So a commit whose pages
        // fail to sync is refused for good, even when the process ends before the disk works again.
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
