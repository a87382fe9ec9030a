//! Joins: a flood to 2,000 streams, alone and while 400 streams a second join another topic and leave it.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};

use crate::bench::Bench;
use crate::crowd::{Crowd, Faults};
use crate::meter::Meter;
use crate::phases::flood::{Publishers, Source};
use crate::server::Kind;
use crate::table::{Goal, Table};
use crate::wire::request::stream_request;

const STREAMS: usize = 2000;
const JOINS_PER_SEC: u32 = 400;
const WINDOW_EVENTS: u64 = 512;
const PUBLISHERS: usize = 4;

/// How often a round changes between no joins and joins.
const TURNS: usize = 4;

/// How long the generator waits for streams before it looks at its publishers again.
const TURN: Duration = Duration::from_millis(10);

/// How long the last events may take to arrive.
const SETTLE_PATIENCE: Duration = Duration::from_secs(5);

struct Round {
    alone_per_sec: f64,
    joined_per_sec: f64,
    /// Joins that were answered while they were asked for.
    joins_per_sec: f64,
    faults: Faults,
}

pub fn run(bench: &Bench, table: &mut Table) -> Result<()> {
    table.section("joins: a flood to 2,000 streams while 400 a second join another topic, 4 publishers");
    let rounds = bench.alternate(&bench.callouts(), |kind| measure(bench, kind))?;
    let millions = |per_sec: f64| per_sec / 1e6;
    table.row("deliveries per second without joins, million", 3, Goal::More, &rounds, |round| {
        millions(round.alone_per_sec)
    });
    table.row("joins per second", 0, Goal::None, &rounds, |round| round.joins_per_sec);
    table.row("the rate with joins, to that without", 3, Goal::AtLeast(0.85), &rounds, |round| {
        round.joined_per_sec / round.alone_per_sec
    });
    table.faults(&[rounds], |round| round.faults);
    Ok(())
}

fn measure(bench: &Bench, kind: Kind) -> Result<Round> {
    let server = bench.start(kind)?;
    let mut crowd = Crowd::open_probed(server.target(), STREAMS, bench.clock)?;
    let publishers = Publishers::Pipelined(PUBLISHERS);
    let mut source = Source::open(publishers, server.target(), WINDOW_EVENTS, bench.clock)?;
    let mut flow = |crowd: &mut Crowd, length: Duration| -> Result<f64> {
        let meter = Meter::start(&server, crowd)?;
        let ends = Instant::now() + length;
        while Instant::now() < ends {
            source.publish(crowd.slowest())?;
            crowd.turn(TURN, |_| ())?;
        }
        Ok(meter.stop(&server, crowd)?.deliveries_per_sec())
    };
    let length = bench.effort.load / TURNS as u32;
    // Before the measuring begins.
    flow(&mut crowd, length)?;
    let (mut alone_per_sec, mut joined_per_sec, mut joins_per_sec) = (0.0, 0.0, 0.0);
    for _ in 0..TURNS {
        alone_per_sec += flow(&mut crowd, length)? / TURNS as f64;
        let (rate, joins) = while_joining(server.addr(), || flow(&mut crowd, length))?;
        joined_per_sec += rate / TURNS as f64;
        joins_per_sec += joins as f64 / length.as_secs_f64() / TURNS as f64;
    }
    let published = loop {
        if let Some(published) = source.finish()? {
            break published;
        }
        crowd.turn(TURN, |_| ())?;
    };
    let faults = crowd.settle(published, SETTLE_PATIENCE)?;
    Ok(Round { alone_per_sec, joined_per_sec, joins_per_sec, faults })
}

/// Does something while streams join another topic, each staying for as long as half a second's worth of others.
fn while_joining<T>(server: SocketAddr, act: impl FnOnce() -> Result<T>) -> Result<(T, u64)> {
    let (is_over, joins) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        let joining = scope.spawn(|| -> Result<()> {
            let request = stream_request(server, "/topics/joined");
            let (mut open, mut due) = (VecDeque::new(), Instant::now());
            while !is_over.load(Relaxed) {
                let mut socket = TcpStream::connect(server)?;
                socket.write_all(&request)?;
                ensure!(socket.read(&mut [0; 512])? > 0, "a stream that joins is not answered");
                joins.fetch_add(1, Relaxed);
                open.push_back(socket);
                if open.len() > JOINS_PER_SEC as usize / 2 {
                    open.pop_front();
                }
                due += Duration::from_secs(1) / JOINS_PER_SEC;
                thread::sleep(due.saturating_duration_since(Instant::now()));
            }
            Ok(())
        });
        let done = act();
        is_over.store(true, Relaxed);
        joining.join().map_err(|_| anyhow!("the thread that joins panicked"))??;
        Ok((done?, joins.load(Relaxed)))
    })
}
