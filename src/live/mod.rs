//! What is true now: who is here, the present state of something, statistics.

pub mod presence;
pub mod snapshot;
