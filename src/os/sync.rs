//! The locks of whatever hands a connection over from thread to thread: `rest`, `pool`, the outlets and the slots.
//!
//! They come from one place so that `tests/model` can put others there, which try the threads' interleavings.

pub(crate) use parking_lot::{Condvar, Mutex};
