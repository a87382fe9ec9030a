//! Program: the size of callout's program and the number of its crates.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::bench::{Bench, Rounds};
use crate::server::Kind;
use crate::stats::MB_BYTES;
use crate::table::{Goal, Table};

/// callout's own project, above this one.
const CALLOUT_DIR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

pub fn run(bench: &Bench, table: &mut Table) -> Result<()> {
    table.section("program: the default build, stripped");
    let mut sizes = Rounds::new();
    for (kind, program) in &bench.programs {
        let metadata = fs::metadata(program).context("failed to measure callout's program")?;
        sizes.insert(*kind, vec![metadata.len()]);
    }
    table.row("size, MB", 2, Goal::AtMost(3.5), &sizes, |bytes| *bytes as f64 / MB_BYTES);
    if bench.kinds.contains(&Kind::Callout) {
        let crates = Rounds::from([(Kind::Callout, vec![crates()?])]);
        table.row("crates", 0, Goal::AtMost(75.0), &crates, |crates| *crates as f64);
    }
    Ok(())
}

/// callout itself is one of them.
fn crates() -> Result<usize> {
    let output = Command::new("cargo")
        .args(["tree", "--edges", "normal", "--prefix", "none"])
        .current_dir(CALLOUT_DIR)
        .output()
        .context("failed to run `cargo tree`")?;
    if !output.status.success() {
        bail!("failed to list callout's crates: {}", String::from_utf8_lossy(&output.stderr));
    }
    let tree = String::from_utf8_lossy(&output.stdout);
    // An asterisk marks a crate that was listed before.
    let crates: BTreeSet<&str> = tree.lines().map(|line| line.trim_end_matches(" (*)")).collect();
    Ok(crates.len())
}
