//! Turning: 1,000 streams are no longer read while one goes on. It should not notice when all others
//! fall behind at once, nor when all of them are given up at once.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::bench::Bench;
use crate::crowd::{Crowd, Faults};
use crate::pace::{finish, pace};
use crate::publisher::PipelinedPublisher;
use crate::server::{Kind, Server};
use crate::stats::Durations;
use crate::table::{Goal, Table};
use crate::wire::message::MESSAGE_BYTES;
use crate::wire::request::PublishRequest;

const STREAMS: usize = 1000;
const EVENT_BYTES: usize = 1024;
const EVENT_INTERVAL: Duration = Duration::from_micros(2500);

/// Until the kernel's buffers and the server's queues of all that are not read are full, which may
/// take 4 MB for each, and then some.
const PACED_LENGTH: Duration = Duration::from_secs(12);
const FLAT_OUT_LENGTH: Duration = Duration::from_secs(4);

/// Events on their way to the reader where the publisher goes flat out.
const WINDOW_EVENTS: u64 = 64;

/// What is published before they stop.
const WARM_UP: Duration = Duration::from_millis(500);

const TURN: Duration = Duration::from_millis(10);
const SETTLE_PATIENCE: Duration = Duration::from_secs(5);

struct Round {
    p99_millis: f64,
    max_millis: f64,
    events_per_sec: f64,
    faults: Faults,
}

/// One stream that is read, and those that are not any more.
struct Scene {
    reader: Crowd,
    _unread: Crowd,
    publisher: PipelinedPublisher,
    _server: Server,
}

pub fn run(bench: &Bench, table: &mut Table) -> Result<()> {
    let kinds = bench.callouts_and(&[Kind::Centrifugo]);
    table.section("turning: 1,000 streams stop reading, one goes on; 400 events/s of 1 KB");
    let rounds = bench.alternate_few(&kinds, |kind| paced(bench, kind))?;
    table.row("latency p99, ms", 1, Goal::AtMostTimes(0.7, Kind::Centrifugo), &rounds, |round| {
        round.p99_millis
    });
    table.row("latency at most, ms", 1, Goal::Less, &rounds, |round| round.max_millis);
    table.faults(&[rounds], |round| round.faults);

    table.section("turning: the same with 64 events of 1 KB on their way at any time");
    let rounds = bench.alternate_few(&kinds, |kind| flat_out(bench, kind))?;
    table.row("latency p99, ms", 1, Goal::AtMost(100.0), &rounds, |round| round.p99_millis);
    table.row("latency at most, ms", 1, Goal::Less, &rounds, |round| round.max_millis);
    table.row("events per second", 0, Goal::More, &rounds, |round| round.events_per_sec);
    table.faults(&[rounds], |round| round.faults);
    Ok(())
}

fn paced(bench: &Bench, kind: Kind) -> Result<Round> {
    let mut scene = Scene::open(bench, kind)?;
    let mut latencies_nanos = Vec::new();
    let (reader, publisher) = (&mut scene.reader, &mut scene.publisher);
    pace(bench.clock, reader, publisher, EVENT_INTERVAL, PACED_LENGTH, |_, age_nanos| {
        latencies_nanos.push(age_nanos);
    })?;
    scene.end(latencies_nanos, PACED_LENGTH)
}

fn flat_out(bench: &Bench, kind: Kind) -> Result<Round> {
    let mut scene = Scene::open(bench, kind)?;
    let mut latencies_nanos = Vec::new();
    let ends = Instant::now() + FLAT_OUT_LENGTH;
    while Instant::now() < ends {
        ensure!(scene.reader.open_count() == 1, "the server ended the stream that is read");
        while scene.publisher.published() < scene.reader.slowest() + WINDOW_EVENTS {
            scene.publisher.publish(bench.clock.nanos());
        }
        scene.publisher.progress()?;
        scene.reader.turn(TURN, |message| {
            latencies_nanos.push(bench.clock.nanos() - message.sent_nanos);
        })?;
    }
    scene.end(latencies_nanos, FLAT_OUT_LENGTH)
}

impl Scene {
    /// All streams have received something when those that are not read any more stop.
    fn open(bench: &Bench, kind: Kind) -> Result<Scene> {
        let server = bench.start(kind)?;
        let mut unread = Crowd::open_probed(server.target(), STREAMS, bench.clock)?;
        let mut reader = Crowd::open_probed(server.target(), 1, bench.clock)?;
        let request = PublishRequest::padded(server.target(), EVENT_BYTES - MESSAGE_BYTES);
        let mut publisher = PipelinedPublisher::connect_with(server.target(), 0, request)?;
        pace(bench.clock, &mut reader, &mut publisher, EVENT_INTERVAL, WARM_UP, |_, _| ())?;
        unread.settle(publisher.published(), SETTLE_PATIENCE)?;
        unread.pause()?;
        Ok(Scene { reader, _unread: unread, publisher, _server: server })
    }

    fn end(mut self, latencies_nanos: Vec<u64>, length: Duration) -> Result<Round> {
        finish(&mut self.reader, &mut self.publisher, SETTLE_PATIENCE)?;
        let faults = self.reader.settle(self.publisher.published(), SETTLE_PATIENCE)?;
        let events_per_sec = latencies_nanos.len() as f64 / length.as_secs_f64();
        let latencies = Durations::new(latencies_nanos);
        Ok(Round {
            p99_millis: latencies.millis_at(0.99),
            max_millis: latencies.millis_at(1.0),
            events_per_sec,
            faults,
        })
    }
}
