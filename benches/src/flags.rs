//! The command line.

use std::path::PathBuf;

use anyhow::{Result, bail};
use lexopt::prelude::*;

use crate::phases::{PHASES, Phase};
use crate::server::Kind;

pub const HELP: &str = "\
Measures callout against other push servers, side by side on this machine.

Usage: callout-bench [OPTIONS]

  --quick         short rounds: some minutes for everything, and coarser figures
  --before PATH   an earlier callout, measured in the same rounds; the table then shows what
                  today's callout gained or lost
  --only NAME     only this server: callout, axum, nchan, centrifugo or electric (repeatable);
                  the last two are compiled at the first run that needs them
  --phase NAME    only this phase: paced, flood, joins, groups, rules, publish, idle, stall,
                  turning, acknowledge, lines, writes, restart, million, comeback, unread, activity,
                  posts or program (repeatable)
  --callout PATH  today's callout [default: target/release/callout of the project]
  --help          this text

To see that a change made nothing slower:
  callout-bench --quick --only callout --before PATH

A run with none of --quick, --only and --phase rewrites RESULTS.md.
";

pub struct Flags {
    pub quick: bool,
    pub before: Option<PathBuf>,
    /// Empty for all.
    pub only: Vec<Kind>,
    /// Empty for all.
    pub phases: Vec<Phase>,
    pub callout: PathBuf,
    pub help: bool,
}

impl Flags {
    pub fn read() -> Result<Flags> {
        let mut flags = Flags {
            quick: false,
            before: None,
            only: Vec::new(),
            phases: Vec::new(),
            callout: concat!(env!("CARGO_MANIFEST_DIR"), "/../target/release/callout").into(),
            help: false,
        };
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("quick") => flags.quick = true,
                Long("before") => flags.before = Some(parser.value()?.into()),
                Long("only") => flags.only.push(kind(&parser.value()?.string()?)?),
                Long("phase") => flags.phases.push(phase(&parser.value()?.string()?)?),
                Long("callout") => flags.callout = parser.value()?.into(),
                Long("help") | Short('h') => flags.help = true,
                _ => return Err(argument.unexpected().into()),
            }
        }
        Ok(flags)
    }

    /// Whether the results stand for the whole bench.
    pub fn is_whole(&self) -> bool {
        !self.quick && self.only.is_empty() && self.phases.is_empty()
    }
}

fn kind(name: &str) -> Result<Kind> {
    let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.name() == name && *kind != Kind::Before) else {
        bail!("failed to find a server called `{name}`; see --help");
    };
    Ok(kind)
}

fn phase(name: &str) -> Result<Phase> {
    let Some(phase) = PHASES.into_iter().find(|phase| phase.name == name) else {
        bail!("failed to find a phase called `{name}`; see --help");
    };
    Ok(phase)
}
