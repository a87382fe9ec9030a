//! The segment that is written to.
//!
//! A commit is one write behind the end, and one sync. The file is made longer ahead of time, with zeros: then a sync
//! writes the data alone, and not the file's new length as well, which costs file systems two writes more. The zeros
//! are written page by page, since some file systems keep what is written at once together and write it as a whole
//! again when a part of it changes.
//!
//! Whatever fails, the segment is given up: what was written and not synced may be on disk or not, and a second sync
//! that succeeds says nothing about it (the kernel forgets what it failed to write). The next segment says where this
//! one ends, so that what was refused does not count, wherever it is. Until there is a next one zeros in its place say
//! so to a process that is started meanwhile.

use super::fault::Fault;
use super::record::{Commit, Encoder, Record};
use super::segment::{HEADER_BYTES, Kind, Segment, Window, name};
use super::state::State;
use super::summary::Summary;
use crate::disk::Folder;
use crate::event::Id;
use std::io;
use std::sync::Arc;

/// The file is made longer by this much at a time.
const STEP_BYTES: u64 = 256 * 1024;

/// A commit that is so large costs less than writing its place twice does.
const LARGE_BYTES: u64 = 64 * 1024;

/// What is written at once of the zeros.
const PAGE_BYTES: u64 = 4096;

pub(super) struct Active {
    pub(super) segment: Arc<Segment>,
    /// Where the last commit ends that was written as a whole.
    pub(super) end: u64,
    /// What stands before this is on disk.
    pub(super) synced: u64,
    /// How long the file is.
    length: u64,
    /// How long the file is made at most ahead of time.
    pub(super) length_max: u64,
    /// What commits of events took. At a size of that it is sealed.
    pub(super) event_bytes: u64,
    /// Nothing is written to it any more.
    pub(super) is_sealed: bool,
}

/// An event that was written once more: its id, where it stands now, and what its record took before and takes now.
pub(super) struct Moved {
    pub(super) id: Id,
    pub(super) offset: u64,
    pub(super) before_bytes: usize,
    pub(super) record_bytes: usize,
}

/// What of a segment was written and not synced.
pub(super) struct Unsynced {
    segment: Arc<Segment>,
    from: u64,
    to: u64,
}

impl Unsynced {
    /// Writes the events and retractions once more. What cannot be read is left out.
    pub(super) fn copy_to(&self, encoder: &mut Encoder) -> Vec<Moved> {
        let (mut offset, mut moved, mut window) = (self.from, Vec::new(), Window::default());
        while offset < self.to {
            let piece_bytes = (self.to - offset) as usize;
            let Ok((record, before_bytes)) = window.record(&self.segment, offset, piece_bytes) else { break };
            offset += before_bytes as u64;
            match record {
                Record::Event(event) => {
                    let (id, before) = (event.id, encoder.offset());
                    let offset = encoder.copy_event(&event, event.frame);
                    let record_bytes = (encoder.offset() - before) as usize;
                    moved.push(Moved { id, offset, before_bytes, record_bytes });
                }
                Record::Retraction(ids) => encoder.copy_retraction(ids),
                Record::State(_) | Record::Commit(_) | Record::Summary(_) => {}
            }
        }
        moved
    }
}

impl Active {
    /// Makes a new segment that begins with this state and these records; it is on disk when this returns. The state
    /// says where the segment before it ends.
    pub(super) fn create(
        folder: &dyn Folder,
        number: u64,
        length_max: u64,
        state: &State,
        commit: Commit,
        more: impl FnOnce(&mut Encoder),
    ) -> Result<Active, Fault> {
        let (segment, header) = Segment::create(folder, number)?;
        let mut encoder = Encoder::new(segment.salt, HEADER_BYTES);
        encoder.state(&state.encode());
        let event_bytes = encoder.bytes.len() as u64;
        more(&mut encoder);
        let event_bytes = encoder.bytes.len() as u64 - event_bytes;
        encoder.commit(&commit);
        let end = encoder.offset();
        let (unfinished, open) = (name(number, Kind::Unfinished), name(number, Kind::Open));
        let path = segment.path.clone();
        let segment = Arc::new(segment);
        let mut active =
            Active { segment, end: 0, synced: 0, length: 0, length_max, event_bytes, is_sealed: false };
        let written = (|| {
            active.write_behind(&[&header[..], &encoder.bytes].concat())?;
            active.sync()?;
            folder.rename(&unfinished, &open)?;
            folder.sync()
        })();
        if let Err(error) = written {
            // It does not count under this name, and is made anew.
            let _ = folder.remove(&unfinished);
            return Err(Fault::io("write", &path, &error));
        }
        debug_assert_eq!(active.end, end);
        Ok(active)
    }

    /// Goes on with a sealed segment, which is opened again: what stands behind its records is cut off.
    pub(super) fn reopen(
        folder: &dyn Folder,
        segment: Arc<Segment>,
        end: u64,
        length_max: u64,
    ) -> Result<Active, Fault> {
        let (sealed, open) = (name(segment.number, Kind::Sealed), name(segment.number, Kind::Open));
        let reopened = (|| {
            folder.rename(&sealed, &open)?;
            folder.sync()?;
            segment.file.set_length(end)?;
            segment.file.sync()
        })();
        reopened.map_err(|error| Fault::io("write", &segment.path, &error))?;
        let event_bytes = end - HEADER_BYTES;
        Ok(Active { segment, end, synced: end, length: end, length_max, event_bytes, is_sealed: false })
    }

    /// A segment whose records end here, and to which nothing is written any more.
    pub(super) fn ended(segment: Arc<Segment>, end: u64, is_sealed: bool) -> Active {
        Active { segment, end, synced: end, length: end, length_max: end, event_bytes: 0, is_sealed }
    }

    /// What was written and not synced.
    pub(super) fn unsynced(&self) -> Option<Unsynced> {
        let Active { synced: from, end: to, .. } = *self;
        (from < to).then(|| Unsynced { segment: self.segment.clone(), from, to })
    }

    /// Writes these bytes behind the end. Where that fails the segment has to be given up.
    pub(super) fn write_behind(&mut self, bytes: &[u8]) -> io::Result<()> {
        let end = self.end + bytes.len() as u64;
        if (bytes.len() as u64) < LARGE_BYTES {
            self.make_longer(end);
        }
        self.segment.file.write_at(bytes, self.end)?;
        (self.end, self.length) = (end, self.length.max(end));
        Ok(())
    }

    /// Makes the file longer than this. Where that fails, as on a full disk, writing shows what is the matter.
    fn make_longer(&mut self, end: u64) {
        if end <= self.length || end > self.length_max {
            return;
        }
        let target = end.next_multiple_of(STEP_BYTES).min(self.length_max);
        let mut offset = end.next_multiple_of(PAGE_BYTES).max(self.length.next_multiple_of(PAGE_BYTES));
        while offset + PAGE_BYTES <= target {
            if self.segment.file.write_at(&[0; PAGE_BYTES as usize], offset).is_err() {
                return;
            }
            offset += PAGE_BYTES;
            self.length = offset;
        }
    }

    /// When it returns, all that was written is on disk. Where it fails the segment has to be given up.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.segment.file.sync()?;
        self.synced = self.end;
        Ok(())
    }

    /// Says that nothing from this offset on counts, for a process that is started before the next segment says so.
    pub(super) fn take_back(&mut self, end: u64) {
        self.end = end;
        // Where even this fails, what was refused may be read by the next process.
        let _ = self.segment.file.write_at(&[0; 64], end);
        let _ = self.segment.file.sync();
    }

    /// Seals the segment: nothing is written to it any more. It is on disk when this returns.
    pub(super) fn seal(&mut self, folder: &dyn Folder) -> Result<(), Fault> {
        self.is_sealed = true;
        seal(folder, &self.segment, self.end)
    }
}

/// Seals a segment whose records end here.
pub(super) fn seal(folder: &dyn Folder, segment: &Segment, end: u64) -> Result<(), Fault> {
    let summary = Summary::scan(segment, Some(end))?;
    let mut encoder = Encoder::new(segment.salt, end);
    encoder.summary(&summary.encode());
    encoder.bytes.extend_from_slice(&Segment::trailer(end));
    let sealed = (|| {
        segment.file.write_at(&encoder.bytes, end)?;
        segment.file.set_length(end + encoder.bytes.len() as u64)?;
        segment.file.sync()?;
        folder.rename(&name(segment.number, Kind::Open), &name(segment.number, Kind::Sealed))?;
        folder.sync()
    })();
    sealed.map_err(|error| Fault::io("seal", &segment.path, &error))
}
