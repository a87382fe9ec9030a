//! Electric's server of Durable Streams. A topic has to be made before anybody publishes to it.
//!
//! The topic is text, which is what this server is fastest with. It then passes on bytes: several
//! events that come together reach a stream as one, where the other servers keep them apart.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;

use crate::server::{Durability, Folder, Server, free_addr, peers};
use crate::wire::request::PATH;
use crate::wire::target::{Api, Target};

const VERSION: &str = "0.1.5";

/// How long it may take to answer the request that makes the topic.
const ANSWER_DEADLINE: Duration = Duration::from_secs(10);

/// The program. Compiles it first, where it is not there.
pub fn find() -> Result<PathBuf> {
    peers::installed("durable-streams-server", |folder, scratch| {
        let mut cargo = Command::new("cargo");
        cargo.args(["install", "--locked", &format!("durable-streams@{VERSION}"), "--root"]).arg(folder);
        cargo.env("CARGO_TARGET_DIR", scratch);
        cargo
    })
}

/// Blocks until the server listens and has made the topic. With `Durability::Relaxed` an answer means
/// that the kernel has the event; the server does not run without files.
pub fn start(durability: Durability) -> Result<Server> {
    let folder = Folder::on_disk()?;
    let addr = free_addr()?;
    let mode = match durability {
        Durability::Strict => "wal",
        Durability::Relaxed => "memory",
    };
    let mut command = Command::new(find()?);
    command.arg("--host").arg(addr.ip().to_string()).arg("--port").arg(addr.port().to_string());
    command.args(["--durability", mode, "--data-dir"]).arg(folder.path());
    let target = Target { addr, api: Api::DurableStreams };
    let server = Server::silent(&command, target, Signal::SIGKILL, Stdio::null(), Some(folder))?;
    make_topic(addr).context("failed to make the topic")?;
    Ok(server)
}

pub fn version() -> String {
    format!("durable-streams {VERSION}")
}

fn make_topic(addr: SocketAddr) -> Result<()> {
    let mut socket = TcpStream::connect(addr)?;
    socket.set_read_timeout(Some(ANSWER_DEADLINE))?;
    let request = format!(
        "PUT {PATH} HTTP/1.1\r\nHost: {addr}\r\nContent-Type: text/plain\r\n\
         Content-Length: 0\r\nConnection: close\r\n\r\n"
    );
    socket.write_all(request.as_bytes())?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    ensure!(answer.starts_with("HTTP/1.1 201 "), "the server answered `{answer}`");
    Ok(())
}
