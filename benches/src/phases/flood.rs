//! Flood: 1,000 streams, events as fast as they come, none lost.
//!
//! The generator keeps a window of events outstanding: published, and not yet received by the
//! slowest stream. Every server is first tried with several windows and then measured with the one
//! that suits it best.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::bench::Bench;
use crate::crowd::{Crowd, Faults};
use crate::meter::{Meter, Reading};
use crate::publisher::Publisher;
use crate::server::Kind;
use crate::table::{Table, Target};

const STREAMS: usize = 1000;
const PUBLISHERS: usize = 4;

/// Outstanding events to try. All are below the 4,096 that the peers keep for a slow stream.
const WINDOWS_EVENTS: [u64; 4] = [64, 256, 512, 1024];

/// A part of the window that must be free before it is filled again, so that requests travel
/// together as they do when many publish at once.
const REFILL_PART: u64 = 4;

/// What is sent before the measuring begins.
const WARM_UP: Duration = Duration::from_millis(500);

/// How long the generator waits for streams before it looks at its publishers again.
const TURN: Duration = Duration::from_millis(10);

/// How long what was sent last may take to arrive.
const SETTLE_PATIENCE: Duration = Duration::from_secs(5);

struct Round {
    reading: Reading,
    faults: Faults,
    window_events: u64,
}

pub fn run(bench: &Bench, table: &mut Table) -> Result<()> {
    let windows = bench.alternate(1, |kind| best_window(bench, kind))?;
    let rounds = bench.alternate(bench.effort.load_rounds, |kind| {
        let round = measure(bench, kind, windows[&kind][0], bench.effort.load)?;
        report(kind, &round);
        Ok(round)
    })?;
    table.section("flood: 1,000 streams, as fast as they come, 100 bytes");
    table.row("deliveries per second, million", 3, &rounds, Target::RatioAtLeast(15.0), |round| {
        round.reading.deliveries_per_sec() / 1e6
    });
    table.row("server CPU per delivery, µs", 3, &rounds, Target::None, |round| {
        round.reading.server_micros_per_delivery()
    });
    table.row("generator, part of a core", 2, &rounds, Target::None, |round| round.reading.generator_share());
    table.row("events outstanding", 0, &rounds, Target::None, |round| round.window_events as f64);
    table.sum("lost, doubled or torn", &rounds, Target::AtMost(0.0), |round| round.faults.count() as f64);
    Ok(())
}

/// The window with the most deliveries among those that lose nothing; where all lose, the smallest.
fn best_window(bench: &Bench, kind: Kind) -> Result<u64> {
    let mut best = (WINDOWS_EVENTS[0], 0.0);
    for window_events in WINDOWS_EVENTS {
        let round = measure(bench, kind, window_events, bench.effort.window_trial)?;
        report(kind, &round);
        let rate = round.reading.deliveries_per_sec();
        if round.faults.count() == 0 && rate > best.1 {
            best = (window_events, rate);
        }
    }
    Ok(best.0)
}

fn measure(bench: &Bench, kind: Kind, window_events: u64, length: Duration) -> Result<Round> {
    let server = bench.start(kind)?;
    let mut crowd = Crowd::gather(server.addr(), STREAMS, bench.clock)?;
    let mut publishers =
        (0..PUBLISHERS).map(|index| Publisher::connect(server.addr(), index)).collect::<Result<Vec<_>>>()?;

    let mut published: u64 = 0;
    let mut pour = |crowd: &mut Crowd, length: Duration| -> Result<()> {
        let ends = Instant::now() + length;
        while Instant::now() < ends {
            let room_events = window_events.saturating_sub(published.saturating_sub(crowd.slowest()));
            if room_events >= window_events / REFILL_PART {
                let now_nanos = bench.clock.nanos();
                for event in 0..room_events {
                    publishers[event as usize % PUBLISHERS].publish(now_nanos);
                }
                published += room_events;
            }
            for publisher in &mut publishers {
                publisher.progress()?;
            }
            crowd.turn(TURN, |_| ())?;
        }
        Ok(())
    };

    pour(&mut crowd, WARM_UP)?;
    let meter = Meter::start(&server, &crowd)?;
    pour(&mut crowd, length)?;
    let reading = meter.stop(&server, &crowd)?;
    let faults = crowd.settle(published, SETTLE_PATIENCE).context("failed to wait for the last events")?;
    Ok(Round { reading, faults, window_events })
}

fn report(kind: Kind, round: &Round) {
    eprintln!(
        "flood {}: window {}, {:.3} M deliveries/s, {:.3} µs per delivery, {:?}, generator {:.2} of a core",
        kind.name(),
        round.window_events,
        round.reading.deliveries_per_sec() / 1e6,
        round.reading.server_micros_per_delivery(),
        round.faults,
        round.reading.generator_share(),
    );
}
