//! Writes: what is written to the disk for each event, which is what an SD card lives by. The kernel
//! counts whole pages.

use std::thread;
use std::time::Duration;

use anyhow::Result;

use crate::bench::Bench;
use crate::publisher::WaitingPublisher;
use crate::server::{Durability, Folder, Kind};
use crate::stats::KB_BYTES;
use crate::table::{Goal, Table};

const EVENTS: u64 = 2000;

/// Published before, so that what is made once is not counted.
const FIRST_EVENTS: u64 = 100;

/// How long a server may go on writing. Electric's copies its log into the files of its topics every
/// three seconds, callout syncs within a tenth of a second.
const REST: Duration = Duration::from_millis(3500);

pub fn run(bench: &Bench, table: &mut Table) -> Result<()> {
    table.section("writes: on disk, one publisher that waits, 100 bytes");
    let kinds = bench.callouts_and(&[Kind::Electric]);
    for durability in Durability::ALL {
        let rounds = bench.alternate_few(&kinds, |kind| measure(bench, kind, durability))?;
        let figure = format!("{}; written for each event, KB", durability.name());
        table.row(figure, 2, Goal::AtMostTimes(1.0, Kind::Electric), &rounds, |bytes| bytes / KB_BYTES);
    }
    Ok(())
}

/// The bytes for each event.
fn measure(bench: &Bench, kind: Kind, durability: Durability) -> Result<f64> {
    let folder = Folder::on_disk()?;
    let server = bench.start_durable(kind, &folder, durability)?;
    let mut publisher = WaitingPublisher::connect(server.target(), 0)?;
    let mut publish = |events: u64| (0..events).try_for_each(|_| publisher.publish(bench.clock.nanos()));
    publish(FIRST_EVENTS)?;
    let before_bytes = server.written_bytes()?;
    publish(EVENTS)?;
    thread::sleep(REST);
    Ok((server.written_bytes()? - before_bytes) as f64 / EVENTS as f64)
}
