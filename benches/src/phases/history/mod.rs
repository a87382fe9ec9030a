//! History: what it costs callout to keep its events on disk, and what it takes to come back.
//!
//! The peers keep nothing, so callout is alone here, except in the flood.

mod acknowledge;
mod commit;
mod comeback;
mod restart;
mod size;

use anyhow::Result;

use crate::bench::Bench;
use crate::phases::flood;
use crate::server::Kind;
use crate::table::Table;

const MB_BYTES: f64 = 1024.0 * 1024.0;

pub fn run(bench: &Bench, table: &mut Table) -> Result<()> {
    if !bench.kinds.contains(&Kind::Callout) {
        return Ok(());
    }
    acknowledge::run(bench, table)?;
    size::run(bench, table)?;
    let full = restart::run(bench, table)?;
    comeback::run(bench, table, &full)?;
    flood::run_kept(bench, table)
}
