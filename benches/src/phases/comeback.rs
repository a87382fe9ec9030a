//! Comeback: browsers that return with the id of an event 1,000 events ago, one by itself, and 2,000
//! at the same time while publishing goes on.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::bench::Bench;
use crate::clock::Clock;
use crate::crowd::{Crowd, Faults, PROBE_PUBLISHER};
use crate::phases::restart::full_histories;
use crate::publisher::{PipelinedPublisher, WaitingPublisher};
use crate::server::{Durability, Folder, Kind, Server};
use crate::stats::median;
use crate::table::{Goal, Table};

const MISSED_EVENTS: u64 = 1000;
const HERD_STREAMS: usize = 2000;

/// Times that one browser returns in a round.
const RESUMES: usize = 21;

/// Between two events that are published while the herd returns.
const EVENT_INTERVAL: Duration = Duration::from_millis(10);

/// The publisher of what was missed, and the one that goes on. Each stream checks the order of both.
const MISSED_PUBLISHER: usize = 0;
const LIVE_PUBLISHER: usize = 1;

/// How long the generator waits for streams before it looks again whether all have caught up.
const TURN: Duration = Duration::from_millis(10);

/// How long the streams may take to catch up. What has not come then is lost.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long the last events may take to arrive.
const SETTLE_PATIENCE: Duration = Duration::from_secs(5);

struct Round {
    /// Until one browser has its last event.
    resumed_millis: f64,
    /// Until the whole herd has caught up.
    caught_up_secs: f64,
    faults: Faults,
}

pub fn run(bench: &Bench, table: &mut Table) -> Result<()> {
    table.section("comeback: 1,000 events missed of 100,000 kept, strict");
    let histories = full_histories(bench)?;
    let rounds = bench.alternate(&bench.callouts(), |kind| measure(bench, kind, &histories[&kind]))?;
    table.row("1 browser: request to last event, ms", 2, Goal::Less, &rounds, |round| round.resumed_millis);
    table.row("2,000 at once, 100 events/s: all caught up, s", 2, Goal::AtMost(15.0), &rounds, |round| {
        round.caught_up_secs
    });
    table.faults(&[rounds], |round| round.faults);
    Ok(())
}

fn measure(bench: &Bench, kind: Kind, history: &Folder) -> Result<Round> {
    let server = bench.start_on_disk(kind, history, Durability::Strict)?;
    let last_event_id = publish_missed(&server, bench.clock)?;
    let resumes: Result<_> = (0..RESUMES).map(|_| resume(&server, &last_event_id)).collect();
    let resumed_millis = median(resumes?);
    let (caught_up_secs, faults) = herd(bench, &server, &last_event_id)?;
    Ok(Round { resumed_millis, caught_up_secs, faults })
}

/// Publishes one event, gives its id, and publishes the events that are missed after it.
fn publish_missed(server: &Server, clock: Clock) -> Result<String> {
    let mut last_received = WaitingPublisher::connect(server.target(), PROBE_PUBLISHER)?;
    last_received.publish(clock.nanos())?;
    let mut missed = WaitingPublisher::connect(server.target(), MISSED_PUBLISHER)?;
    for _ in 0..MISSED_EVENTS {
        missed.publish(clock.nanos())?;
    }
    last_received.last_id()
}

/// The milliseconds until one browser has everything.
fn resume(server: &Server, last_event_id: &str) -> Result<f64> {
    let started = Instant::now();
    let mut crowd = Crowd::resume(server.target(), 1, last_event_id)?;
    while (crowd.is_opening() || crowd.slowest() < MISSED_EVENTS) && started.elapsed() < PATIENCE {
        crowd.turn(TURN, |_| ())?;
    }
    let millis = started.elapsed().as_secs_f64() * 1e3;
    let faults = crowd.settle(MISSED_EVENTS, Duration::ZERO)?;
    ensure!(faults == Faults::default(), "one browser came back to {faults:?}");
    Ok(millis)
}

/// The seconds until the whole herd has caught up, and its faults.
fn herd(bench: &Bench, server: &Server, last_event_id: &str) -> Result<(f64, Faults)> {
    let mut publisher = PipelinedPublisher::connect(server.target(), LIVE_PUBLISHER)?;
    let mut crowd = Crowd::resume(server.target(), HERD_STREAMS, last_event_id)?;
    let started = Instant::now();
    let mut due = started;
    // What is published after the last stream has opened comes live, and is not waited for.
    let mut replay_events = None;
    while started.elapsed() < PATIENCE {
        if !crowd.is_opening() {
            let events = *replay_events.get_or_insert(MISSED_EVENTS + publisher.published());
            if crowd.slowest() >= events {
                break;
            }
        }
        if Instant::now() >= due {
            publisher.publish(bench.clock.nanos());
            due += EVENT_INTERVAL;
        }
        publisher.progress()?;
        crowd.turn(due.saturating_duration_since(Instant::now()), |_| ())?;
    }
    let caught_up_secs = started.elapsed().as_secs_f64();
    let faults = crowd.settle(MISSED_EVENTS + publisher.published(), SETTLE_PATIENCE)?;
    Ok((caught_up_secs, faults))
}
