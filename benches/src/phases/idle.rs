//! Idle: 15,000 streams under 20,000 descriptors, opened as fast as the server answers them, and one
//! event delivered to all of them; and the memory that the server needs before and after.
//!
//! What a stream takes all in is the server's own memory and page tables, the kernel's stacks of its
//! threads, and the kernel's small objects. The latter are counted for the whole machine, so that
//! those of the generator's end of each connection are among them.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::bench::Bench;
use crate::crowd::Crowd;
use crate::process;
use crate::publisher::PipelinedPublisher;
use crate::server::{Durability, Folder, Kind, Server};
use crate::stats::{KB_BYTES, MB_BYTES};
use crate::table::{Goal, Table};

const STREAMS: usize = 15_000;

/// How long the event may take to reach the last stream. A stream without it is then not counted.
const EVENT_PATIENCE: Duration = Duration::from_secs(20);

/// How long the generator waits for streams before it looks at the publisher again.
const TURN: Duration = Duration::from_millis(10);

/// How long a server is left alone before its memory is read, so that its own work after the start,
/// or after the event, is done.
const REST: Duration = Duration::from_millis(500);

/// The kernel's stack of a thread, on x86-64 and on arm64.
const KERNEL_STACK_BYTES: u64 = 16 * 1024;

struct Round {
    process_bytes: u64,
    opened_secs: f64,
    reached: usize,
    reached_millis: f64,
    threads: u64,
    stream_kb: f64,
    all_in_kb: f64,
}

/// Memory at one moment.
struct Memory {
    resident: u64,
    threads: u64,
    all_in: u64,
}

pub fn run(bench: &Bench, table: &mut Table) -> Result<()> {
    table.section("idle: 15,000 streams under 20,000 descriptors");
    // The kernel keeps some of what it once needed for so many streams. So the first would seem to take
    // more than all that come after.
    measure(bench, Kind::Callout)?;
    let rounds = bench.alternate(&bench.kinds, |kind| measure(bench, kind))?;
    table.row("until all are open, s", 2, Goal::AtMostTimes(1.2, Kind::Axum), &rounds, |round| {
        round.opened_secs
    });
    table.row("streams that one event reached", 0, Goal::AtLeast(STREAMS as f64), &rounds, |round| {
        round.reached as f64
    });
    table.row("until the last has the event, ms", 0, Goal::AtMostTimes(1.5, Kind::Axum), &rounds, |round| {
        round.reached_millis
    });
    table.row("threads", 0, Goal::AtMost(300.0), &rounds, |round| round.threads as f64);
    table.row("memory of the process per stream, KB", 2, Goal::AtMost(1.2), &rounds, |round| round.stream_kb);
    table.row("all in per stream, KB", 2, Goal::AtMost(10.5), &rounds, |round| round.all_in_kb);
    let less_than_electric = Goal::AtMostTimes(1.0, Kind::Electric);
    table.row("the same beside electric", 2, less_than_electric, &rounds, |round| round.all_in_kb);

    table.section("idle: the process without streams");
    table.row("memory, MB", 2, Goal::AtMost(3.0), &rounds, |round| round.process_bytes as f64 / MB_BYTES);
    let on_disk = bench.alternate(&bench.callouts(), |kind| {
        let folder = Folder::on_disk()?;
        let server = bench.start_on_disk(kind, &folder, Durability::Strict)?;
        thread::sleep(REST);
        server.resident_bytes()
    })?;
    table.row("memory with an empty folder, MB", 2, Goal::AtMost(3.0), &on_disk, |bytes| {
        *bytes as f64 / MB_BYTES
    });
    Ok(())
}

fn measure(bench: &Bench, kind: Kind) -> Result<Round> {
    let server = bench.start(kind)?;
    thread::sleep(REST);
    let before = Memory::of(&server)?;

    let started = Instant::now();
    let mut crowd = Crowd::open(server.target(), STREAMS)?;
    let opened_secs = started.elapsed().as_secs_f64();
    let opened = crowd.open_count();
    if let Some(cause) = crowd.failure() {
        eprintln!("idle {}: {cause:#}", kind.name());
    }
    ensure!(opened > 0, "no stream opened");

    let mut publisher = PipelinedPublisher::connect(server.target(), 0)?;
    publisher.publish(bench.clock.nanos());
    let sent = Instant::now();
    let mut received = 0;
    let mut reached_millis = 0.0;
    while received < opened && sent.elapsed() < EVENT_PATIENCE {
        publisher.progress()?;
        crowd.turn(TURN, |_| {
            received += 1;
            reached_millis = sent.elapsed().as_secs_f64() * 1e3;
        })?;
    }
    // Counted by stream: an event that came twice to one does not stand for another.
    let reached = crowd.count_with(1);

    // Each stream has had an event by now, so that the memory for the first one is included.
    thread::sleep(REST);
    let after = Memory::of(&server)?;
    let per_stream_kb = |after: u64, before: u64| (after as f64 - before as f64) / opened as f64 / KB_BYTES;
    Ok(Round {
        process_bytes: before.resident,
        opened_secs,
        reached,
        reached_millis,
        threads: after.threads,
        stream_kb: per_stream_kb(after.resident, before.resident),
        all_in_kb: per_stream_kb(after.all_in, before.all_in),
    })
}

impl Memory {
    fn of(server: &Server) -> Result<Memory> {
        let (resident, threads) = (server.resident_bytes()?, server.threads()?);
        let kernel = threads * KERNEL_STACK_BYTES + server.page_table_bytes()? + process::slab_bytes()?;
        Ok(Memory { resident, threads, all_in: resident + kernel })
    }
}
