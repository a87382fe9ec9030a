//! Memory: what a server takes when nothing happens, alone and with 5,000 streams.

use std::thread;
use std::time::Duration;

use anyhow::Result;

use crate::bench::Bench;
use crate::crowd::Crowd;
use crate::server::Kind;
use crate::table::{Table, Target};

const STREAMS: usize = 5000;

/// How long a server is left alone before it is looked at, so that what it does after starting, or
/// after the streams opened, is over.
const REST: Duration = Duration::from_millis(500);

const KB_BYTES: f64 = 1024.0;
const MB_BYTES: f64 = 1024.0 * 1024.0;

struct Round {
    idle_mb: f64,
    stream_kb: f64,
}

pub fn run(bench: &Bench, table: &mut Table) -> Result<()> {
    let rounds = bench.alternate(1, |kind| measure(bench, kind))?;
    table.section("memory: resident, with 5,000 idle streams");
    table.row("idle process, MB", 2, &rounds, Target::AtMost(3.0), |round| round.idle_mb);
    table.row("per idle stream, KB", 2, &rounds, Target::AtMost(18.0), |round| round.stream_kb);
    Ok(())
}

fn measure(bench: &Bench, kind: Kind) -> Result<Round> {
    let server = bench.start(kind)?;
    thread::sleep(REST);
    let idle_bytes = server.resident_bytes()? as f64;
    // Each has had one event, so that what the first one costs is in.
    let _crowd = Crowd::gather(server.addr(), STREAMS, bench.clock)?;
    thread::sleep(REST);
    let full_bytes = server.resident_bytes()? as f64;
    let round = Round {
        idle_mb: idle_bytes / MB_BYTES,
        stream_kb: (full_bytes - idle_bytes) / STREAMS as f64 / KB_BYTES,
    };
    eprintln!("memory {}: {:.2} MB idle, {:.2} KB per stream", kind.name(), round.idle_mb, round.stream_kb);
    Ok(round)
}
