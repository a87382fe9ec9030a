//! Publish: one subscriber, and publishers that wait for each answer before the next request.
//!
//! Each publisher has a thread; the subscriber is read as events come.

use std::time::Duration;

use anyhow::Result;

use crate::bench::Bench;
use crate::crowd::{Crowd, Faults};
use crate::publisher::Team;
use crate::server::Server;
use crate::table::{Goal, Table};
use crate::wire::request::PublishRequest;

/// Publishers, and the target for their requests per second.
const LOADS: [(usize, Goal); 2] = [(1, Goal::AtLeastTimesAxum(2.5)), (8, Goal::AtLeastTimesAxum(1.1))];

/// How long the subscriber waits for events before it looks whether the publishers are done.
const TURN: Duration = Duration::from_millis(10);

/// How long the last events may take to arrive.
const SETTLE_PATIENCE: Duration = Duration::from_secs(2);

pub struct Round {
    pub requests_per_sec: f64,
    /// From a request to its answer.
    pub p99_millis: f64,
    pub faults: Faults,
}

pub fn run(bench: &Bench, table: &mut Table) -> Result<()> {
    table.section("publish: one subscriber, keep-alive publishers that wait, 100 bytes");
    let mut loads = Vec::new();
    for (publishers, goal) in LOADS {
        let rounds = bench.alternate(&bench.kinds, |kind| measure(bench, &bench.start(kind)?, publishers))?;
        let figure = format!("publishers: {publishers}; requests per second");
        table.row(figure, 0, goal, &rounds, |round| round.requests_per_sec);
        loads.push(rounds);
    }
    table.faults(&loads, |round| round.faults);
    Ok(())
}

/// The requests of so many publishers at this server, with one subscriber.
pub fn measure(bench: &Bench, server: &Server, publishers: usize) -> Result<Round> {
    let mut crowd = Crowd::open_probed(server.addr(), 1, bench.clock)?;
    let team = Team::start(server.addr(), publishers, bench.clock, bench.effort.publish, PublishRequest::new);
    while !team.is_done() {
        crowd.turn(TURN, |_| ())?;
    }
    let work = team.join()?;
    let faults = crowd.settle(work.published, SETTLE_PATIENCE)?;
    Ok(Round { requests_per_sec: work.requests_per_sec, p99_millis: work.waits.millis_at(0.99), faults })
}
