//! Memory that the allocator keeps for itself after much of it was in use at once.

use super::{kernel, threads};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

/// How long after the first stream of a crowd has left memory is given back: once for all who leave meanwhile.
const PAUSE: Duration = Duration::from_secs(2);

/// Gives memory back to the system after a while, on a thread of its own. Does not block. Meanwhile further calls do
/// nothing, so that this costs the same for one as for a crowd.
pub(crate) fn give_back_soon() {
    static IS_PENDING: AtomicBool = AtomicBool::new(false);
    if IS_PENDING.swap(true, SeqCst) {
        return;
    }
    let spawned = threads::spawn("memory", || {
        std::thread::sleep(PAUSE);
        // Before it is done: who leaves from now on is for the next time.
        IS_PENDING.store(false, SeqCst);
        kernel::trim_heap();
    });
    if spawned.is_err() {
        // The next one who leaves tries again.
        IS_PENDING.store(false, SeqCst);
    }
}
