//! Publish: one listener, and publishers that wait for each answer before the next request.
//!
//! Each publisher has a thread; the listener is read as events come.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use crate::bench::Bench;
use crate::clock::Clock;
use crate::crowd::{Crowd, Faults};
use crate::publisher::WaitingPublisher;
use crate::server::Kind;
use crate::table::{Table, Target};

const PUBLISHERS_FEW: usize = 1;
const PUBLISHERS_MANY: usize = 8;

/// What is published before the counting begins.
const WARM_UP: Duration = Duration::from_millis(200);

/// How long the listener waits for events before it looks whether the publishers are done.
const TURN: Duration = Duration::from_millis(10);

/// How long what was published last may take to arrive.
const SETTLE_PATIENCE: Duration = Duration::from_secs(2);

struct Round {
    requests_per_sec: f64,
    faults: Faults,
}

/// What one publisher did.
struct Count {
    published: u64,
    requests_per_sec: f64,
}

pub fn run(bench: &Bench, table: &mut Table) -> Result<()> {
    table.section("publish: one listener, keep-alive publishers, 100 bytes");
    run_with(bench, table, PUBLISHERS_FEW, "1 publisher: requests per second", 2.5)?;
    run_with(bench, table, PUBLISHERS_MANY, "8 publishers: requests per second", 1.1)
}

fn run_with(
    bench: &Bench,
    table: &mut Table,
    publishers: usize,
    figure: &'static str,
    ratio_min: f64,
) -> Result<()> {
    let rounds = bench.alternate(bench.effort.publish_rounds, |kind| measure(bench, kind, publishers))?;
    table.row(figure, 0, &rounds, Target::RatioAtLeast(ratio_min), |round| round.requests_per_sec);
    table.sum("lost, doubled or torn", &rounds, Target::AtMost(0.0), |round| round.faults.count() as f64);
    Ok(())
}

fn measure(bench: &Bench, kind: Kind, publishers: usize) -> Result<Round> {
    let server = bench.start(kind)?;
    let addr = server.addr();
    let mut crowd = Crowd::gather(addr, 1, bench.clock)?;
    let (clock, length) = (bench.clock, bench.effort.publish);

    let threads: Vec<_> =
        (0..publishers).map(|index| thread::spawn(move || publish(addr, index, clock, length))).collect();
    while threads.iter().any(|thread| !thread.is_finished()) {
        crowd.turn(TURN, |_| ())?;
    }
    let mut published = 0;
    let mut requests_per_sec = 0.0;
    for thread in threads {
        let count = thread.join().map_err(|_| anyhow!("a publisher panicked"))??;
        published += count.published;
        requests_per_sec += count.requests_per_sec;
    }
    let faults = crowd.settle(published, SETTLE_PATIENCE)?;
    eprintln!("publish {}: {publishers} publishers, {requests_per_sec:.0} requests/s, {faults}", kind.name());
    Ok(Round { requests_per_sec, faults })
}

/// Publishes for `WARM_UP` and then for `length`, which is counted.
fn publish(server: SocketAddr, index: usize, clock: Clock, length: Duration) -> Result<Count> {
    let mut publisher = WaitingPublisher::connect(server, index)?;
    let mut publish_until = |ends: Instant| -> Result<u64> {
        while Instant::now() < ends {
            publisher.publish(clock.nanos())?;
        }
        Ok(publisher.published())
    };

    let before = publish_until(Instant::now() + WARM_UP)?;
    let started = Instant::now();
    let published = publish_until(started + length)?;
    Ok(Count { published, requests_per_sec: (published - before) as f64 / started.elapsed().as_secs_f64() })
}
