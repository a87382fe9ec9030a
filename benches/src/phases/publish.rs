//! Publish: one listener, and publishers that wait for each answer before the next request.
//!
//! Each publisher has a thread; the listener is read as events come.

use std::fmt::{self, Display};
use std::time::Duration;

use anyhow::Result;

use crate::bench::Bench;
use crate::crowd::{Crowd, Faults};
use crate::publisher::Team;
use crate::server::Server;
use crate::table::{Table, Target};
use crate::wire::request::PublishRequest;

const PUBLISHERS_FEW: usize = 1;
const PUBLISHERS_MANY: usize = 8;

/// How long the listener waits for events before it looks whether the publishers are done.
const TURN: Duration = Duration::from_millis(10);

/// How long what was published last may take to arrive.
const SETTLE_PATIENCE: Duration = Duration::from_secs(2);

pub struct Round {
    pub requests_per_sec: f64,
    /// From a request to its answer.
    pub p99_millis: f64,
    pub faults: Faults,
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
    let rounds = bench.alternate(bench.effort.publish_rounds, |kind| {
        let round = measure(bench, &bench.start(kind)?, publishers)?;
        eprintln!("publish {}: {publishers} publishers, {round}", kind.name());
        Ok(round)
    })?;
    table.row(figure, 0, &rounds, Target::RatioAtLeast(ratio_min), |round| round.requests_per_sec);
    table.sum("lost, doubled or torn", &rounds, Target::AtMost(0.0), |round| round.faults.count() as f64);
    Ok(())
}

/// What so many publishers achieve at this server, with one listener.
pub fn measure(bench: &Bench, server: &Server, publishers: usize) -> Result<Round> {
    let mut crowd = Crowd::gather(server.addr(), 1, bench.clock)?;
    let team = Team::start(server.addr(), publishers, bench.clock, bench.effort.publish, PublishRequest::new);
    while !team.is_done() {
        crowd.turn(TURN, |_| ())?;
    }
    let work = team.join()?;
    let faults = crowd.settle(work.published, SETTLE_PATIENCE)?;
    Ok(Round { requests_per_sec: work.requests_per_sec, p99_millis: work.p99_millis(), faults })
}

impl Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Round { requests_per_sec, p99_millis, faults } = self;
        write!(f, "{requests_per_sec:.0} requests/s, p99 {p99_millis:.2} ms, {faults}")
    }
}
