//! Activity: what it costs the requests that ten listeners are shown each of them.
//!
//! callout is alone here: a request is compared with the same request when nobody looks.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::bench::Bench;
use crate::publisher::WaitingPublisher;
use crate::server::Kind;
use crate::stats::percentile;
use crate::table::{Table, Target};

const LISTENERS: usize = 10;
const REQUEST_INTERVAL: Duration = Duration::from_millis(2);

/// How often the listeners look what has come.
const GLANCE: Duration = Duration::from_millis(50);

/// How long what was asked last may take to be shown.
const SETTLE: Duration = Duration::from_millis(250);

/// Rounds, and in each how often nobody looks and then ten do. What a request takes depends on which cores the
/// scheduler has chosen for its threads, which changes more than is to be seen here; many turns even it out.
const ROUNDS: usize = 5;
const TURNS: u32 = 10;

struct Round {
    alone_micros: f64,
    watched_micros: f64,
    shown: f64,
}

pub fn run(bench: &Bench, table: &mut Table) -> Result<()> {
    if !bench.kinds.contains(&Kind::Callout) {
        return Ok(());
    }
    let rounds = bench.repeat(ROUNDS, || measure(bench))?;
    table.section("activity: 500 requests/s, nobody looking and ten activity listeners");
    table.row("a request when nobody looks, p50 µs", 1, &rounds, Target::None, |round| round.alone_micros);
    table
        .row("a request with ten listeners, p50 µs", 1, &rounds, Target::None, |round| round.watched_micros);
    table.row("the second to the first", 3, &rounds, Target::AtMost(1.05), |round| {
        round.watched_micros / round.alone_micros
    });
    table.row("requests that each listener was shown, share", 2, &rounds, Target::None, |round| round.shown);
    Ok(())
}

fn measure(bench: &Bench) -> Result<Round> {
    let server = bench.start(Kind::Callout)?;
    let mut publisher = WaitingPublisher::connect(server.addr(), 0)?;
    // What the first requests cost a server that has just started is nobody's doing.
    requests(bench, &mut publisher, &mut Vec::new())?;
    let (mut alone_nanos, mut watched_nanos) = (Vec::new(), Vec::new());
    let mut shown = 0;
    for _ in 0..TURNS {
        requests(bench, &mut publisher, &mut alone_nanos)?;
        let audience = Audience::open(server.addr(), LISTENERS)?;
        requests(bench, &mut publisher, &mut watched_nanos)?;
        // What was asked last is shown with the next tick.
        thread::sleep(SETTLE);
        shown += audience.close()?;
    }
    let shown = shown as f64 / (watched_nanos.len() * LISTENERS) as f64;
    let (alone_micros, watched_micros) = (median_micros(alone_nanos), median_micros(watched_nanos));
    ensure!(shown > 0.5, "the listeners were shown only {shown:.2} of the requests");
    eprintln!("activity: {alone_micros:.1} µs alone, {watched_micros:.1} µs watched, {shown:.2} shown");
    Ok(Round { alone_micros, watched_micros, shown })
}

fn median_micros(mut nanos: Vec<u64>) -> f64 {
    nanos.sort_unstable();
    percentile(&nanos, 0.5) as f64 / 1e3
}

/// Asks at the interval for a while, and notes how long each answer took.
fn requests(bench: &Bench, publisher: &mut WaitingPublisher, took_nanos: &mut Vec<u64>) -> Result<()> {
    let ends = Instant::now() + bench.effort.publish / TURNS;
    let mut due = Instant::now();
    while due < ends {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let asked = bench.clock.nanos();
        publisher.publish(asked)?;
        took_nanos.push(bench.clock.nanos() - asked);
        due += REQUEST_INTERVAL;
    }
    Ok(())
}

/// Browsers with the activity page open. One thread reads for all of them, and sleeps in between: elsewhere they
/// would be on other machines, and not take turns with the server on its cores.
struct Audience {
    is_over: Arc<AtomicBool>,
    reader: thread::JoinHandle<Result<usize>>,
}

impl Audience {
    /// Opens the streams and waits for the first bytes of each.
    fn open(server: SocketAddr, listeners: usize) -> Result<Audience> {
        let mut streams = Vec::new();
        for _ in 0..listeners {
            let mut stream = TcpStream::connect(server).context("failed to connect a listener")?;
            write!(stream, "GET /api/streams HTTP/1.1\r\nHost: {server}\r\n\r\n")?;
            let mut opening = [0; 1024];
            ensure!(stream.read(&mut opening)? > 0, "the activity stream was not opened");
            stream.set_nonblocking(true)?;
            streams.push((stream, Vec::new()));
        }
        let is_over = Arc::new(AtomicBool::new(false));
        let over = is_over.clone();
        let reader = thread::spawn(move || {
            while !over.load(Relaxed) {
                thread::sleep(GLANCE);
                for (stream, text) in &mut streams {
                    match stream.read_to_end(text) {
                        Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                        ended => bail!("the activity stream ended: {ended:?}"),
                    }
                }
            }
            let shown = |text: &[u8]| String::from_utf8_lossy(text).matches("POST /topics/").count();
            Ok(streams.iter().map(|(_, text)| shown(text)).sum())
        });
        Ok(Audience { is_over, reader })
    }

    /// Closes the streams and says how many requests they were shown, all together.
    fn close(self) -> Result<usize> {
        self.is_over.store(true, Relaxed);
        self.reader.join().expect("it only reads")
    }
}
