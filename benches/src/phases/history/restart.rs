//! How long callout takes to start with a full history: from the start of the process until it has
//! answered a request, after it ended in order and after it was killed.

use std::time::Instant;

use anyhow::{Result, ensure};

use crate::bench::Bench;
use crate::publisher::fill;
use crate::server::{Keep, Server, Store};
use crate::table::{Table, Target};

/// What callout keeps unless it is told otherwise.
const KEPT_EVENTS: u64 = 100_000;

/// What is published in each life, so that no end finds a file that was only read.
const LIFE_EVENTS: u64 = 1000;

struct Round {
    after_stop_millis: f64,
    after_kill_millis: f64,
}

/// Gives the full history.
pub fn run(bench: &Bench, table: &mut Table) -> Result<Store> {
    let store = Store::new()?;
    // How it comes in is of no interest here, so the faster way will do.
    let server = bench.start_keeping(&store, Keep::Relaxed)?;
    fill(server.addr(), KEPT_EVENTS, bench.clock)?;
    server.stop()?;

    let rounds = bench.repeat(bench.effort.history_rounds, || measure(bench, &store))?;
    table.section("history: start with 100,000 events kept, until a request is answered");
    table.row("after a clean stop, ms", 0, &rounds, Target::None, |round| round.after_stop_millis);
    table.row("after kill -9, ms", 0, &rounds, Target::None, |round| round.after_kill_millis);
    Ok(store)
}

fn measure(bench: &Bench, store: &Store) -> Result<Round> {
    let (server, after_stop_millis) = start(bench, store)?;
    fill(server.addr(), LIFE_EVENTS, bench.clock)?;
    drop(server);
    let (server, after_kill_millis) = start(bench, store)?;
    fill(server.addr(), LIFE_EVENTS, bench.clock)?;
    server.stop()?;
    eprintln!("history: started in {after_stop_millis:.0} ms, in {after_kill_millis:.0} ms after kill -9");
    Ok(Round { after_stop_millis, after_kill_millis })
}

fn start(bench: &Bench, store: &Store) -> Result<(Server, f64)> {
    let started = Instant::now();
    let server = bench.start_keeping(store, Keep::Strict)?;
    let kept_events = server.health()?.kept_events;
    let millis = started.elapsed().as_secs_f64() * 1e3;
    ensure!(kept_events == KEPT_EVENTS, "{KEPT_EVENTS} events were kept, {kept_events} are there");
    Ok((server, millis))
}
