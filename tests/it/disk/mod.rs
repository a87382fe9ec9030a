//! The history on disk: what was acknowledged is there, whatever happened in between.

mod kill;

use crate::support::Program;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// A data directory that does not exist yet, removed when the test is over.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Folder {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("callout-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed));
        Folder(std::env::temp_dir().join(name))
    }

    pub fn path(&self) -> PathBuf {
        self.0.clone()
    }

    /// The one file in it.
    pub fn file(&self) -> PathBuf {
        self.0.join(callout::history::disk::NAME)
    }

    pub fn text(&self) -> &str {
        self.0.to_str().expect("a name in ASCII")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A test that failed early has made none.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// `callout` with these arguments.
pub fn callout(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_callout"));
    command.args(args).env_remove("CALLOUT_DATA");
    command
}

/// `callout serve` on a free port, keeping its history in this folder.
pub fn serve(folder: &Folder, flags: &[&str]) -> Program {
    Program::serve(&[&["--data", folder.text(), "--log", "warn"], flags].concat())
}
