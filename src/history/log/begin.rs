//! How the thread that writes begins and ends: with a log, with a segment, and with a failure.

use super::active::{self, Active};
use super::fault::Fault;
use super::record::Encoder;
use super::recover::{Last, Recovered, recover};
use super::segment::Kind;
use super::state::{Boot, Passed, State};
use super::writer::{SEGMENT_BYTES, Writer};
use super::{Kept, Shared};
use crate::disk::Folder;
use crate::event::Id;
use crate::history::edges::Edges;
use crate::history::retention::{Bounds, Shelf};
use crate::history::{Durability, next_id, now, to_nanos};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long writing is refused after a failure before it is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(1);

impl Writer {
    /// Opens the log, and gives what readers share with the writer. Where it cannot be written, as on a full disk, it
    /// is read nevertheless, and writing is tried again like after any other failure. The error is for the operator: the
    /// log cannot be read.
    pub(super) fn open(
        folder: Arc<dyn Folder>,
        bounds: Bounds,
        durability: Durability,
    ) -> Result<(Writer, Arc<Shared>), Fault> {
        let Recovered { mut index, retention, last, leftovers } = recover(&*folder, bounds)?;
        let clock = to_nanos(now());
        let (given, passed) = match &last {
            Some(Last { state, commit, .. }) => {
                // A start begins beyond everything that may ever have been given.
                let given = index.newest().unwrap_or_default().max(commit.given_through);
                (given, Passed::resume(state, commit.passed, commit.at, clock))
            }
            // An empty history does not know which ids were given before it. Where ids have come to their end,
            // publishing says so.
            None => (next_id(Id::default(), now()).unwrap_or(Id::MAX), Passed::new(Duration::ZERO)),
        };
        if last.is_none() {
            index.edges = Edges::new(given);
        }
        let shared = Arc::new(Shared::new(Kept { index, retention }, given));
        let mut writer = Writer {
            folder,
            durability,
            shared: shared.clone(),
            active: None,
            segment_bytes: *SEGMENT_BYTES.start(),
            given,
            written: given,
            noted: given,
            passed,
            unsynced_since: None,
            try_again_at: None,
            is_down: false,
            is_stuck: false,
            is_busy: true,
            index_events: 0,
        };
        writer.trim(usize::MAX);
        writer.choose_segment_bytes();
        if let Err(fault) = writer.begin(last) {
            writer.fail(&fault);
        }
        for name in leftovers {
            // What is left goes with the next start.
            let _ = writer.folder.remove(&name);
        }
        Ok((writer, shared))
    }

    /// Goes on with the last segment, or begins a new one, and notes there where ids go on.
    fn begin(&mut self, last: Option<Last>) -> Result<(), Fault> {
        let Some(Last { kind, end, .. }) = last else { return self.begin_segment() };
        let segment = self.shared.kept.read().index.segments.last().expect("there is a last one").clone();
        let is_reopened = kind == Kind::Sealed && end < self.segment_bytes;
        self.active = Some(Active::ended(segment.clone(), end, kind == Kind::Sealed && !is_reopened));
        if is_reopened {
            self.active = Some(Active::reopen(&*self.folder, segment, end, 2 * self.segment_bytes)?);
            return self.write_state(0);
        }
        // What stands behind its end was never acknowledged, and is not written over: a piece of it that comes back with
        // a power cut must not be taken for a record. What stands before may not have been synced by a process that was
        // killed.
        segment.file.sync().map_err(|error| Fault::io("write", &segment.path, &error))?;
        self.begin_segment()
    }

    /// What holds now, as it is written to the log. Segments before `first` do not count.
    fn state(&self, first: u64, previous_end: u64) -> State {
        let edges = self.shared.kept.read().index.edges.clone();
        State { first, previous_end, edges, passed: self.passed.now(), boot: Boot::now() }
    }

    /// Writes what holds now, and that so many of the oldest segments do not count any more. It is on disk when this
    /// returns.
    pub(super) fn write_state(&mut self, segments_gone: usize) -> Result<(), Fault> {
        let active = self.active.as_ref().expect("it is there unless writing is refused");
        let mut encoder = Encoder::new(active.segment.salt, active.end);
        let first = self.first_segment().unwrap_or(active.segment.number);
        encoder.state(&self.state(first + segments_gone as u64, 0).encode());
        self.write(encoder)?;
        self.sync()
    }

    /// Drops the events behind this offset of a segment that was given up: they were acknowledged before they were on
    /// disk, and could not be read to be written once more. A browser that saw one is told of a gap.
    fn forget_lost(&self, segment: u64, offset: u64) {
        let Kept { index, retention } = &mut *self.shared.kept.write();
        let lost = index.behind(segment, offset);
        if lost.is_empty() {
            return;
        }
        log::error!("{} events are lost that were acknowledged and not yet on disk", lost.len());
        for id in lost {
            let row = index.row(id);
            row.topics.iter().for_each(|topic| {
                index.unlist(topic, id, &row);
                retention.note_lost(topic, &row);
            });
            index.remove(id, &row);
            retention.note_removed(id, &row);
        }
    }

    fn first_segment(&self) -> Option<u64> {
        self.shared.kept.read().index.segments.first().map(|segment| segment.number)
    }

    /// Begins a new segment and seals the one before it. What was acknowledged and is not on disk is written once more,
    /// to the new one.
    pub(super) fn begin_segment(&mut self) -> Result<(), Fault> {
        let before = self.active.as_ref();
        let number = before.map_or(1, |active| active.segment.number + 1);
        let state =
            self.state(self.first_segment().unwrap_or(number), before.map_or(0, |active| active.synced));
        let commit = self.next_commit(0);
        let unsynced = before.and_then(Active::unsynced);
        let (folder, length_max) = (self.folder.clone(), 2 * self.segment_bytes);
        let mut moved = Vec::new();
        let more = |encoder: &mut Encoder| {
            moved = unsynced.map(|unsynced| unsynced.copy_to(encoder)).unwrap_or_default();
        };
        let active = Active::create(&*folder, number, length_max, &state, commit, more)?;
        folder.check().map_err(Fault)?;
        {
            let index = &mut self.shared.kept.write().index;
            index.segments.push(active.segment.clone());
            moved.iter().for_each(|moved| index.move_to(moved, number));
        }
        if let Some(before) = &self.active {
            self.forget_lost(before.segment.number, before.synced);
        }
        let before = self.active.replace(active);
        self.written = commit.given_through;
        self.note_synced();
        if let Some(before) = before.filter(|before| !before.is_sealed)
            && let Err(fault) = active::seal(&*folder, &before.segment, before.synced)
        {
            // It is complete nevertheless: the new segment says where it ends.
            log::warn!("a part of the history stays as it is, and makes the next start slower: {fault}");
        }
        Ok(())
    }

    /// After a failure, and once [`TRY_AGAIN`] has passed, tries whether the log can be written again.
    pub(super) fn try_again(&mut self) {
        if self.try_again_at.is_none_or(|at| Instant::now() < at) {
            return;
        }
        match self.folder.check().map_err(Fault).and_then(|()| self.begin_segment()) {
            Ok(()) => {
                self.try_again_at = None;
                self.shared.view.lock().failure = None;
                self.is_down = false;
                log::warn!("the history can be written again");
            }
            Err(fault) => self.fail(&fault),
        }
    }

    /// Notes a failure. The segment that was written to is given up.
    pub(super) fn fail(&mut self, fault: &Fault) {
        if !std::mem::replace(&mut self.is_down, true) {
            log::error!("the history cannot be written, and more is refused until it can: {fault}");
        }
        self.shared.view.lock().failure = Some(fault.0.clone());
        self.try_again_at = Some(Instant::now() + TRY_AGAIN);
    }

    /// Seals the log, as the last act of the thread.
    pub(super) fn close(&mut self) {
        let sealed = match self.try_again_at {
            Some(_) => self.begin_segment(),
            None => Ok(()),
        };
        let sealed = sealed.and_then(|()| {
            // What was given is known, and nothing beyond it is given any more.
            self.durability = Durability::Strict;
            self.write_state(0)?;
            let active = self.active.as_mut().expect("it is there unless writing is refused");
            active.seal(&*self.folder)
        });
        if let Err(fault) = sealed {
            log::error!("failed to close the history: {fault}");
        }
        self.shared.view.lock().failure = Some("the server is stopping".into());
    }
}
