//! What delimits a stream: chunks in HTTP/1.1, the end of the connection in HTTP/1.0.

use crate::support::{Browser, Program, Raw, publish, server};
use std::time::Duration;

#[test]
fn a_stream_is_chunked_and_each_event_comes_as_a_chunk_at_once() {
    let server = server();
    let at = server.address();
    let mut browser = Browser::open(at, "/topics/t");
    assert!(browser.head.contains("\r\ntransfer-encoding: chunked"), "{}", browser.head);
    assert!(!browser.head.contains("content-length"), "{}", browser.head);
    let id = publish(at, "/topics/t", "x".repeat(20));
    assert_eq!(browser.next().data, "x".repeat(20));
    // The event's lines and nothing else were one chunk: `id: 16 digits`, `data: 20 letters`, an empty line.
    assert_eq!(id.len(), 16);
    publish(at, "/topics/t", "x".repeat(20));
    let mut raw = browser.raw;
    let line = std::iter::from_fn(|| Some(raw.line())).find(|line| !line.trim().is_empty());
    assert_eq!(line.unwrap(), format!("{:x}\r\n", 4 + 16 + 1 + 6 + 20 + 2));
}

#[test]
fn a_stream_of_http_1_0_is_delimited_by_the_end_of_the_connection() {
    let server = server();
    let at = server.address();
    let mut raw = Raw::connect(at);
    raw.send("GET /topics/t HTTP/1.0\r\n\r\n");
    let mut browser = Browser::asked_on(raw);
    assert!(!browser.head.contains("transfer-encoding"), "{}", browser.head);
    publish(at, "/topics/t", "one");
    assert_eq!(browser.next().data, "one");
    server.stop(Duration::from_secs(5));
    assert_eq!(browser.rest(), []);
}

#[test]
fn a_drain_ends_the_body_and_a_kill_does_not() {
    for (signal, is_clean) in [("TERM", true), ("KILL", false)] {
        let program = Program::serve(&[]);
        let mut browser = Browser::open(program.address, "/topics/t");
        program.signal(signal);
        assert_eq!(browser.rest(), []);
        assert_eq!(browser.has_ended, is_clean, "{signal}");
    }
}
