//! Rules: what 10,000 of them cost each request and each event, and what streams of 10,000 prefixes and of 10,000
//! identities cost, each of which may read something else.

mod costs;
mod spread;

use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::bench::Bench;
use crate::crowd::Crowd;
use crate::server::{Folder, Kind};
use crate::table::Table;
use crate::wire::head::answer_bytes;

const RULES: usize = 10_000;

/// The secret of the backend, and the key of its tickets.
const SECRET: &str = "the-secret-of-the-bench";
const KEY: &str = "0123456789abcdef0123456789abcdef";

/// The rules that are used.
const FEW: &str = r#"
[tickets]
key_files = ["ticket.key"]

[[token]]
name = "bench"
secret_file = "bench.token"
publish = ["*"]
subscribe = ["*"]
may = ["tickets"]

[[allow]]
signed_in = true
subscribe = ["users/{user}/*"]
"#;

pub fn run(bench: &Bench, table: &mut Table) -> Result<()> {
    let folder = Folder::temporary()?;
    let (many, few) = (folder.path().join("many.toml"), folder.path().join("few.toml"));
    fs::write(folder.path().join("bench.token"), SECRET)?;
    fs::write(folder.path().join("ticket.key"), KEY)?;
    fs::write(&many, config(RULES))?;
    fs::write(&few, config(0))?;
    let (many, few) = (path(&many)?, path(&few)?);
    // One of before may know no rules.
    let knows_rules = |kind: &Kind| {
        let mut check = Command::new(&bench.programs[kind]);
        check.args(["check-config", few]).stdout(Stdio::null()).stderr(Stdio::null());
        check.status().is_ok_and(|status| status.success())
    };
    let kinds: Vec<Kind> = bench.callouts().into_iter().filter(knows_rules).collect();
    costs::run(bench, table, &kinds, many)?;
    spread::run(bench, table, &kinds, few)
}

fn path(path: &Path) -> Result<&str> {
    path.to_str().context("the folder's name is not text")
}

/// A configuration with so many rules more than the few that are used: for everybody, for each user, and tokens.
fn config(rules: usize) -> String {
    let mut text = FEW.to_owned();
    for number in 0..rules {
        // Writing to a text cannot fail.
        let _ = match number % 3 {
            0 => writeln!(
                text,
                "\n[[allow]]\nanonymous = true\nsubscribe = [\"open/{number}\", \"news/{number}/*\"]"
            ),
            1 => writeln!(
                text,
                "\n[[allow]]\nsigned_in = true\nsubscribe = [\"app{number}/{{user}}/*\"]\npublish = [\"wall/{number}\"]"
            ),
            _ => writeln!(
                text,
                "\n[[token]]\nname = \"t{number}\"\nhash = \"sha256:{number:064x}\"\npublish = [\"orders/{number}/*\"]"
            ),
        };
    }
    text
}

/// Asks the backend's server for tickets, one for each of these wishes.
fn tickets(addr: SocketAddr, wishes: impl IntoIterator<Item = String>) -> Result<Vec<String>> {
    let mut socket = TcpStream::connect(addr)?;
    socket.set_nodelay(true)?;
    let mut answer = Vec::new();
    let mut ask = |wish: String| -> Result<String> {
        write!(
            socket,
            "POST /tickets HTTP/1.1\r\nHost: {addr}\r\nAuthorization: Bearer {SECRET}\r\nContent-Length: {}\r\n\r\n{wish}",
            wish.len()
        )?;
        answer.clear();
        while answer_bytes(&answer)?.is_none() {
            let mut piece = [0; 4096];
            let bytes = socket.read(&mut piece)?;
            ensure!(bytes > 0, "the server hung up");
            answer.extend_from_slice(&piece[..bytes]);
        }
        let text = String::from_utf8_lossy(&answer);
        let ticket = text.split("\"ticket\":\"").nth(1).and_then(|rest| rest.split('"').next());
        ticket.map(str::to_owned).with_context(|| format!("no ticket in {text}"))
    };
    wishes.into_iter().map(&mut ask).collect()
}

fn check_open(crowd: &Crowd, streams: usize) -> Result<()> {
    let open = crowd.open_count();
    ensure!(open == streams, "{open} of {streams} streams are open: {:?}", crowd.failure());
    Ok(())
}
