//! callout-bench: the load generator of callout.
//!
//! One process acts as thousands of browsers and a few publishers against a server on the same
//! machine, and does the same with the servers that callout is compared with. In reading order:
//!
//! - `wire`: messages, requests, response heads, framing
//! - `crowd`: the browsers; `publisher`: the publishers; `pace`: both of them at a fixed rate
//! - `server`: the servers that are measured, one file each
//! - `process`, `meter`, `stats`, `clock`: readings
//! - `bench`: rounds, and what every phase is given
//! - `phases`: the measurements, one file each
//! - `table`, `results`: the output

mod bench;
mod clock;
mod crowd;
mod flags;
mod meter;
mod pace;
mod phases;
mod process;
mod publisher;
mod results;
mod server;
mod stats;
mod table;
mod wire;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use bench::{Bench, Effort};
use clock::Clock;
use flags::{Flags, HELP};
use phases::PHASES;
use server::Kind;
use table::Table;

/// Descriptors that the generator and each server may have: enough for the streams of the phase
/// `idle`, and as few as many systems allow.
const DESCRIPTORS: u64 = 20_000;

fn main() -> Result<()> {
    let flags = Flags::read()?;
    if flags.help {
        print!("{HELP}");
        return Ok(());
    }
    limit_descriptors()?;
    let programs = programs(&flags);
    let bench = Bench {
        kinds: kinds(&flags, &programs)?,
        programs,
        clock: Clock::start(),
        effort: if flags.quick { Effort::QUICK } else { Effort::FULL },
    };
    let phases = match flags.phases.as_slice() {
        [] => &PHASES,
        phases => phases,
    };
    let mut table = Table::new(&bench.kinds);
    let mut failed = 0;
    for phase in phases {
        let started = Instant::now();
        // The figures of the other phases are worth their time too, so that the bench goes on.
        if let Err(cause) = (phase.run)(&bench, &mut table) {
            eprintln!("failed to run the phase `{}`: {cause:#}", phase.name);
            failed += 1;
        }
        eprintln!("the phase `{}` took {:.0} s", phase.name, started.elapsed().as_secs_f64());
    }
    print!("{table}");
    if let Some(comparison) = table.comparison() {
        print!("\n{comparison}");
    }
    if failed > 0 {
        bail!("{failed} of {} phases failed", phases.len());
    }
    if flags.is_whole() {
        results::write(&table, &bench.kinds)?;
    }
    Ok(())
}

/// The programs that were named on the command line.
fn programs(flags: &Flags) -> BTreeMap<Kind, PathBuf> {
    let mut programs = BTreeMap::from([(Kind::Callout, flags.callout.clone())]);
    if let Some(before) = &flags.before {
        programs.insert(Kind::Before, before.clone());
    }
    programs
}

/// The servers that take part. A peer that cannot be had is left out, unless it was asked for.
fn kinds(flags: &Flags, programs: &BTreeMap<Kind, PathBuf>) -> Result<Vec<Kind>> {
    let mut kinds = Vec::new();
    for kind in Kind::ALL {
        // Naming the earlier callout is what asks for it.
        let wanted = match kind {
            Kind::Before => flags.before.is_some(),
            _ => flags.only.is_empty() || flags.only.contains(&kind),
        };
        if !wanted {
            continue;
        }
        match kind.find(programs) {
            Err(cause) if kind.is_optional() && flags.only.is_empty() => {
                eprintln!("{} is left out: {cause:#}", kind.name());
            }
            found => {
                found?;
                kinds.push(kind);
            }
        }
    }
    Ok(kinds)
}

/// Sets the limit of this process, which the servers inherit.
fn limit_descriptors() -> Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).context("failed to read the limit of descriptors")?;
    if hard < DESCRIPTORS {
        bail!("failed to reserve descriptors: {DESCRIPTORS} are needed, {hard} are allowed");
    }
    setrlimit(Resource::RLIMIT_NOFILE, DESCRIPTORS, DESCRIPTORS)
        .context("failed to set the limit of descriptors")
}
