//! `GET /healthz` of callout: what it says is kept.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use anyhow::{Context, Result};

pub struct Health {
    pub kept_events: u64,
    pub kept_bytes: u64,
}

impl Health {
    pub fn of(server: SocketAddr) -> Result<Health> {
        let answer = ask(server).with_context(|| format!("failed to ask `{server}` for its health"))?;
        let (_, history) =
            answer.split_once("\"history\":").context("failed to find the history in `/healthz`")?;
        Ok(Health { kept_events: number(history, "events")?, kept_bytes: number(history, "bytes")? })
    }
}

fn ask(server: SocketAddr) -> Result<String> {
    let mut socket = TcpStream::connect(server)?;
    let request = format!("GET /healthz HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes())?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    Ok(answer)
}

/// The first number of this name.
fn number(json: &str, name: &str) -> Result<u64> {
    let after = json.split_once(&format!("\"{name}\":")).map(|(_, after)| after);
    let digits = after.and_then(|after| after.split(|c: char| !c.is_ascii_digit()).next());
    digits
        .and_then(|digits| digits.parse().ok())
        .with_context(|| format!("failed to find `{name}` in `/healthz`"))
}
