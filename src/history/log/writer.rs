//! The thread that writes: it gives events their ids, commits them together, hands them to the hub and answers the
//! callers, in that order.

use super::active::Active;
use super::commit::{Added, Outcome, carry_out};
use super::fault::Fault;
use super::inbox::{Answers, Batch, Inbox, Jobs};
use super::record::{Commit, Encoder};
use super::state::Passed;
use super::{Kept, Shared};
use crate::disk::Folder;
use crate::error::Error;
use crate::event::Id;
use crate::history::{Durability, EVENT_OVERHEAD_BYTES, now, to_nanos};
use crate::hub::Hub;
use crate::os::memory;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The most events that are trimmed with one commit beyond twice as many as it adds. What is left is trimmed with the
/// next commits.
const TRIM_EVENTS: usize = 256;

/// With [`Durability::Relaxed`], how long an acknowledged event may be missing on disk. Then it is synced.
const RELAXED: Duration = Duration::from_millis(100);

/// With [`Durability::Relaxed`], the most bytes that may be written and not synced. With more, a commit waits for it.
const UNSYNCED_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// With [`Durability::Relaxed`], ids are given that no sync has noted. None of them is further ahead than this of what
/// one has noted, in nanoseconds: so a start knows where it may go on.
const AHEAD_NANOS: u64 = 60_000_000_000;

/// How long a quiet history waits before it trims again what has grown too old: a hundredth of the age that it keeps,
/// held to these bounds.
const TIDY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// A segment is sealed at this share of what the bounds let grow, held to these bounds: then the oldest, which goes as a
/// whole, is a small part of all.
const SEGMENT_SHARE: f64 = 16.0;
pub(super) const SEGMENT_BYTES: RangeInclusive<u64> = 64 * 1024..=8 * 1024 * 1024;

/// From so many events on, memory is given back when the index has grown by a quarter.
const INDEX_EVENTS: usize = 50_000;

pub(super) struct Writer {
    pub(super) folder: Arc<dyn Folder>,
    pub(super) durability: Durability,
    pub(super) shared: Arc<Shared>,
    /// None where there is none yet.
    pub(super) active: Option<Active>,
    /// See [`SEGMENT_SHARE`].
    pub(super) segment_bytes: u64,
    /// The newest id that was given, whether its event was kept or refused. An id is given in one place and only
    /// grows, across restarts too.
    pub(super) given: Id,
    /// What the last commit that was written notes about ids, and what is noted on disk: up to there ids may be given
    /// without a sync.
    pub(super) written: Id,
    pub(super) noted: Id,
    pub(super) passed: Passed,
    /// Since when there are commits that are not synced.
    pub(super) unsynced_since: Option<Instant>,
    /// After a failure, when to try again; until then writing is refused without trying.
    pub(super) try_again_at: Option<Instant>,
    /// A failure was logged, and its end was not yet.
    pub(super) is_down: bool,
    /// An event could not be copied, so no more are.
    pub(super) is_stuck: bool,
    /// There is more to do about segments.
    pub(super) is_busy: bool,
    /// How many events the index had when memory was given back.
    pub(super) index_events: usize,
}

impl Writer {
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
        if let Some(at) = self.try_again_at {
            return at.saturating_duration_since(Instant::now());
        }
        match self.unsynced_since {
            _ if self.is_busy => Duration::ZERO,
            Some(since) => RELAXED.saturating_sub(since.elapsed()),
            None => {
                let age_max = self.shared.kept.read().retention.age_min();
                (age_max / 100).clamp(TIDY.0, TIDY.1)
            }
        }
    }

    fn handle(&mut self, batch: Batch, hub: &Hub) {
        self.try_again();
        let answers = self
            .commit_and_broadcast(&batch.jobs, hub)
            .map_err(|why| Error::unavailable(format!("it could not be kept, try again later: {why}")));
        batch.answer(answers);
    }

    /// Commits the jobs and broadcasts their events. The error is the cause, for the callers that wait.
    fn commit_and_broadcast(&mut self, jobs: &Jobs, hub: &Hub) -> Result<Answers, String> {
        if self.try_again_at.is_some() {
            return Err(self.shared.view.lock().failure.clone().unwrap_or_default());
        }
        let began = Instant::now();
        let Outcome { answers, dispatches, .. } = self.commit(jobs).map_err(|fault| {
            self.fail(&fault);
            fault.0
        })?;
        if let Some(newest) = dispatches.last().and_then(|dispatch| dispatch.id) {
            self.shared.view.lock().commit = Some(began.elapsed());
            // Publishing is acknowledged after the event has its id and is where the history keeps it; from then on
            // every read finds it. It is broadcast before that too, so that a publisher which has its answer and
            // subscribes to live events is not given this one.
            dispatches.into_iter().for_each(|dispatch| hub.broadcast(dispatch));
            self.shared.view.lock().handed = newest;
        }
        Ok(answers)
    }

    /// Writes what the jobs ask for as a whole; then changes the index.
    fn commit(&mut self, jobs: &Jobs) -> Result<Outcome, Fault> {
        let active = self.active.as_ref().expect("it is there unless writing is refused");
        let mut encoder = Encoder::new(active.segment.salt, active.end);
        let number = active.segment.number;
        let mut outcome = {
            let kept = self.shared.kept.read();
            carry_out(&kept.index, jobs, &mut self.given, self.passed.now(), &mut encoder)?
        };
        if !encoder.bytes.is_empty() {
            let event_bytes = encoder.bytes.len() as u64;
            self.write(encoder)?;
            self.note_events(event_bytes);
            self.apply(number, &mut outcome);
        }
        Ok(outcome)
    }

    /// Writes a commit of these records. When it returns they are where they are acknowledged from.
    pub(super) fn write(&mut self, mut encoder: Encoder) -> Result<(), Fault> {
        let commit = self.next_commit(self.active.as_ref().map_or(0, |active| active.synced));
        encoder.commit(&commit);
        let active = self.active.as_mut().expect("it is there unless writing is refused");
        let before = active.end;
        let unsynced_bytes = encoder.offset() - active.synced;
        let is_relaxed = self.durability == Durability::Relaxed
            && self.given <= self.noted
            && unsynced_bytes <= UNSYNCED_BYTES_MAX;
        let written = active.write_behind(&encoder.bytes);
        let written = written.and_then(|()| if is_relaxed { Ok(()) } else { active.sync() });
        let path = &active.segment.path;
        let written = written.map_err(|error| Fault::io("write", path, &error));
        // Before anybody is told that it is kept.
        if let Err(fault) = written.and_then(|()| self.folder.check().map_err(Fault)) {
            active.take_back(before);
            return Err(fault);
        }
        self.written = commit.given_through;
        if is_relaxed {
            self.unsynced_since.get_or_insert_with(Instant::now);
        } else {
            self.note_synced();
        }
        Ok(())
    }

    /// The end of a commit that is written now.
    pub(super) fn next_commit(&self, synced: u64) -> Commit {
        let clock = to_nanos(now());
        let ahead = match self.durability {
            Durability::Strict => self.given,
            // The last id is never given.
            Durability::Relaxed => {
                Id::from_key(clock.max(self.given.key()).saturating_add(AHEAD_NANOS).min(u64::MAX - 1))
            }
        };
        let given_through = ahead.max(self.given);
        Commit { synced, given_through, passed: self.passed.now(), at: clock }
    }

    /// Counts what a commit of events took.
    pub(super) fn note_events(&mut self, bytes: u64) {
        self.active.iter_mut().for_each(|active| active.event_bytes += bytes);
    }

    pub(super) fn note_synced(&mut self) {
        self.noted = self.written;
        self.unsynced_since = None;
    }

    /// Changes the index as the commit on disk says, and lets go what is past the bounds.
    fn apply(&mut self, segment: u64, outcome: &mut Outcome) {
        let Kept { index, retention } = &mut *self.shared.kept.write();
        let (passed, count) = (self.passed.now(), outcome.added.len());
        for Added { id, offset, row, .. } in &outcome.added {
            index.insert(*id, segment, *offset, row);
            retention.note_added(row);
        }
        for id in outcome.taken.drain(..) {
            match index.read_row(id) {
                Ok((row, frame_bytes)) => {
                    index.retract(id, &row, frame_bytes);
                    row.topics.iter().for_each(|topic| retention.note_lost(topic, &row));
                    retention.note_retracted(id, &row, EVENT_OVERHEAD_BYTES);
                }
                Err(fault) => log::error!("a retracted event cannot be read: {fault}"),
            }
        }
        for Added { row, .. } in outcome.added.drain(..) {
            retention.settle(index, &row.topics, passed);
        }
        retention.trim(index, passed, 2 * count + TRIM_EVENTS);
        index.look_at_oldest();
    }

    /// Syncs what waits for too long, trims what is too old, and tries a log again that failed.
    fn tidy(&mut self) {
        self.try_again();
        self.is_busy = false;
        if self.try_again_at.is_none() {
            match self.sync_in_time().and_then(|()| self.tidy_segments()) {
                Ok(is_busy) => self.is_busy = is_busy,
                Err(fault) => self.fail(&fault),
            }
        }
    }

    fn sync_in_time(&mut self) -> Result<(), Fault> {
        if self.unsynced_since.is_some_and(|since| since.elapsed() >= RELAXED) {
            self.sync()?;
        }
        self.trim(TRIM_EVENTS);
        Ok(())
    }

    /// Chooses how large a segment becomes, from what is kept and how full that is.
    pub(super) fn choose_segment_bytes(&mut self) {
        let Kept { index, retention } = &*self.shared.kept.read();
        let age = index.oldest().map_or(Duration::ZERO, |oldest| oldest.age(self.passed.now()));
        let grown_bytes = index.segments.bytes().0 as f64 / retention.fullness(age).max(f64::MIN_POSITIVE);
        // A number that is out of bounds, or none, becomes one of the bounds.
        let bytes = (grown_bytes / SEGMENT_SHARE) as u64;
        self.segment_bytes = bytes.clamp(*SEGMENT_BYTES.start(), *SEGMENT_BYTES.end());
        self.active.iter_mut().for_each(|active| active.length_max = 2 * self.segment_bytes);
        // Reading a log and growing the index leave memory that is free, and that the allocator keeps.
        if index.len() > INDEX_EVENTS.max(self.index_events + self.index_events / 4) {
            self.index_events = index.len();
            memory::give_back_soon();
        }
    }

    /// Lets go what is past the bounds, but looks at no more than so many events.
    pub(super) fn trim(&self, events_max: usize) {
        let Kept { index, retention } = &mut *self.shared.kept.write();
        let passed = self.passed.now();
        retention.trim_topics(index, passed);
        retention.trim(index, passed, events_max);
        index.look_at_oldest();
    }

    /// Syncs what was written.
    pub(super) fn sync(&mut self) -> Result<(), Fault> {
        let Some(active) = &mut self.active else { return Ok(()) };
        active.sync().map_err(|error| Fault::io("write", &active.segment.path, &error))?;
        self.note_synced();
        Ok(())
    }
}
