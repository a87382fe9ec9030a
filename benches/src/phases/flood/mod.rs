//! Flood: 1,000 streams, events as fast as they come, none lost.
//!
//! The generator keeps a window of events outstanding: published, and not yet received by the
//! slowest stream. Every server is first tried with several windows and then measured with the one
//! that suits it best.

mod source;

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::bench::Bench;
use crate::crowd::{Crowd, Faults};
use crate::meter::{Meter, Reading};
use crate::server::Kind;
use crate::table::{Table, Target};
use source::{Arrangement, Source};

const STREAMS: usize = 1000;

/// Outstanding events to try. All are below the 4,096 that the peers keep for a slow stream.
const WINDOWS_EVENTS: [u64; 4] = [64, 256, 512, 1024];

/// What is sent before the measuring begins.
const WARM_UP: Duration = Duration::from_millis(500);

/// How long the generator waits for streams before it looks at its publishers again.
const TURN: Duration = Duration::from_millis(10);

/// How long what was sent last may take to arrive.
const SETTLE_PATIENCE: Duration = Duration::from_secs(5);

struct Round {
    window_events: u64,
    reading: Reading,
    faults: Faults,
}

pub fn run(bench: &Bench, table: &mut Table) -> Result<()> {
    table.section("flood: 1,000 streams, one publisher that waits for its answers");
    run_arranged(bench, table, Arrangement::Waiting)?;
    table.section("flood: 1,000 streams, four publishers that do not wait");
    run_arranged(bench, table, Arrangement::Pipelined)
}

fn run_arranged(bench: &Bench, table: &mut Table, arrangement: Arrangement) -> Result<()> {
    let windows = bench.alternate(1, |kind| best_window(bench, kind, arrangement))?;
    let rounds = bench.alternate(bench.effort.load_rounds, |kind| {
        let window_events = windows[&kind][0];
        measure(bench, kind, arrangement, window_events, bench.effort.load)
    })?;
    table.row("deliveries per second, million", 3, &rounds, Target::RatioAtLeast(15.0), |round| {
        round.reading.deliveries_per_sec() / 1e6
    });
    table.row("server CPU per delivery, µs", 3, &rounds, Target::None, |round| {
        round.reading.server_micros_per_delivery()
    });
    table.aside("generator CPU, cores", 2, &rounds, |round| round.reading.generator_cores());
    table.aside("events outstanding", 0, &rounds, |round| round.window_events as f64);
    table.sum("lost, doubled or torn", &rounds, Target::AtMost(0.0), |round| round.faults.count() as f64);
    Ok(())
}

/// The window with the most deliveries among those that lose nothing; where all lose, the smallest.
fn best_window(bench: &Bench, kind: Kind, arrangement: Arrangement) -> Result<u64> {
    let mut best = (WINDOWS_EVENTS[0], 0.0);
    for window_events in WINDOWS_EVENTS {
        let length = bench.effort.window_trial;
        let round = measure(bench, kind, arrangement, window_events, length)?;
        let rate = round.reading.deliveries_per_sec();
        if round.faults.count() == 0 && rate > best.1 {
            best = (window_events, rate);
        }
    }
    Ok(best.0)
}

fn measure(
    bench: &Bench,
    kind: Kind,
    arrangement: Arrangement,
    window_events: u64,
    length: Duration,
) -> Result<Round> {
    let server = bench.start(kind)?;
    let mut crowd = Crowd::gather(server.addr(), STREAMS, bench.clock)?;
    let mut source = Source::open(arrangement, server.addr(), window_events, bench.clock)?;

    let mut flow = |crowd: &mut Crowd, length: Duration| -> Result<()> {
        let ends = Instant::now() + length;
        while Instant::now() < ends {
            source.pour(crowd.slowest())?;
            crowd.turn(TURN, |_| ())?;
        }
        Ok(())
    };
    flow(&mut crowd, WARM_UP)?;
    let meter = Meter::start(&server, &crowd)?;
    flow(&mut crowd, length)?;
    let reading = meter.stop(&server, &crowd)?;
    let published = loop {
        if let Some(published) = source.finish()? {
            break published;
        }
        crowd.turn(TURN, |_| ())?;
    };
    let faults = crowd.settle(published, SETTLE_PATIENCE)?;

    eprintln!(
        "flood {}: window {window_events}, {:.3} M deliveries/s, {:.3} µs per delivery, {faults}, \
         generator {:.2} cores",
        kind.name(),
        reading.deliveries_per_sec() / 1e6,
        reading.server_micros_per_delivery(),
        reading.generator_cores(),
    );
    Ok(Round { window_events, reading, faults })
}
