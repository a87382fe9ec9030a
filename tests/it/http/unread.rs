//! What answers hold together while nobody reads them.

use crate::support::{Program, Raw, get, post, until};
use std::fs;
use std::process::Command;

/// Clients that ask and do not read.
const CLIENTS: usize = 60;

/// Asks for this path on connections of their own, whose answers nobody reads.
fn ask(program: &Program, path: &str, clients: usize) -> Vec<Raw> {
    let ask = |_| {
        let mut raw = Raw::connect(program.address);
        raw.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        raw
    };
    (0..clients).map(ask).collect()
}

/// Sends all these requests over one connection, and reads their answers.
fn send_all(program: &Program, requests: impl Iterator<Item = String>) {
    let mut raw = Raw::connect(program.address);
    for request in requests {
        raw.send(request);
        let answer = raw.answer();
        assert!(matches!(answer.status, 200 | 201), "{answer:?}");
    }
}

/// Waits until an answer has begun to arrive at each client.
fn have_begun(clients: &[Raw]) {
    until("all are answered", || clients.iter().all(|raw| raw.socket().peek(&mut [0]).is_ok_and(|n| n > 0)));
}

#[test]
fn lists_that_nobody_reads_take_little_however_long_they_are() {
    const TOPICS: usize = 10_000;
    let program = Program::serve(&["--log", "warn"]);
    // Of this length all topics together are some 3 MB as JSON, and several times as much before it is text.
    send_all(
        &program,
        (0..TOPICS).map(|number| {
            let topic = format!("{number:0246}");
            format!("POST /topics/{topic} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx")
        }),
    );
    // 2 MB in one feed.
    let content = format!("#big {}", "x".repeat(9_900));
    let body = serde_json::json!({ "title": "long", "content": content, "author": "ann" }).to_string();
    let length = body.len();
    send_all(
        &program,
        (0..200).map(|_| {
            let head = "POST /api/posts HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json";
            format!("{head}\r\nContent-Length: {length}\r\n\r\n{body}")
        }),
    );
    until("the feed is there", || get(program.address, "/healthz").json()["posts"]["unhandled"] == 0);
    let before = program.resident_bytes();
    for path in ["/history", "/api/feeds/big?limit=200", "/api/posts?limit=200"] {
        let clients = ask(&program, path, CLIENTS);
        have_begun(&clients);
        let grown = program.resident_bytes().saturating_sub(before);
        println!("{path}: {grown} more resident");
        assert!(grown < 40_000_000, "{path}: {grown} more resident");
        // Nobody is held up meanwhile.
        assert_eq!(post(program.address, "/topics/t", "x").status, 200);
    }
}

#[test]
fn large_answers_that_nobody_reads_have_a_bound_together_and_come_again_when_they_are_gone() {
    const FILE_BYTES: usize = 8_000_000;
    let folder = crate::disk::Folder::new();
    fs::create_dir(folder.path()).unwrap();
    fs::write(folder.path().join("large.bin"), vec![b'x'; FILE_BYTES]).unwrap();
    let mut command = Command::new("bash");
    // A sixteenth is for answers that are not read: 50 MB, and each takes its size twice.
    let script = r#"ulimit -v 800000; exec "$0" "$@""#;
    command.args(["-c", script, env!("CARGO_BIN_EXE_callout"), "serve", "--listen", "127.0.0.1:0"]);
    command.args(["--log", "warn", "--www", folder.text()]);
    let program = Program::start(command);
    let before = program.resident_bytes();
    let mut clients = ask(&program, "/large.bin", 20);
    have_begun(&clients);
    let grown = program.resident_bytes().saturating_sub(before);
    assert!(grown < 100_000_000, "{grown} more resident");
    let statuses: Vec<String> = clients.iter_mut().map(Raw::line).collect();
    let count = |status: &str| statuses.iter().filter(|line| line.contains(status)).count();
    let (good, full) = (count(" 200 "), count(" 503 "));
    assert!((1..=3).contains(&good) && good + full == clients.len(), "{statuses:?}");
    // Small ones are answered all the time.
    assert_eq!(get(program.address, "/healthz").status, 200);
    assert_eq!(get(program.address, "/large.bin").status, 503);
    drop(clients);
    until("there is room again", || get(program.address, "/large.bin").body.len() == FILE_BYTES);
}
