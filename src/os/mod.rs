//! Calls to the kernel, and threads: what the standard library does not offer.

pub(crate) mod clock;
pub(crate) mod sync;
pub(crate) mod deadline;
pub(crate) mod kernel;
pub(crate) mod random;
pub(crate) mod memory;
pub(crate) mod refusals;
pub mod threads;
pub(crate) mod pool;
pub(crate) mod rest;
pub mod usage;
