//! Idle: 15,000 streams under 20,000 descriptors, opened as fast as the server answers them, and one
//! event delivered to all of them; and the memory that the server needs before and after.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::bench::Bench;
use crate::crowd::Crowd;
use crate::publisher::PipelinedPublisher;
use crate::server::Kind;
use crate::stats::{KB_BYTES, MB_BYTES};
use crate::table::{Goal, Table};

const STREAMS: usize = 15_000;

/// How long the event may take to reach the last stream. A stream without it is then not counted.
const EVENT_PATIENCE: Duration = Duration::from_secs(20);

/// How long the generator waits for streams before it looks at the publisher again.
const TURN: Duration = Duration::from_millis(10);

/// How long a server is left alone before its memory is read, so that its own work after the start,
/// or after the event, is done.
const REST: Duration = Duration::from_millis(500);

struct Round {
    process_mb: f64,
    opened_secs: f64,
    reached: usize,
    reached_millis: f64,
    stream_kb: f64,
}

pub fn run(bench: &Bench, table: &mut Table) -> Result<()> {
    table.section("idle: 15,000 streams under 20,000 descriptors");
    let rounds = bench.alternate(&bench.kinds, |kind| measure(bench, kind))?;
    table.row("until all are open, s", 2, Goal::Less, &rounds, |round| round.opened_secs);
    table.row("streams that one event reached", 0, Goal::AtLeast(STREAMS as f64), &rounds, |round| {
        round.reached as f64
    });
    table.row("until the last has the event, ms", 0, Goal::Less, &rounds, |round| round.reached_millis);
    table.row("memory of the process without streams, MB", 2, Goal::AtMost(3.0), &rounds, |round| {
        round.process_mb
    });
    table.row("memory per stream, KB", 2, Goal::AtMost(18.0), &rounds, |round| round.stream_kb);
    Ok(())
}

fn measure(bench: &Bench, kind: Kind) -> Result<Round> {
    let server = bench.start(kind)?;
    thread::sleep(REST);
    let process_bytes = server.resident_bytes()? as f64;

    let started = Instant::now();
    let mut crowd = Crowd::open(server.addr(), STREAMS)?;
    let opened_secs = started.elapsed().as_secs_f64();
    let opened = crowd.open_count();
    if let Some(cause) = crowd.failure() {
        eprintln!("idle {}: {cause:#}", kind.name());
    }
    ensure!(opened > 0, "no stream opened");

    let mut publisher = PipelinedPublisher::connect(server.addr(), 0)?;
    publisher.publish(bench.clock.nanos());
    let sent = Instant::now();
    let mut received = 0;
    let mut reached_millis = 0.0;
    while received < opened && sent.elapsed() < EVENT_PATIENCE {
        publisher.progress()?;
        crowd.turn(TURN, |_| {
            received += 1;
            reached_millis = sent.elapsed().as_secs_f64() * 1e3;
        })?;
    }
    // Counted by stream: an event that came twice to one does not stand for another.
    let reached = crowd.count_with(1);

    // Each stream has had an event by now, so that the memory for the first one is included.
    thread::sleep(REST);
    let streams_bytes = server.resident_bytes()? as f64 - process_bytes;
    Ok(Round {
        process_mb: process_bytes / MB_BYTES,
        opened_secs,
        reached,
        reached_millis,
        stream_kb: streams_bytes / opened as f64 / KB_BYTES,
    })
}
