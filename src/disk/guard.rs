//! The store panics where a damaged file contradicts itself. Here that is a fault like others.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Calls the store; none if it panicked. Closing it, by dropping, is a call like others.
pub(crate) fn guarded<T>(call: impl FnOnce() -> T) -> Option<T> {
    let before = GUARDED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(call));
    GUARDED.set(before);
    result.ok()
}

/// Whether this thread is inside the store: then a panic is caught and told as an error, so a panic hook
/// has nothing to add.
pub fn is_guarded() -> bool {
    GUARDED.get()
}
