//! Publish: one subscriber, and publishers that wait for each answer before the next request.
//!
//! Each publisher has a thread; the subscriber is read as events come.

use std::time::Duration;

use anyhow::Result;

use crate::bench::Bench;
use crate::crowd::{Crowd, Faults};
use crate::publisher::Team;
use crate::server::{Kind, Server};
use crate::table::{Goal, Table};
use crate::wire::request::PublishRequest;
use crate::wire::target::Target;

/// Publishers, and the target for their requests per second.
const LOADS: [(usize, Goal); 2] =
    [(1, Goal::AtLeastTimes(2.5, Kind::Axum)), (8, Goal::AtLeastTimes(1.1, Kind::Axum))];

/// How long the subscriber waits for events before it looks whether the publishers are done.
const TURN: Duration = Duration::from_millis(10);

/// How long the last events may take to arrive.
const SETTLE_PATIENCE: Duration = Duration::from_secs(2);

pub struct Round {
    pub events_per_sec: f64,
    /// From a request to its answer.
    pub p99_millis: f64,
    /// The server's CPU time for one event, with its delivery.
    pub server_micros: f64,
    pub faults: Faults,
}

pub fn run(bench: &Bench, table: &mut Table) -> Result<()> {
    table.section("publish: one subscriber, keep-alive publishers that wait, 100 bytes");
    let kinds = bench.callouts_and(&[Kind::Axum, Kind::Nchan]);
    let mut loads = Vec::new();
    for (publishers, goal) in LOADS {
        let rounds = bench
            .alternate(&kinds, |kind| measure(bench, &bench.start(kind)?, publishers, PublishRequest::new))?;
        let figure = format!("publishers: {publishers}; requests per second");
        table.row(figure, 0, goal, &rounds, |round| round.events_per_sec);
        loads.push(rounds);
    }
    table.faults(&loads, |round| round.faults);
    Ok(())
}

/// The requests of so many publishers at this server, with one subscriber.
pub fn measure(
    bench: &Bench,
    server: &Server,
    publishers: usize,
    request: fn(Target) -> PublishRequest,
) -> Result<Round> {
    let mut crowd = Crowd::open_probed(server.target(), 1, bench.clock)?;
    let cpu_before = server.cpu_time()?;
    let team = Team::start(server.target(), publishers, bench.clock, bench.effort.publish, request);
    while !team.is_done() {
        crowd.turn(TURN, |_| ())?;
    }
    let work = team.join()?;
    let faults = crowd.settle(work.published, SETTLE_PATIENCE)?;
    let cpu = server.cpu_time()? - cpu_before;
    Ok(Round {
        events_per_sec: work.events_per_sec,
        p99_millis: work.waits.millis_at(0.99),
        server_micros: cpu.as_secs_f64() * 1e6 / work.published as f64,
        faults,
    })
}
