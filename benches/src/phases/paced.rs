//! Paced: streams that get an event now and then.
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

struct Load {
    title: &'static str,
    streams: usize,
    interval: Duration,
    /// The target for the server's CPU time.
    cpu_goal: Goal,
    latency_goal: Goal,
}

const MANY: Load = Load {
    title: "paced: 1,000 streams, 40 events/s, 100 bytes",
    streams: 1000,
    interval: Duration::from_millis(25),
    cpu_goal: Goal::AtMostTimes(0.6, Kind::Axum),
    latency_goal: Goal::AtMostTimes(1.0, Kind::Axum),
};

/// As many streams as 20,000 descriptors allow.
const MOST: Load = Load {
    title: "paced: 15,000 streams, 2 events/s, 100 bytes",
    streams: 15_000,
    interval: Duration::from_millis(500),
    cpu_goal: Goal::AtMostTimes(0.8, Kind::Axum),
    latency_goal: Goal::Less,
};

/// Two events of the slowest load.
const LENGTH_MIN: Duration = Duration::from_secs(2);

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
    section(bench, table, &MANY, &bench.kinds)?;
    section(bench, table, &MOST, &bench.callouts_and(&[Kind::Axum, Kind::Electric]))
}

fn section(bench: &Bench, table: &mut Table, load: &Load, kinds: &[Kind]) -> Result<()> {
    table.section(load.title);
    let rounds = bench.alternate(kinds, |kind| measure(bench, kind, load))?;
    table.row("server CPU per delivery, µs", 2, load.cpu_goal, &rounds, |round| round.server_micros);
    table.row("latency p50, ms", 2, Goal::Less, &rounds, |round| round.p50_millis);
    table.row("latency p99, ms", 2, load.latency_goal, &rounds, |round| round.p99_millis);
    table.faults(&[rounds], |round| round.faults);
    Ok(())
}

fn measure(bench: &Bench, kind: Kind, load: &Load) -> Result<Round> {
    let server = bench.start(kind)?;
    let mut crowd = Crowd::open_probed(server.target(), load.streams, bench.clock)?;
    let mut publisher = PipelinedPublisher::connect(server.target(), 0)?;

    pace(bench.clock, &mut crowd, &mut publisher, load.interval, WARM_UP, |_, _| ())?;
    let mut latencies_nanos = Vec::new();
    let meter = Meter::start(&server, &crowd)?;
    let length = bench.effort.load.max(LENGTH_MIN);
    pace(bench.clock, &mut crowd, &mut publisher, load.interval, length, |_, age_nanos| {
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
