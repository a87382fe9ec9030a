//! Stall: 5,000 of 10,000 streams stop reading for ten seconds, and then read again. Those that the
//! server has ended meanwhile come back as browsers do, with the id of the last event that they have.
//!
//! Two threads read, each one half, so that those who catch up do not delay the reading of the others.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use crate::bench::Bench;
use crate::clock::Clock;
use crate::crowd::{Crowd, Faults};
use crate::pace::{finish, pace};
use crate::publisher::PipelinedPublisher;
use crate::server::{Kind, Server};
use crate::stats::Durations;
use crate::table::{Goal, Table};
use crate::wire::message::MESSAGE_BYTES;
use crate::wire::request::PublishRequest;

/// In each half.
const STREAMS: usize = 5000;
const EVENT_BYTES: usize = 1024;
const EVENT_INTERVAL: Duration = Duration::from_millis(5);

const WARM_UP: Duration = Duration::from_secs(1);
/// How long all read, before.
const ALONE: Duration = Duration::from_secs(5);
/// How long one half does not read.
const STALL: Duration = Duration::from_secs(10);
/// How long it may take to catch up while publishing goes on.
const CATCH_UP_MAX: Duration = Duration::from_secs(20);

/// Publishing is interrupted for this moment to look at the threads, and to tell the ids.
const SLICE: Duration = Duration::from_millis(200);

/// After how long a browser comes back: the server says so in `retry`, and it is different for each.
const RETRY_MILLIS: (u64, u64) = (2000, 5000);

/// How often a half looks what it is to do.
const TURN: Duration = Duration::from_millis(10);

/// How long the last events may take to arrive.
const SETTLE_PATIENCE: Duration = Duration::from_secs(10);

struct Round {
    alone_p99_millis: f64,
    stalled_p99_millis: f64,
    catching_up_p99_millis: f64,
    catching_up_secs: f64,
    came_back: usize,
    threads_max: u64,
    /// Of those that read all the time.
    faults: Faults,
    /// Of those that stalled.
    stalled_faults: Faults,
}

/// What the half that stalls is told, and what it tells.
#[derive(Default)]
struct Orders {
    stall: AtomicBool,
    read_again: AtomicBool,
    /// The number of events that there will be; 0 while it is not known.
    published: AtomicU64,
    /// The ids of the events, by their numbers.
    ids: Mutex<Vec<String>>,
    /// Whether all have what was published when they began to read again.
    caught_up: AtomicBool,
}

impl Orders {
    fn tell_ids(&self, publisher: &PipelinedPublisher) {
        let mut ids = self.ids.lock().expect("no thread panics under the lock");
        let known = ids.len();
        ids.extend_from_slice(&publisher.ids()[known..]);
    }
}

pub fn run(bench: &Bench, table: &mut Table) -> Result<()> {
    table.section("stall: 5,000 of 10,000 streams stop reading for 10 s; 200 events/s of 1 KB");
    let rounds = bench.alternate_few(&bench.callouts(), |kind| measure(bench, kind))?;
    table.row("p99 of the others before, ms", 1, Goal::Less, &rounds, |round| round.alone_p99_millis);
    table.row("p99 meanwhile, to before", 2, Goal::AtMost(1.5), &rounds, |round| {
        round.stalled_p99_millis / round.alone_p99_millis
    });
    table.row("p99 while they catch up, to before", 2, Goal::AtMost(1.5), &rounds, |round| {
        round.catching_up_p99_millis / round.alone_p99_millis
    });
    table.row("until all have caught up, s", 1, Goal::Less, &rounds, |round| round.catching_up_secs);
    table.row("ended, and came back by id", 0, Goal::None, &rounds, |round| round.came_back as f64);
    // By default 256 for work, and some that are always there.
    table.row("threads at most", 0, Goal::AtMost(300.0), &rounds, |round| round.threads_max as f64);
    table.row("lost or doubled by those that stalled", 0, Goal::AtMost(0.0), &rounds, |round| {
        round.stalled_faults.count() as f64
    });
    table.faults(&[rounds], |round| round.faults);
    Ok(())
}

fn measure(bench: &Bench, kind: Kind) -> Result<Round> {
    let server = bench.start(kind)?;
    let mut stallers = Crowd::open_probed(server.target(), STREAMS, bench.clock)?;
    let mut others = Crowd::open_probed(server.target(), STREAMS, bench.clock)?;
    let orders = Orders::default();
    thread::scope(|scope| {
        let stalling = scope.spawn(|| stall(&mut stallers, &orders));
        let round = lead(bench.clock, &server, &mut others, &orders);
        if round.is_err() {
            // Or the other thread would wait for more. Its result is not used then.
            orders.published.store(1, SeqCst);
        }
        let stalled = stalling.join().map_err(|_| anyhow!("the half that stalls panicked"))?;
        let (mut round, (came_back, stalled_faults)) = (round?, stalled?);
        (round.came_back, round.stalled_faults) = (came_back, stalled_faults);
        Ok(round)
    })
}

/// Publishes, reads the half that does not stall, and tells the other what to do.
fn lead(clock: Clock, server: &Server, others: &mut Crowd, orders: &Orders) -> Result<Round> {
    let request = PublishRequest::padded(server.target(), EVENT_BYTES - MESSAGE_BYTES);
    let mut publisher = PipelinedPublisher::connect_with(server.target(), 0, request)?;
    publisher.keep_ids();
    let mut threads_max = 0;
    // The p99 of what arrived until the length was over, or something came true.
    let mut publish = |length: Duration, is_over: &dyn Fn() -> bool| -> Result<f64> {
        let mut latencies_nanos = Vec::new();
        let ends = Instant::now() + length;
        while Instant::now() < ends && !is_over() {
            pace(clock, others, &mut publisher, EVENT_INTERVAL, SLICE, |_, age_nanos| {
                latencies_nanos.push(age_nanos);
            })?;
            orders.tell_ids(&publisher);
            threads_max = threads_max.max(server.threads()?);
        }
        Ok(Durations::new(latencies_nanos).millis_at(0.99))
    };
    publish(WARM_UP, &|| false)?;
    let alone_p99_millis = publish(ALONE, &|| false)?;
    orders.stall.store(true, SeqCst);
    let stalled_p99_millis = publish(STALL, &|| false)?;
    orders.read_again.store(true, SeqCst);
    let reads_again = Instant::now();
    let catching_up_p99_millis = publish(CATCH_UP_MAX, &|| orders.caught_up.load(SeqCst))?;
    let catching_up_secs = reads_again.elapsed().as_secs_f64();
    finish(others, &mut publisher, SETTLE_PATIENCE)?;
    orders.tell_ids(&publisher);
    orders.published.store(publisher.published(), SeqCst);
    let faults = others.settle(publisher.published(), SETTLE_PATIENCE)?;
    Ok(Round {
        alone_p99_millis,
        stalled_p99_millis,
        catching_up_p99_millis,
        catching_up_secs,
        came_back: 0,
        threads_max,
        faults,
        stalled_faults: Faults::default(),
    })
}

/// Reads the half that stalls, when it is to. Gives how many streams came back, and their faults.
fn stall(crowd: &mut Crowd, orders: &Orders) -> Result<(usize, Faults)> {
    while !orders.stall.load(SeqCst) && orders.published.load(SeqCst) == 0 {
        crowd.turn(TURN, |_| ())?;
    }
    crowd.pause()?;
    while !orders.read_again.load(SeqCst) && orders.published.load(SeqCst) == 0 {
        thread::sleep(TURN);
    }
    crowd.read_again()?;
    let reads_again = Instant::now();
    let until_then = orders.ids.lock().expect("no thread panics under the lock").len() as u64;
    let mut came_back = 0;
    let (mut received, mut deadline) = (0, reads_again + SETTLE_PATIENCE);
    loop {
        crowd.turn(TURN, |_| ())?;
        let waited_millis = reads_again.elapsed().as_millis() as u64;
        let ids = orders.ids.lock().expect("no thread panics under the lock");
        came_back += crowd.reopen(&ids, |index| waited_millis >= retry_millis(index))?;
        drop(ids);
        if crowd.count_with(until_then) == STREAMS {
            orders.caught_up.store(true, SeqCst);
        }
        let published = orders.published.load(SeqCst);
        let is_done = published > 0 && crowd.count_with(published) == STREAMS;
        if crowd.received() > received {
            (received, deadline) = (crowd.received(), Instant::now() + SETTLE_PATIENCE);
        }
        if is_done || Instant::now() > deadline {
            return Ok((came_back, crowd.settle(published, Duration::ZERO)?));
        }
    }
}

/// When the stream of this index comes back, if the server has ended it.
fn retry_millis(index: usize) -> u64 {
    let (least, most) = RETRY_MILLIS;
    least + index as u64 % (most - least)
}
