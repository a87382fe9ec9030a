//! `GET /healthz` of callout.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use anyhow::{Context, Result};

/// The figures that the bench reads. Every callout has them under the same names.
pub struct Health {
    /// Events that the history keeps.
    pub history_events: u64,
    /// What they take, as callout counts it.
    pub history_bytes: u64,
}

impl Health {
    pub fn of(server: SocketAddr) -> Result<Health> {
        let response = get(server).with_context(|| format!("failed to get the health of `{server}`"))?;
        let (_, history) =
            response.split_once("\"history\":").context("failed to find the history in `/healthz`")?;
        Ok(Health { history_events: number(history, "events")?, history_bytes: number(history, "bytes")? })
    }
}

fn get(server: SocketAddr) -> Result<String> {
    let mut socket = TcpStream::connect(server)?;
    let request = format!("GET /healthz HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes())?;
    let mut response = String::new();
    socket.read_to_string(&mut response)?;
    Ok(response)
}

/// The first number of this name.
fn number(json: &str, name: &str) -> Result<u64> {
    let after = json.split_once(&format!("\"{name}\":")).map(|(_, after)| after);
    let digits = after.and_then(|after| after.split(|c: char| !c.is_ascii_digit()).next());
    digits
        .and_then(|digits| digits.parse().ok())
        .with_context(|| format!("failed to find `{name}` in `/healthz`"))
}
