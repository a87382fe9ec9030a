//! A file of the data directory while the server runs: whoever reads does so on its own thread, from a
//! snapshot; one thread writes.
//!
//! When the disk fails, nobody waits: writing is refused, and the file is opened anew until it works again.
//! What was refused may have reached the disk all the same; it is gone from there before anybody reads again.

use super::{DAMAGED, Fault, Layout, Opener, guarded, write};
use crate::error::Error;
use parking_lot::{Mutex, RwLock};
use redb::{Database, Durability, ReadTransaction, ReadableDatabase, WriteTransaction};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long writing is refused after a failure, until it is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// The file, for those who read.
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
        let database = RwLock::new(Some(opener()?));
        Ok(Store { layout, database, failure: Mutex::default() })
    }

    /// Reads from a snapshot. A page that was damaged makes redb panic; that is an error like others.
    pub(crate) fn read<T>(
        &self,
        read: impl FnOnce(&ReadTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, Error> {
        let what = self.layout.what;
        let unreadable = |why: &str| Error::Unavailable(format!("{what} cannot be read now: {why}"));
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
        // What it cannot write as the last thing, it puts in order when it is opened the next time.
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
    /// The number of the newest entry that was acknowledged: what is newer was refused.
    pub(crate) acknowledged: u64,
    /// After a failure, when to try again; until then writing is refused without trying.
    try_again_at: Option<Instant>,
    /// A failure was logged, and that it is over was not.
    is_down: bool,
}

impl StoreWriter {
    /// Opens the file and does a first transaction. The error is for the operator.
    pub(crate) fn open<T>(
        opener: Opener,
        layout: &'static Layout,
        first: impl FnOnce(&WriteTransaction) -> Result<T, redb::Error>,
    ) -> Result<(StoreWriter, T), String> {
        let store = Arc::new(Store::open(&opener, layout)?);
        let file = StoreWriter { opener, store, acknowledged: 0, try_again_at: None, is_down: false };
        let first = file.commit(Durability::Immediate, first);
        let first = first.map_err(|fault| format!("failed to write `{}`: {}", layout.name, fault.0))?;
        Ok((file, first))
    }

    /// The same file, for those who read.
    pub(crate) fn store(&self) -> Arc<Store> {
        self.store.clone()
    }

    /// When the file will be tried again, if it has failed.
    pub(crate) fn try_again_at(&self) -> Option<Instant> {
        self.try_again_at
    }

    /// Commits all of what `act` does, or nothing. The error is the cause, for whoever waits: it could not
    /// be kept, and will not appear.
    pub(crate) fn write<T>(
        &mut self,
        durability: Durability,
        act: impl FnOnce(&WriteTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, String> {
        if self.try_again_at.is_some() {
            return Err(self.store.failure().unwrap_or_default());
        }
        match self.commit(durability, act) {
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

    /// After a failure, and if it is time, looks whether it is over. Says whether it is from now on.
    pub(crate) fn try_again(&mut self) -> bool {
        if self.try_again_at.is_none_or(|at| Instant::now() < at) {
            return false;
        }
        self.try_again_at = Some(Instant::now() + TRY_AGAIN);
        let is_open = self.store.database.read().is_some();
        if !is_open && !self.reopen() {
            return false;
        }
        // This writes, and changes nothing.
        match self.commit(Durability::Immediate, self.store.layout.lay_out) {
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

    /// The last thing before the process ends.
    pub(crate) fn close(&mut self) {
        if self.try_again_at.is_some() {
            // What was refused may still be on the disk.
            self.reopen();
        }
        self.store.close();
        *self.store.failure.lock() = Some("the server is stopping".into());
    }

    fn commit<T>(
        &self,
        durability: Durability,
        act: impl FnOnce(&WriteTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, Fault> {
        match &*self.store.database.read() {
            Some(database) => write(database, durability, act),
            None => Err(Fault("the store is closed".into())),
        }
    }

    /// After a failure the file has to be opened anew before anything else can be read or written.
    fn fail(&mut self, fault: &Fault) {
        if !std::mem::replace(&mut self.is_down, true) {
            let what = self.store.layout.what;
            log::error!("{what} cannot be written, and more is refused until it can: {}", fault.0);
        }
        // A statement of its own: who reads takes this lock while holding the file's, so the file must not
        // be waited for under it.
        *self.store.failure.lock() = Some(fault.0.clone());
        self.store.close();
        // At once: what is going to be refused should be gone from the disk before anybody is told, and
        // whoever reads should not have to wait.
        self.reopen();
        self.try_again_at = Some(Instant::now() + TRY_AGAIN);
    }

    /// Opens the file anew, without what was refused, and says whether it could.
    fn reopen(&self) -> bool {
        let Layout { newest, cut_back, .. } = self.store.layout;
        let opened = guarded(|| -> Result<Database, Fault> {
            let database = (self.opener)().map_err(Fault)?;
            let newest = database.begin_read().map_err(redb::Error::from).and_then(|txn| newest(&txn))?;
            if newest > self.acknowledged {
                write(&database, Durability::Immediate, |txn| cut_back(txn, self.acknowledged))?;
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
