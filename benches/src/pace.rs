//! Publishing at a fixed rate, on the thread that reads the streams.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::clock::Clock;
use crate::crowd::Crowd;
use crate::publisher::PipelinedPublisher;
use crate::wire::message::Message;

/// How long the crowd waits for streams before the publisher is looked at again.
const TURN: Duration = Duration::from_millis(10);

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

/// Reads on until all that was published is answered, but no longer than `patience`.
pub fn finish(crowd: &mut Crowd, publisher: &mut PipelinedPublisher, patience: Duration) -> Result<()> {
    let ends = Instant::now() + patience;
    while publisher.unanswered() > 0 && Instant::now() < ends {
        publisher.progress()?;
        crowd.turn(TURN, |_| ())?;
    }
    Ok(())
}
