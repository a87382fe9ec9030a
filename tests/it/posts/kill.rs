//! kill -9 at any moment, again and again, while posts are created, edited and deleted: every acknowledged change
//! is there, and the feeds become exactly what the posts say.

use super::{check_feeds, settle, text};
use crate::disk::{Folder, callout, rounds};
use crate::support::{PATIENCE, Program, status, until};
use serde_json::{Value, json};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

/// An address of its own, so that no connection of another test takes the port while the server is down.
const HOST: &str = "127.0.0.82:0";

const CLIENTS: usize = 3;

/// The most answers before the next kill, and the longest pause after them, so that the kill comes anywhere in a
/// commit or in the handling of its events.
const ROUND_ANSWERS: usize = 40;
const ROUND_MICROS: u64 = 8_000;

/// What the clients and the test share.
#[derive(Default)]
struct Ledger {
    stop: AtomicBool,
    acknowledged: AtomicUsize,
}

/// A post as one client knows it.
struct Known {
    /// As it was acknowledged last.
    post: Value,
    /// The contents of later edits that were not answered: each may have been kept or not.
    perhaps: Vec<String>,
    deleted: Deleted,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deleted {
    No,
    /// A deletion was not answered.
    Perhaps,
    Yes,
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
            // This does not wait for anything: the kill may come at any moment.
            thread::sleep(Duration::from_micros(fastrand::u64(0..ROUND_MICROS)));
            drop(program); // This sends SIGKILL.
            program = serve_on(&folder, &at.to_string());
        }
        ledger.stop.store(true, Relaxed);
        (clients.into_iter().flat_map(|client| client.join().expect("what it knows")).collect(), program)
    });
    settle(at);
    let kept = check_feeds(at);
    for Known { post, perhaps, deleted } in &known {
        let is_right = match kept.get(text(&post["id"])) {
            None => *deleted != Deleted::No,
            Some(_) if *deleted == Deleted::Yes => false,
            Some(kept) => kept == post || perhaps.iter().any(|perhaps| *perhaps == kept["content"]),
        };
        let kept = kept.get(text(&post["id"]));
        assert!(is_right, "acknowledged: {post}, perhaps: {perhaps:?}, deleted: {deleted:?}, kept: {kept:?}");
    }
    let answers = ledger.acknowledged.load(Relaxed);
    println!("{rounds} kills, {answers} answers, {} posts known, {} kept", known.len(), kept.len());
}

fn serve_on(folder: &Folder, listen: &str) -> Program {
    let command = callout(&["serve", "--listen", listen, "--data", folder.text(), "--log", "error"]);
    Program::start(command)
}

/// Creates, edits and deletes posts until it is stopped, and gives what it knows of them.
fn write(at: SocketAddr, client: usize, ledger: &Ledger) -> Vec<Known> {
    let mut known: Vec<Known> = Vec::new();
    for number in 0.. {
        if ledger.stop.load(Relaxed) {
            break;
        }
        let tags: Vec<String> =
            (0..=fastrand::usize(..3)).map(|_| format!("#t{}", fastrand::u8(..8))).collect();
        let content = format!("{client}-{number} {}", tags.join(" "));
        let action = fastrand::u8(..8);
        let chosen = fastrand::choice(&mut known).filter(|known| action > 2 && known.deleted != Deleted::Yes);
        let answer = match chosen {
            None => {
                let body = json!({ "title": "t", "content": content, "author": "a" });
                send(at, "POST", "/api/posts", &body).map(|(status, post)| {
                    assert_eq!(status, 201, "{post}");
                    known.push(Known { post, perhaps: vec![], deleted: Deleted::No });
                })
            }
            Some(known) if action == 3 => delete(at, known),
            Some(known) => edit(at, known, content),
        };
        ledger.acknowledged.fetch_add(usize::from(answer.is_ok()), Relaxed);
    }
    known
}

fn edit(at: SocketAddr, known: &mut Known, content: String) -> io::Result<()> {
    known.perhaps.push(content.clone());
    let (status, post) = send(at, "PATCH", &super::path(&known.post), &json!({ "content": content }))?;
    match status {
        // The post has changed since, so earlier edits that were not answered no longer matter.
        200 => *known = Known { post, perhaps: vec![], deleted: Deleted::No },
        404 if known.deleted == Deleted::Perhaps => known.deleted = Deleted::Yes,
        status => panic!("{status}: {post}"),
    }
    Ok(())
}

fn delete(at: SocketAddr, known: &mut Known) -> io::Result<()> {
    let was_deleted = std::mem::replace(&mut known.deleted, Deleted::Perhaps);
    let (status, answer) = send(at, "DELETE", &super::path(&known.post), &json!({}))?;
    assert!(status == 204 || (status == 404 && was_deleted == Deleted::Perhaps), "{status}: {answer}");
    known.deleted = Deleted::Yes;
    Ok(())
}

/// One attempt, which may break off anywhere.
fn send(at: SocketAddr, method: &str, path: &str, body: &Value) -> io::Result<(u16, Value)> {
    let mut socket = TcpStream::connect(at)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let body = body.to_string();
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}"
    );
    socket.write_all(format!("{head}\r\n\r\n{body}").as_bytes())?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(ErrorKind::UnexpectedEof)?;
    match status(head) {
        204 => Ok((204, Value::Null)),
        status => Ok((status, serde_json::from_str(body).map_err(|_| ErrorKind::UnexpectedEof)?)),
    }
}
