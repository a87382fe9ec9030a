//! Segments: when one is sealed, when one goes, and when what is left of one is copied.
//!
//! Events are let go one by one, in memory; segments as a whole, from the oldest on, once they keep nothing. So that a
//! few events which stay do not hold a segment, they are copied to the end of the log when more has gone than a share
//! of what is kept.

use super::active::Moved;
use super::entry::Condition;
use super::fault::Fault;
use super::record::Encoder;
use super::segment::{Kind, Window, name};
use super::shelf::event_at;
use super::writer::Writer;

/// What has gone may take this share of what is kept, and two segments.
const GONE_SHARE: u64 = 5;

/// More segments than these are made fewer where they are small, as after a machine that lost its power again and again:
/// where they hold less than this share of what a segment may.
const SEGMENTS_MAX: usize = 64;
const SMALL_SHARE: u64 = 4;

/// What is copied at once, so that nobody waits for long: events, and about so many bytes.
const COPY_EVENTS: usize = 1024;
const COPY_BYTES: usize = 512 * 1024;

/// How much is read at once of what is copied.
const PIECE_BYTES: usize = 64 * 1024;

/// A segment that keeps nothing is given back when it is as large as this, also if it is the newest.
const VOID_BYTES: u64 = 64 * 1024;

impl Writer {
    /// Does what there is to do about segments, a little at a time. Says whether it has done something, so that there may
    /// be more. A failure is one of writing.
    pub(super) fn tidy_segments(&mut self) -> Result<bool, Fault> {
        let event_bytes = self.active.as_ref().map_or(0, |active| active.event_bytes);
        if event_bytes >= self.segment_bytes {
            self.choose_segment_bytes();
        }
        let ((kept_bytes, gone_bytes), empty, count) = {
            let segments = &self.shared.kept.read().index.segments;
            (segments.bytes(), segments.empty(), segments.len())
        };
        if event_bytes >= self.segment_bytes || (kept_bytes == 0 && event_bytes >= VOID_BYTES) {
            self.sync()?;
            return self.begin_segment().map(|()| true);
        }
        if empty > 0 {
            return self.remove_first(empty).map(|()| true);
        }
        let gone_bytes_max = (kept_bytes / GONE_SHARE).max(2 * self.segment_bytes);
        let are_small = (kept_bytes + gone_bytes) / (count as u64).max(1) < self.segment_bytes / SMALL_SHARE;
        let is_wanted = gone_bytes > gone_bytes_max || (count > SEGMENTS_MAX && are_small);
        if is_wanted && count > 1 && !self.is_stuck {
            return self.copy_first();
        }
        Ok(false)
    }

    /// Removes so many of the oldest segments, which keep nothing.
    fn remove_first(&mut self, count: usize) -> Result<(), Fault> {
        self.write_state(count)?;
        for _ in 0..count {
            let Some(segment) = self.shared.kept.write().index.segments.pop_first() else { break };
            for kind in [Kind::Sealed, Kind::Open] {
                // It does not count any more. What is left of it goes with the next start.
                let _ = self.folder.remove(&name(segment.number, kind));
            }
        }
        Ok(())
    }

    /// Copies events of the oldest segment to the end of the log. Of those that were retracted the text stays behind.
    fn copy_first(&mut self) -> Result<bool, Fault> {
        let active = self.active.as_ref().expect("it is there unless writing is refused");
        let (number, mut encoder) = (active.segment.number, Encoder::new(active.segment.salt, active.end));
        let (mut window, mut moved) = (Window::default(), Vec::new());
        {
            let index = &self.shared.kept.read().index;
            let Some(first) = index.segments.first() else { return Ok(false) };
            for id in index.standing_in(first.number, COPY_EVENTS) {
                let Some(place) = index.place(id) else { continue };
                let (event, before_bytes) =
                    match event_at(&mut window, &place.segment, place.offset, PIECE_BYTES) {
                        Ok(event) => event,
                        Err(fault) => {
                            log::error!(
                                "an event cannot be copied, and holds a part of the history: {fault}"
                            );
                            self.is_stuck = true;
                            return Ok(false);
                        }
                    };
                let frame = event.frame.filter(|_| index.condition(id) == Some(Condition::Kept));
                let left_bytes = event.frame.map_or(0, <[u8]>::len) - frame.map_or(0, <[u8]>::len);
                let before = encoder.offset();
                let offset = encoder.copy_event(&event, frame);
                let record_bytes = (encoder.offset() - before) as usize;
                moved.push(Moved { id, offset, before_bytes: before_bytes - left_bytes, record_bytes });
                if encoder.bytes.len() >= COPY_BYTES {
                    break;
                }
            }
        }
        let copied_bytes = encoder.bytes.len() as u64;
        if moved.is_empty() {
            // Nothing stands there, whatever was counted.
            self.shared.kept.write().index.segments.clear_first();
            return Ok(true);
        }
        self.write(encoder)?;
        self.sync()?;
        self.note_events(copied_bytes);
        let index = &mut self.shared.kept.write().index;
        moved.iter().for_each(|moved| index.move_to(moved, number));
        Ok(true)
    }
}
