//! Flood: 1,000 streams, events as fast as they come, none lost.
//!
//! The generator keeps a window of events outstanding: published, and not yet received by the
//! slowest stream. Every server is first tried in several ways and then measured in the one that
//! suits it best.

mod source;

use std::fmt::{self, Display};
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::bench::Bench;
use crate::clock::Clock;
use crate::crowd::{Crowd, Faults};
use crate::meter::{Meter, Reading};
use crate::server::{Keep, Kind, Server, Store};
use crate::table::{Table, Target};
use source::{Arrangement, Source};

const STREAMS: usize = 1000;

/// Outstanding events to try. All are below the 4,096 that the peers keep for a slow stream.
const WINDOWS_EVENTS: [u64; 4] = [64, 256, 512, 1024];

/// Connections of the publishers that do not wait.
const PIPELINED_PUBLISHERS: usize = 4;

/// What is sent before the measuring begins.
const WARM_UP: Duration = Duration::from_millis(500);

/// How long the generator waits for streams before it looks at its publishers again.
const TURN: Duration = Duration::from_millis(10);

/// How long what was sent last may take to arrive.
const SETTLE_PATIENCE: Duration = Duration::from_secs(5);

/// Publishers to try where an answer may have to wait for the disk, and events outstanding.
const KEPT_PUBLISHERS: [usize; 4] = [1, 16, 32, 64];
const KEPT_WINDOWS_EVENTS: [u64; 2] = [512, 1024];

/// How a server is flooded.
#[derive(Clone, Copy)]
struct Way {
    arrangement: Arrangement,
    window_events: u64,
}

struct Round {
    way: Way,
    reading: Reading,
    faults: Faults,
}

pub fn run(bench: &Bench, table: &mut Table) -> Result<()> {
    let start = |kind| bench.start(kind);
    table.section("flood: 1,000 streams, one publisher that waits for its answers");
    run_best(
        bench,
        table,
        &ways(&[Arrangement::Waiting(1)], &WINDOWS_EVENTS),
        Target::RatioAtLeast(15.0),
        start,
    )?;
    table.section("flood: 1,000 streams, four publishers that do not wait (no target)");
    let pipelined = [Arrangement::Pipelined(PIPELINED_PUBLISHERS)];
    run_best(bench, table, &ways(&pipelined, &WINDOWS_EVENTS), Target::None, start)
}

/// The flood with all of it on callout's disk before it is delivered. Each server has as many
/// publishers as suit it best.
pub fn run_kept(bench: &Bench, table: &mut Table) -> Result<()> {
    let store = Store::new()?;
    let start = |kind| match kind {
        Kind::Callout => bench.start_keeping(&store, Keep::Strict),
        peer => bench.start(peer),
    };
    let target = Target::RatioAtLeast(10.0);
    table.section("history: the flood, callout strict; publishers that wait, as many as suit each best");
    let waiting = KEPT_PUBLISHERS.map(Arrangement::Waiting);
    run_best(bench, table, &ways(&waiting, &KEPT_WINDOWS_EVENTS), target, start)?;
    table.section(
        "history: the flood, callout strict; publishers that do not wait, as many as suit each best",
    );
    let pipelined = KEPT_PUBLISHERS.map(Arrangement::Pipelined);
    run_best(bench, table, &ways(&pipelined, &KEPT_WINDOWS_EVENTS), target, start)
}

fn ways(arrangements: &[Arrangement], windows_events: &[u64]) -> Vec<Way> {
    let with =
        |&arrangement| windows_events.iter().map(move |&window_events| Way { arrangement, window_events });
    arrangements.iter().flat_map(with).collect()
}

/// Measures every server in the way that suits it best.
fn run_best(
    bench: &Bench,
    table: &mut Table,
    ways: &[Way],
    target: Target,
    start: impl Fn(Kind) -> Result<Server>,
) -> Result<()> {
    let measure = |kind: Kind, way, length| {
        let round = measure(&start(kind)?, bench.clock, way, length)?;
        eprintln!("flood {}: {round}", kind.name());
        Ok(round)
    };
    let best = bench.alternate(1, |kind| {
        let trials = ways.iter().map(|&way| measure(kind, way, bench.effort.window_trial));
        Ok(best_way(&trials.collect::<Result<Vec<_>>>()?))
    })?;
    let rounds =
        bench.alternate(bench.effort.load_rounds, |kind| measure(kind, best[&kind][0], bench.effort.load))?;
    table.row("deliveries per second, million", 3, &rounds, target, |round| {
        round.reading.deliveries_per_sec() / 1e6
    });
    table.row("server CPU per delivery, µs", 3, &rounds, Target::None, |round| {
        round.reading.server_micros_per_delivery()
    });
    table.aside("generator CPU, cores", 2, &rounds, |round| round.reading.generator_cores());
    table.aside("publishers", 0, &rounds, |round| round.way.arrangement.publishers() as f64);
    table.aside("events outstanding", 0, &rounds, |round| round.way.window_events as f64);
    table.sum("lost, doubled or torn", &rounds, Target::AtMost(0.0), |round| round.faults.count() as f64);
    Ok(())
}

/// The way with the most deliveries among those that lose nothing; where all lose, the first.
fn best_way(trials: &[Round]) -> Way {
    let whole = trials.iter().filter(|trial| trial.faults.count() == 0);
    let rate = |trial: &&Round| trial.reading.deliveries_per_sec();
    whole.max_by(|a, b| rate(a).total_cmp(&rate(b))).unwrap_or(&trials[0]).way
}

fn measure(server: &Server, clock: Clock, way: Way, length: Duration) -> Result<Round> {
    let mut crowd = Crowd::gather(server.addr(), STREAMS, clock)?;
    let mut source = Source::open(way.arrangement, server.addr(), way.window_events, clock)?;

    let mut flow = |crowd: &mut Crowd, length: Duration| -> Result<()> {
        let ends = Instant::now() + length;
        while Instant::now() < ends {
            source.pour(crowd.slowest())?;
            crowd.turn(TURN, |_| ())?;
        }
        Ok(())
    };
    flow(&mut crowd, WARM_UP)?;
    let meter = Meter::start(server, &crowd)?;
    flow(&mut crowd, length)?;
    let reading = meter.stop(server, &crowd)?;
    let published = loop {
        if let Some(published) = source.finish()? {
            break published;
        }
        crowd.turn(TURN, |_| ())?;
    };
    let faults = crowd.settle(published, SETTLE_PATIENCE)?;

    Ok(Round { way, reading, faults })
}

impl Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} publishers, window {}, {:.3} M deliveries/s, {:.3} µs per delivery, {}, generator {:.2} cores",
            self.way.arrangement.publishers(),
            self.way.window_events,
            self.reading.deliveries_per_sec() / 1e6,
            self.reading.server_micros_per_delivery(),
            self.faults,
            self.reading.generator_cores(),
        )
    }
}
