//! Posts: how many a second are acknowledged, how long it takes until a watcher has the feed with a new one,
//! and what a busy feed costs that a thousand watch.
//!
//! callout is alone here: what a feed costs is compared with what it costs to deliver the same bytes as
//! events that are only true now.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::bench::Bench;
use crate::crowd::Crowd;
use crate::meter::{Meter, Reading};
use crate::publisher::{PipelinedPublisher, Team, WaitingPublisher};
use crate::server::{Keep, Kind, Server, Store};
use crate::stats::percentile;
use crate::table::{Table, Target};
use crate::wire::message::MESSAGE_BYTES;
use crate::wire::request::{FEED_PATH, FEED_POSTS, PATH, PublishRequest};

const CLIENTS_FEW: usize = 1;
const CLIENTS_MANY: usize = 16;

const WATCHERS: usize = 1000;

/// Between two posts where it is measured how long one takes to a watcher, and where a thousand watch: long
/// enough that each post is a state of its own.
const LATENCY_INTERVAL: Duration = Duration::from_millis(25);
const CROWD_INTERVAL: Duration = Duration::from_millis(100);

/// What is posted before anything is measured, so that the feed's stream is as long as it gets.
const FIRST_POSTS: u64 = 100;

/// What JSON adds to a message in a post of a feed: id, title, author, tags and version.
const POST_BYTES: usize = 128;

/// How long the watchers may take to be there, or to have what was sent last.
const PATIENCE: Duration = Duration::from_secs(10);
const TURN: Duration = Duration::from_millis(10);

struct Latency {
    p50_millis: f64,
    p99_millis: f64,
}

struct Cost {
    /// For one state to all of its watchers.
    feed_millis: f64,
    core_millis: f64,
    /// States that each watcher was sent, to posts.
    states: f64,
}

pub fn run(bench: &Bench, table: &mut Table) -> Result<()> {
    if !bench.kinds.contains(&Kind::Callout) {
        return Ok(());
    }
    table.section("posts: clients that wait, 110 bytes and a tag; on disk, strict");
    for clients in [CLIENTS_FEW, CLIENTS_MANY] {
        let rounds = bench.repeat(bench.effort.load_rounds, || write(bench, clients))?;
        let who = if clients == 1 { "client" } else { "clients" };
        table.row(format!("{clients} {who}: posts per second"), 0, &rounds, Target::None, |round| round.0);
        table.row(format!("{clients} {who}: p99, ms"), 2, &rounds, Target::None, |round| round.1);
    }
    let rounds = bench.repeat(bench.effort.load_rounds, || latency(bench))?;
    table.section("posts: from the send of a POST to the feed with it at a watcher, 40 posts/s");
    table.row("p50, ms", 2, &rounds, Target::None, |round| round.p50_millis);
    table.row("p99, ms", 2, &rounds, Target::None, |round| round.p99_millis);
    let rounds = bench.repeat(bench.effort.load_rounds, || cost(bench))?;
    table.section("posts: 1,000 watchers of one feed of 50 posts, 10 posts/s; server CPU");
    table.row("per state to all of them, ms", 2, &rounds, Target::None, |round| round.feed_millis);
    table.row("the same bytes as an event to all, ms", 2, &rounds, Target::None, |round| round.core_millis);
    table.row("the first to the second", 2, &rounds, Target::AtMost(1.5), |round| {
        round.feed_millis / round.core_millis
    });
    table.aside("states that each watcher was sent, to posts", 2, &rounds, |round| round.states);
    Ok(())
}

/// Posts per second, and the wait that all but one in a hundred did not exceed, in milliseconds.
fn write(bench: &Bench, clients: usize) -> Result<(f64, f64)> {
    let store = Store::new()?;
    let server = bench.start_keeping(&store, Keep::Strict)?;
    let team = Team::start(server.addr(), clients, bench.clock, bench.effort.publish, PublishRequest::post);
    let work = team.join()?;
    let (posts_per_sec, p99_millis) = (work.requests_per_sec, work.p99_millis());
    eprintln!("posts: {clients} clients, {posts_per_sec:.0} posts/s, p99 {p99_millis:.2} ms");
    Ok((posts_per_sec, p99_millis))
}

fn latency(bench: &Bench) -> Result<Latency> {
    let store = Store::new()?;
    let server = bench.start_keeping(&store, Keep::Strict)?;
    let mut crowd = watch(bench, server.addr(), 1)?;
    let request = PublishRequest::post(server.addr());
    let mut publisher = PipelinedPublisher::connect_with(server.addr(), 1, request)?;
    let mut latencies_nanos = Vec::new();
    let mut next = 0;
    pace(bench, &mut crowd, &mut publisher, LATENCY_INTERVAL, |publisher, number, nanos| {
        // A state has old posts too; new ones come once.
        if publisher == 1 && number >= next {
            latencies_nanos.push(nanos);
            next = number + 1;
        }
    })?;
    ensure!(crowd.settle(publisher.published(), PATIENCE)?.hung_up == 0, "the watcher was hung up on");
    latencies_nanos.sort_unstable();
    let millis_at = |share| percentile(&latencies_nanos, share) as f64 / 1e6;
    let latency = Latency { p50_millis: millis_at(0.50), p99_millis: millis_at(0.99) };
    eprintln!(
        "posts: to a watcher p50 {:.2} ms, p99 {:.2} ms, {} of {} seen by themselves",
        latency.p50_millis,
        latency.p99_millis,
        latencies_nanos.len(),
        publisher.published()
    );
    Ok(latency)
}

fn cost(bench: &Bench) -> Result<Cost> {
    let store = Store::new()?;
    let mut flags = store.flags(Keep::Strict);
    flags.extend(["--only-now", "bench"].map(Into::into));
    let server = bench.start_callout(flags)?;

    let crowd = watch(bench, server.addr(), WATCHERS)?;
    let (reading, messages, posts) = load(bench, &server, crowd, PublishRequest::post(server.addr()))?;
    let states = messages as f64 / (WATCHERS * FEED_POSTS) as f64;
    let feed_millis = reading.server_cpu.as_secs_f64() * 1e3 / states;

    let crowd = Crowd::watch(server.addr(), WATCHERS, PATH)?;
    ensure!(crowd.open_count() == WATCHERS, "not all streams opened");
    let padding_bytes = FEED_POSTS * (POST_BYTES + MESSAGE_BYTES) - MESSAGE_BYTES;
    let request = PublishRequest::padded(server.addr(), padding_bytes);
    let (reading, messages, _) = load(bench, &server, crowd, request)?;
    let events = messages as f64 / WATCHERS as f64;
    let core_millis = reading.server_cpu.as_secs_f64() * 1e3 / events;
    let cost = Cost { feed_millis, core_millis, states: states / posts as f64 };
    eprintln!(
        "posts: {feed_millis:.2} ms CPU per state to {WATCHERS}, {core_millis:.2} ms for the same bytes, \
         {states:.0} states of {posts} posts"
    );
    Ok(cost)
}

/// What the server spent while something was sent in its pace; how many messages came, of how many sent.
fn load(
    bench: &Bench,
    server: &Server,
    mut crowd: Crowd,
    request: PublishRequest,
) -> Result<(Reading, u64, u64)> {
    let mut publisher = PipelinedPublisher::connect_with(server.addr(), 1, request)?;
    let meter = Meter::start(server, &crowd)?;
    let mut messages = 0;
    pace(bench, &mut crowd, &mut publisher, CROWD_INTERVAL, |_, _, _| messages += 1)?;
    let reading = meter.stop(server, &crowd)?;
    ensure!(crowd.open_count() == WATCHERS, "some streams were hung up on");
    Ok((reading, messages, publisher.published()))
}

/// Publishes at its pace for the length of a load, and says of each message that comes whose it is, which,
/// and how old.
fn pace(
    bench: &Bench,
    crowd: &mut Crowd,
    publisher: &mut PipelinedPublisher,
    interval: Duration,
    mut heard: impl FnMut(usize, u64, u64),
) -> Result<()> {
    let ends = Instant::now() + bench.effort.load;
    let mut due = Instant::now();
    while due < ends {
        if Instant::now() >= due {
            publisher.publish(bench.clock.nanos());
            due += interval;
        }
        publisher.progress()?;
        crowd.turn(due.saturating_duration_since(Instant::now()), |message| {
            heard(message.publisher, message.number, bench.clock.nanos() - message.sent_nanos);
        })?;
    }
    Ok(())
}

/// A feed with some posts, and so many watchers, each of whom has been sent it.
fn watch(bench: &Bench, server: SocketAddr, watchers: usize) -> Result<Crowd> {
    let mut first = WaitingPublisher::connect_with(server, 0, PublishRequest::post(server))?;
    for _ in 0..FIRST_POSTS {
        first.publish(bench.clock.nanos())?;
    }
    let mut crowd = Crowd::watch(server, watchers, FEED_PATH)?;
    let deadline = Instant::now() + PATIENCE;
    while crowd.count_with(1) < watchers {
        ensure!(
            Instant::now() < deadline,
            "{} of {watchers} watchers were sent a state",
            crowd.count_with(1)
        );
        crowd.turn(TURN, |_| ())?;
    }
    Ok(crowd)
}
