//! Groups: 1,000 streams of one topic, and 1,000 of it and of a topic of their own each, so that no two of them are in one
//! group. Both get the same events.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::bench::{Bench, Rounds};
use crate::crowd::{Crowd, Faults};
use crate::phases::flood::{Publishers, Source};
use crate::server::Kind;
use crate::stats::MB_BYTES;
use crate::table::{Goal, Table};

const STREAMS: usize = 1000;
const EVENTS: u64 = 16_000;
const WINDOW_EVENTS: u64 = 512;
const PUBLISHERS: usize = 4;

/// How long the generator waits for streams before it looks at its publishers again.
const TURN: Duration = Duration::from_millis(10);

/// How long the last events may take to arrive, and the memory to come back.
const SETTLE_PATIENCE: Duration = Duration::from_secs(5);

/// How long a server is left alone before its memory is read.
const REST: Duration = Duration::from_millis(500);

/// So few that the history is full before the memory is read first, or nearly so.
const HISTORY_EVENTS: &str = "500";

struct Round {
    one: Load,
    many: Load,
}

struct Load {
    hub_millis: f64,
    before_mb: f64,
    after_mb: f64,
    faults: Faults,
}

pub fn run(bench: &Bench, table: &mut Table) -> Result<()> {
    table.section("groups: 16,000 events to 1,000 streams, in one group and in 1,000");
    let rounds = bench.alternate_few(&bench.callouts(), |kind| {
        let one = measure(bench, kind, |_| "/topics?topic=bench".to_owned())?;
        let many = measure(bench, kind, |index| format!("/topics?topic=bench&topic=own{index}"))?;
        Ok(Round { one, many })
    })?;
    table.row("hub CPU for one group, ms", 0, Goal::Less, &rounds, |round| round.one.hub_millis);
    table.row("hub CPU for 1,000 groups, to one", 2, Goal::AtMost(2.0), &rounds, |round| {
        round.many.hub_millis / round.one.hub_millis
    });
    table.row("memory before, 1,000 groups, MB", 1, Goal::None, &rounds, |round| round.many.before_mb);
    table.row("memory after, to before", 2, Goal::AtMost(1.2), &rounds, |round| {
        round.many.after_mb / round.many.before_mb
    });
    let (mut one, mut many) = (Rounds::new(), Rounds::new());
    for (kind, round) in
        rounds.into_iter().flat_map(|(kind, rounds)| rounds.into_iter().map(move |round| (kind, round)))
    {
        one.entry(kind).or_insert_with(Vec::new).push(round.one);
        many.entry(kind).or_insert_with(Vec::new).push(round.many);
    }
    table.faults(&[one, many], |load| load.faults);
    Ok(())
}

fn measure(bench: &Bench, kind: Kind, path: impl Fn(usize) -> String + Send + 'static) -> Result<Load> {
    let server = bench.start_with(kind, &["--keep-events", HISTORY_EVENTS])?;
    let mut crowd = Crowd::open_paths(server.target(), STREAMS, path)?;
    ensure!(crowd.open_count() == STREAMS, "{} of {STREAMS} streams are open", crowd.open_count());
    let publishers = Publishers::Pipelined(PUBLISHERS);
    let mut source = Source::open(publishers, server.target(), WINDOW_EVENTS, bench.clock)?;
    let mut flow = |crowd: &mut Crowd, events: u64| -> Result<()> {
        while crowd.slowest() < events {
            source.publish(crowd.slowest())?;
            crowd.turn(TURN, |_| ())?;
        }
        Ok(())
    };
    // Each stream has had an event then, so that the memory for the first one is included.
    flow(&mut crowd, 1)?;
    thread::sleep(REST);
    let (before, hub_before) = (server.resident_bytes()? as f64, server.hub_cpu_time()?);
    flow(&mut crowd, WINDOW_EVENTS + EVENTS)?;
    let published = loop {
        if let Some(published) = source.finish()? {
            break published;
        }
        crowd.turn(TURN, |_| ())?;
    };
    let faults = crowd.settle(published, SETTLE_PATIENCE)?;
    let hub_millis = (server.hub_cpu_time()? - hub_before).as_secs_f64() * 1e3;
    let until = Instant::now() + SETTLE_PATIENCE;
    let after = loop {
        let after = server.resident_bytes()? as f64;
        if after <= before || Instant::now() > until {
            break after;
        }
        thread::sleep(REST);
    };
    Ok(Load { hub_millis, before_mb: before / MB_BYTES, after_mb: after / MB_BYTES, faults })
}
