//! The generator's clock: nanoseconds since it started, never going back.

use std::time::Instant;

#[derive(Clone, Copy)]
pub struct Clock {
    started: Instant,
}

impl Clock {
    pub fn start() -> Clock {
        Clock { started: Instant::now() }
    }

    pub fn nanos(&self) -> u64 {
        // Wraps after 584 years.
        self.started.elapsed().as_nanos() as u64
    }
}
