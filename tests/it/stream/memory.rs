//! What many streams may hold together: it does not grow with what they ask for, and comes back when they leave.

use crate::disk::{Folder, draft, serve, start};
use crate::support::witness::streams;
use crate::support::{Browser, PATIENCE, Program, Raw, get, narrow_socket, publish, until};
use callout::history::log::opener;
use callout::history::{Bounds, Durability, History};
use std::fs;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

/// What the kernel holds on a program's connections: on its side what was not sent or not confirmed, and on the other side
/// what was not read, each of all connections that hold something.
fn held_by_kernel(program: &Program) -> (Vec<u64>, Vec<u64>) {
    let table = fs::read_to_string("/proc/net/tcp").expect("Linux");
    let port = format!(":{:04X}", program.address.port());
    let (mut unsent, mut unread) = (Vec::new(), Vec::new());
    for row in table.lines().skip(1) {
        let fields: Vec<&str> = row.split_whitespace().collect();
        let (sent, received) = fields[4].split_once(':').unwrap();
        let bytes = |text| u64::from_str_radix(text, 16).unwrap();
        // 01 is a connection that is established.
        match (fields[1].ends_with(&port), fields[2].ends_with(&port), fields[3]) {
            (true, _, "01") => unsent.push(bytes(sent)),
            (_, true, "01") => unread.push(bytes(received)),
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
    let streams: Vec<Raw> = (0..STREAMS).map(|_| ask_for_everything(&program)).collect();
    let (mut longest, mut most) = (Duration::ZERO, (0, 0, 0));
    let mut look = || {
        let began = Instant::now();
        let id = publish(program.address, "/topics/t", "live");
        assert_eq!(live.next().id, id);
        longest = longest.max(began.elapsed());
        let (unsent, unread) = held_by_kernel(&program);
        let (here, there): (u64, u64) = (unsent.iter().sum(), unread.iter().sum());
        most = (most.0.max(here), most.1.max(here + there), most.2.max(program.resident_bytes()));
        // Each is stuck in the middle of its replay when it holds more than the first part.
        unread.iter().filter(|bytes| **bytes > 40_000).count()
    };
    let mut stuck = 0;
    while stuck < STREAMS {
        until("more are stuck", || {
            let before = std::mem::replace(&mut stuck, look());
            stuck > before || stuck == STREAMS
        });
    }
    (0..20).for_each(|_| _ = look());
    let (here, together, resident) = most;
    println!("{resident} resident; in the kernel {here} here, {together} together; live after {longest:?}");
    assert!(resident < 120_000_000, "{resident}");
    // The kernel counts some more than the bytes themselves.
    assert!(here < 100_000_000 && together < 220_000_000, "{here} here, {together} together");
    drop(streams);
}

#[test]
fn the_kernel_holds_little_for_a_stream_that_does_not_read() {
    let program = Program::serve(&["--log", "warn"]);
    let _stalled = Browser::open(program.address, "/topics/t");
    // More than it holds, and less than makes the stream go.
    (0..24).for_each(|_| _ = publish(program.address, "/topics/t", "x".repeat(60_000)));
    let held = held_by_kernel(&program);
    let (unsent, unread): (u64, u64) = (held.0.iter().sum(), held.1.iter().sum());
    println!("{unsent} here, {unread} with the reader");
    assert!(unsent > 0 && unsent < 600_000, "{unsent}");
}

fn ask_for_everything(program: &Program) -> Raw {
    let mut raw = Raw::connect(program.address);
    raw.send("GET /topics/t?last_event_id=earliest HTTP/1.1\r\nHost: localhost\r\n\r\n");
    raw
}

#[test]
fn a_crowd_that_reads_late_gets_everything() {
    // So many that each waits for its browser to read.
    const STREAMS: usize = 320;
    const EVENTS: usize = 60;
    let program = Program::serve(&["--log", "warn"]);
    let data = "x".repeat(8_000);
    (0..EVENTS).for_each(|number| _ = publish(program.address, "/topics/t", format!("{number} {data}")));
    let mut crowd: Vec<Raw> = (0..STREAMS).map(|_| ask_for_everything(&program)).collect();
    until("all are stuck", || held_by_kernel(&program).1.iter().filter(|b| **b > 40_000).count() == STREAMS);
    thread::scope(|scope| {
        for some in crowd.chunks_mut(16) {
            scope.spawn(|| some.iter_mut().for_each(|raw| read_all(raw, EVENTS)));
        }
    });
}

/// Reads so many events, each with its number, in their order.
fn read_all(raw: &mut Raw, events: usize) {
    let mut wanted = 0;
    while wanted < events {
        let line = raw.line();
        assert!(!line.is_empty(), "it ended before event {wanted}");
        if let Some(data) = line.strip_prefix("data: ") {
            assert_eq!(data.split(' ').next().and_then(|number| number.parse().ok()), Some(wanted));
            wanted += 1;
        }
    }
}

/// A server whose address space is limited to so many kilobytes.
fn serve_within(kilobytes: usize, flags: &[&str]) -> Program {
    let mut command = Command::new("bash");
    let script = format!(r#"ulimit -v {kilobytes}; exec "$0" "$@""#);
    command.args(["-c", &script, env!("CARGO_BIN_EXE_callout"), "serve", "--listen", "127.0.0.1:0"]);
    command.args(["--log", "warn"]).args(flags);
    Program::start(command)
}

/// Publishes so many events to each of these topics, over few connections.
fn publish_to(program: &Program, topics: &[String], events_each: usize, event_bytes: usize) {
    let data = "x".repeat(event_bytes);
    // Of several threads of the server, each with a share of the allocator's memory.
    let mut publishers: Vec<Raw> = (0..16).map(|_| Raw::connect(program.address)).collect();
    for _ in 0..events_each {
        for (number, topic) in topics.iter().enumerate() {
            publishers[number % 16].send(format!(
                "POST /topics/{topic} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {event_bytes}\r\n\r\n{data}"
            ));
        }
        (0..topics.len()).for_each(|number| assert_eq!(publishers[number % 16].answer().status, 200));
    }
}

fn too_slow(program: &Program) -> u64 {
    get(program.address, "/healthz").json()["too_slow"].as_u64().expect("a number")
}

#[test]
fn where_memory_is_scarce_crowds_of_streams_and_replays_end_no_server() {
    let program = serve_within(80_000, &[]);
    publish_to(&program, &["t".into()], 10_000, 1_000);
    // An eighth is for the history.
    let kept = get(program.address, "/healthz").json()["history"]["bytes"].as_u64().expect("a number");
    assert!(kept <= 80_000 * 1_024 / 8, "{kept}");
    let ask = |path: &str| {
        let mut raw = Raw::connect(program.address);
        raw.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n"));
        raw
    };
    // Some are told to come back later, and none reads.
    let mut crowd: Vec<Raw> = (0..170).map(|_| ask("/topics/live")).collect();
    crowd.extend((0..200).map(|_| ask("/topics/t?last_event_id=earliest")));
    for _ in 0..100 {
        publish(program.address, "/topics/t", "x".repeat(10_000));
        publish(program.address, "/topics/live", "x".repeat(10_000));
    }
    drop(crowd);
    let mut browser = Browser::open(program.address, "/topics/t");
    publish(program.address, "/topics/t", "calm");
    assert_eq!(browser.next().data, "calm");
}

#[test]
fn the_queues_of_all_streams_together_take_a_share_of_the_memory_and_what_they_share_counts_once() {
    const STREAMS: usize = 100;
    const EVENT_BYTES: usize = 2_000;
    // An eighth is for queues: 25 MB.
    let program = serve_within(200_000, &["--keep-events", "1"]);
    let open = |topic: &str| {
        Browser::open_on(Raw::over(narrow_socket(program.address)), &format!("/topics/{topic}"), "")
    };
    let crowd: Vec<Browser> = (0..STREAMS).map(|_| open("shared")).collect();
    // 40 MB, if each of them had its own.
    publish_to(&program, &["shared".into()], 200, EVENT_BYTES);
    assert_eq!(too_slow(&program), 0);
    drop(crowd);
    let before = program.resident_bytes();
    let topics: Vec<String> = (0..STREAMS).map(|number| number.to_string()).collect();
    let crowd: Vec<Browser> = topics.iter().map(|topic| open(topic)).collect();
    // 60 MB, where each queue alone would still take it.
    publish_to(&program, &topics, 300, EVENT_BYTES);
    let (grown, dropped) = (program.resident_bytes().saturating_sub(before), too_slow(&program));
    println!("{grown} more resident, {dropped} of {STREAMS} dropped");
    assert!(grown < 45_000_000 && dropped > 0, "{grown} more resident, {dropped} dropped");
    drop(crowd);
    // What they held is given back, so another crowd has room.
    until("they have left", || streams(program.address) == 0);
    let crowd: Vec<Browser> = (0..STREAMS).map(|_| open("shared")).collect();
    let before = too_slow(&program);
    publish_to(&program, &["shared".into()], 200, EVENT_BYTES);
    assert_eq!(too_slow(&program), before);
    drop(crowd);
}

#[test]
fn memory_comes_back_after_a_crowd_of_slow_streams_has_left() {
    const STREAMS: usize = 60;
    // Small ones: the allocator keeps what they took, where it gives large ones back by itself.
    const EVENT_BYTES: usize = 2_000;
    const EVENTS_EACH: usize = 450;
    let program = Program::serve(&["--keep-events", "1", "--log", "warn"]);
    let before = program.resident_bytes();
    let streams: Vec<Browser> = (0..STREAMS)
        .map(|number| {
            let raw = Raw::over(narrow_socket(program.address));
            Browser::open_on(raw, &format!("/topics/{number}"), "")
        })
        .collect();
    let topics: Vec<String> = (0..STREAMS).map(|number| number.to_string()).collect();
    publish_to(&program, &topics, EVENTS_EACH, EVENT_BYTES);
    let crowded = program.resident_bytes();
    assert!(crowded > before + 20_000_000, "{before} before, {crowded} now");
    drop(streams);
    until("memory is back", || program.resident_bytes() < before + (crowded - before) / 3);
}
