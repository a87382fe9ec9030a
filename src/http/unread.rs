//! What answers hold together while they are made, and while their clients do not read.
//!
//! An answer that the socket does not take at once waits in memory until its client has read enough, or has stood still
//! for too long. Most are small; those that are not, as files of `--www` may be, have one bound for all, so that it does
//! not matter how many clients ask for them.

use crate::error::Error;
use crate::os::usage::memory_max;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Answers up to this size do not count: the kernel takes them at once.
const SMALL_BYTES: usize = 16 * 1024;

/// All others together take at most this share of the memory that the process may have, and in any case no more than
/// the bytes below. Past it a large answer is a 503, unless it is the only one.
const MEMORY_SHARE: u64 = 16;
const BYTES_MAX: u64 = 64 * 1024 * 1024;

/// How often an answer is in memory: as what was read or made, and as it is sent.
const COPIES: usize = 2;

static ALL: Bound = Bound { held_bytes: AtomicUsize::new(0), bytes_max: OnceLock::new() };

struct Bound {
    held_bytes: AtomicUsize,
    /// Read when it is needed first.
    bytes_max: OnceLock<usize>,
}

/// The memory of an answer, until this is dropped.
pub(super) struct Waiting {
    bound: &'static Bound,
    bytes: usize,
}

impl Waiting {
    /// An answer of so many bytes. [`Error::unavailable`] if there is no room for it.
    pub(super) fn hold(bytes: usize) -> Result<Waiting, Error> {
        ALL.hold(bytes)
    }
}

impl Bound {
    fn hold(&'static self, bytes: usize) -> Result<Waiting, Error> {
        let bytes = if bytes <= SMALL_BYTES { 0 } else { bytes.saturating_mul(COPIES) };
        let others = self.held_bytes.fetch_add(bytes, Relaxed);
        // Dropped where there is no room.
        let waiting = Waiting { bound: self, bytes };
        let bytes_max = *self.bytes_max.get_or_init(|| share(memory_max()));
        if bytes == 0 || others == 0 || others.saturating_add(bytes) <= bytes_max {
            return Ok(waiting);
        }
        Err(Error::unavailable("too many large answers are not being read at this moment"))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.bound.held_bytes.fetch_sub(self.bytes, Relaxed);
    }
}

/// What answers may hold of so much memory.
fn share(memory_bytes: u64) -> usize {
    usize::try_from((memory_bytes / MEMORY_SHARE).min(BYTES_MAX)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KB: usize = 1024;
    const MB: usize = 1024 * KB;

    #[test]
    fn answers_have_a_share_of_the_memory_and_no_more_than_so_much() {
        assert_eq!(share(160 * MB as u64), 10 * MB);
        assert_eq!(share(u64::MAX), 64 * MB);
    }

    #[test]
    fn large_answers_are_held_up_to_the_bound_small_ones_always_and_one_of_any_size() {
        static BOUND: Bound = Bound { held_bytes: AtomicUsize::new(0), bytes_max: OnceLock::new() };
        BOUND.bytes_max.set(10 * MB).unwrap();
        let hold = |bytes| BOUND.hold(bytes);
        let largest = hold(100 * MB).expect("it is the only one");
        assert!(hold(17 * KB).is_err() && hold(16 * KB).is_ok());
        drop(largest);
        // Each counts twice.
        let both = [hold(2 * MB).expect("it fits"), hold(3 * MB).expect("it fits too")];
        assert!(hold(17 * KB).is_err() && hold(0).is_ok());
        drop(both);
        assert_eq!(BOUND.held_bytes.load(Relaxed), 0, "what was refused is not held either");
    }
}
