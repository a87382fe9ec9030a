//! Million: 1,000,000 events kept. How long a start takes after a kill, with nothing of them in the
//! kernel's cache; what each takes in memory; and what they take on the disk, also when the history
//! has been trimmed for long.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};

use crate::bench::Bench;
use crate::publisher::fill;
use crate::server::{Durability, Folder, Kind, Server};
use crate::table::{Goal, Table};

const EVENTS: u64 = 1_000_000;
const KEEP_ALL: [&str; 4] = ["--keep-events", "1000000", "--keep-bytes", "1GB"];

/// So many of them are kept where the history is trimmed.
const KEPT_EVENTS: u64 = 100_000;

/// Published before each kill, so that no start finds files that were only read.
const RUN_EVENTS: u64 = 1000;

/// How long a server is left alone before its memory is read: what a start needed for a moment is given
/// back two seconds later.
const REST: Duration = Duration::from_secs(3);

/// The unit in which a file system says what a file takes, whatever its own blocks are.
const BLOCK_BYTES: u64 = 512;

struct Round {
    started_millis: f64,
    event_bytes: f64,
    disk_share: f64,
}

pub fn run(bench: &Bench, table: &mut Table) -> Result<()> {
    table.section("million: 1,000,000 events of 100 bytes kept, kill -9, nothing in the cache");
    let callouts = bench.callouts();
    let mut histories = Vec::new();
    for &kind in &callouts {
        let folder = Folder::on_disk()?;
        // How the events get there does not matter here, so the faster way is taken.
        let server = start(bench, kind, &folder, Durability::Relaxed)?;
        let empty_bytes = server.anonymous_bytes()?;
        fill(server.target(), EVENTS, bench.clock)?;
        server.stop()?;
        let server = start(bench, kind, &folder, Durability::Strict)?;
        fill(server.target(), RUN_EVENTS, bench.clock)?;
        server.kill()?;
        histories.push((kind, folder, empty_bytes));
    }
    let rounds = bench.alternate_few(&callouts, |kind| {
        let history = histories.iter().find(|(other, ..)| *other == kind);
        let (_, folder, empty_bytes) = history.expect("each callout was given a history");
        measure(bench, kind, folder, *empty_bytes)
    })?;
    table.row("start until a request is answered, ms", 0, Goal::AtMost(2000.0), &rounds, |round| {
        round.started_millis
    });
    table.row("memory for each event, bytes", 1, Goal::AtMost(24.0), &rounds, |round| round.event_bytes);
    table.row("disk, to what is kept", 3, Goal::AtMost(1.25), &rounds, |round| round.disk_share);
    // Their disk may be needed for what comes.
    drop(histories);

    let trimmed = bench.alternate_few(&callouts, |kind| trim(bench, kind))?;
    table.row("the same, 100,000 kept of 1,000,000", 3, Goal::AtMost(1.25), &trimmed, |share| *share);
    Ok(())
}

fn measure(bench: &Bench, kind: Kind, folder: &Folder, empty_bytes: u64) -> Result<Round> {
    forget(folder.path())?;
    let started = Instant::now();
    let server = start(bench, kind, folder, Durability::Strict)?;
    let kept = server.health()?;
    let started_millis = started.elapsed().as_secs_f64() * 1e3;
    ensure!(kept.history_events == EVENTS, "{EVENTS} events were kept, {} were found", kept.history_events);
    thread::sleep(REST);
    let event_bytes = server.anonymous_bytes()?.saturating_sub(empty_bytes) as f64 / EVENTS as f64;
    let disk_share = disk_bytes(folder.path())? as f64 / kept.history_bytes as f64;
    fill(server.target(), RUN_EVENTS, bench.clock)?;
    server.kill()?;
    Ok(Round { started_millis, event_bytes, disk_share })
}

/// The disk that a trimmed history takes, to what is kept.
fn trim(bench: &Bench, kind: Kind) -> Result<f64> {
    let folder = Folder::on_disk()?;
    let flags = ["--keep-events", &KEPT_EVENTS.to_string(), "--keep-bytes", "1GB"];
    let server = bench.start_on_disk_with(kind, &folder, Durability::Relaxed, &flags)?;
    fill(server.target(), EVENTS, bench.clock)?;
    let kept = server.health()?;
    Ok(disk_bytes(folder.path())? as f64 / kept.history_bytes as f64)
}

fn start(bench: &Bench, kind: Kind, folder: &Folder, durability: Durability) -> Result<Server> {
    bench.start_on_disk_with(kind, folder, durability, &KEEP_ALL)
}

/// Lets the kernel's cache forget these files.
fn forget(folder: &Path) -> Result<()> {
    for path in files(folder)? {
        let forget = || -> Result<()> {
            let file = File::open(&path)?;
            // What is not on the disk yet would stay.
            file.sync_all()?;
            Ok(posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?)
        };
        forget().with_context(|| format!("failed to have `{}` forgotten", path.display()))?;
    }
    Ok(())
}

fn disk_bytes(folder: &Path) -> Result<u64> {
    // A file that is removed meanwhile takes nothing.
    let blocks = |path: PathBuf| fs::metadata(path).map_or(0, |metadata| metadata.blocks());
    Ok(files(folder)?.into_iter().map(blocks).sum::<u64>() * BLOCK_BYTES)
}

/// The files in this folder and those below.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("failed to list `{}`", folder.display()))? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            files.extend(self::files(&entry.path())?);
        } else {
            files.push(entry.path());
        }
    }
    Ok(files)
}
