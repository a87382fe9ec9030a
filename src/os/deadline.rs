//! A deadline that counts time without progress, and never the time of what flows.
//!
//! Progress is a least rate: within each pause so many bytes have to move. So a peer that stalls is given up after one
//! pause, one that sends or takes a byte now and then as well, and one that goes on steadily has all the time that its
//! bytes take: at most a pause for each so many of them.

use std::time::{Duration, Instant};

/// The least rate in bytes per millisecond: a kilobyte a second. What is slower counts as standing still.
const LEAST_BYTES_PER_MILLI: u128 = 1;

/// When a peer is given up, unless enough bytes move before that.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    pause: Duration,
    /// When enough had moved last.
    progress_at: Instant,
    /// What has moved since.
    bytes: usize,
}

impl Deadline {
    /// A deadline that is this far away.
    pub(crate) fn new(pause: Duration) -> Deadline {
        Deadline { pause, progress_at: Instant::now(), bytes: 0 }
    }

    /// When the peer is given up.
    pub(crate) fn at(&self) -> Instant {
        self.progress_at + self.pause
    }

    /// Whether that is now, or was before.
    pub(crate) fn has_passed(&self) -> bool {
        Instant::now() >= self.at()
    }

    /// So many bytes have moved. When they are enough, the deadline is a whole pause away again.
    pub(crate) fn note(&mut self, bytes: usize) {
        self.bytes += bytes;
        if self.bytes as u128 >= LEAST_BYTES_PER_MILLI * self.pause.as_millis() {
            *self = Deadline::new(self.pause);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_flows_moves_the_deadline_and_a_trickle_does_not() {
        let mut deadline = Deadline::new(Duration::from_secs(10));
        let first = deadline.at();
        (0..9_999).for_each(|_| deadline.note(1));
        assert_eq!(deadline.at(), first);
        deadline.note(1);
        assert!(deadline.at() > first && !deadline.has_passed());
        let second = deadline.at();
        deadline.note(9_999);
        assert_eq!(deadline.at(), second, "what was more than enough before does not count again");
        assert!(Deadline::new(Duration::ZERO).has_passed());
    }
}
