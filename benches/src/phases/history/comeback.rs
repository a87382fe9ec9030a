//! Browsers that come back with the id of the last event they had, 1,000 events ago: one by itself, and
//! 2,000 at the same time while publishing goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};

use crate::bench::Bench;
use crate::clock::Clock;
use crate::crowd::{Crowd, Faults, PROBE_PUBLISHER};
use crate::publisher::WaitingPublisher;
use crate::server::{Keep, Server, Store};
use crate::table::{Table, Target};

const MISSED_EVENTS: u64 = 1000;
const BROWSERS: usize = 2000;

/// Times that one browser comes back in a round.
const RESUMES: usize = 21;

/// Between two events that are published while the many come back.
const EVENT_INTERVAL: Duration = Duration::from_millis(10);

/// Who publishes what was missed, and who goes on. Each stream sees that it has both in their order.
const MISSED_PUBLISHER: usize = 0;
const LIVE_PUBLISHER: usize = 1;

/// How long the generator waits for streams before it looks again whether all have caught up.
const TURN: Duration = Duration::from_millis(10);

/// How long the streams may take to catch up. What has not come then is lost.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long what was published last may take to arrive.
const SETTLE_PATIENCE: Duration = Duration::from_secs(5);

struct Herd {
    caught_up_secs: f64,
    live_events: u64,
    faults: Faults,
}

pub fn run(bench: &Bench, table: &mut Table, full: &Store) -> Result<()> {
    let server = bench.start_keeping(full, Keep::Strict)?;
    let last_seen = miss(&server, bench.clock)?;
    let resumes = bench.repeat(RESUMES, || resume(&server, &last_seen))?;
    let herds = bench.repeat(1, || herd(bench, &server, &last_seen))?;
    table.section("history: coming back 1,000 events later, strict, 100,000 events kept");
    table.row("1 browser: request to last event, ms", 2, &resumes, Target::None, |millis| *millis);
    table.row("2,000 at once, 100 events/s: all caught up, s", 2, &herds, Target::AtMost(15.0), |herd| {
        herd.caught_up_secs
    });
    table.aside("published meanwhile", 0, &herds, |herd| herd.live_events as f64);
    table.sum("lost, doubled or torn", &herds, Target::AtMost(0.0), |herd| herd.faults.count() as f64);
    Ok(())
}

/// Publishes an event, gives its id, and publishes what is missed by those who saw that event last.
fn miss(server: &Server, clock: Clock) -> Result<String> {
    let mut last_seen = WaitingPublisher::connect(server.addr(), PROBE_PUBLISHER)?;
    last_seen.publish(clock.nanos())?;
    let mut missed = WaitingPublisher::connect(server.addr(), MISSED_PUBLISHER)?;
    for _ in 0..MISSED_EVENTS {
        missed.publish(clock.nanos())?;
    }
    last_seen.last_id()
}

/// The milliseconds until one browser has everything.
fn resume(server: &Server, last_seen: &str) -> Result<f64> {
    let started = Instant::now();
    let mut crowd = Crowd::resume(server.addr(), 1, last_seen)?;
    while crowd.slowest() < MISSED_EVENTS && started.elapsed() < PATIENCE {
        crowd.turn(TURN, |_| ())?;
    }
    let millis = started.elapsed().as_secs_f64() * 1e3;
    let faults = crowd.settle(MISSED_EVENTS, Duration::ZERO)?;
    ensure!(faults == Faults::default(), "one browser came back and had {faults}");
    Ok(millis)
}

fn herd(bench: &Bench, server: &Server, last_seen: &str) -> Result<Herd> {
    let live = Live::start(server, bench.clock)?;
    let started = Instant::now();
    let mut crowd = Crowd::resume(server.addr(), BROWSERS, last_seen)?;
    while crowd.slowest() < MISSED_EVENTS + live.acknowledged() && started.elapsed() < PATIENCE {
        crowd.turn(TURN, |_| ())?;
    }
    let caught_up_secs = started.elapsed().as_secs_f64();
    let live_events = live.finish()?;
    let faults = crowd.settle(MISSED_EVENTS + live_events, SETTLE_PATIENCE)?;
    eprintln!(
        "history: {BROWSERS} came back in {caught_up_secs:.2} s, {live_events} events meanwhile, {faults}"
    );
    Ok(Herd { caught_up_secs, live_events, faults })
}

/// Publishing that goes on at its pace, on a thread of its own, until it is told to finish or its server
/// ends.
struct Live {
    shared: Arc<Shared>,
    thread: JoinHandle<Result<u64>>,
}

/// Each is a single number, so that no order between them matters.
#[derive(Default)]
struct Shared {
    acknowledged: AtomicU64,
    stopped: AtomicBool,
}

impl Live {
    fn start(server: &Server, clock: Clock) -> Result<Live> {
        let mut publisher = WaitingPublisher::connect(server.addr(), LIVE_PUBLISHER)?;
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            let mut due = Instant::now();
            while !theirs.stopped.load(Ordering::Relaxed) {
                publisher.publish(clock.nanos())?;
                theirs.acknowledged.store(publisher.published(), Ordering::Relaxed);
                due += EVENT_INTERVAL;
                thread::sleep(due.saturating_duration_since(Instant::now()));
            }
            Ok(publisher.published())
        });
        Ok(Live { shared, thread })
    }

    fn acknowledged(&self) -> u64 {
        self.shared.acknowledged.load(Ordering::Relaxed)
    }

    /// Gives the number of events that were published.
    fn finish(self) -> Result<u64> {
        self.shared.stopped.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow!("a publisher panicked"))?
    }
}
