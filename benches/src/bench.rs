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
    /// The same, where one measurement takes long or where figures hardly differ.
    pub few_rounds: usize,
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
        rounds: 4,
        few_rounds: 2,
        load: Duration::from_secs(2),
        publish: Duration::from_secs(1),
        // All are below the 4,096 events that the peers keep for a slow stream.
        windows_events: &[64, 256, 1024],
    };

    pub const QUICK: Effort = Effort {
        rounds: 2,
        few_rounds: 2,
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

    /// Starts a server that keeps what is published on disk, if it can: callout in this folder,
    /// Electric's in one of its own.
    pub fn start_durable(&self, kind: Kind, folder: &Folder, durability: Durability) -> Result<Server> {
        match kind {
            Kind::Callout | Kind::Before => self.start_on_disk(kind, folder, durability),
            Kind::Electric => Server::electric(durability).context("failed to start electric on disk"),
            _ => self.start(kind),
        }
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

    /// Starts a callout that keeps its history in this folder, with these flags.
    pub fn start_on_disk_with(
        &self,
        kind: Kind,
        folder: &Folder,
        durability: Durability,
        flags: &[&str],
    ) -> Result<Server> {
        let flags = callout::on_disk(folder, durability).into_iter().chain(flags.iter().map(Into::into));
        callout::start(&self.programs[&kind], flags)
            .with_context(|| format!("failed to start {} on disk", kind.name()))
    }

    /// The callouts, and those of these peers that take part.
    pub fn callouts_and(&self, peers: &[Kind]) -> Vec<Kind> {
        let takes_part = |kind: &Kind| kind.is_callout() || peers.contains(kind);
        self.kinds.iter().copied().filter(takes_part).collect()
    }

    /// The servers that can do what only callout does.
    pub fn callouts(&self) -> Vec<Kind> {
        self.callouts_and(&[])
    }

    /// Measures each of these servers once in every round. Every other round runs in the opposite
    /// order, so that no server always comes first. A peer that fails is left out.
    pub fn alternate<T>(&self, kinds: &[Kind], measure: impl FnMut(Kind) -> Result<T>) -> Result<Rounds<T>> {
        alternate(self.effort.rounds, kinds, measure)
    }

    /// As `alternate`, in few rounds.
    pub fn alternate_few<T>(
        &self,
        kinds: &[Kind],
        measure: impl FnMut(Kind) -> Result<T>,
    ) -> Result<Rounds<T>> {
        alternate(self.effort.few_rounds, kinds, measure)
    }
}

fn alternate<T>(
    rounds: usize,
    kinds: &[Kind],
    mut measure: impl FnMut(Kind) -> Result<T>,
) -> Result<Rounds<T>> {
    let mut measured = Rounds::new();
    let mut order = kinds.to_vec();
    for _ in 0..rounds {
        for kind in order.clone() {
            match measure(kind).with_context(|| format!("failed to measure {}", kind.name())) {
                Ok(outcome) => measured.entry(kind).or_insert_with(Vec::new).push(outcome),
                Err(cause) if kind.is_callout() => return Err(cause),
                // What the others do is worth knowing without it.
                Err(cause) => {
                    eprintln!("{} is left out here: {cause:#}", kind.name());
                    measured.remove(&kind);
                    order.retain(|other| *other != kind);
                }
            }
        }
        order.reverse();
    }
    Ok(measured)
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    #[test]
    fn a_peer_that_fails_is_left_out_and_the_others_are_measured() {
        let mut calls = Vec::new();
        let measured = alternate(2, &[Kind::Callout, Kind::Axum, Kind::Nchan], |kind| {
            calls.push(kind);
            if kind == Kind::Axum {
                bail!("it hangs");
            }
            Ok(1)
        });
        let expected = Rounds::from([(Kind::Callout, vec![1, 1]), (Kind::Nchan, vec![1, 1])]);
        assert_eq!(measured.expect("callout did not fail"), expected);
        assert_eq!(calls, [Kind::Callout, Kind::Axum, Kind::Nchan, Kind::Nchan, Kind::Callout]);
    }

    #[test]
    fn a_callout_that_fails_is_an_error() {
        let measured: Result<Rounds<()>> = alternate(2, &[Kind::Callout], |_| bail!("it hangs"));
        assert!(measured.is_err());
    }
}
