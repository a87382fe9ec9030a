//! Herd: 15,000 streams under 20,000 descriptors, opened as fast as they are answered, and one
//! event delivered to all of them.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::bench::Bench;
use crate::crowd::Crowd;
use crate::publisher::PipelinedPublisher;
use crate::server::Kind;
use crate::table::{Table, Target};

const STREAMS: usize = 15_000;

/// How long the event may take to reach the last stream. Who has not got it then is not counted.
const EVENT_PATIENCE: Duration = Duration::from_secs(20);

/// How long the generator waits for streams before it looks at the publisher again.
const TURN: Duration = Duration::from_millis(10);

struct Round {
    opened: usize,
    opened_secs: f64,
    reached: usize,
    reached_millis: f64,
}

pub fn run(bench: &Bench, table: &mut Table) -> Result<()> {
    let rounds = bench.alternate(1, |kind| measure(bench, kind))?;
    table.section("herd: 15,000 streams under 20,000 descriptors");
    table.row("streams opened", 0, &rounds, Target::AtLeast(STREAMS as f64), |round| round.opened as f64);
    table.row("until all are open, s", 2, &rounds, Target::None, |round| round.opened_secs);
    table.row("streams one event reached", 0, &rounds, Target::AtLeast(STREAMS as f64), |round| {
        round.reached as f64
    });
    table.row("until the last has it, ms", 0, &rounds, Target::None, |round| round.reached_millis);
    Ok(())
}

fn measure(bench: &Bench, kind: Kind) -> Result<Round> {
    let server = bench.start(kind)?;
    let started = Instant::now();
    let mut crowd = Crowd::open(server.addr(), STREAMS)?;
    let opened_secs = started.elapsed().as_secs_f64();
    let opened = crowd.open_count();

    let mut publisher = PipelinedPublisher::connect(server.addr(), 0)?;
    publisher.publish(bench.clock.nanos());
    let sent = Instant::now();
    let mut reached = 0;
    let mut reached_millis = 0.0;
    while reached < opened && sent.elapsed() < EVENT_PATIENCE {
        publisher.progress()?;
        crowd.turn(TURN, |_| {
            reached += 1;
            reached_millis = sent.elapsed().as_secs_f64() * 1e3;
        })?;
    }
    // Counted by stream: a message that came twice to one does not stand for another.
    let reached = crowd.count_with(1);
    eprintln!(
        "herd {}: {opened} opened in {opened_secs:.2} s, {reached} reached in {reached_millis:.0} ms",
        kind.name()
    );
    if let Some(cause) = crowd.failure() {
        eprintln!("herd {}: {cause:#}", kind.name());
    }
    Ok(Round { opened, opened_secs, reached, reached_millis })
}
