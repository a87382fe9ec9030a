//! The thread that writes: it gives events their ids, commits them together, hands them to the hub and answers the
//! callers, in that order.

use super::commit::{Outcome, carry_out};
use super::inbox::{Answers, Batch, Inbox, Jobs};
use super::reading::Reading;
use super::writing::Writing;
use super::{LAYOUT, Shared, Totals};
use crate::disk::{Opener, StoreWriter};
use crate::error::Error;
use crate::event::Id;
use crate::history::{Bounds, Durability, EVENT_OVERHEAD_BYTES, next_id, now};
use crate::hub::Hub;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The most events that are trimmed in one commit beyond twice as many as it adds. What is left is trimmed by the
/// next commits.
const TRIM_EVENTS: usize = 256;

/// With [`Durability::Relaxed`], how long an acknowledged event may be missing on disk. Then a commit saves it.
const RELAXED: Duration = Duration::from_millis(100);

/// The most bytes that unsaved commits may have written before the next commit is saved: half of what may be kept, held to these bounds. The pages that an unsaved commit gives back to the file are used again only after a
/// commit is saved, so with more the file would grow far beyond what is kept.
const RELAXED_SHARE: usize = 2;
const RELAXED_BYTES: RangeInclusive<usize> = 1024 * 1024..=16 * 1024 * 1024;

/// What a commit writes, roughly: the pages on the way to each row that it changes, and the rows of its events and of
/// those that it trims, in pages that are not full.
const COMMIT_OVERHEAD_BYTES: usize = 32 * 1024;
const EVENT_FACTOR: usize = 3;

/// How long a quiet history waits before it trims again what has grown too old: a hundredth of the age that it keeps,
/// held to these bounds.
const TIDY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// Keys of ids that are skipped at a start: more than can have been given and lost with unsaved commits.
const START_SKIP: u64 = 1_000_000_000;

pub(super) struct Writer {
    file: StoreWriter,
    bounds: Bounds,
    durability: Durability,
    shared: Arc<Shared>,
    /// The newest id that was given, whether its event was kept or refused. An id is given in one place and only
    /// grows, across restarts too.
    given: Id,
    /// Since when there are commits that are not yet saved on disk.
    unsaved_since: Option<Instant>,
    /// About how many bytes they have written.
    unsaved_bytes: usize,
}

impl Writer {
    /// Opens the store, and gives what readers share with the writer. The error is for the operator.
    pub(super) fn open(
        opener: Opener,
        bounds: Bounds,
        durability: Durability,
    ) -> Result<(Writer, Arc<Shared>), String> {
        let mut file = StoreWriter::open(opener, &LAYOUT, |txn| Writing::run(txn, begin).map(drop))?;
        let totals = file.store().read(|txn| Ok(Reading::open(txn)?.totals));
        let totals = totals.map_err(|error| error.to_string())?;
        file.acknowledged = totals.last.key();
        let shared = Arc::new(Shared::new(file.store(), totals));
        let given = Id::from_key(totals.last.key().saturating_add(START_SKIP));
        let (unsaved_since, unsaved_bytes) = (None, 0);
        let own = shared.clone();
        Ok((Writer { file, bounds, durability, shared: own, given, unsaved_since, unsaved_bytes }, shared))
    }

    /// Ends when the inbox is closed and all jobs that were in it are done.
    pub(super) fn run(mut self, inbox: &Inbox, hub: &Hub) {
        while let Some(batch) = inbox.take(self.pause()) {
            if !batch.jobs.is_empty() {
                self.handle(batch, hub);
            }
            self.tidy();
        }
        self.close();
    }

    /// How long the thread may wait for jobs before it has something else to do.
    fn pause(&self) -> Duration {
        if let Some(at) = self.file.try_again_at() {
            return at.saturating_duration_since(Instant::now());
        }
        match self.unsaved_since {
            Some(since) => RELAXED.saturating_sub(since.elapsed()),
            None if self.wants_trim() => Duration::ZERO,
            None => (self.bounds.age_max / 100).clamp(TIDY.0, TIDY.1),
        }
    }

    fn handle(&mut self, batch: Batch, hub: &Hub) {
        self.try_again();
        let answers = self.commit_and_broadcast(&batch.jobs, hub).map_err(|failure| {
            Error::Unavailable(format!("it could not be kept, try again later: {failure}"))
        });
        batch.answer(answers);
    }

    /// Commits the jobs and broadcasts their events. The error is the cause, for the callers that wait.
    fn commit_and_broadcast(&mut self, jobs: &Jobs, hub: &Hub) -> Result<Answers, String> {
        let durability = match self.durability {
            Durability::Relaxed if self.unsaved_bytes < unsaved_bytes_max(self.bounds) => {
                redb::Durability::None
            }
            Durability::Relaxed | Durability::Strict => redb::Durability::Immediate,
        };
        let began = Instant::now();
        let Outcome { answers, dispatches } = self.commit(jobs, durability)?;
        self.shared.view.lock().commit = Some(began.elapsed());
        // Publishing is acknowledged after the event has its id and is where the history keeps it; from then on every
        // read finds it. It is broadcast before that too, so that a publisher which has its answer and subscribes to
        // live events is not given this one.
        for dispatch in dispatches {
            self.file.acknowledged = dispatch.id.map_or(self.file.acknowledged, Id::key);
            hub.broadcast(dispatch);
        }
        self.shared.view.lock().handed = Id::from_key(self.file.acknowledged);
        if answers.retracted.iter().any(Result::is_ok) {
            // The commit after a retraction lets the bytes go. If it fails, that is logged, and a later one does it.
            let _ = self.commit(&Jobs::default(), durability);
        }
        Ok(answers)
    }

    /// Saves what is unsaved for too long, trims what is too old, and tries a file that failed.
    fn tidy(&mut self) {
        self.try_again();
        let is_unsaved = self.unsaved_since.is_some_and(|since| since.elapsed() >= RELAXED);
        if (is_unsaved || self.wants_trim()) && self.file.try_again_at().is_none() {
            // A failure is logged, and the file is tried again later.
            let _ = self.commit(&Jobs::default(), redb::Durability::Immediate);
        }
    }

    /// After a failure, tries whether the file works again.
    fn try_again(&mut self) {
        if self.file.try_again() {
            // Unsaved commits are lost, so the totals are read again. A failure is logged.
            let _ = self.commit(&Jobs::default(), redb::Durability::Immediate);
        }
    }

    /// Saves and closes the file, as the last act of the thread.
    fn close(&mut self) {
        if self.unsaved_since.is_some()
            && let Err(failure) = self.commit(&Jobs::default(), redb::Durability::Immediate)
        {
            log::error!("failed to write the last events: {failure}");
        }
        self.file.close();
    }

    fn wants_trim(&self) -> bool {
        self.shared.view.lock().totals.wants_trim(self.bounds)
    }

    fn commit(&mut self, jobs: &Jobs, durability: redb::Durability) -> Result<Outcome, String> {
        let began = Instant::now();
        let (bounds, given) = (self.bounds, &mut self.given);
        let committed = self.file.write(durability, |txn| {
            Writing::run(txn, |tables| {
                begin(tables)?;
                let outcome = carry_out(tables, jobs, given)?;
                tables.trim(bounds, 2 * outcome.dispatches.len() + TRIM_EVENTS)?;
                Ok(outcome)
            })
        });
        let event_bytes: usize =
            jobs.events.iter().map(|event| event.data().len() + EVENT_OVERHEAD_BYTES).sum();
        let written_bytes = COMMIT_OVERHEAD_BYTES + EVENT_FACTOR * event_bytes;
        (self.unsaved_since, self.unsaved_bytes) = match durability {
            redb::Durability::None if committed.is_ok() => {
                (self.unsaved_since.or(Some(began)), self.unsaved_bytes + written_bytes)
            }
            // All commits are saved, or those that were not are lost.
            _ => (None, 0),
        };
        let (totals, outcome) = committed?;
        self.shared.view.lock().totals = totals;
        Ok(outcome)
    }
}

/// What each transaction begins with.
fn begin(tables: &mut Writing) -> Result<(), redb::Error> {
    if tables.totals.last == Id::default() {
        // An empty history does not know which ids were given before it. Where ids have come to their end, publishing
        // says so.
        let birth = next_id(Id::default(), now()).unwrap_or(Id::MAX);
        tables.totals = Totals { last: birth, floor: birth, ..tables.totals };
    }
    tables.clear_undo()
}

/// See [`RELAXED_BYTES`]. An event takes at least twice its overhead.
fn unsaved_bytes_max(bounds: Bounds) -> usize {
    let kept_bytes_max = bounds.bytes_max.min(bounds.events_max.saturating_mul(2 * EVENT_OVERHEAD_BYTES));
    (kept_bytes_max / RELAXED_SHARE).clamp(*RELAXED_BYTES.start(), *RELAXED_BYTES.end())
}
