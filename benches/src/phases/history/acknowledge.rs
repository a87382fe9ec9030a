//! How many events a second are acknowledged, and how long that takes: by what acknowledged means, and
//! by the number of publishers that wait, among whom a commit is shared.

use anyhow::Result;

use crate::bench::Bench;
use crate::phases::history::commit;
use crate::phases::publish;
use crate::server::{Keep, Store};
use crate::table::{Table, Target};

const PUBLISHERS: [usize; 3] = [1, 8, 64];

struct Round {
    commit_millis: f64,
    /// One for each of `Keep::ALL` and, in it, of `PUBLISHERS`.
    published: Vec<publish::Round>,
}

pub fn run(bench: &Bench, table: &mut Table) -> Result<()> {
    let rounds = bench.repeat(bench.effort.load_rounds, || measure(bench))?;
    table.section("history: one listener, waiting publishers, 100 bytes; wait until acknowledged");
    table.row("the disk alone: append 4 KB, fdatasync, ms", 2, &rounds, Target::None, |round| {
        round.commit_millis
    });
    for (index, (keep, publishers)) in loads().enumerate() {
        let who = if publishers == 1 { "publisher" } else { "publishers" };
        let load = format!("{}, {publishers} {who}", keep.name());
        table.row(format!("{load}: events per second"), 0, &rounds, Target::None, |round| {
            round.published[index].requests_per_sec
        });
        table.row(format!("{load}: p99, ms"), 2, &rounds, Target::None, |round| {
            round.published[index].p99_millis
        });
    }
    table.sum("lost, doubled or torn", &rounds, Target::AtMost(0.0), |round| {
        round.published.iter().map(|published| published.faults.count() as f64).sum()
    });
    Ok(())
}

fn measure(bench: &Bench) -> Result<Round> {
    let commit_millis = commit::median_millis(&Store::new()?)?;
    eprintln!("history: the disk takes {commit_millis:.2} ms for a commit");
    let publish = |(keep, publishers): (Keep, usize)| {
        let store = Store::new()?;
        let server = bench.start_keeping(&store, keep)?;
        let round = publish::measure(bench, &server, publishers)?;
        eprintln!("history {}: {publishers} publishers, {round}", keep.name());
        Ok(round)
    };
    Ok(Round { commit_millis, published: loads().map(publish).collect::<Result<_>>()? })
}

fn loads() -> impl Iterator<Item = (Keep, usize)> {
    Keep::ALL.into_iter().flat_map(|keep| PUBLISHERS.map(|publishers| (keep, publishers)))
}
