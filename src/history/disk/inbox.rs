//! Where events wait for the commit that they are going to share.
//!
//! While one commit is being written the next events gather here. Whoever published them waits for the
//! one answer to them all, so that the thread that writes makes one system call for it and not one each.

use crate::error::Error;
use crate::event::Event;
use crate::history::Receipt;
use parking_lot::{Condvar, Mutex};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// The most events, and about the most bytes of data, that share a commit. While so many are waiting,
/// whoever has one more waits too.
const COMMIT_EVENTS: usize = 1024;
const COMMIT_BYTES: usize = 1024 * 1024;

/// What became of the events of a batch, in their order.
type Answer = Result<Vec<Receipt>, Error>;

/// The way to the thread that writes.
#[derive(Default)]
pub(super) struct Inbox {
    waiting: Mutex<Waiting>,
    /// Something is there for the thread that writes.
    filled: Condvar,
    /// It took what was there.
    emptied: Condvar,
}

#[derive(Default)]
struct Waiting {
    batch: Batch,
    is_closed: bool,
}

/// Events that share a commit.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) events: Vec<Event>,
    bytes: usize,
    answer: Arc<OnceLock<Answer>>,
}

impl Inbox {
    /// Hands an event over and waits for what becomes of it.
    pub(super) fn publish(&self, event: Event) -> Result<Receipt, Error> {
        let mut waiting = self.waiting.lock();
        self.emptied.wait_while(&mut waiting, |waiting| waiting.batch.is_full() && !waiting.is_closed);
        if waiting.is_closed {
            return Err(Error::Unavailable("the server is stopping".into()));
        }
        let batch = &mut waiting.batch;
        let place = batch.events.len();
        batch.bytes += event.data().len();
        batch.events.push(event);
        let answer = batch.answer.clone();
        drop(waiting);
        if place == 0 {
            self.filled.notify_one();
        }
        answer.wait().as_ref().map(|receipts| receipts[place].clone()).map_err(Error::clone)
    }

    /// Takes nothing more. What is there already is still written.
    pub(super) fn close(&self) {
        self.waiting.lock().is_closed = true;
        self.filled.notify_one();
        self.emptied.notify_all();
    }

    /// Takes what is there; waits for it, but not longer than `pause`, after which there may be nothing.
    /// None when nothing will ever come.
    pub(super) fn take(&self, pause: Duration) -> Option<Batch> {
        let mut waiting = self.waiting.lock();
        let is_quiet = |waiting: &mut Waiting| waiting.batch.events.is_empty() && !waiting.is_closed;
        self.filled.wait_while_for(&mut waiting, is_quiet, pause);
        if waiting.batch.events.is_empty() && waiting.is_closed {
            return None;
        }
        let batch = std::mem::take(&mut waiting.batch);
        drop(waiting);
        if batch.is_full() {
            self.emptied.notify_all();
        }
        Some(batch)
    }
}

impl Batch {
    fn is_full(&self) -> bool {
        self.events.len() >= COMMIT_EVENTS || self.bytes >= COMMIT_BYTES
    }

    /// Tells all who wait for it.
    pub(super) fn answer(self, answer: Answer) {
        // It is set once, here.
        let _ = self.answer.set(answer);
    }
}
