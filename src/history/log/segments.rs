//! The segments that there are, without a gap from the first to the last, and how much of each is still kept.

use super::segment::Segment;
use std::collections::VecDeque;
use std::sync::Arc;

/// A segment, and what of it is kept.
struct Held {
    segment: Arc<Segment>,
    /// What its events' records take.
    event_bytes: u64,
    /// What the records of those take that are still kept.
    kept_bytes: u64,
}

/// See the module.
#[derive(Default)]
pub(super) struct Segments(VecDeque<Held>);

impl Segments {
    pub(super) fn push(&mut self, segment: Arc<Segment>) {
        debug_assert!(self.0.back().is_none_or(|last| last.segment.number + 1 == segment.number));
        self.0.push_back(Held { segment, event_bytes: 0, kept_bytes: 0 });
    }

    /// Lets the oldest go.
    pub(super) fn pop_first(&mut self) -> Option<Arc<Segment>> {
        self.0.pop_front().map(|held| held.segment)
    }

    pub(super) fn first(&self) -> Option<&Arc<Segment>> {
        self.0.front().map(|held| &held.segment)
    }

    pub(super) fn last(&self) -> Option<&Arc<Segment>> {
        self.0.back().map(|held| &held.segment)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The segment with these lowest bits of its number.
    pub(super) fn get(&self, number: u16) -> Option<&Arc<Segment>> {
        Some(&self.0.get(self.index(number)?)?.segment)
    }

    pub(super) fn note_kept(&mut self, number: u64, record_bytes: usize) {
        if let Some(index) = self.index(number as u16)
            && let Some(held) = self.0.get_mut(index)
        {
            held.event_bytes += record_bytes as u64;
            held.kept_bytes += record_bytes as u64;
        }
    }

    /// The same for a record that is not kept.
    pub(super) fn note_not_kept(&mut self, number: u64, record_bytes: usize) {
        if let Some(index) = self.index(number as u16)
            && let Some(held) = self.0.get_mut(index)
        {
            held.event_bytes += record_bytes as u64;
        }
    }

    pub(super) fn note_gone(&mut self, number: u16, record_bytes: usize) {
        if let Some(index) = self.index(number)
            && let Some(held) = self.0.get_mut(index)
        {
            held.kept_bytes = held.kept_bytes.saturating_sub(record_bytes as u64);
        }
    }

    /// Counts the oldest segment as one that keeps nothing.
    pub(super) fn clear_first(&mut self) {
        self.0.iter_mut().take(1).for_each(|held| held.kept_bytes = 0);
    }

    /// How many of the oldest segments keep nothing. The newest is not one of them: it is written to.
    pub(super) fn empty(&self) -> usize {
        let older = self.0.iter().take(self.0.len().saturating_sub(1));
        older.take_while(|held| held.kept_bytes == 0).count()
    }

    /// The bytes of events that are kept, and of those that are not.
    pub(super) fn bytes(&self) -> (u64, u64) {
        let kept: u64 = self.0.iter().map(|held| held.kept_bytes).sum();
        (kept, self.0.iter().map(|held| held.event_bytes).sum::<u64>() - kept)
    }

    fn index(&self, number: u16) -> Option<usize> {
        let first = self.0.front()?.segment.number as u16;
        Some(usize::from(number.wrapping_sub(first)))
    }
}
