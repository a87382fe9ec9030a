//! The thread that writes, when the disk fails: it opens the store anew until that works.
//!
//! What was refused is gone from the disk before anybody reads there again, and meanwhile nobody waits:
//! publishing is refused at once.

use super::commit::{newest, write};
use super::writer::Writer;
use crate::disk::{DAMAGED, Fault, guarded};
use std::time::{Duration, Instant};

/// How long publishing is refused after a failure, until it is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(1);

impl Writer {
    /// Whether it is time to try again after a failure.
    pub(super) fn is_due(&self) -> bool {
        self.try_again_at.is_some_and(|at| Instant::now() >= at)
    }

    /// After a failure the store has to be opened anew before anything else can be read or written.
    /// Publishing is refused for a while, then tried again.
    pub(super) fn fail(&mut self, fault: &Fault) {
        if !std::mem::replace(&mut self.is_down, true) {
            log::error!("the history cannot be written, publishing is refused until it can: {}", fault.0);
        }
        // A statement of its own: who reads takes the view's lock while holding the store's, so the store
        // must not be waited for under it.
        self.shared.view.lock().failure = Some(fault.0.clone());
        self.unsaved_since = None;
        self.shared.close();
        // At once: what is going to be refused should be gone from the disk before anybody is told, and
        // whoever reads should not have to wait.
        self.reopen();
        self.try_again_at = Some(Instant::now() + TRY_AGAIN);
    }

    /// Opens the store if that failed, and writes, to see whether the failure is over.
    pub(super) fn try_again(&mut self) {
        self.try_again_at = Some(Instant::now() + TRY_AGAIN);
        let is_open = self.shared.database.read().is_some();
        if (is_open || self.reopen())
            && let Err(fault) = self.commit(&[], redb::Durability::Immediate)
        {
            self.fail(&fault);
        }
    }

    /// Opens the store anew and says whether it could. What was refused may have reached the disk all
    /// the same; it must not appear later.
    pub(super) fn reopen(&mut self) -> bool {
        let handed = self.shared.view.lock().handed;
        let opened = guarded(|| {
            let database = (self.opener)()?;
            let newest = newest(&database).map_err(|fault| fault.0)?;
            if newest.is_some_and(|id| id > handed) {
                write(&database, redb::Durability::Immediate, |tables| tables.cut_back(handed))
                    .map_err(|fault| fault.0)?;
            }
            Ok(database)
        });
        match opened.unwrap_or_else(|| Err(DAMAGED.into())) {
            Ok(database) => *self.shared.database.write() = Some(database),
            Err(failure) => {
                self.shared.view.lock().failure = Some(failure);
                return false;
            }
        }
        true
    }
}
