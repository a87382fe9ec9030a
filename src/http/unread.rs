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

static BYTES: AtomicUsize = AtomicUsize::new(0);

/// The memory of an answer, until this is dropped.
pub(super) struct Waiting(usize);

impl Waiting {
    /// An answer of so many bytes. [`Error::Unavailable`] if there is no room for it.
    pub(super) fn hold(bytes: usize) -> Result<Waiting, Error> {
        static MAX: OnceLock<usize> = OnceLock::new();
        let max = || usize::try_from((memory_max() / MEMORY_SHARE).min(BYTES_MAX)).unwrap_or(usize::MAX);
        let bytes = if bytes <= SMALL_BYTES { 0 } else { bytes.saturating_mul(COPIES) };
        let others = BYTES.fetch_add(bytes, Relaxed);
        // Dropped where there is no room.
        let waiting = Waiting(bytes);
        if bytes == 0 || others == 0 || others.saturating_add(bytes) <= *MAX.get_or_init(max) {
            return Ok(waiting);
        }
        Err(Error::Unavailable("too many large answers are not being read at this moment".into()))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        BYTES.fetch_sub(self.0, Relaxed);
    }
}
