//! `RESULTS.md`: the table of the last whole run, with the machine and the command that made it.
//!
//! The file names no path and no host.

use std::fs;
use std::process::Command;
use std::thread;

use anyhow::{Context, Result};

use crate::server::Kind;
use crate::table::Table;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/RESULTS.md");

pub fn write(table: &Table, kinds: &[Kind]) -> Result<()> {
    let text = format!(
        "# Results of the bench

Each figure is the median of its rounds; a ratio is callout's figure to that of the peer in the goal,
or else to axum's, the median of the ratios within each round. KB and MB are 1,024 and 1,048,576 bytes.
The load generator runs on the same cores as the server. The peers keep nothing on disk, and neither
does callout (`--data memory`), except where a section says so; Electric's server always has files, and
writes them when it likes (`--durability memory`) where nothing is to be kept. Its topic is text, which
suits it best, and in which it passes on several events as one. A peer that has no figure
was not measured there, or failed, or is not among those compared with.

- date: {date}
- command: `make bench`
- machine: {cpu}, {cores} cores, Linux {kernel}
- compiler: {rustc}
- compared with: {peers}

## What is wanted, and what was seen

{summary}
## All figures

{table}",
        summary = table.summary(),
        date = output("date", "+%F")?,
        cpu = cpu_model()?,
        cores = cores()?,
        kernel = output("uname", "-r")?,
        rustc = output("rustc", "--version")?,
        peers = peers(kinds)?,
    );
    fs::write(FILE, text).context("failed to write `RESULTS.md`")
}

fn cpu_model() -> Result<String> {
    let info = fs::read_to_string("/proc/cpuinfo").context("failed to read `/proc/cpuinfo`")?;
    let model =
        info.lines().filter_map(|line| line.split_once(':')).find(|(key, _)| key.trim() == "model name");
    // Some architectures have no such line.
    Ok(model.map_or("unnamed CPU", |(_, model)| model.trim()).to_owned())
}

fn cores() -> Result<usize> {
    let cores = thread::available_parallelism().context("failed to count the cores")?;
    Ok(cores.get())
}

/// What a program prints.
fn output(program: &str, argument: &str) -> Result<String> {
    let output = Command::new(program).arg(argument).output();
    let output = output.with_context(|| format!("failed to run `{program} {argument}`"))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn peers(kinds: &[Kind]) -> Result<String> {
    let mut versions: Vec<String> =
        kinds.iter().filter_map(|kind| kind.version().transpose()).collect::<Result<_>>()?;
    if kinds.contains(&Kind::Before) {
        versions.push("an earlier callout".to_owned());
    }
    Ok(versions.join(", "))
}
