//! Writes: what is written to the disk for each event, which is what an SD card lives by. It is counted
//! at a device of its own, so that what the file system writes for a server is counted too. Where
//! there is none, the kernel's count of what the process wrote has to do.

use std::thread;
use std::time::Duration;

use anyhow::Result;

use crate::bench::Bench;
use crate::publisher::WaitingPublisher;
use crate::server::{Disk, Durability, Folder, Kind};
use crate::stats::KB_BYTES;
use crate::table::{Goal, Table};

const EVENTS: u64 = 2000;

/// Published before, so that what is made once is not counted.
const FIRST_EVENTS: u64 = 100;

/// How long a server may go on writing. Electric's copies its log into the files of its topics every
/// three seconds, callout syncs within a tenth of a second.
const REST: Duration = Duration::from_millis(3500);

pub fn run(bench: &Bench, table: &mut Table) -> Result<()> {
    let disk = Disk::mount().inspect_err(|error| eprintln!("writes: no disk of its own: {error:#}")).ok();
    Folder::put_disk(disk.as_ref().map(Disk::path));
    let measured = run_on(bench, table, disk.as_ref());
    Folder::put_disk(None);
    measured
}

fn run_on(bench: &Bench, table: &mut Table, disk: Option<&Disk>) -> Result<()> {
    table.section(match disk {
        Some(_) => "writes: on disk, one publisher that waits, 100 bytes, counted at the device",
        None => "writes: on disk, one publisher that waits, 100 bytes, counted by process",
    });
    let kinds = bench.callouts_and(&[Kind::Electric]);
    for durability in Durability::ALL {
        let rounds = bench.alternate_few(&kinds, |kind| measure(bench, kind, durability, disk))?;
        let figure = format!("{}; written for each event, KB", durability.name());
        table.row(figure, 2, Goal::AtMostTimes(1.0, Kind::Electric), &rounds, |bytes| bytes / KB_BYTES);
    }
    Ok(())
}

/// The bytes for each event.
fn measure(bench: &Bench, kind: Kind, durability: Durability, disk: Option<&Disk>) -> Result<f64> {
    let folder = Folder::on_disk()?;
    let server = bench.start_durable(kind, &folder, durability)?;
    let mut publisher = WaitingPublisher::connect(server.target(), 0)?;
    let mut publish = |events: u64| (0..events).try_for_each(|_| publisher.publish(bench.clock.nanos()));
    publish(FIRST_EVENTS)?;
    let written = || disk.map_or_else(|| server.written_bytes(), Disk::written_bytes);
    let before_bytes = written()?;
    publish(EVENTS)?;
    thread::sleep(REST);
    Ok((written()? - before_bytes) as f64 / EVENTS as f64)
}
