//! Steady: 1,000 streams, 40 events a second.
//!
//! What an event costs the server when there is time for each, and how long it takes from the send
//! of its `POST` to its reception by the generator.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::bench::Bench;
use crate::crowd::{Crowd, Faults};
use crate::meter::Meter;
use crate::publisher::PipelinedPublisher;
use crate::server::Kind;
use crate::stats::percentile;
use crate::table::{Table, Target};

const STREAMS: usize = 1000;
const EVENT_INTERVAL: Duration = Duration::from_millis(25);

/// What is sent before the measuring begins.
const WARM_UP: Duration = Duration::from_millis(500);

/// How long what was sent last may take to arrive.
const SETTLE_PATIENCE: Duration = Duration::from_secs(2);

struct Round {
    server_micros: f64,
    p50_millis: f64,
    p99_millis: f64,
    faults: Faults,
}

pub fn run(bench: &Bench, table: &mut Table) -> Result<()> {
    let rounds = bench.alternate(bench.effort.load_rounds, |kind| measure(bench, kind))?;
    table.section("steady: 1,000 streams, 40 events/s, 100 bytes");
    table.row("server CPU per delivery, µs", 2, &rounds, Target::RatioAtMost(0.7), |round| {
        round.server_micros
    });
    table.row("latency p50, ms", 2, &rounds, Target::None, |round| round.p50_millis);
    table.row("latency p99, ms", 2, &rounds, Target::RatioAtMost(1.0), |round| round.p99_millis);
    table.sum("lost, doubled or torn", &rounds, Target::AtMost(0.0), |round| round.faults.count() as f64);
    Ok(())
}

fn measure(bench: &Bench, kind: Kind) -> Result<Round> {
    let server = bench.start(kind)?;
    let mut crowd = Crowd::gather(server.addr(), STREAMS, bench.clock)?;
    let mut publisher = PipelinedPublisher::connect(server.addr(), 0)?;

    let mut latencies_nanos = Vec::new();
    let mut pace = |crowd: &mut Crowd, length: Duration| -> Result<()> {
        latencies_nanos.clear();
        let ends = Instant::now() + length;
        let mut due = Instant::now();
        while due < ends {
            let now = Instant::now();
            if now >= due {
                publisher.publish(bench.clock.nanos());
                due += EVENT_INTERVAL;
            }
            publisher.progress()?;
            crowd.turn(due.saturating_duration_since(Instant::now()), |message| {
                latencies_nanos.push(bench.clock.nanos() - message.sent_nanos);
            })?;
        }
        Ok(())
    };

    pace(&mut crowd, WARM_UP)?;
    let meter = Meter::start(&server, &crowd)?;
    pace(&mut crowd, bench.effort.load)?;
    let reading = meter.stop(&server, &crowd)?;
    let faults = crowd.settle(publisher.published(), SETTLE_PATIENCE)?;

    latencies_nanos.sort_unstable();
    let millis_at = |share| percentile(&latencies_nanos, share) as f64 / 1e6;
    let round = Round {
        server_micros: reading.server_micros_per_delivery(),
        p50_millis: millis_at(0.50),
        p99_millis: millis_at(0.99),
        faults,
    };
    eprintln!(
        "steady {}: {:.2} µs per delivery, p50 {:.2} ms, p99 {:.2} ms, {}, generator {:.2} cores",
        kind.name(),
        round.server_micros,
        round.p50_millis,
        round.p99_millis,
        round.faults,
        reading.generator_cores(),
    );
    Ok(round)
}
