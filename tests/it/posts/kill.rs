//! kill -9 at any moment, again and again, while posts are made and changed: what was acknowledged is there,
//! and the feeds come to be exactly what the posts say.

use super::{check_feeds, read, settle, text};
use crate::disk::{Folder, callout, rounds};
use crate::support::{PATIENCE, Program, status, until};
use serde_json::{Value, json};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

/// An address of its own, so that no other test's connection takes the port while nobody listens.
const HOST: &str = "127.0.0.82:0";

const CLIENTS: usize = 3;

/// The most answers before the next kill, and the longest pause after that, so that it strikes anywhere in a
/// commit or in the handling of its events.
const ROUND_ANSWERS: usize = 40;
const ROUND_MICROS: u64 = 8_000;

/// What the clients share.
#[derive(Default)]
struct Ledger {
    stop: AtomicBool,
    acknowledged: AtomicUsize,
}

/// A post as one client knows it: as it was acknowledged last, and the content of an edit since that was not
/// answered, and so may have been kept or not.
struct Known {
    post: Value,
    perhaps: Vec<String>,
}

#[test]
fn killed_at_any_moment_acknowledged_posts_are_there_and_feeds_are_what_the_posts_say() {
    let rounds = rounds();
    let folder = Folder::new();
    let mut program = serve_on(&folder, HOST);
    let at = program.address;
    let ledger = Ledger::default();
    let (known, _program): (Vec<Known>, Program) = thread::scope(|scope| {
        let ledger = &ledger;
        let clients: Vec<_> =
            (0..CLIENTS).map(|client| scope.spawn(move || write(at, client, ledger))).collect();
        for _ in 0..rounds {
            let wanted = ledger.acknowledged.load(Relaxed) + fastrand::usize(0..ROUND_ANSWERS);
            until("writing goes on", || ledger.acknowledged.load(Relaxed) >= wanted);
            // Not to wait for something: the moment of the kill is meant to be any.
            thread::sleep(Duration::from_micros(fastrand::u64(0..ROUND_MICROS)));
            drop(program); // It is killed with SIGKILL.
            program = serve_on(&folder, &at.to_string());
        }
        ledger.stop.store(true, Relaxed);
        (clients.into_iter().flat_map(|client| client.join().expect("what it knows")).collect(), program)
    });
    settle(at);
    let filed = check_feeds(at);
    // Every post has a tag, so each of them is in a feed.
    assert_eq!(read(at, "/healthz")["posts"]["posts"], filed.len());
    for Known { post, perhaps } in &known {
        let kept = &filed[text(&post["id"])];
        let content = text(&kept["content"]);
        let is_right = kept == post || perhaps.iter().any(|perhaps| perhaps == content);
        assert!(is_right, "acknowledged: {post}, perhaps: {perhaps:?}, kept: {kept}");
    }
    let answers = ledger.acknowledged.load(Relaxed);
    println!("{rounds} kills, {answers} answers, {} posts known, {} kept", known.len(), filed.len());
}

fn serve_on(folder: &Folder, listen: &str) -> Program {
    let command = callout(&["serve", "--listen", listen, "--data", folder.text(), "--log", "error"]);
    Program::start(command)
}

/// Makes and changes posts until it is stopped, and gives what it knows of them.
fn write(at: SocketAddr, client: usize, ledger: &Ledger) -> Vec<Known> {
    let mut known: Vec<Known> = Vec::new();
    for number in 0.. {
        if ledger.stop.load(Relaxed) {
            break;
        }
        let tags: Vec<String> =
            (0..=fastrand::usize(..3)).map(|_| format!("#t{}", fastrand::u8(..8))).collect();
        let content = format!("{client}-{number} {}", tags.join(" "));
        let is_new = fastrand::u8(..3) == 0;
        let answer = match fastrand::choice(&mut known).filter(|_| !is_new) {
            None => {
                let body = json!({ "title": "t", "content": content, "author": "a" });
                send(at, "POST", "/api/posts", 201, &body)
                    .map(|post| known.push(Known { post, perhaps: vec![] }))
            }
            Some(known) => {
                let path = super::path(&known.post);
                known.perhaps.push(content.clone());
                send(at, "PATCH", &path, 200, &json!({ "content": content })).map(|post| {
                    // What came before it is over: kept or not, it was changed since.
                    *known = Known { post, perhaps: vec![] };
                })
            }
        };
        ledger.acknowledged.fetch_add(usize::from(answer.is_ok()), Relaxed);
    }
    known
}

/// One attempt, which may break off anywhere. A server that answers does not refuse.
fn send(at: SocketAddr, method: &str, path: &str, wanted: u16, body: &Value) -> io::Result<Value> {
    let mut socket = TcpStream::connect(at)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let body = body.to_string();
    let length = body.len();
    let head =
        format!("{method} {path} HTTP/1.1\r\nHost: t\r\nConnection: close\r\nContent-Length: {length}");
    socket.write_all(format!("{head}\r\n\r\n{body}").as_bytes())?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(ErrorKind::UnexpectedEof)?;
    let body = serde_json::from_str(body).map_err(|_| ErrorKind::UnexpectedEof)?;
    assert_eq!(status(head), wanted, "{answer}");
    Ok(body)
}
