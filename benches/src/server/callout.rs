//! callout: today's, or the one of before. Only flags and figures that both have are used.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::server::{Folder, Server, require_program};

/// The flags of a callout that keeps nothing on disk.
pub const IN_MEMORY: [&str; 2] = ["--data", "memory"];

/// What an acknowledged event survives: a power cut, or only a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    Strict,
    Relaxed,
}

impl Durability {
    pub const ALL: [Durability; 2] = [Durability::Strict, Durability::Relaxed];

    pub fn name(self) -> &'static str {
        match self {
            Durability::Strict => "strict",
            Durability::Relaxed => "relaxed",
        }
    }
}

pub fn find(program: &Path) -> Result<()> {
    require_program(program, "run cargo build --release in the project, or name another program")
}

/// Blocks until callout listens.
pub fn start(program: &Path, flags: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Result<Server> {
    let mut command = Command::new(program);
    command.args(["serve", "--listen", "127.0.0.1:0", "--log", "warn"]).args(flags);
    Server::announced(&command)
}

/// The flags of a callout that keeps its history in this folder.
pub fn on_disk(folder: &Folder, durability: Durability) -> [OsString; 4] {
    ["--data".into(), folder.path().into(), "--durability".into(), durability.name().into()]
}
