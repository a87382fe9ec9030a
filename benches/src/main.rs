//! callout-bench: the load generator of callout, and the order in which it is used.
//!
//! One process with one thread plays thousands of browsers against a server on the same machine,
//! and does the same with the servers that callout is compared with. In reading order:
//!
//! - `wire`: messages, requests, heads, framing
//! - `crowd`, `publisher`: the browsers, and who posts to them
//! - `server`, `process`: what is measured, and how it is looked at from outside
//! - `bench`, `meter`, `stats`: rounds and readings
//! - `phases`: one file a phase
//! - `table`, `results`: what comes out

mod bench;
mod clock;
mod crowd;
mod flags;
mod meter;
mod phases;
mod process;
mod publisher;
mod results;
mod server;
mod stats;
mod table;
mod wire;

use anyhow::{Context, Result, bail};
use rlimit::Resource;

use bench::{Bench, Effort};
use clock::Clock;
use flags::{Flags, HELP};
use phases::Phase;
use server::Kind;
use table::Table;

/// Descriptors that the generator and each server may have: what the herd is promised to fit in.
const DESCRIPTORS: u64 = 20_000;

fn main() -> Result<()> {
    let flags = Flags::read()?;
    if flags.help {
        print!("{HELP}");
        return Ok(());
    }
    limit_descriptors()?;
    let bench = Bench {
        kinds: kinds(&flags)?,
        callout: flags.callout.clone(),
        clock: Clock::start(),
        effort: if flags.quick { Effort::QUICK } else { Effort::FULL },
    };
    let phases = match flags.phases.as_slice() {
        [] => &Phase::ALL,
        phases => phases,
    };
    let mut table = Table::default();
    let outcome = phases.iter().try_for_each(|phase| {
        phase.run(&bench, &mut table).with_context(|| format!("failed to run the phase `{}`", phase.name()))
    });
    // What was measured before something failed is worth reading too.
    print!("{table}");
    outcome?;
    if flags.is_whole() {
        results::write(&table, &bench.kinds)?;
    }
    Ok(())
}

/// The servers that take part. nchan is left out where it is not installed, unless it was asked for.
fn kinds(flags: &Flags) -> Result<Vec<Kind>> {
    let mut kinds = Vec::new();
    for kind in Kind::ALL {
        if !flags.only.is_empty() && !flags.only.contains(&kind) {
            continue;
        }
        match kind.look(&flags.callout) {
            Err(cause) if kind == Kind::Nchan && flags.only.is_empty() => {
                println!("nchan is left out: {cause}");
            }
            looked => {
                looked?;
                kinds.push(kind);
            }
        }
    }
    Ok(kinds)
}

/// Sets the limit of this process, which the servers inherit.
fn limit_descriptors() -> Result<()> {
    let (_, hard) = Resource::NOFILE.get().context("failed to read the limit of descriptors")?;
    if hard < DESCRIPTORS {
        bail!("failed to make room for the streams: {DESCRIPTORS} descriptors are needed, {hard} allowed");
    }
    Resource::NOFILE.set(DESCRIPTORS, DESCRIPTORS).context("failed to set the limit of descriptors")
}
