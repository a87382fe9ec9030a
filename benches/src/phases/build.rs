//! Build: the size of callout's program without its symbols, and the crates it is made of.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::bench::Bench;
use crate::server::Kind;
use crate::table::{Table, Target};

const MB_BYTES: f64 = 1024.0 * 1024.0;

/// callout's own project, above this one.
const CALLOUT_DIR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

pub fn run(bench: &Bench, table: &mut Table) -> Result<()> {
    if !bench.kinds.contains(&Kind::Callout) {
        return Ok(());
    }
    let built = BTreeMap::from([(Kind::Callout, vec![(stripped_bytes(&bench.callout)?, crates()?)])]);
    table.section("build: callout as it is shipped");
    table.row("stripped program, MB", 2, &built, Target::AtMost(2.5), |(bytes, _)| *bytes as f64 / MB_BYTES);
    table.row("crates in the default build", 0, &built, Target::AtMost(60.0), |(_, crates)| *crates as f64);
    Ok(())
}

fn stripped_bytes(program: &Path) -> Result<u64> {
    let copy = std::env::temp_dir().join(format!("callout-bench-{}", std::process::id()));
    let stripped = Command::new("strip").arg("-o").arg(&copy).arg(program).status();
    let measured = match stripped {
        Ok(status) if status.success() => &copy,
        _ => {
            eprintln!("build: strip does not run here, so the program is measured as it is");
            program
        }
    };
    let metadata =
        fs::metadata(measured).with_context(|| format!("failed to measure `{}`", measured.display()));
    // It is not there when strip did not run.
    let _ = fs::remove_file(&copy);
    Ok(metadata?.len())
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
    // A crate listed before is marked with an asterisk.
    let crates: BTreeSet<&str> = tree.lines().map(|line| line.trim_end_matches(" (*)")).collect();
    Ok(crates.len())
}
