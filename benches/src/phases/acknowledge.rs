//! Acknowledge: how many events a second are acknowledged when they are on disk, how long each takes,
//! and what it costs, by the number of waiting publishers, who share commits: strict with nobody who
//! subscribes, which is an append and nothing else, and by durability with one subscriber.
//!
//! For Electric's server `relaxed` is what it calls `memory`: the kernel has the event.

use std::fs::File;
use std::io::Write;
use std::time::Instant;

use anyhow::{Context, Result};

use crate::bench::{Bench, Rounds};
use crate::phases::publish;
use crate::publisher::Team;
use crate::server::{Durability, Folder, Kind};
use crate::stats::median;
use crate::table::{Goal, Table};
use crate::wire::request::PublishRequest;

const PUBLISHERS: [usize; 3] = [1, 8, 64];

/// One commit, whichever server makes it, is at least an append of a page and its fdatasync(2).
const COMMITS: usize = 100;
const COMMIT_BYTES: usize = 4096;

struct Append {
    events_per_sec: f64,
    p99_millis: f64,
    server_micros: f64,
}

pub fn run(bench: &Bench, table: &mut Table) -> Result<()> {
    appends(bench, table)?;
    acknowledgements(bench, table)
}

fn appends(bench: &Bench, table: &mut Table) -> Result<()> {
    table.section("append: on disk, strict, nobody subscribes, publishers that wait, 100 bytes");
    let kinds = bench.callouts_and(&[Kind::Electric]);
    for publishers in PUBLISHERS {
        let rounds = bench.alternate(&kinds, |kind| append(bench, kind, publishers))?;
        let load = format!("publishers: {publishers}");
        let (more, no_more) =
            (Goal::AtLeastTimes(1.2, Kind::Electric), Goal::AtMostTimes(1.0, Kind::Electric));
        table.row(format!("{load}; events per second"), 0, more, &rounds, |round| round.events_per_sec);
        table.row(format!("{load}; server CPU per event, µs"), 1, no_more, &rounds, |round| {
            round.server_micros
        });
        table.row(format!("{load}; p99, ms"), 2, Goal::Less, &rounds, |round| round.p99_millis);
    }
    Ok(())
}

fn append(bench: &Bench, kind: Kind, publishers: usize) -> Result<Append> {
    let folder = Folder::on_disk()?;
    let server = bench.start_durable(kind, &folder, Durability::Strict)?;
    let before = server.cpu_time()?;
    let (clock, length) = (bench.clock, bench.effort.publish);
    let work = Team::start(server.target(), publishers, clock, length, PublishRequest::new).join()?;
    let cpu = server.cpu_time()? - before;
    Ok(Append {
        events_per_sec: work.events_per_sec,
        p99_millis: work.waits.millis_at(0.99),
        server_micros: cpu.as_secs_f64() * 1e6 / work.published as f64,
    })
}

fn acknowledgements(bench: &Bench, table: &mut Table) -> Result<()> {
    let kinds = bench.callouts_and(&[Kind::Electric]);
    table.section("acknowledge: on disk, one subscriber, publishers that wait, 100 bytes");
    if kinds.contains(&Kind::Callout) {
        let disk = Rounds::from([(Kind::Callout, vec![commit_millis()?])]);
        table.row("the disk alone: append 4 KB, fdatasync, ms", 2, Goal::None, &disk, |millis| *millis);
    }
    let mut loads = Vec::new();
    for durability in Durability::ALL {
        for publishers in PUBLISHERS {
            let load = format!("{}, publishers: {publishers}", durability.name());
            let rounds = bench.alternate(&kinds, |kind| {
                let folder = Folder::on_disk()?;
                let server = bench.start_durable(kind, &folder, durability)?;
                publish::measure(bench, &server, publishers, PublishRequest::new)
            })?;
            table.row(format!("{load}; events per second"), 0, Goal::More, &rounds, |round| {
                round.events_per_sec
            });
            table.row(format!("{load}; server CPU per event, µs"), 1, Goal::Less, &rounds, |round| {
                round.server_micros
            });
            table.row(format!("{load}; p99, ms"), 2, Goal::Less, &rounds, |round| round.p99_millis);
            loads.push(rounds);
        }
    }
    table.faults(&loads, |round| round.faults);
    Ok(())
}

/// The median of some commits.
fn commit_millis() -> Result<f64> {
    let folder = Folder::on_disk()?;
    let path = folder.path().join("commits");
    let mut file = File::create(&path).with_context(|| format!("failed to make `{}`", path.display()))?;
    let mut commit = || {
        let started = Instant::now();
        file.write_all(&[0; COMMIT_BYTES])?;
        file.sync_data()?;
        Ok(started.elapsed().as_secs_f64() * 1e3)
    };
    let millis: Result<_> = (0..COMMITS).map(|_| commit()).collect();
    Ok(median(millis.context("failed to write to the disk")?))
}
