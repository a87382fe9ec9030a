//! A team: publishers that wait for their answers, each on a thread of its own.

use std::net::SocketAddr;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use crate::clock::Clock;
use crate::publisher::WaitingPublisher;
use crate::stats::percentile;
use crate::wire::request::PublishRequest;

/// What is published before the counting begins.
const WARM_UP: Duration = Duration::from_millis(200);

pub struct Team {
    threads: Vec<JoinHandle<Result<Work>>>,
}

/// What a publisher did, or all of them together.
#[derive(Default)]
pub struct Work {
    /// With what was published to warm up.
    pub published: u64,
    pub requests_per_sec: f64,
    /// From a request to its answer.
    waits_nanos: Vec<u64>,
}

impl Team {
    /// Publishes for `WARM_UP` and then for `length`, which is counted.
    pub fn start(
        server: SocketAddr,
        publishers: usize,
        clock: Clock,
        length: Duration,
        request: fn(SocketAddr) -> PublishRequest,
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
        let mut all = Work::default();
        for thread in self.threads {
            let work = thread.join().map_err(|_| anyhow!("a publisher panicked"))??;
            all.published += work.published;
            all.requests_per_sec += work.requests_per_sec;
            all.waits_nanos.extend(work.waits_nanos);
        }
        all.waits_nanos.sort_unstable();
        Ok(all)
    }
}

impl Work {
    /// The wait that all but one in a hundred requests did not exceed.
    pub fn p99_millis(&self) -> f64 {
        percentile(&self.waits_nanos, 0.99) as f64 / 1e6
    }
}

fn publish(mut publisher: WaitingPublisher, clock: Clock, length: Duration) -> Result<Work> {
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
    let requests_per_sec = (published - before) as f64 / started.elapsed().as_secs_f64();
    Ok(Work { published, requests_per_sec, waits_nanos })
}
