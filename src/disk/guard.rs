//! `redb` panics where a damaged file contradicts itself. Here a panic becomes an error like others.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Calls `redb`; gives none if it panicked. Dropping a database closes it, and has to be guarded too.
pub(crate) fn guarded<T>(call: impl FnOnce() -> T) -> Option<T> {
    let before = GUARDED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(call));
    GUARDED.set(before);
    result.ok()
}

/// Whether this thread is inside a guarded call. A panic there is reported as an error, so that a panic hook need
/// not print it.
pub fn is_guarded() -> bool {
    GUARDED.get()
}
