//! The command line.

use std::path::PathBuf;

use anyhow::{Result, bail};
use lexopt::prelude::*;

use crate::phases::Phase;
use crate::server::Kind;

pub const HELP: &str = "\
Measures callout against other push servers, side by side on this machine.

Usage: callout-bench [OPTIONS]

  --only NAME     only this server: callout, axum or nchan (repeatable)
  --phase NAME    only this phase: steady, flood, publish, herd, memory, history,
                  activity, posts or build (repeatable)
  --quick         short rounds, for trying out
  --callout PATH  the program to measure [default: target/release/callout of the project]
  --help          this text

A run of all servers and phases that is not quick rewrites RESULTS.md.
";

pub struct Flags {
    /// Empty for all.
    pub only: Vec<Kind>,
    /// Empty for all.
    pub phases: Vec<Phase>,
    pub quick: bool,
    pub callout: PathBuf,
    pub help: bool,
}

impl Flags {
    pub fn read() -> Result<Flags> {
        let mut flags = Flags {
            only: Vec::new(),
            phases: Vec::new(),
            quick: false,
            callout: concat!(env!("CARGO_MANIFEST_DIR"), "/../target/release/callout").into(),
            help: false,
        };
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("only") => flags.only.push(kind(&parser.value()?.string()?)?),
                Long("phase") => flags.phases.push(phase(&parser.value()?.string()?)?),
                Long("quick") => flags.quick = true,
                Long("callout") => flags.callout = parser.value()?.into(),
                Long("help") | Short('h') => flags.help = true,
                _ => return Err(argument.unexpected().into()),
            }
        }
        Ok(flags)
    }

    /// Whether the results stand for the whole bench.
    pub fn is_whole(&self) -> bool {
        self.only.is_empty() && self.phases.is_empty() && !self.quick
    }
}

fn kind(name: &str) -> Result<Kind> {
    let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.name() == name) else {
        bail!("failed to find a server called `{name}`; see --help");
    };
    Ok(kind)
}

fn phase(name: &str) -> Result<Phase> {
    let Some(phase) = Phase::ALL.into_iter().find(|phase| phase.name() == name) else {
        bail!("failed to find a phase called `{name}`; see --help");
    };
    Ok(phase)
}
