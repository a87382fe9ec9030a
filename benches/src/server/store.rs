//! Where callout keeps its history in the bench: a folder beside the bench's program, and so on the
//! disk and not in a folder for temporary files that may be memory.
//!
//! It is removed when the store is dropped, also by a panic. Only a bench that is killed leaves it.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result};

/// What callout calls the one file of its history.
const FILE: &str = "history.redb";

/// How callout keeps its history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    Strict,
    Relaxed,
    Memory,
}

impl Keep {
    pub const ALL: [Keep; 3] = [Keep::Strict, Keep::Relaxed, Keep::Memory];

    pub fn name(self) -> &'static str {
        match self {
            Keep::Strict => "strict",
            Keep::Relaxed => "relaxed",
            Keep::Memory => "memory",
        }
    }
}

pub struct Store {
    folder: PathBuf,
}

impl Store {
    pub fn new() -> Result<Store> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let bench = std::env::current_exe().context("failed to find the bench's own program")?;
        let folder = bench.with_file_name(format!("history-{}-{number}", std::process::id()));
        fs::create_dir(&folder).with_context(|| format!("failed to make `{}`", folder.display()))?;
        Ok(Store { folder })
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The flags that have callout keep its history in this way, and here if it is on disk.
    pub fn flags(&self, keep: Keep) -> Vec<OsString> {
        match keep {
            Keep::Memory => vec!["--data".into(), "memory".into()],
            Keep::Strict | Keep::Relaxed => {
                let folder = self.folder.clone().into();
                vec!["--data".into(), folder, "--durability".into(), keep.name().into()]
            }
        }
    }

    /// The size of callout's file.
    pub fn file_bytes(&self) -> Result<u64> {
        let file = self.folder.join(FILE);
        let metadata =
            fs::metadata(&file).with_context(|| format!("failed to measure `{}`", file.display()))?;
        Ok(metadata.len())
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // What is left over takes room and harms nothing else.
        let _ = fs::remove_dir_all(&self.folder);
    }
}
