//! Restart: how long callout takes to start with a full history, from the start of the process until
//! it has answered a request, after a clean stop and after a kill.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::{Result, ensure};

use crate::bench::Bench;
use crate::publisher::fill;
use crate::server::{Durability, Folder, Kind, Server};
use crate::table::{Goal, Table};

/// What callout keeps by default.
const KEPT_EVENTS: u64 = 100_000;

/// What is published between two starts, so that no end finds a file that was only read.
const RUN_EVENTS: u64 = 1000;

struct Round {
    after_stop_millis: f64,
    after_kill_millis: f64,
}

pub fn run(bench: &Bench, table: &mut Table) -> Result<()> {
    table.section("restart: start with 100,000 events kept, until a request is answered");
    let histories = full_histories(bench)?;
    let rounds = bench.alternate(&bench.callouts(), |kind| measure(bench, kind, &histories[&kind]))?;
    table.row("after a clean stop, ms", 0, Goal::Less, &rounds, |round| round.after_stop_millis);
    table.row("after kill -9, ms", 0, Goal::Less, &rounds, |round| round.after_kill_millis);
    Ok(())
}

/// For each callout a folder with all the events that it keeps by default. Each has its own, since
/// the formats may differ.
pub fn full_histories(bench: &Bench) -> Result<BTreeMap<Kind, Folder>> {
    let fill = |kind| {
        let folder = Folder::on_disk()?;
        // How the events get there does not matter here, so the faster way is taken.
        let server = bench.start_on_disk(kind, &folder, Durability::Relaxed)?;
        fill(server.target(), KEPT_EVENTS, bench.clock)?;
        server.stop()?;
        Ok((kind, folder))
    };
    bench.callouts().into_iter().map(fill).collect()
}

fn measure(bench: &Bench, kind: Kind, history: &Folder) -> Result<Round> {
    let (server, after_stop_millis) = start(bench, kind, history)?;
    fill(server.target(), RUN_EVENTS, bench.clock)?;
    server.kill()?;
    let (server, after_kill_millis) = start(bench, kind, history)?;
    fill(server.target(), RUN_EVENTS, bench.clock)?;
    server.stop()?;
    Ok(Round { after_stop_millis, after_kill_millis })
}

fn start(bench: &Bench, kind: Kind, history: &Folder) -> Result<(Server, f64)> {
    let started = Instant::now();
    let server = bench.start_on_disk(kind, history, Durability::Strict)?;
    let kept_events = server.health()?.history_events;
    let millis = started.elapsed().as_secs_f64() * 1e3;
    ensure!(kept_events == KEPT_EVENTS, "{KEPT_EVENTS} events were kept, {kept_events} were found");
    Ok((server, millis))
}
