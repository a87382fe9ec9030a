//! What many streams may hold together: it does not grow with what they ask for, and comes back when they leave.

use crate::disk::{Folder, draft, serve, start};
use crate::support::{Browser, PATIENCE, Program, Raw, narrow_socket, publish, until};
use callout::history::log::opener;
use callout::history::{Bounds, Durability, History};
use std::fs;
use std::time::{Duration, Instant};

/// Resident memory of a program.
fn resident_bytes(program: &Program) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", program.child.id())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("Linux");
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
}

/// What the kernel holds on a program's connections: on its side what was not sent or not confirmed, of each of them,
/// and on the other side what was not read, of all.
fn held_by_kernel(program: &Program) -> (Vec<u64>, u64) {
    let table = fs::read_to_string("/proc/net/tcp").expect("Linux");
    let port = format!(":{:04X}", program.address.port());
    let (mut unsent, mut unread) = (Vec::new(), 0);
    for row in table.lines().skip(1) {
        let fields: Vec<&str> = row.split_whitespace().collect();
        let (sent, received) = fields[4].split_once(':').unwrap();
        let bytes = |text| u64::from_str_radix(text, 16).unwrap();
        // 01 is a connection that is established.
        match (fields[1].ends_with(&port), fields[2].ends_with(&port), fields[3]) {
            (true, _, "01") => unsent.push(bytes(sent)),
            (_, true, "01") => unread += bytes(received),
            _ => {}
        }
    }
    (unsent, unread)
}

#[test]
fn two_thousand_streams_that_ask_for_everything_and_do_not_read_hold_little_and_disturb_nobody() {
    const STREAMS: usize = 2_000;
    const EVENT_BYTES: usize = 8_000;
    let folder = Folder::new();
    let disk = start(opener(folder.path()), Bounds::default(), Durability::Relaxed);
    let bounds = Bounds::default();
    for _ in 0..bounds.bytes_max / EVENT_BYTES {
        disk.publish(draft(&["t"], None, &"x".repeat(EVENT_BYTES))).expect("it is kept");
    }
    disk.close(PATIENCE);
    let program = serve(&folder, &[]);
    let mut live = Browser::open(program.address, "/topics/t");
    let streams: Vec<Raw> = (0..STREAMS)
        .map(|_| {
            let mut raw = Raw::connect(program.address);
            raw.send("GET /topics/t?last_event_id=earliest HTTP/1.1\r\nHost: localhost\r\n\r\n");
            raw
        })
        .collect();
    let mut longest = Duration::ZERO;
    // Each is stuck in the middle of its replay when the kernel holds something for it that is not sent.
    until("all are stuck", || {
        let began = Instant::now();
        let id = publish(program.address, "/topics/t", "live");
        assert_eq!(live.next().id, id);
        longest = longest.max(began.elapsed());
        held_by_kernel(&program).0.iter().filter(|unsent| **unsent > 0).count() == STREAMS
    });
    let (unsent, unread) = held_by_kernel(&program);
    let unsent: u64 = unsent.iter().sum();
    let resident = resident_bytes(&program);
    println!(
        "{resident} resident; in the kernel {unsent} here, {unread} with the readers; live after {longest:?}"
    );
    assert!(resident < 120_000_000, "{resident}");
    // What a reader has taken and not read is its own: its window bounds it.
    assert!(unsent < 100_000_000, "{unsent}");
    drop(streams);
}

#[test]
fn memory_comes_back_after_a_crowd_of_slow_streams_has_left() {
    const STREAMS: usize = 60;
    // Small ones: the allocator keeps what they took, where it gives large ones back by itself.
    const EVENT_BYTES: usize = 2_000;
    const EVENTS_EACH: usize = 450;
    let program = Program::serve(&["--keep-events", "1", "--log", "warn"]);
    let before = resident_bytes(&program);
    let streams: Vec<Browser> = (0..STREAMS)
        .map(|number| {
            let raw = Raw::over(narrow_socket(program.address));
            Browser::open_on(raw, &format!("/topics/{number}"), "")
        })
        .collect();
    // Of several threads, each with a share of the allocator's memory.
    let mut publishers: Vec<Raw> = (0..16).map(|_| Raw::connect(program.address)).collect();
    let data = "x".repeat(EVENT_BYTES);
    for _ in 0..EVENTS_EACH {
        let request = |number: usize| {
            format!(
                "POST /topics/{number} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {EVENT_BYTES}\r\n\r\n{data}"
            )
        };
        for number in 0..STREAMS {
            publishers[number % 16].send(request(number));
        }
        (0..STREAMS).for_each(|number| assert_eq!(publishers[number % 16].answer().status, 200));
    }
    let crowded = resident_bytes(&program);
    assert!(crowded > before + 20_000_000, "{before} before, {crowded} now");
    drop(streams);
    until("memory is back", || resident_bytes(&program) < before + (crowded - before) / 3);
}
