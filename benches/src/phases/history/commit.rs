//! What one commit costs on this disk, whoever makes it: 4 KB appended to a file, and fdatasync(2).

use std::fs::File;
use std::io::Write;
use std::time::Instant;

use anyhow::{Context, Result};

use crate::server::Store;
use crate::stats::median;

const COMMITS: usize = 100;
const COMMIT_BYTES: usize = 4096;

/// The median, in milliseconds.
pub fn median_millis(store: &Store) -> Result<f64> {
    let path = store.folder().join("commits");
    let mut file = File::create(&path).with_context(|| format!("failed to make `{}`", path.display()))?;
    let mut commit = || {
        let started = Instant::now();
        file.write_all(&[0; COMMIT_BYTES])?;
        file.sync_data()?;
        Ok(started.elapsed().as_secs_f64() * 1e3)
    };
    let millis: Result<_> = (0..COMMITS).map(|_| commit()).collect();
    Ok(median(millis.context("failed to write to the disk")?))
}
