//! The thread that writes: it numbers events, commits them together, hands them to the hub and
//! acknowledges them, in that order.

use super::commit::{Outcome, keep, write};
use super::inbox::{Batch, Inbox};
use super::{Durability, NAME, Shared, Stock};
use crate::disk::{Fault, Opener};
use crate::error::Error;
use crate::event::{Event, Id};
use crate::history::{Bounds, Receipt, next_id};
use crate::hub::Hub;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The most events that are trimmed in one commit beyond twice what it adds.
const TRIM_EVENTS: usize = 256;

/// With [`Durability::Relaxed`], how long an acknowledged event may be missing on disk.
const RELAXED: Duration = Duration::from_millis(100);

/// The same in bytes of data. What an unsaved commit gave back to the file is used again only when one was
/// saved, so with more than this the file would grow far beyond what is kept.
const RELAXED_BYTES: usize = 1024 * 1024;

/// How often a quiet history looks for what has grown too old.
const TIDY: Duration = Duration::from_secs(60);

/// Ids that are left out at a start, in nanoseconds: more than may have been given and lost.
const START_SKIP: u64 = 1_000_000_000;

pub(super) struct Writer {
    pub(super) opener: Opener,
    bounds: Bounds,
    durability: Durability,
    pub(super) shared: Arc<Shared>,
    /// The newest id that was given, kept or not: none is used twice.
    given: Id,
    /// What is committed but not yet on disk, since when.
    pub(super) unsaved_since: Option<Instant>,
    /// How much of it there is.
    unsaved_bytes: usize,
    /// After a failure, when to try again; until then publishing is refused without trying.
    pub(super) try_again_at: Option<Instant>,
    /// A failure was logged, and that it is over was not.
    pub(super) is_down: bool,
}

impl Writer {
    pub(super) fn new(opener: Opener, bounds: Bounds, durability: Durability, shared: Arc<Shared>) -> Writer {
        let given = Id::default();
        let (unsaved_since, unsaved_bytes, try_again_at, is_down) = (None, 0, None, false);
        Writer {
            opener,
            bounds,
            durability,
            shared,
            given,
            unsaved_since,
            unsaved_bytes,
            try_again_at,
            is_down,
        }
    }

    /// Opens the store for the first time and gives the newest id there is.
    pub(super) fn open_first(&mut self) -> Result<Id, String> {
        // Handed over before it is used: from there it is closed with care, also when this fails.
        *self.shared.database.write() = Some((self.opener)()?);
        let stock = match &*self.shared.database.read() {
            Some(database) => write(database, redb::Durability::Immediate, |tables| {
                if tables.stock.last == Id::default() {
                    // An empty history knows nothing of what was before it.
                    let birth = next_id(Id::default());
                    tables.stock = Stock { last: birth, floor: birth, oldest: birth, ..tables.stock };
                }
                Ok(())
            }),
            None => unreachable!("it was handed over just now"),
        };
        let (stock, ()) = stock.map_err(|fault| format!("failed to write `{NAME}`: {}", fault.0))?;
        self.given = Id(stock.last.0 + START_SKIP);
        let mut view = self.shared.view.lock();
        view.stock = stock;
        view.handed = stock.last;
        Ok(stock.last)
    }

    /// Ends when the inbox is closed and all that was in it is written.
    pub(super) fn run(mut self, inbox: &Inbox, hub: &Hub) {
        while let Some(batch) = inbox.take(self.pause()) {
            if !batch.events.is_empty() {
                self.publish(batch, hub);
            }
            self.tidy();
        }
        self.close();
    }

    /// How long there is nothing to do but to wait for a message.
    fn pause(&self) -> Duration {
        if let Some(at) = self.try_again_at {
            return at.saturating_duration_since(Instant::now());
        }
        match self.unsaved_since {
            Some(since) => RELAXED.saturating_sub(since.elapsed()),
            None if self.wants_trim() => Duration::ZERO,
            None => TIDY,
        }
    }

    fn publish(&mut self, batch: Batch, hub: &Hub) {
        if self.is_due() {
            self.try_again();
        }
        let answer = self.keep(&batch.events, hub).map_err(|failure| {
            Error::Unavailable(format!("it could not be kept, try again later: {failure}"))
        });
        batch.answer(answer);
    }

    /// Commits and broadcasts; the error is the cause, for whoever publishes.
    fn keep(&mut self, events: &[Event], hub: &Hub) -> Result<Vec<Receipt>, String> {
        if self.try_again_at.is_some() {
            return Err(self.shared.view.lock().failure.clone().unwrap_or_default());
        }
        let durability = match self.durability {
            Durability::Relaxed if self.unsaved_bytes < RELAXED_BYTES => redb::Durability::None,
            Durability::Relaxed | Durability::Strict => redb::Durability::Immediate,
        };
        let outcomes = self.commit(events, durability).map_err(|fault| {
            self.fail(&fault);
            fault.0
        })?;
        // Publishing is acknowledged after the event has its id and is where the history keeps it; and
        // after it is broadcast, so that whoever has the answer and asks for what comes next is not given
        // this.
        let mut receipts = Vec::with_capacity(outcomes.len());
        let mut newest = None;
        for Outcome { receipt, dispatch } in outcomes {
            receipts.push(receipt);
            if let Some(dispatch) = dispatch {
                newest = dispatch.id;
                hub.broadcast(dispatch);
            }
        }
        if let Some(newest) = newest {
            self.shared.view.lock().handed = newest;
        }
        Ok(receipts)
    }

    /// Writes what is unsaved for too long, trims what is too old, opens what had failed.
    fn tidy(&mut self) {
        if self.is_due() {
            self.try_again();
        }
        let is_unsaved = self.unsaved_since.is_some_and(|since| since.elapsed() >= RELAXED);
        if (is_unsaved || self.wants_trim())
            && self.try_again_at.is_none()
            && let Err(fault) = self.commit(&[], redb::Durability::Immediate)
        {
            self.fail(&fault);
        }
    }

    /// The last thing before the process ends.
    fn close(&mut self) {
        if self.try_again_at.is_some() {
            // What was refused may still be on the disk.
            self.reopen();
        }
        if self.unsaved_since.is_some()
            && let Err(fault) = self.commit(&[], redb::Durability::Immediate)
        {
            log::error!("failed to write the last events: {}", fault.0);
        }
        self.shared.close();
        self.shared.view.lock().failure = Some("the server is stopping".into());
    }

    fn wants_trim(&self) -> bool {
        self.shared.view.lock().stock.wants_trim(self.bounds)
    }

    pub(super) fn commit(
        &mut self,
        events: &[Event],
        durability: redb::Durability,
    ) -> Result<Vec<Outcome>, Fault> {
        let began = Instant::now();
        let database = self.shared.database.read();
        let Some(database) = &*database else { return Err(Fault("the store is closed".into())) };
        let given = &mut self.given;
        let trim_max = 2 * events.len() + TRIM_EVENTS;
        let (stock, outcomes) = write(database, durability, |tables| {
            let mut outcomes = Vec::with_capacity(events.len());
            for event in events {
                outcomes.push(keep(tables, event, given)?);
            }
            tables.trim(self.bounds, trim_max)?;
            Ok(outcomes)
        })?;
        let bytes: usize = events.iter().map(|event| event.data().len()).sum();
        (self.unsaved_since, self.unsaved_bytes) = match durability {
            redb::Durability::None => (self.unsaved_since.or(Some(began)), self.unsaved_bytes + bytes),
            _ => (None, 0),
        };
        self.try_again_at = None;
        let mut view = self.shared.view.lock();
        view.stock = stock;
        view.failure = None;
        if !events.is_empty() {
            view.commit = Some(began.elapsed());
            if std::mem::take(&mut self.is_down) {
                log::warn!("the history is written again");
            }
        }
        Ok(outcomes)
    }
}
