//! Live state: presence, snapshots, statistics and recent requests.

pub mod activity;
pub mod presence;
pub mod snapshot;
pub mod stats;
