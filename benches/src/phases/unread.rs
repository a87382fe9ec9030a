//! Unread: 2,000 streams that ask for all of a full history and do not read.

use std::io::Write;
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::bench::Bench;
use crate::process;
use crate::publisher::fill;
use crate::server::Kind;
use crate::stats::MB_BYTES;
use crate::table::{Goal, Table};
use crate::wire::request::{PATH, stream_request};

const STREAMS: usize = 2000;
const KEPT_EVENTS: u64 = 100_000;

/// How long they do not read, and how often it is looked at.
const LENGTH: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(50);

struct Round {
    resident_mb: f64,
    kernel_mb: f64,
}

pub fn run(bench: &Bench, table: &mut Table) -> Result<()> {
    table.section("unread: 2,000 streams that ask for 100,000 events and do not read");
    let rounds = bench.alternate_few(&bench.callouts(), |kind| measure(bench, kind))?;
    // 120 and 256 million bytes.
    table.row("memory more than before, MB", 1, Goal::AtMost(114.0), &rounds, |round| round.resident_mb);
    table.row("memory of the kernel for both ends, MB", 1, Goal::AtMost(244.0), &rounds, |round| {
        round.kernel_mb
    });
    Ok(())
}

fn measure(bench: &Bench, kind: Kind) -> Result<Round> {
    let server = bench.start(kind)?;
    fill(server.target(), KEPT_EVENTS, bench.clock)?;
    let (resident, kernel) = (server.resident_bytes()?, process::tcp_bytes()?);
    let request = stream_request(server.addr(), &format!("{PATH}?last_event_id=earliest"));
    let mut streams = Vec::with_capacity(STREAMS);
    let (mut resident_most, mut kernel_most) = (resident, kernel);
    let mut look = || -> Result<()> {
        resident_most = resident_most.max(server.resident_bytes()?);
        kernel_most = kernel_most.max(process::tcp_bytes()?);
        Ok(())
    };
    while streams.len() < STREAMS {
        let mut stream = TcpStream::connect(server.addr())?;
        stream.write_all(&request)?;
        streams.push(stream);
        if streams.len() % 100 == 0 {
            look()?;
        }
    }
    let ends = Instant::now() + LENGTH;
    while Instant::now() < ends {
        look()?;
        thread::sleep(LOOK);
    }
    let mb = |most: u64, before: u64| most.saturating_sub(before) as f64 / MB_BYTES;
    Ok(Round { resident_mb: mb(resident_most, resident), kernel_mb: mb(kernel_most, kernel) })
}
