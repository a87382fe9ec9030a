//! `kill -9` at any moment, again and again, while publishers and readers go on as real ones do: publishers try again
//! under the same id, readers come back with the last id that they saw.

use super::{Folder, callout, rounds};
use crate::support::{PATIENCE, Parser, Program, Seen, status, until};
use serde_json::Value;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

/// An address of its own, so that no other test's connection takes the port while nobody listens.
const HOST: &str = "127.0.0.81:0";

/// Few enough that events are trimmed while the test runs, and more than any reader is ever behind.
const KEEP_EVENTS: &str = "5000";

/// Publishers that give ids, and so may try again. One more gives none, and may not.
const PUBLISHERS: usize = 3;

/// What each reader subscribes to. Publisher `n` publishes on `t{n}`.
const READERS: [&str; 3] =
    ["topic=t0&topic=t1&topic=t2&topic=t3", "topic=t0&topic=t1&topic=t2&topic=t3", "topic=t1"];

/// The data of the event after which a reader stops.
const END: &str = "end";

/// The most events that are acknowledged before the next kill, and the longest pause after that, so that
/// it strikes anywhere in a commit.
const ROUND_EVENTS: usize = 100;
const ROUND_MICROS: u64 = 8_000;

/// One start in so many is killed before it says that it listens, after at most this long.
const EARLY_KILLS: usize = 4;
const START_MICROS: u64 = 30_000;

/// What the publishers share.
#[derive(Default)]
struct Ledger {
    stop: AtomicBool,
    acknowledged: AtomicUsize,
    duplicates: AtomicUsize,
}

#[test]
fn killed_at_any_moment_nothing_acknowledged_is_missing_and_nothing_comes_twice() {
    let rounds = rounds();
    let folder = Folder::new();
    let mut program = serve_on(&folder, HOST);
    let at = program.address;
    let ledger = Ledger::default();
    thread::scope(|scope| {
        let ledger = &ledger;
        let publishers: Vec<_> =
            (0..PUBLISHERS).map(|topic| scope.spawn(move || publish_with_ids(at, topic, ledger))).collect();
        let plain = scope.spawn(move || publish_without_ids(at, ledger));
        let readers = READERS.map(|topics| scope.spawn(move || read(at, topics)));
        for round in 0..rounds {
            let wanted = ledger.acknowledged.load(Relaxed) + fastrand::usize(0..ROUND_EVENTS);
            until("publishing goes on", || ledger.acknowledged.load(Relaxed) >= wanted);
            // This waits for nothing: the kill has to come at any moment.
            thread::sleep(Duration::from_micros(fastrand::u64(0..ROUND_MICROS)));
            drop(program); // It is killed with SIGKILL.
            if round % EARLY_KILLS == 0 {
                kill_while_it_starts(&folder, at);
            }
            program = serve_on(&folder, &at.to_string());
        }
        ledger.stop.store(true, Relaxed);
        let counts: Vec<usize> = publishers.into_iter().map(|publisher| publisher.join().unwrap()).collect();
        let plain = plain.join().unwrap();
        for topic in 0..=PUBLISHERS {
            insist(at, &format!("/topics/t{topic}?id={END}{topic}"), END);
        }
        let [all, same, one] = readers.map(|reader| reader.join().unwrap());
        check(&all, &counts, &plain);
        assert!(all == same, "two readers of the same topics saw different things");
        let of_one: Vec<_> = all.into_iter().filter(|seen| seen.data.starts_with("1-")).collect();
        assert!(of_one == one, "a topic is not what it is among others");
        let (acknowledged, duplicates) = (ledger.acknowledged.load(Relaxed), ledger.duplicates.load(Relaxed));
        println!("{rounds} kills, {acknowledged} events acknowledged, {duplicates} as duplicates");
    });
}

fn serve_on(folder: &Folder, listen: &str) -> Program {
    let mut command = callout(&["serve", "--listen", listen, "--data", folder.text()]);
    command.args(["--keep-events", KEEP_EVENTS, "--log", "error"]);
    Program::start(command)
}

fn kill_while_it_starts(folder: &Folder, at: SocketAddr) {
    let mut command = callout(&["serve", "--listen", &at.to_string(), "--data", folder.text()]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let child = command.spawn().expect("it starts");
    thread::sleep(Duration::from_micros(fastrand::u64(0..START_MICROS)));
    drop(Program { child, address: at });
}

/// Publishes one event after the other, each under an id and until it is acknowledged; gives their count.
fn publish_with_ids(at: SocketAddr, topic: usize, ledger: &Ledger) -> usize {
    for number in 0.. {
        if ledger.stop.load(Relaxed) {
            return number;
        }
        let data = format!("{topic}-{number}");
        let answer = insist(at, &format!("/topics/t{topic}?id=p{data}"), &data);
        assert_eq!(answer["id"], format!("p{data}"));
        ledger.acknowledged.fetch_add(1, Relaxed);
        ledger.duplicates.fetch_add(usize::from(answer["duplicate"] == true), Relaxed);
    }
    unreachable!("it is stopped")
}

/// Publishes each event once, however that ends; gives what was acknowledged: the data and our ids.
fn publish_without_ids(at: SocketAddr, ledger: &Ledger) -> Vec<(String, String)> {
    let mut acknowledged = Vec::new();
    for number in 0.. {
        if ledger.stop.load(Relaxed) {
            break;
        }
        let data = format!("{PUBLISHERS}-{number}");
        if let Ok(answer) = post(at, &format!("/topics/t{PUBLISHERS}"), &data) {
            acknowledged.push((data, answer["id"].as_str().expect("an id").to_owned()));
            ledger.acknowledged.fetch_add(1, Relaxed);
        }
    }
    acknowledged
}

/// Publishes until it is acknowledged, as a publisher that gives ids may.
fn insist(at: SocketAddr, path: &str, data: &str) -> Value {
    let mut answer = None;
    until("a publication is acknowledged", || {
        answer = post(at, path, data).ok();
        answer.is_some()
    });
    answer.expect("it was waited for")
}

/// One attempt, which may break off anywhere. A server that answers does not refuse.
fn post(at: SocketAddr, path: &str, data: &str) -> io::Result<Value> {
    let mut socket = connect(at)?;
    let length = data.len();
    socket.write_all(
        format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{data}"
        )
        .as_bytes(),
    )?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(ErrorKind::UnexpectedEof)?;
    let body = serde_json::from_str(body).map_err(|_| ErrorKind::UnexpectedEof)?;
    assert_eq!(status(head), 200, "{answer}");
    Ok(body)
}

/// Reads from the beginning until it has seen the end of each of its topics, coming back after every
/// break with the last id that it saw.
fn read(at: SocketAddr, topics: &str) -> Vec<Seen> {
    let mut last_event_id = "earliest".to_owned();
    let mut seen = Vec::new();
    let mut ends = topics.split('&').count();
    while ends > 0 {
        until("a reader goes on", || {
            let before = seen.len();
            // A stream may break off in any way.
            let _ = visit(at, topics, &mut last_event_id, |event| {
                let is_end = event.data == END;
                seen.push(event);
                ends -= usize::from(is_end);
                ends > 0
            });
            seen.len() > before
        });
    }
    seen.retain(|event| event.data != END);
    seen
}

/// One stream, until it breaks off or `see` has seen enough.
fn visit(
    at: SocketAddr,
    topics: &str,
    last_event_id: &mut String,
    mut see: impl FnMut(Seen) -> bool,
) -> io::Result<()> {
    let mut socket = connect(at)?;
    let head =
        format!("GET /topics?{topics} HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: {last_event_id}\r\n\r\n");
    socket.write_all(head.as_bytes())?;
    let mut stream = BufReader::new(socket);
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        if stream.read_line(&mut line)? == 0 {
            return Ok(());
        }
    }
    let mut parser = Parser::default();
    for byte in stream.bytes() {
        let event = parser.byte(byte?);
        if !parser.last_event_id.is_empty() {
            last_event_id.clone_from(&parser.last_event_id);
        }
        if event.is_some_and(|event| !see(event)) {
            return Ok(());
        }
    }
    Ok(())
}

fn connect(at: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpStream::connect(at)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    Ok(socket)
}

/// Each publisher's events came in their order, none missing and none twice.
fn check(all: &[Seen], counts: &[usize], plain: &[(String, String)]) {
    assert_eq!(all.iter().find(|seen| seen.event != "message"), None, "nobody was ever too far behind");
    for (topic, count) in counts.iter().enumerate() {
        let beginning = format!("{topic}-");
        let came: Vec<&str> =
            all.iter().map(|seen| seen.data.as_str()).filter(|data| data.starts_with(&beginning)).collect();
        let wanted: Vec<String> = (0..*count).map(|number| format!("{topic}-{number}")).collect();
        assert_eq!(came, wanted);
    }
    let beginning = format!("{PUBLISHERS}-");
    let came: Vec<&Seen> = all.iter().filter(|seen| seen.data.starts_with(&beginning)).collect();
    assert!(came.windows(2).all(|pair| pair[0].id < pair[1].id), "ids grow");
    let number = |seen: &Seen| seen.data[beginning.len()..].parse::<usize>().expect("a number");
    assert!(came.windows(2).all(|pair| number(pair[0]) < number(pair[1])), "order of publishing, no double");
    // An event that was not acknowledged may have come or not. One that was has come, under that id.
    let mut came = came.iter();
    for (data, id) in plain {
        assert!(came.any(|seen| (&seen.data, &seen.id) == (data, id)), "{data} is missing");
    }
}
