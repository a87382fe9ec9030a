//! A store's file while the server runs. Readers read on their own threads, each from a snapshot; one thread writes.
//!
//! When the disk fails, nobody waits: writing is refused, and the file is opened again and again until it works. A
//! commit that was refused may have reached the disk all the same; it is undone before anybody reads again.

use super::{DAMAGED, Fault, Layout, Opener, guarded, transact};
use crate::error::Error;
use parking_lot::{Mutex, RwLock};
use redb::{Database, Durability, ReadTransaction, ReadableDatabase, WriteTransaction};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long writing is refused after a failure before the file is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// The file, for readers.
pub(crate) struct Store {
    layout: &'static Layout,
    /// None while it cannot be opened.
    database: RwLock<Option<Database>>,
    /// Why nothing can be written now.
    failure: Mutex<Option<String>>,
}

impl Store {
    /// Opens the file. The error is for the operator.
    pub(crate) fn open(opener: &Opener, layout: &'static Layout) -> Result<Store, String> {
        let database = RwLock::new(Some(opener.open()?));
        Ok(Store { layout, database, failure: Mutex::default() })
    }

    /// Reads from a snapshot. [`Error::unavailable`] if the file cannot be opened or read, also where `redb` panics
    /// over a damaged page.
    pub(crate) fn read<T>(
        &self,
        read: impl FnOnce(&ReadTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, Error> {
        let what = self.layout.what;
        let unreadable = |why: &str| Error::unavailable(format!("{what} cannot be read now: {why}"));
        let database = self.database.read();
        let Some(database) = &*database else {
            return Err(unreadable(&self.failure().unwrap_or_default()));
        };
        match guarded(|| read(&database.begin_read()?)) {
            Some(Ok(value)) => Ok(value),
            Some(Err(error)) => Err(unreadable(&error.to_string())),
            None => Err(unreadable(DAMAGED)),
        }
    }

    /// Why nothing can be written now, if that is so.
    pub(crate) fn failure(&self) -> Option<String> {
        self.failure.lock().clone()
    }

    fn close(&self) {
        let database = self.database.write().take();
        // `redb` repairs when it opens the file what it could not write when it closed it.
        let _ = guarded(|| drop(database));
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.close();
    }
}

/// The file, for the one thread that writes.
pub(crate) struct StoreWriter {
    opener: Opener,
    store: Arc<Store>,
    /// The number of the newest entry that was acknowledged. Newer ones in the file were refused.
    pub(crate) acknowledged: u64,
    /// After a failure, when to try again; until then writing is refused without trying.
    try_again_at: Option<Instant>,
    /// A failure was logged, and its end was not yet.
    is_down: bool,
}

impl StoreWriter {
    /// Opens the file and commits a first transaction. Where that fails, as on a full disk, the file is read
    /// nevertheless, and tried again like after any other failure. The error is for the operator: the file cannot be
    /// read.
    pub(crate) fn open(
        opener: Opener,
        layout: &'static Layout,
        first: impl FnOnce(&WriteTransaction) -> Result<(), redb::Error>,
    ) -> Result<StoreWriter, String> {
        let store = Arc::new(Store::open(&opener, layout)?);
        // Nothing in it was refused by this process, so nothing of it is undone.
        let mut file =
            StoreWriter { opener, store, acknowledged: u64::MAX, try_again_at: None, is_down: false };
        // The failure is logged.
        let _ = file.write(Durability::Immediate, first);
        file.acknowledged = file.store.read(layout.newest).map_err(|error| error.to_string())?;
        Ok(file)
    }

    /// The same file, for readers.
    pub(crate) fn store(&self) -> Arc<Store> {
        self.store.clone()
    }

    /// When the file will be tried again, if it has failed.
    pub(crate) fn try_again_at(&self) -> Option<Instant> {
        self.try_again_at
    }

    /// Commits all of what `act` does, or nothing. The error is the cause, for the callers that wait: what they
    /// wrote could not be kept, and will not appear.
    pub(crate) fn write<T>(
        &mut self,
        durability: Durability,
        act: impl FnOnce(&WriteTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, String> {
        if self.try_again_at.is_some() {
            return Err(self.store.failure().unwrap_or_default());
        }
        match self.attempt(durability, act) {
            Ok(value) => {
                if std::mem::take(&mut self.is_down) {
                    log::warn!("{} can be written again", self.store.layout.what);
                }
                Ok(value)
            }
            Err(fault) => {
                self.fail(&fault);
                Err(fault.0)
            }
        }
    }

    /// After a failure, and once [`TRY_AGAIN`] has passed, tries whether the file works again. True if it does since
    /// this call.
    pub(crate) fn try_again(&mut self) -> bool {
        if self.try_again_at.is_none_or(|at| Instant::now() < at) {
            return false;
        }
        self.try_again_at = Some(Instant::now() + TRY_AGAIN);
        let is_open = self.store.database.read().is_some();
        if !is_open && !self.reopen() {
            return false;
        }
        // This commit changes nothing, and shows whether the disk can be written.
        match self.attempt(Durability::Immediate, self.store.layout.lay_out) {
            Ok(()) => {
                self.try_again_at = None;
                *self.store.failure.lock() = None;
                true
            }
            Err(fault) => {
                self.fail(&fault);
                false
            }
        }
    }

    /// Closes the file, as the last call before the process ends.
    pub(crate) fn close(&mut self) {
        if self.try_again_at.is_some() {
            // A refused commit may still be on the disk; opening the file undoes it.
            self.reopen();
        }
        self.store.close();
        *self.store.failure.lock() = Some("the server is stopping".into());
    }

    /// Commits, whatever failed before.
    fn attempt<T>(
        &self,
        durability: Durability,
        act: impl FnOnce(&WriteTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, Fault> {
        let value = match &*self.store.database.read() {
            Some(database) => transact(database, durability, act)?,
            None => return Err(Fault("the store is closed".into())),
        };
        // Before anybody is told that it is kept.
        self.opener.check().map_err(Fault)?;
        Ok(value)
    }

    /// Notes a failure, and opens the file again, without which nothing could be read or written.
    fn fail(&mut self, fault: &Fault) {
        if !std::mem::replace(&mut self.is_down, true) {
            let what = self.store.layout.what;
            log::error!("{what} cannot be written, and more is refused until it can: {}", fault.0);
        }
        // The lock on the failure is released at the end of this statement: a reader takes it while it holds the
        // lock on the database, so waiting for the database under it could lock both up.
        *self.store.failure.lock() = Some(fault.0.clone());
        self.store.close();
        // At once, so that the refused commit is undone before anybody is told, and readers need not wait.
        self.reopen();
        self.try_again_at = Some(Instant::now() + TRY_AGAIN);
    }

    /// Opens the file again and undoes a refused commit in it. True if that worked.
    fn reopen(&self) -> bool {
        let Layout { newest, cut_back, .. } = self.store.layout;
        let opened = guarded(|| -> Result<Database, Fault> {
            let database = self.opener.open().map_err(Fault)?;
            let newest = database.begin_read().map_err(redb::Error::from).and_then(|txn| newest(&txn))?;
            if newest > self.acknowledged {
                transact(&database, Durability::Immediate, |txn| cut_back(txn, self.acknowledged))?;
            }
            Ok(database)
        });
        match opened.unwrap_or_else(|| Err(Fault(DAMAGED.into()))) {
            Ok(database) => {
                *self.store.database.write() = Some(database);
                true
            }
            Err(fault) => {
                *self.store.failure.lock() = Some(fault.0);
                false
            }
        }
    }
}
