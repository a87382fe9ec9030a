//! Activity: what ten subscribers of the activity stream, which shows every request, cost a request.
//!
//! A request is compared with the same request while nobody subscribes.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::bench::Bench;
use crate::publisher::WaitingPublisher;
use crate::server::Kind;
use crate::stats::Durations;
use crate::table::{Goal, Table};

const SUBSCRIBERS: usize = 10;
const REQUEST_INTERVAL: Duration = Duration::from_millis(2);

/// How long the last requests may take to be shown.
const SETTLE: Duration = Duration::from_millis(250);

/// How often a round changes between nobody and ten subscribers. The cores that the scheduler has
/// chosen for the threads matter more to a request than what is measured here; many turns even that
/// out.
const TURNS: u32 = 10;

struct Round {
    alone_micros: f64,
    subscribed_micros: f64,
}

pub fn run(bench: &Bench, table: &mut Table) -> Result<()> {
    table.section("activity: 500 requests/s, with nobody and with ten subscribers of the activity stream");
    let rounds = bench.alternate_few(&bench.callouts(), |kind| measure(bench, kind))?;
    table.row("a request with nobody, p50 µs", 1, Goal::Less, &rounds, |round| round.alone_micros);
    table.row("a request with ten, to one with nobody", 3, Goal::AtMost(1.05), &rounds, |round| {
        round.subscribed_micros / round.alone_micros
    });
    Ok(())
}

fn measure(bench: &Bench, kind: Kind) -> Result<Round> {
    let server = bench.start(kind)?;
    let mut publisher = WaitingPublisher::connect(server.target(), 0)?;
    // The first requests to a server that has just started take longer, and are not counted.
    publish(bench, &mut publisher, &mut Vec::new())?;
    let (mut alone_nanos, mut subscribed_nanos) = (Vec::new(), Vec::new());
    let mut shown = 0;
    for _ in 0..TURNS {
        publish(bench, &mut publisher, &mut alone_nanos)?;
        let streams = open_streams(server.addr())?;
        publish(bench, &mut publisher, &mut subscribed_nanos)?;
        // The last requests are shown with the next tick.
        thread::sleep(SETTLE);
        shown += streams.into_iter().map(shown_requests).sum::<Result<usize>>()?;
    }
    let shown_share = shown as f64 / (subscribed_nanos.len() * SUBSCRIBERS) as f64;
    let median_micros = |nanos| Durations::new(nanos).millis_at(0.5) * 1e3;
    let (alone_micros, subscribed_micros) = (median_micros(alone_nanos), median_micros(subscribed_nanos));
    ensure!(shown_share > 0.5, "each subscriber was shown only {shown_share:.2} of the requests");
    Ok(Round { alone_micros, subscribed_micros })
}

/// Publishes at the interval for a while, and notes how long each answer took.
fn publish(bench: &Bench, publisher: &mut WaitingPublisher, took_nanos: &mut Vec<u64>) -> Result<()> {
    let ends = Instant::now() + bench.effort.publish / TURNS;
    let mut due = Instant::now();
    while due < ends {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let sent_nanos = bench.clock.nanos();
        publisher.publish(sent_nanos)?;
        took_nanos.push(bench.clock.nanos() - sent_nanos);
        due += REQUEST_INTERVAL;
    }
    Ok(())
}

/// Opens activity streams and waits for the first bytes of each.
fn open_streams(server: SocketAddr) -> Result<Vec<TcpStream>> {
    let open = |_| {
        let mut stream = TcpStream::connect(server).context("failed to connect a subscriber")?;
        write!(stream, "GET /api/streams HTTP/1.1\r\nHost: {server}\r\n\r\n")?;
        let mut opening = [0; 1024];
        ensure!(stream.read(&mut opening)? > 0, "the activity stream did not open");
        Ok(stream)
    };
    (0..SUBSCRIBERS).map(open).collect()
}

/// The requests that a stream has shown so far.
///
/// The stream is only read now. What it has shown fits into the socket's buffer, and a reader would
/// take turns with the server on its cores, where browsers are on other machines.
fn shown_requests(mut stream: TcpStream) -> Result<usize> {
    stream.set_nonblocking(true)?;
    let mut text = Vec::new();
    match stream.read_to_end(&mut text) {
        Err(cause) if cause.kind() == ErrorKind::WouldBlock => {}
        ended => bail!("the activity stream ended: {ended:?}"),
    }
    Ok(String::from_utf8_lossy(&text).matches("POST /topics/").count())
}
