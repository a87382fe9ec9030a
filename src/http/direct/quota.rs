//! What all connections of a listener may hold together while they wait for their peers.

use crate::os::usage::memory_max;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The most bytes of one kind that all connections hold together, and the share of the memory that the process may have
/// which they take at most. What would go beyond is refused.
const BYTES_MAX: u64 = 64 * 1024 * 1024;
const MEMORY_SHARE: u64 = 16;

/// So many bytes, for all who need some.
pub(super) struct Quota {
    bytes_max: usize,
    taken: AtomicUsize,
}

/// Some of the bytes, given back when it is dropped.
pub(super) struct Share {
    quota: Arc<Quota>,
    bytes: usize,
}

impl Quota {
    /// As many bytes as this process can afford.
    pub(super) fn of_memory() -> Arc<Quota> {
        Quota::new(usize::try_from(BYTES_MAX.min(memory_max() / MEMORY_SHARE)).unwrap_or(usize::MAX))
    }

    fn new(bytes_max: usize) -> Arc<Quota> {
        Arc::new(Quota { bytes_max, taken: AtomicUsize::new(0) })
    }

    /// Takes so many bytes. None if they are not left.
    pub(super) fn take(self: &Arc<Quota>, bytes: usize) -> Option<Share> {
        // Counted first, so that two who come at once cannot share the last ones; dropping it gives them back.
        let share = Share { quota: self.clone(), bytes };
        let taken = self.taken.fetch_add(bytes, Relaxed) + bytes;
        (bytes == 0 || taken <= self.bytes_max).then_some(share)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.quota.taken.fetch_sub(self.bytes, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_given_until_the_quota_is_used_up_and_again_when_they_come_back() {
        let quota = Quota::new(100);
        let first = quota.take(60).expect("it fits");
        assert!(quota.take(41).is_none());
        let second = quota.take(40).expect("it fits too");
        assert!(quota.take(1).is_none() && quota.take(0).is_some());
        drop((first, second));
        assert!(quota.take(100).is_some());
    }
}
