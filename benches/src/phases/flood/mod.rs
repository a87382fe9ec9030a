//! Flood: 1,000 streams, events as fast as they can be delivered, none lost.
//!
//! The generator keeps a window of events outstanding: published, and not yet received by the
//! slowest stream. Where there are several windows to choose from, each server is measured with the
//! one that suits it best.

mod source;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::bench::Bench;
use crate::crowd::{Crowd, Faults};
use crate::meter::{Meter, Reading};
use crate::server::{Durability, Folder, Kind};
use crate::table::{Goal, Table};
pub use source::{Publishers, Source};

const STREAMS: usize = 1000;

/// A load, and the targets for its deliveries per second.
struct Load {
    title: &'static str,
    publishers: Publishers,
    /// Whether callout and Electric's server keep all of it on disk, strict, before they deliver it.
    /// The other peers never do.
    on_disk: bool,
    peers: &'static [Kind],
    goals: &'static [Goal],
}

/// On disk an answer may have to wait for a commit, so that it takes many publishers to keep the
/// server busy.
const LOADS: [Load; 4] = [
    Load {
        title: "flood: 1,000 streams, one publisher that waits for its answers",
        publishers: Publishers::Waiting(1),
        on_disk: false,
        peers: &[Kind::Axum, Kind::Nchan, Kind::Centrifugo, Kind::Electric],
        goals: &[Goal::AtLeastTimes(15.0, Kind::Axum), Goal::AtLeastTimes(10.0, Kind::Electric)],
    },
    Load {
        title: "flood: 1,000 streams, 4 publishers that do not wait",
        publishers: Publishers::Pipelined(4),
        on_disk: false,
        peers: &[Kind::Axum, Kind::Nchan, Kind::Electric],
        goals: &[Goal::AtLeastTimes(10.0, Kind::Electric)],
    },
    Load {
        title: "flood, on disk, strict (but for axum): 1,000 streams, 64 publishers that wait",
        publishers: Publishers::Waiting(64),
        on_disk: true,
        peers: &[Kind::Axum, Kind::Electric],
        goals: &[Goal::AtLeastTimes(10.0, Kind::Axum), Goal::AtLeastTimes(10.0, Kind::Electric)],
    },
    Load {
        title: "flood, on disk, strict (but for axum): 1,000 streams, 64 publishers that do not wait",
        publishers: Publishers::Pipelined(64),
        on_disk: true,
        peers: &[Kind::Axum, Kind::Electric],
        goals: &[Goal::AtLeastTimes(10.0, Kind::Axum), Goal::AtLeastTimes(10.0, Kind::Electric)],
    },
];

/// What is published before the measuring begins.
const WARM_UP: Duration = Duration::from_millis(500);

/// One trial of a window.
const TRIAL: Duration = Duration::from_secs(1);

/// How long the generator waits for streams before it looks at its publishers again.
const TURN: Duration = Duration::from_millis(10);

/// How long the last events may take to arrive.
const SETTLE_PATIENCE: Duration = Duration::from_secs(5);

struct Round {
    window_events: u64,
    reading: Reading,
    faults: Faults,
}

pub fn run(bench: &Bench, table: &mut Table) -> Result<()> {
    for load in &LOADS {
        table.section(load.title);
        let mut windows: BTreeMap<Kind, u64> = BTreeMap::new();
        let rounds = bench.alternate(&bench.callouts_and(load.peers), |kind| {
            let window_events = match windows.get(&kind) {
                Some(&window_events) => window_events,
                None => *windows.entry(kind).or_insert(best_window(bench, kind, load)?),
            };
            measure(bench, kind, load, window_events, bench.effort.load)
        })?;
        for (index, &goal) in load.goals.iter().enumerate() {
            let figure = match index {
                0 => "deliveries per second, million",
                _ => "the same figure, for the other goal",
            };
            table.row(figure, 3, goal, &rounds, |round| round.reading.deliveries_per_sec() / 1e6);
        }
        table.row("server CPU per delivery, µs", 3, Goal::Less, &rounds, |round| {
            round.reading.server_micros_per_delivery()
        });
        table.row("events outstanding", 0, Goal::None, &rounds, |round| round.window_events as f64);
        table.row("generator CPU, cores", 2, Goal::None, &rounds, |round| round.reading.generator_cores());
        table.faults(&[rounds], |round| round.faults);
    }
    Ok(())
}

/// The window with the most deliveries among those that lose nothing; where all lose, the first.
fn best_window(bench: &Bench, kind: Kind, load: &Load) -> Result<u64> {
    let windows_events = bench.effort.windows_events;
    if let [only] = windows_events {
        return Ok(*only);
    }
    let mut best = (0.0, windows_events[0]);
    for &window_events in windows_events {
        let trial = measure(bench, kind, load, window_events, TRIAL)?;
        let rate = trial.reading.deliveries_per_sec();
        if trial.faults.count() == 0 && rate > best.0 {
            best = (rate, window_events);
        }
    }
    Ok(best.1)
}

fn measure(bench: &Bench, kind: Kind, load: &Load, window_events: u64, length: Duration) -> Result<Round> {
    let folder = Folder::on_disk()?;
    let server = if load.on_disk {
        bench.start_durable(kind, &folder, Durability::Strict)?
    } else {
        bench.start(kind)?
    };
    let mut crowd = Crowd::open_probed(server.target(), STREAMS, bench.clock)?;
    let mut source = Source::open(load.publishers, server.target(), window_events, bench.clock)?;

    let mut flow = |crowd: &mut Crowd, length: Duration| -> Result<()> {
        let ends = Instant::now() + length;
        while Instant::now() < ends {
            source.publish(crowd.slowest())?;
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

    Ok(Round { window_events, reading, faults })
}
