//! `RESULTS.md`: the last whole run, with the machine and the command that made it.
//!
//! It names no path and no host.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::SystemTime;

use anyhow::{Context, Result};

use crate::server::{Kind, Nginx};
use crate::table::Table;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/RESULTS.md");

/// What the bench was built with, axum among it.
const LOCKED: &str = include_str!("../Cargo.lock");

pub fn write(table: &Table, kinds: &[Kind]) -> Result<()> {
    let text = format!(
        "# Results of the bench

Each figure is the median of its rounds; a ratio is callout's figure to axum's, the median of the
ratios of neighbouring rounds. KB and MB are 1,024 and 1,048,576 bytes. The load generator runs on
the same cores as the server. The peers keep nothing, so callout runs with `--data memory`, except
where a section says that it keeps a history on disk.

- date: {date}
- command: `{command}`
- machine: {cpu}, {cores} cores, Linux {kernel}
- compiler: {rustc}
- compared with: {peers}

{table}",
        date = date(),
        command = command(),
        cpu = cpu_model()?,
        cores = cores()?,
        kernel = kernel()?,
        rustc = rustc()?,
        peers = peers(kinds)?,
    );
    fs::write(FILE, text).context("failed to write `RESULTS.md`")
}

fn date() -> String {
    let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    now.split('T').next().unwrap_or(&now).to_owned()
}

/// The only argument that a whole run takes is the program to measure.
fn command() -> &'static str {
    if std::env::args().len() > 1 { "callout-bench --callout PATH" } else { "callout-bench" }
}

fn cpu_model() -> Result<String> {
    let info = fs::read_to_string("/proc/cpuinfo").context("failed to read `/proc/cpuinfo`")?;
    let model =
        info.lines().filter_map(|line| line.split_once(':')).find(|(key, _)| key.trim() == "model name");
    // Some architectures do not say it.
    Ok(model.map_or("unnamed CPU", |(_, model)| model.trim()).to_owned())
}

fn cores() -> Result<usize> {
    let cores = thread::available_parallelism().context("failed to count the cores")?;
    Ok(cores.get())
}

fn kernel() -> Result<String> {
    let path = "/proc/sys/kernel/osrelease";
    let release = fs::read_to_string(path).with_context(|| format!("failed to read `{path}`"))?;
    Ok(release.trim().to_owned())
}

fn rustc() -> Result<String> {
    let output =
        Command::new("rustc").arg("--version").output().context("failed to ask rustc for its version")?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn peers(kinds: &[Kind]) -> Result<String> {
    let mut peers =
        vec![format!("axum {}", locked_version("axum")?), format!("tokio {}", locked_version("tokio")?)];
    if kinds.contains(&Kind::Nchan) {
        peers.push(format!("{} with nchan", Nginx::find()?.version()?));
    }
    Ok(peers.join(", "))
}

fn locked_version(package: &str) -> Result<&'static str> {
    let entry = format!("name = \"{package}\"\nversion = \"");
    LOCKED
        .split_once(&entry)
        .and_then(|(_, after)| after.split('"').next())
        .with_context(|| format!("failed to find `{package}` in `Cargo.lock`"))
}
