//! Publishing at a fixed rate, on the thread that reads the streams.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::clock::Clock;
use crate::crowd::Crowd;
use crate::publisher::PipelinedPublisher;
use crate::wire::message::Message;

/// Publishes one message every `interval` for as long as `length`. Calls `received` with every
/// message that a stream receives meanwhile, and with its age in nanoseconds.
///
/// A message that is due late is still sent, so that a slow server does not lower the rate.
pub fn pace(
    clock: Clock,
    crowd: &mut Crowd,
    publisher: &mut PipelinedPublisher,
    interval: Duration,
    length: Duration,
    mut received: impl FnMut(&Message, u64),
) -> Result<()> {
    let ends = Instant::now() + length;
    let mut due = Instant::now();
    while due < ends {
        if Instant::now() >= due {
            publisher.publish(clock.nanos());
            due += interval;
        }
        publisher.progress()?;
        crowd.turn(due.saturating_duration_since(Instant::now()), |message| {
            received(message, clock.nanos() - message.sent_nanos);
        })?;
    }
    Ok(())
}
