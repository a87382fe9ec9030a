//! Deadlines count time without progress: what flows steadily is taken and sent, however long it takes.

use crate::support::hostile::{attack, chunked};
use crate::support::witness::{AT_ONCE, Witness};
use crate::support::{Browser, Raw, narrow_socket, post, server_with, status};
use std::io::Read;
use std::thread;
use std::time::{Duration, Instant};

/// A deadline that a steady sender or reader passes several times.
const DEADLINE: Duration = Duration::from_millis(500);

/// Sends this much at a time with a pause in between: five times the least rate.
fn send_steadily(raw: &mut Raw, bytes: &[u8]) {
    const PIECE_BYTES: usize = 250;
    const PIECE_PAUSE: Duration = Duration::from_millis(50);
    for piece in bytes.chunks(PIECE_BYTES) {
        raw.send(piece);
        // The slowness itself.
        thread::sleep(PIECE_PAUSE);
    }
}

#[test]
fn a_body_or_a_head_that_comes_slowly_and_steadily_is_taken() {
    let server = server_with(|config| {
        config.limits.body_deadline = DEADLINE;
        config.limits.head_deadline = DEADLINE;
    });
    let mut witness = Witness::of_server(&server);
    let body = "x".repeat(8_000);
    let chunks: String = "fa\r\n".to_owned() + &"x".repeat(250) + "\r\n";
    let head = format!("GET /healthz?{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "x".repeat(8_000));
    let requests = [
        attack("Content-Length: 8000", &body).replace("attacked", "steady"),
        chunked(&(chunks.repeat(32) + "0\r\n\r\n")).replace("attacked", "steady"),
        head,
    ];
    let address = server.address();
    let steady = requests.map(|request| {
        thread::spawn(move || {
            let mut raw = Raw::connect(address);
            let began = Instant::now();
            send_steadily(&mut raw, request.as_bytes());
            assert!(began.elapsed() > 2 * DEADLINE);
            raw.answer().status
        })
    });
    assert_eq!(steady.map(|thread| thread.join().unwrap()), [200, 200, 200]);
    witness.assert_calm();
}

#[test]
fn a_body_that_stops_is_refused_although_it_was_fast_before() {
    let server = server_with(|config| config.limits.body_deadline = DEADLINE);
    let mut raw = Raw::connect(server.address());
    raw.socket().set_read_timeout(Some(AT_ONCE)).unwrap();
    raw.send(attack("Content-Length: 60000", &"x".repeat(50_000)));
    assert_eq!(status(&raw.everything()), 408);
}

#[test]
fn a_large_event_reaches_a_reader_that_is_slow_and_steady() {
    const EVENT_BYTES: usize = 1_000_000;
    let server = server_with(|config| {
        config.limits.pace.write_deadline = DEADLINE;
        config.limits.pace.heartbeat = Duration::from_secs(3_600);
        config.limits.body_bytes_max = EVENT_BYTES;
    });
    let address = server.address();
    assert_eq!(post(address, "/topics/t", vec![b'x'; EVENT_BYTES]).status, 200);
    // Once in the replay, which is where a browser that was cut off would come back to.
    let raw = Raw::over(narrow_socket(address));
    let mut reader = Browser::open_on(raw, "/topics/t?last_event_id=earliest", "");
    let (began, mut bytes, mut piece) = (Instant::now(), 0, [0; 8 * 1024]);
    while bytes < EVENT_BYTES {
        let read = reader.raw.reader.read(&mut piece).expect("it goes on");
        assert!(read > 0, "cut after {bytes} bytes");
        bytes += read;
        // The slowness itself: some 400 KB a second.
        thread::sleep(Duration::from_millis(20));
    }
    assert!(began.elapsed() > 2 * DEADLINE);
}
