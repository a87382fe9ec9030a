//! A team: publishers that wait for their answers, each on a thread of its own, for a fixed time.

use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use crate::clock::Clock;
use crate::publisher::WaitingPublisher;
use crate::stats::Durations;
use crate::wire::request::PublishRequest;
use crate::wire::target::Target;

/// Published before the counting begins.
const WARM_UP: Duration = Duration::from_millis(200);

pub struct Team {
    threads: Vec<JoinHandle<Result<Share>>>,
}

/// What the team did.
pub struct Work {
    /// With the warm-up.
    pub published: u64,
    pub events_per_sec: f64,
    /// From each request to its answer.
    pub waits: Durations,
}

/// What one publisher did.
struct Share {
    published: u64,
    events_per_sec: f64,
    waits_nanos: Vec<u64>,
}

impl Team {
    /// Publishes for `WARM_UP`, which is not counted, and then for `length`, which is.
    pub fn start(
        server: Target,
        publishers: usize,
        clock: Clock,
        length: Duration,
        request: fn(Target) -> PublishRequest,
    ) -> Team {
        let start = |index| {
            thread::spawn(move || {
                let publisher = WaitingPublisher::connect_with(server, index, request(server))?;
                publish(publisher, clock, length)
            })
        };
        Team { threads: (0..publishers).map(start).collect() }
    }

    pub fn is_done(&self) -> bool {
        self.threads.iter().all(JoinHandle::is_finished)
    }

    /// Blocks until it is done.
    pub fn join(self) -> Result<Work> {
        let mut published = 0;
        let mut events_per_sec = 0.0;
        let mut waits_nanos = Vec::new();
        for thread in self.threads {
            let share = thread.join().map_err(|_| anyhow!("a publisher panicked"))??;
            published += share.published;
            events_per_sec += share.events_per_sec;
            waits_nanos.extend(share.waits_nanos);
        }
        Ok(Work { published, events_per_sec, waits: Durations::new(waits_nanos) })
    }
}

fn publish(mut publisher: WaitingPublisher, clock: Clock, length: Duration) -> Result<Share> {
    let mut waits_nanos = Vec::new();
    let mut publish_until = |ends: Instant| -> Result<u64> {
        waits_nanos.clear();
        while Instant::now() < ends {
            let sent_nanos = clock.nanos();
            publisher.publish(sent_nanos)?;
            waits_nanos.push(clock.nanos() - sent_nanos);
        }
        Ok(publisher.published())
    };

    let before = publish_until(Instant::now() + WARM_UP)?;
    let started = Instant::now();
    let published = publish_until(started + length)?;
    let events_per_sec = (published - before) as f64 / started.elapsed().as_secs_f64();
    Ok(Share { published, events_per_sec, waits_nanos })
}
