//! Paced: 1,000 streams, 40 events a second.
//!
//! The CPU time that a delivery costs the server when there is time for each event, and how long an
//! event takes from the send of its `POST` to its reception by the generator.

use std::time::Duration;

use anyhow::Result;

use crate::bench::Bench;
use crate::crowd::{Crowd, Faults};
use crate::meter::Meter;
use crate::pace::pace;
use crate::publisher::PipelinedPublisher;
use crate::server::Kind;
use crate::stats::Durations;
use crate::table::{Goal, Table};

const STREAMS: usize = 1000;
const EVENT_INTERVAL: Duration = Duration::from_millis(25);

/// What is published before the measuring begins.
const WARM_UP: Duration = Duration::from_millis(500);

/// How long the last events may take to arrive.
const SETTLE_PATIENCE: Duration = Duration::from_secs(2);

struct Round {
    server_micros: f64,
    p50_millis: f64,
    p99_millis: f64,
    faults: Faults,
}

pub fn run(bench: &Bench, table: &mut Table) -> Result<()> {
    table.section("paced: 1,000 streams, 40 events/s, 100 bytes");
    let rounds = bench.alternate(&bench.kinds, |kind| measure(bench, kind))?;
    table.row("server CPU per delivery, µs", 2, Goal::AtMostTimesAxum(0.7), &rounds, |round| {
        round.server_micros
    });
    table.row("latency p50, ms", 2, Goal::Less, &rounds, |round| round.p50_millis);
    table.row("latency p99, ms", 2, Goal::AtMostTimesAxum(1.0), &rounds, |round| round.p99_millis);
    table.faults(&[rounds], |round| round.faults);
    Ok(())
}

fn measure(bench: &Bench, kind: Kind) -> Result<Round> {
    let server = bench.start(kind)?;
    let mut crowd = Crowd::open_probed(server.addr(), STREAMS, bench.clock)?;
    let mut publisher = PipelinedPublisher::connect(server.addr(), 0)?;

    pace(bench.clock, &mut crowd, &mut publisher, EVENT_INTERVAL, WARM_UP, |_, _| ())?;
    let mut latencies_nanos = Vec::new();
    let meter = Meter::start(&server, &crowd)?;
    pace(bench.clock, &mut crowd, &mut publisher, EVENT_INTERVAL, bench.effort.load, |_, age_nanos| {
        latencies_nanos.push(age_nanos);
    })?;
    let reading = meter.stop(&server, &crowd)?;
    let faults = crowd.settle(publisher.published(), SETTLE_PATIENCE)?;

    let latencies = Durations::new(latencies_nanos);
    Ok(Round {
        server_micros: reading.server_micros_per_delivery(),
        p50_millis: latencies.millis_at(0.50),
        p99_millis: latencies.millis_at(0.99),
        faults,
    })
}
