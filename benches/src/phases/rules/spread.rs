//! 10,000 streams of a topic each, of a prefix each, and of a prefix of their own user each.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::{SECRET, check_open, tickets};
use crate::bench::{Bench, Rounds};
use crate::crowd::{Crowd, Faults};
use crate::publisher::PipelinedPublisher;
use crate::server::{Kind, Server};
use crate::table::{Goal, Table};
use crate::wire::request::{PublishRequest, user, user_topic};

const STREAMS: usize = 10_000;

/// Events that were published and not received yet.
const WINDOW_EVENTS: u64 = 256;

/// How long the generator waits for streams before it looks at its publisher again.
const TURN: Duration = Duration::from_millis(10);

/// What is published before the measuring begins.
const WARM_UP: Duration = Duration::from_millis(300);

/// How long the last events may take to arrive.
const SETTLE_PATIENCE: Duration = Duration::from_secs(5);

/// What streams of many topics cost: each event is for one stream.
struct Spread {
    events_per_sec: f64,
    event_micros: f64,
    hub_micros: f64,
    faults: Faults,
}

struct Spreads {
    exact: Spread,
    prefixes: Spread,
    identities: Spread,
}

pub fn run(bench: &Bench, table: &mut Table, kinds: &[Kind], config: &str) -> Result<()> {
    table.section("rules: 10,000 streams of a topic each, of a prefix each, and each of another user");
    let by_topic = |index| format!("/topics?topic={}", user_topic(index as u64));
    let by_prefix = |index| format!("/topics?topic=users/{}/*", user(index as u64));
    let rounds = bench.alternate_few(kinds, |kind| {
        let exact = spread(bench, &bench.start(kind)?, None, by_topic)?;
        let prefixes = spread(bench, &bench.start(kind)?, None, by_prefix)?;
        let server = bench.start_with(kind, &["--config", config])?;
        let wish = |index| format!(r#"{{"user":"{}","ttl":"1h"}}"#, user(index));
        let tickets = tickets(server.addr(), (0..STREAMS as u64).map(wish))?;
        let by_user = move |index: usize| format!("{}&ticket={}", by_prefix(index), tickets[index]);
        let identities = spread(bench, &server, Some(SECRET), by_user)?;
        Ok(Spreads { exact, prefixes, identities })
    })?;
    table.row("topics: events per second", 0, Goal::More, &rounds, |round| round.exact.events_per_sec);
    table.row("prefixes: events per second, to that", 2, Goal::AtLeast(0.5), &rounds, |round| {
        round.prefixes.events_per_sec / round.exact.events_per_sec
    });
    table.row("users: events per second, to that", 2, Goal::AtLeast(0.5), &rounds, |round| {
        round.identities.events_per_sec / round.exact.events_per_sec
    });
    table.row("topics: server CPU per event, µs", 1, Goal::Less, &rounds, |round| round.exact.event_micros);
    table.row("prefixes: server CPU, to that", 2, Goal::AtMost(2.0), &rounds, |round| {
        round.prefixes.event_micros / round.exact.event_micros
    });
    table.row("users: server CPU, to that", 2, Goal::AtMost(2.0), &rounds, |round| {
        round.identities.event_micros / round.exact.event_micros
    });
    table.row("topics: hub CPU per event, µs", 2, Goal::Less, &rounds, |round| round.exact.hub_micros);
    table.row("prefixes: hub CPU, to that", 2, Goal::AtMost(2.0), &rounds, |round| {
        round.prefixes.hub_micros / round.exact.hub_micros
    });
    let faults: Rounds<Faults> = rounds
        .into_iter()
        .map(|(kind, rounds)| {
            let all = |round: Spreads| [round.exact.faults, round.prefixes.faults, round.identities.faults];
            (kind, rounds.into_iter().flat_map(all).collect())
        })
        .collect();
    table.faults(&[faults], |faults| *faults);
    Ok(())
}

/// Events to one topic after the other, each of which one stream receives.
fn spread(
    bench: &Bench,
    server: &Server,
    secret: Option<&str>,
    path: impl Fn(usize) -> String + Send + 'static,
) -> Result<Spread> {
    let target = server.target();
    let mut crowd = Crowd::open_paths(target, STREAMS, path)?;
    check_open(&crowd, STREAMS)?;
    let request = PublishRequest::spread(target, STREAMS as u64);
    let request = match secret {
        Some(secret) => request.bearing(secret),
        None => request,
    };
    let mut publisher = PipelinedPublisher::connect_with(target, 0, request)?;
    // How often each event has come.
    let (mut came, mut received) = (Vec::<u8>::new(), 0);
    let mut turn = |crowd: &mut Crowd, publisher: &mut PipelinedPublisher| -> Result<u64> {
        publisher.progress()?;
        crowd.turn(TURN, |message| {
            let number = message.number as usize;
            came.resize(came.len().max(number + 1), 0);
            came[number] = came[number].saturating_add(1);
            received += 1;
        })?;
        Ok(received)
    };
    let mut flow = |crowd: &mut Crowd, publisher: &mut PipelinedPublisher, length: Duration| -> Result<u64> {
        let ends = Instant::now() + length;
        let mut received = turn(crowd, publisher)?;
        let before = received;
        while Instant::now() < ends {
            while publisher.published() < received + WINDOW_EVENTS {
                publisher.publish(bench.clock.nanos());
            }
            received = turn(crowd, publisher)?;
        }
        Ok(received - before)
    };
    flow(&mut crowd, &mut publisher, WARM_UP)?;
    let (started, cpu, hub_cpu) = (Instant::now(), server.cpu_time()?, server.hub_cpu_time()?);
    let events = flow(&mut crowd, &mut publisher, bench.effort.load)? as f64;
    let elapsed = started.elapsed();
    let (cpu, hub_cpu) = (server.cpu_time()? - cpu, server.hub_cpu_time()? - hub_cpu);
    let ends = Instant::now() + SETTLE_PATIENCE;
    while turn(&mut crowd, &mut publisher)? < publisher.published() && Instant::now() < ends {}
    let distinct = came.iter().filter(|count| **count > 0).count() as u64;
    let faults = Faults {
        lost: publisher.published() - distinct,
        doubled: received - distinct,
        hung_up: (STREAMS - crowd.open_count()) as u64,
        torn: 0,
    };
    Ok(Spread {
        events_per_sec: events / elapsed.as_secs_f64(),
        event_micros: cpu.as_secs_f64() * 1e6 / events,
        hub_micros: hub_cpu.as_secs_f64() * 1e6 / events,
        faults,
    })
}
