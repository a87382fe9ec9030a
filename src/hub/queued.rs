//! What the queues of all streams hold together.
//!
//! Each queue has its own bound, but thousands of slow browsers, each on a topic of its own, could fill as many queues.
//! So there is one for all of them: when it is reached, a queue that would take more counts as full. Bytes that many
//! queues share count once.

use crate::os::usage::memory_max;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// All queues together hold at most this share of the memory that the process may have, and one batch more.
const MEMORY_SHARE: u64 = 8;

/// What each entry of a queue takes beside its bytes.
const ENTRY_BYTES: usize = 64;

static BYTES: AtomicUsize = AtomicUsize::new(0);

/// Bytes that are counted until this is dropped.
#[derive(Debug)]
pub(super) struct Queued(usize);

impl Queued {
    pub(super) fn bytes(bytes: usize) -> Queued {
        BYTES.fetch_add(bytes, Relaxed);
        Queued(bytes)
    }

    /// One entry of a queue, without its bytes.
    pub(super) fn entry() -> Queued {
        Queued::bytes(ENTRY_BYTES)
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        BYTES.fetch_sub(self.0, Relaxed);
    }
}

/// Whether queues may take more.
pub(super) fn have_room() -> bool {
    static MAX: OnceLock<u64> = OnceLock::new();
    (BYTES.load(Relaxed) as u64) < *MAX.get_or_init(|| memory_max() / MEMORY_SHARE)
}
