//! How large the file is after ten times what may be kept was published, and how much of it that is.

use std::ffi::OsString;

use anyhow::Result;

use crate::bench::Bench;
use crate::phases::history::MB_BYTES;
use crate::publisher::fill;
use crate::server::{Keep, Store};
use crate::table::{Table, Target};

const KEEP_EVENTS: u64 = 10_000;
const PUBLISHED_EVENTS: u64 = 10 * KEEP_EVENTS;

struct Round {
    file_bytes: f64,
    kept_events: u64,
    kept_bytes: f64,
}

pub fn run(bench: &Bench, table: &mut Table) -> Result<()> {
    let rounds = bench.repeat(1, || measure(bench))?;
    table.section("history: 100,000 events of 100 bytes with --keep-events 10000, strict");
    table
        .row("events kept", 0, &rounds, Target::AtMost(KEEP_EVENTS as f64), |round| round.kept_events as f64);
    table.row("bytes kept, MB", 2, &rounds, Target::None, |round| round.kept_bytes / MB_BYTES);
    table.row("file, MB", 2, &rounds, Target::None, |round| round.file_bytes / MB_BYTES);
    table.row("file to bytes kept", 2, &rounds, Target::AtMost(2.0), |round| {
        round.file_bytes / round.kept_bytes
    });
    Ok(())
}

fn measure(bench: &Bench) -> Result<Round> {
    let store = Store::new()?;
    let mut flags = store.flags(Keep::Strict);
    flags.extend(["--keep-events".to_owned(), KEEP_EVENTS.to_string()].map(OsString::from));
    let server = bench.start_callout(flags)?;
    fill(server.addr(), PUBLISHED_EVENTS, bench.clock)?;
    let health = server.health()?;
    let round = Round {
        file_bytes: store.file_bytes()? as f64,
        kept_events: health.kept_events,
        kept_bytes: health.kept_bytes as f64,
    };
    eprintln!(
        "history: {} events and {:.2} MB kept in a file of {:.2} MB",
        round.kept_events,
        round.kept_bytes / MB_BYTES,
        round.file_bytes / MB_BYTES
    );
    Ok(round)
}
