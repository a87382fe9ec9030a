//! Activity: what it costs the requests that ten listeners are shown each of them.
//!
//! callout is alone here: a request is compared with the same request when nobody looks.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::bench::Bench;
use crate::publisher::WaitingPublisher;
use crate::server::Kind;
use crate::stats::percentile;
use crate::table::{Table, Target};

const LISTENERS: usize = 10;
const REQUEST_INTERVAL: Duration = Duration::from_millis(2);

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
        let listeners: Vec<Listener> =
            (0..LISTENERS).map(|_| Listener::open(server.addr())).collect::<Result<_>>()?;
        requests(bench, &mut publisher, &mut watched_nanos)?;
        // What was asked last is shown with the next tick.
        thread::sleep(SETTLE);
        for listener in listeners {
            shown += listener.close()?;
        }
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

/// A browser with the activity page open: a thread that reads.
struct Listener {
    socket: TcpStream,
    reader: thread::JoinHandle<usize>,
}

impl Listener {
    /// Opens the stream and waits for its first bytes.
    fn open(server: SocketAddr) -> Result<Listener> {
        let mut socket = TcpStream::connect(server).context("failed to connect a listener")?;
        write!(socket, "GET /api/streams HTTP/1.1\r\nHost: {server}\r\n\r\n")?;
        let mut stream = socket.try_clone()?;
        let mut opening = [0; 1024];
        ensure!(stream.read(&mut opening)? > 0, "the activity stream was not opened");
        let reader = thread::spawn(move || {
            let mut text = Vec::new();
            // Closing it from here ends the reading, in whatever way.
            let _ = stream.read_to_end(&mut text);
            String::from_utf8_lossy(&text).matches("POST /topics/").count()
        });
        Ok(Listener { socket, reader })
    }

    /// Closes it and says how many requests it was shown.
    fn close(self) -> Result<usize> {
        // It may have ended by itself.
        let _ = self.socket.shutdown(Shutdown::Both);
        Ok(self.reader.join().expect("it only reads"))
    }
}
