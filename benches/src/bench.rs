//! What every phase is given: the servers that take part, how long to measure, the clock.
//!
//! The speed of a machine changes within a minute. So the servers are measured in turn, round by
//! round, and a ratio is taken between figures of the same round.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::clock::Clock;
use crate::server::{Durability, Folder, Kind, Server, callout};

pub struct Bench {
    pub kinds: Vec<Kind>,
    /// The callouts among `kinds`.
    pub programs: BTreeMap<Kind, PathBuf>,
    pub clock: Clock,
    pub effort: Effort,
}

/// How much is measured. The loads are the same in both, so that their figures can be compared.
pub struct Effort {
    /// An even number, so that each server is measured as often before a neighbour as after it.
    pub rounds: usize,
    /// The length of a load of many streams.
    pub load: Duration,
    /// The length of a load of waiting publishers.
    pub publish: Duration,
    /// Events outstanding in the flood. Where there are several, each server is measured with what
    /// suits it best.
    pub windows_events: &'static [u64],
}

impl Effort {
    pub const FULL: Effort = Effort {
        rounds: 6,
        load: Duration::from_secs(4),
        publish: Duration::from_secs(2),
        // All are below the 4,096 events that the peers keep for a slow stream.
        windows_events: &[64, 256, 512, 1024],
    };

    pub const QUICK: Effort = Effort {
        rounds: 4,
        load: Duration::from_secs(1),
        publish: Duration::from_millis(500),
        windows_events: &[512],
    };
}

/// What was measured of each server, round by round.
pub type Rounds<T> = BTreeMap<Kind, Vec<T>>;

impl Bench {
    /// Starts a server that keeps nothing on disk.
    pub fn start(&self, kind: Kind) -> Result<Server> {
        Server::start(kind, &self.programs).with_context(|| format!("failed to start {}", kind.name()))
    }

    /// Starts a callout that keeps nothing on disk, with these flags.
    pub fn start_with(&self, kind: Kind, flags: &[&str]) -> Result<Server> {
        callout::start(&self.programs[&kind], callout::IN_MEMORY.iter().chain(flags))
            .with_context(|| format!("failed to start {}", kind.name()))
    }

    /// Starts a callout that keeps its history in this folder.
    pub fn start_on_disk(&self, kind: Kind, folder: &Folder, durability: Durability) -> Result<Server> {
        callout::start(&self.programs[&kind], callout::on_disk(folder, durability))
            .with_context(|| format!("failed to start {} on disk", kind.name()))
    }

    /// The servers that can do what only callout does.
    pub fn callouts(&self) -> Vec<Kind> {
        self.kinds.iter().copied().filter(|kind| kind.is_callout()).collect()
    }

    /// Measures each of these servers once in every round. Every other round runs in the opposite
    /// order, so that no server always comes first.
    pub fn alternate<T>(
        &self,
        kinds: &[Kind],
        mut measure: impl FnMut(Kind) -> Result<T>,
    ) -> Result<Rounds<T>> {
        let mut measured = Rounds::new();
        let mut order = kinds.to_vec();
        for _ in 0..self.effort.rounds {
            for &kind in &order {
                let outcome = measure(kind).with_context(|| format!("failed to measure {}", kind.name()))?;
                measured.entry(kind).or_default().push(outcome);
            }
            order.reverse();
        }
        Ok(measured)
    }
}
