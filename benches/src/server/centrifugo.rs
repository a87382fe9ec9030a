//! Centrifugo: its HTTP API, and its transport `uni_sse`. It keeps no history here, as it does not by
//! default.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use nix::sys::signal::Signal;

use crate::server::{Folder, Server, free_addr, peers};
use crate::wire::target::{Api, Target};

const VERSION: &str = "v6.9.1";

/// The program. Compiles it first, where it is not there.
pub fn find() -> Result<PathBuf> {
    peers::installed("centrifugo", |folder, scratch| {
        let mut go = Command::new("go");
        go.arg("install").arg(format!("github.com/centrifugal/centrifugo/v6@{VERSION}"));
        // Without -modcacherw the scratch folder could not be removed.
        go.env("GOBIN", folder.join("bin")).env("GOFLAGS", "-modcacherw");
        go.env("GOMODCACHE", scratch.join("mod")).env("GOCACHE", scratch.join("cache"));
        go
    })
}

/// Blocks until Centrifugo listens.
pub fn start() -> Result<Server> {
    let folder = Folder::temporary()?;
    let addr = free_addr()?;
    // Whoever comes may subscribe and publish, as with the other servers.
    let configuration = format!(
        r#"{{
  "http_server": {{"address": "{}", "port": {}}},
  "log": {{"level": "error"}},
  "client": {{"allow_anonymous_connect_without_token": true}},
  "channel": {{"without_namespace": {{"allow_subscribe_for_client": true, "allow_subscribe_for_anonymous": true}}}},
  "http_api": {{"insecure": true}},
  "uni_sse": {{"enabled": true}}
}}
"#,
        addr.ip(),
        addr.port()
    );
    let path = folder.path().join("config.json");
    fs::write(&path, configuration).context("failed to write Centrifugo's configuration")?;
    let mut command = Command::new(find()?);
    command.arg("--config").arg(path);
    let target = Target { addr, api: Api::Centrifugo };
    Server::silent(&command, target, Signal::SIGKILL, Stdio::null(), Some(folder))
}

pub fn version() -> String {
    format!("Centrifugo {VERSION}")
}
