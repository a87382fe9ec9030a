//! Posts: how many a second are acknowledged, how long it takes until a subscriber of the feed has a
//! new one, and what a busy feed with a thousand subscribers costs.
//!
//! The cost of a feed is compared with that of the same bytes as events of a topic.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::bench::Bench;
use crate::crowd::Crowd;
use crate::meter::Meter;
use crate::pace::pace;
use crate::publisher::{PipelinedPublisher, Team, WaitingPublisher, Work};
use crate::server::{Durability, Folder, Kind, Server};
use crate::stats::Durations;
use crate::table::{Goal, Table};
use crate::wire::message::MESSAGE_BYTES;
use crate::wire::request::{FEED_PATH, FEED_POSTS, PublishRequest};
use crate::wire::target::Target;

const CLIENTS: [usize; 2] = [1, 16];

const SUBSCRIBERS: usize = 1000;

/// Between two posts where the latency is measured, and where a thousand subscribe: long enough that
/// each post is a state of its own.
const LATENCY_INTERVAL: Duration = Duration::from_millis(25);
const COST_INTERVAL: Duration = Duration::from_millis(100);

/// Posted before anything is measured, so that the feed's stream is as long as it gets.
const FIRST_POSTS: u64 = 100;

/// The publishers of the first posts and of those that are measured.
const FIRST_PUBLISHER: usize = 0;
const PUBLISHER: usize = 1;

/// What JSON adds to a message in a post of a feed: id, title, author, tags and version.
const POST_BYTES: usize = 128;

/// How long the first states, or the last ones, may take to arrive.
const PATIENCE: Duration = Duration::from_secs(10);
const TURN: Duration = Duration::from_millis(10);

struct Latency {
    p50_millis: f64,
    p99_millis: f64,
}

/// The server's CPU time.
struct Cost {
    /// For one state of the feed to all of its subscribers.
    state_millis: f64,
    /// For an event of the same size to as many subscribers.
    event_millis: f64,
}

pub fn run(bench: &Bench, table: &mut Table) -> Result<()> {
    let callouts = bench.callouts();
    table.section("posts: clients that wait, 110 bytes and a tag; strict");
    for clients in CLIENTS {
        let rounds = bench.alternate(&callouts, |kind| write(bench, kind, clients))?;
        let load = format!("clients: {clients}");
        table.row(format!("{load}; posts per second"), 0, Goal::More, &rounds, |work| work.events_per_sec);
        table.row(format!("{load}; p99, ms"), 2, Goal::Less, &rounds, |work| work.waits.millis_at(0.99));
    }
    table.section("posts: from the send of a POST to the new feed at a subscriber, 40 posts/s");
    let rounds = bench.alternate(&callouts, |kind| latency(bench, kind))?;
    table.row("p50, ms", 2, Goal::Less, &rounds, |round| round.p50_millis);
    table.row("p99, ms", 2, Goal::Less, &rounds, |round| round.p99_millis);
    table.section("posts: 1,000 subscribers of one feed of 50 posts, 10 posts/s; server CPU");
    let rounds = bench.alternate(&callouts, |kind| cost(bench, kind))?;
    table.row("per state to all of them, ms", 2, Goal::Less, &rounds, |round| round.state_millis);
    table.row("per event of the same size to all, ms", 2, Goal::Less, &rounds, |round| round.event_millis);
    table.row("the state to the event", 2, Goal::AtMost(1.5), &rounds, |round| {
        round.state_millis / round.event_millis
    });
    Ok(())
}

fn write(bench: &Bench, kind: Kind, clients: usize) -> Result<Work> {
    let folder = Folder::on_disk()?;
    let server = bench.start_on_disk(kind, &folder, Durability::Strict)?;
    let team = Team::start(server.target(), clients, bench.clock, bench.effort.publish, PublishRequest::post);
    team.join()
}

fn latency(bench: &Bench, kind: Kind) -> Result<Latency> {
    let folder = Folder::on_disk()?;
    let server = bench.start_on_disk(kind, &folder, Durability::Strict)?;
    let mut crowd = open_feed(bench, server.target(), 1)?;
    let request = PublishRequest::post(server.target());
    let mut publisher = PipelinedPublisher::connect_with(server.target(), PUBLISHER, request)?;
    let mut latencies_nanos = Vec::new();
    let mut next = 0;
    let load = bench.effort.load;
    pace(bench.clock, &mut crowd, &mut publisher, LATENCY_INTERVAL, load, |message, age_nanos| {
        // A state repeats the posts of the one before; only a new one counts.
        if message.publisher == PUBLISHER && message.number >= next {
            latencies_nanos.push(age_nanos);
            next = message.number + 1;
        }
    })?;
    ensure!(crowd.settle(publisher.published(), PATIENCE)?.hung_up == 0, "the server ended the stream");
    let latencies = Durations::new(latencies_nanos);
    Ok(Latency { p50_millis: latencies.millis_at(0.50), p99_millis: latencies.millis_at(0.99) })
}

fn cost(bench: &Bench, kind: Kind) -> Result<Cost> {
    let folder = Folder::on_disk()?;
    let server = bench.start_on_disk(kind, &folder, Durability::Strict)?;

    let crowd = open_feed(bench, server.target(), SUBSCRIBERS)?;
    let (cpu_millis, messages) = load(bench, &server, crowd, PublishRequest::post(server.target()))?;
    let states = messages as f64 / (SUBSCRIBERS * FEED_POSTS) as f64;
    let state_millis = cpu_millis / states;

    let crowd = Crowd::open(server.target(), SUBSCRIBERS)?;
    ensure!(crowd.open_count() == SUBSCRIBERS, "not all streams opened");
    let padding_bytes = FEED_POSTS * (POST_BYTES + MESSAGE_BYTES) - MESSAGE_BYTES;
    let request = PublishRequest::padded(server.target(), padding_bytes);
    let (cpu_millis, messages) = load(bench, &server, crowd, request)?;
    let event_millis = cpu_millis / (messages as f64 / SUBSCRIBERS as f64);
    Ok(Cost { state_millis, event_millis })
}

/// The server's CPU time, in milliseconds, while this request was sent at its pace, and the number of
/// messages that the crowd received.
fn load(bench: &Bench, server: &Server, mut crowd: Crowd, request: PublishRequest) -> Result<(f64, u64)> {
    let mut publisher = PipelinedPublisher::connect_with(server.target(), PUBLISHER, request)?;
    let meter = Meter::start(server, &crowd)?;
    let mut messages = 0;
    pace(bench.clock, &mut crowd, &mut publisher, COST_INTERVAL, bench.effort.load, |_, _| messages += 1)?;
    let reading = meter.stop(server, &crowd)?;
    ensure!(crowd.open_count() == SUBSCRIBERS, "the server ended some streams");
    Ok((reading.server_cpu.as_secs_f64() * 1e3, messages))
}

/// A feed with some posts, and so many subscribers, each of which has received it.
fn open_feed(bench: &Bench, server: Target, subscribers: usize) -> Result<Crowd> {
    let request = PublishRequest::post(server);
    let mut publisher = WaitingPublisher::connect_with(server, FIRST_PUBLISHER, request)?;
    for _ in 0..FIRST_POSTS {
        publisher.publish(bench.clock.nanos())?;
    }
    let mut crowd = Crowd::open_path(server, subscribers, FEED_PATH)?;
    let deadline = Instant::now() + PATIENCE;
    while crowd.count_with(1) < subscribers {
        ensure!(
            Instant::now() < deadline,
            "{} of {subscribers} subscribers received a state",
            crowd.count_with(1)
        );
        crowd.turn(TURN, |_| ())?;
    }
    Ok(crowd)
}
