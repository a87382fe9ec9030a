//! How many requests of a listener are being answered.

use std::sync::Arc;

/// The count of a listener's requests: each has a guard, and the guards are references to one `Arc`,
/// which counts them.
pub(super) struct Busy(Arc<()>);

/// Counts one request as busy for as long as the guard lives, on any thread.
pub(super) struct BusyGuard {
    _counted: Arc<()>,
}

impl Busy {
    pub(super) fn new() -> Busy {
        Busy(Arc::new(()))
    }

    pub(super) fn guard(&self) -> BusyGuard {
        BusyGuard { _counted: self.0.clone() }
    }

    /// The number of guards that live.
    pub(super) fn count(&self) -> usize {
        // One reference is the counter's own.
        Arc::strong_count(&self.0) - 1
    }
}
