//! axum: the peer in `src/bin/axum_peer.rs`, built together with the bench.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::server::{Server, require_program};

/// The versions that the bench was built with.
const LOCK_FILE: &str = include_str!("../../Cargo.lock");

/// The program, which lies beside that of the bench.
pub fn find() -> Result<PathBuf> {
    let bench = std::env::current_exe().context("failed to find the bench's own program")?;
    let program = bench.with_file_name("axum_peer");
    require_program(&program, "run cargo build --release in benches first")?;
    Ok(program)
}

/// Blocks until axum listens.
pub fn start() -> Result<Server> {
    Server::announced(&Command::new(find()?))
}

pub fn version() -> Result<String> {
    Ok(format!("axum {}, tokio {}", locked_version("axum")?, locked_version("tokio")?))
}

fn locked_version(package: &str) -> Result<&'static str> {
    let entry = format!("name = \"{package}\"\nversion = \"");
    LOCK_FILE
        .split_once(&entry)
        .and_then(|(_, after)| after.split('"').next())
        .with_context(|| format!("failed to find `{package}` in `Cargo.lock`"))
}
