//! What every phase is given: the servers that take part, how long to measure, the clock.
//!
//! The machine's mood changes within a minute, so servers are measured turn by turn, and a ratio is
//! taken between neighbours.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::clock::Clock;
use crate::server::{Keep, Kind, Server, Store};

pub struct Bench {
    pub kinds: Vec<Kind>,
    pub callout: PathBuf,
    pub clock: Clock,
    pub effort: Effort,
}

/// How much is measured. The streams of a load are the same in both, so that a trial's figures can
/// be compared.
pub struct Effort {
    pub load_rounds: usize,
    pub load: Duration,
    pub publish_rounds: usize,
    pub publish: Duration,
    /// Rounds of what takes callout's history to its limits.
    pub history_rounds: usize,
    /// One trial of a window in the flood.
    pub window_trial: Duration,
}

impl Effort {
    pub const FULL: Effort = Effort {
        load_rounds: 3,
        load: Duration::from_secs(8),
        publish_rounds: 7,
        publish: Duration::from_secs(2),
        history_rounds: 5,
        window_trial: Duration::from_secs(1),
    };

    pub const QUICK: Effort = Effort {
        load_rounds: 1,
        load: Duration::from_secs(2),
        publish_rounds: 3,
        publish: Duration::from_millis(500),
        history_rounds: 1,
        window_trial: Duration::from_millis(300),
    };
}

/// What each server did, round by round.
pub type Rounds<T> = BTreeMap<Kind, Vec<T>>;

impl Bench {
    /// A server that keeps nothing on disk.
    pub fn start(&self, kind: Kind) -> Result<Server> {
        Server::start(kind, &self.callout).with_context(|| format!("failed to start {}", kind.name()))
    }

    /// callout, keeping its history in this way.
    pub fn start_keeping(&self, store: &Store, keep: Keep) -> Result<Server> {
        self.start_callout(store.flags(keep))
    }

    /// callout with these flags.
    pub fn start_callout(&self, flags: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Result<Server> {
        Server::callout(&self.callout, flags).context("failed to start callout")
    }

    /// Measures callout alone.
    pub fn repeat<T>(&self, rounds: usize, mut measure: impl FnMut() -> Result<T>) -> Result<Rounds<T>> {
        let rounds = (0..rounds).map(|_| measure()).collect::<Result<_>>()?;
        Ok(Rounds::from([(Kind::Callout, rounds)]))
    }

    /// Measures each server once in every round, always in the same order.
    pub fn alternate<T>(
        &self,
        rounds: usize,
        mut measure: impl FnMut(Kind) -> Result<T>,
    ) -> Result<Rounds<T>> {
        let mut measured = Rounds::new();
        for _ in 0..rounds {
            for &kind in &self.kinds {
                let outcome = measure(kind).with_context(|| format!("failed to measure {}", kind.name()))?;
                measured.entry(kind).or_default().push(outcome);
            }
        }
        Ok(measured)
    }
}
