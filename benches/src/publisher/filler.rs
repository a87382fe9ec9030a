//! Filling a history: so many events, as fast as the server takes them.

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use anyhow::Result;

use crate::clock::Clock;
use crate::publisher::PipelinedPublisher;

/// Connections, and requests under way on each: enough that a server which shares a commit among all
/// that wait for it finds many.
const CONNECTIONS: usize = 64;
const UNANSWERED_MAX: u64 = 64;

/// How long answers may gather before they are read.
const PAUSE: Duration = Duration::from_micros(200);

/// Blocks until all are answered.
pub fn fill(server: SocketAddr, events: u64, clock: Clock) -> Result<()> {
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
