//! Filling a history with events, as fast as the server takes them.

use std::thread;
use std::time::Duration;

use anyhow::Result;

use crate::clock::Clock;
use crate::publisher::PipelinedPublisher;
use crate::wire::target::Target;

/// Connections, and requests without an answer on each: enough that many events share each commit.
const CONNECTIONS: usize = 64;
const UNANSWERED_MAX: u64 = 64;

/// The pause between two looks at the answers.
const PAUSE: Duration = Duration::from_micros(200);

/// Blocks until all events are answered.
pub fn fill(server: Target, events: u64, clock: Clock) -> Result<()> {
    let mut publishers: Vec<_> =
        (0..CONNECTIONS).map(|index| PipelinedPublisher::connect(server, index)).collect::<Result<_>>()?;
    let mut left = events;
    loop {
        let mut unanswered = 0;
        for publisher in &mut publishers {
            while left > 0 && publisher.unanswered() < UNANSWERED_MAX {
                publisher.publish(clock.nanos());
                left -= 1;
            }
            publisher.progress()?;
            unanswered += publisher.unanswered();
        }
        if unanswered == 0 && left == 0 {
            return Ok(());
        }
        thread::sleep(PAUSE);
    }
}
