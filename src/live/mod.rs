//! What is true now: who is present, the present state of something, figures, and what is being asked for.

pub mod activity;
pub mod presence;
pub mod snapshot;
pub mod stats;
