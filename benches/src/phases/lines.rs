//! Lines: many events in one request, each a line of its body. One subscriber checks that all of them
//! come.

use anyhow::Result;

use crate::bench::Bench;
use crate::phases::publish;
use crate::publisher::WaitingPublisher;
use crate::server::{Durability, Folder, Kind};
use crate::table::{Goal, Table};
use crate::wire::request::PublishRequest;

const LINES: usize = 100;
const PUBLISHERS: usize = 8;

pub fn run(bench: &Bench, table: &mut Table) -> Result<()> {
    table.section("lines: 100 events in one request, one subscriber, 8 publishers that wait, 100 bytes");
    let mut kinds = bench.callouts();
    // A callout of before may not know such requests.
    kinds.retain(|&kind| kind != Kind::Before || takes_lines(bench, kind));
    let in_memory = bench.alternate(&kinds, |kind| {
        publish::measure(bench, &bench.start(kind)?, PUBLISHERS, |target| {
            PublishRequest::lines(target, LINES)
        })
    })?;
    let strict = bench.alternate(&kinds, |kind| {
        let folder = Folder::on_disk()?;
        let server = bench.start_on_disk(kind, &folder, Durability::Strict)?;
        publish::measure(bench, &server, PUBLISHERS, |target| PublishRequest::lines(target, LINES))
    })?;
    for (load, goal, rounds) in
        [("in memory", Goal::AtLeast(400_000.0), &in_memory), ("strict", Goal::AtLeast(200_000.0), &strict)]
    {
        table.row(format!("{load}; events per second"), 0, goal, rounds, |round| round.events_per_sec);
        table.row(format!("{load}; server CPU per event, µs"), 2, Goal::Less, rounds, |round| {
            round.server_micros
        });
    }
    table.faults(&[in_memory, strict], |round| round.faults);
    Ok(())
}

fn takes_lines(bench: &Bench, kind: Kind) -> bool {
    let publish = || {
        let server = bench.start(kind)?;
        let request = PublishRequest::lines(server.target(), 1);
        WaitingPublisher::connect_with(server.target(), 0, request)?.publish(bench.clock.nanos())
    };
    publish().is_ok()
}
