//! Bodies: how long they are, how long they may take, and that nothing is hidden in them.

use crate::support::hostile::{
    BODY_BYTES_MAX, HIDDEN, assert_dripping_is_refused, attack, chunked, exchange, responses,
};
use crate::support::witness::{AT_ONCE, Witness};
use crate::support::{Program, Raw, post, said, server, server_with, status};
use socket2::SockRef;
use std::io::Write;
use std::time::Duration;

#[test]
fn a_length_over_the_limit_is_refused_before_a_byte_of_it_has_come() {
    let program = Program::serve(&[]);
    let mut witness = Witness::of_program(&program);
    for length in ["100000000000", "99999999999999999999999999", "65537"] {
        let everything = exchange(program.address, attack(&format!("Content-Length: {length}"), ""));
        assert_eq!((status(&everything), responses(&everything)), (413, 1), "{length}");
    }
    witness.assert_calm();
}

#[test]
fn a_body_over_the_limit_is_refused_and_not_published() {
    let program = Program::serve(&[]);
    let mut witness = Witness::of_program(&program);
    let body = "x".repeat(BODY_BYTES_MAX);
    let answer = post(program.address, "/topics/attacked", format!("{body}x"));
    assert_eq!((answer.status, answer.header("connection")), (413, Some("close")));
    assert!(said(&answer).contains("65536"));
    witness.assert_calm();
    assert_eq!(post(program.address, "/topics/witness", &body).status, 200);
    assert_eq!(witness.next_data(), body, "the limit itself is allowed");
}

#[test]
fn a_body_that_drips_is_refused_at_the_deadline_and_not_published() {
    let server = server_with(|config| config.limits.body_deadline = Duration::from_secs(1));
    let mut witness = Witness::of_server(&server);
    let slow = "x".repeat(1_000);
    let chunks = "1\r\nx\r\n".repeat(200) + "0\r\n\r\n";
    let requests = vec![(attack("Content-Length: 1000", ""), slow), (chunked(""), chunks)];
    assert_dripping_is_refused(server.address(), requests);
    witness.assert_calm();
}

#[test]
fn a_body_that_is_cut_is_not_published() {
    let program = Program::serve(&[]);
    let mut witness = Witness::of_program(&program);
    for reset in [false, true] {
        for request in [attack("Content-Length: 10", "half"), chunked("4\r\nhalf\r\n"), chunked("a\r\nhalf")]
        {
            let mut raw = Raw::connect(program.address);
            raw.send(request);
            if reset {
                SockRef::from(raw.socket()).set_linger(Some(Duration::ZERO)).unwrap();
            }
        }
        witness.assert_calm();
    }
}

#[test]
fn a_length_that_can_be_read_in_two_ways_is_refused_and_nothing_is_smuggled() {
    let program = Program::serve(&[]);
    let mut witness = Witness::of_program(&program);
    // Read as chunks, the body is empty and another request follows it.
    let body = format!("0\r\n\r\n{HIDDEN}");
    let bytes = body.len();
    for fields in [
        format!("Content-Length: {bytes}\r\nContent-Length: 0"),
        format!("Content-Length: 0\r\nContent-Length: {bytes}"),
        format!("Content-Length: {bytes}\r\nContent-Length: {bytes}"),
        format!("Content-Length: {bytes}, {bytes}"),
        "Content-Length: 0\r\nTransfer-Encoding: chunked".into(),
        format!("Transfer-Encoding: chunked\r\nContent-Length: {bytes}"),
        format!("Transfer-Encoding: identity\r\nContent-Length: {bytes}"),
        format!("Content-Length: +{bytes}"),
        format!("Content-Length: -{bytes}"),
        format!("Content-Length: {bytes}.0"),
        format!("Content-Length: 0x{bytes:x}"),
        format!("Content-Length : {bytes}"),
        "Content-Length:".into(),
        "Content-Length: nothing".into(),
    ] {
        let everything = exchange(program.address, attack(&fields, &body));
        assert_eq!((status(&everything), responses(&everything)), (400, 1), "{fields}: {everything}");
    }
    witness.assert_calm();
}

#[test]
fn a_coding_that_is_not_chunked_once_is_refused_and_nothing_is_smuggled() {
    let program = Program::serve(&[]);
    let mut witness = Witness::of_program(&program);
    for coding in [
        "identity",
        "gzip, chunked",
        "chunked, identity",
        "chunked, chunked",
        "chunked\r\nTransfer-Encoding: chunked",
        "xchunked",
        "chunked;x=y",
        "\"chunked\"",
        "",
        "\x0bchunked",
        "\r\n chunked",
    ] {
        let request = attack(&format!("Transfer-Encoding: {coding}"), &format!("0\r\n\r\n{HIDDEN}"));
        let everything = exchange(program.address, request);
        let refused = matches!(status(&everything), 400 | 501);
        assert!(refused && responses(&everything) == 1, "{coding:?}: {everything}");
    }
    let old = chunked(&format!("0\r\n\r\n{HIDDEN}")).replacen("HTTP/1.1", "HTTP/1.0", 1);
    assert_eq!(status(&exchange(program.address, old)), 400, "HTTP/1.0 knows no chunks");
    witness.assert_calm();
}

#[test]
fn a_body_that_nobody_asked_for_is_not_taken_for_a_request() {
    let program = Program::serve(&[]);
    let mut witness = Witness::of_program(&program);
    for (line, expected) in [
        ("GET /healthz", 200),
        ("HEAD /healthz", 200),
        ("GET /nowhere", 404),
        ("POST /nowhere", 404),
        ("PUT /healthz", 405),
        ("OPTIONS /healthz", 204),
        ("POST /sse/message", 400),
    ] {
        let bytes = HIDDEN.len();
        let first = format!("{line} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {bytes}\r\n\r\n{HIDDEN}");
        let second = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        let everything = exchange(program.address, format!("{first}{second}"));
        assert_eq!((status(&everything), responses(&everything)), (expected, 2), "{line}: {everything}");
    }
    witness.assert_calm();
}

#[test]
fn a_client_that_expects_100_continue_is_told_to_go_on() {
    let server = server();
    let mut witness = Witness::of_server(&server);
    let fields = "Expect: 100-Continue\r\nContent-Length: 5";
    let mut raw = Raw::connect(server.address());
    raw.send(attack(fields, "").replace("attacked", "witness"));
    assert_eq!(raw.head(), "http/1.1 100 continue\r\n");
    raw.send("hello");
    assert_eq!((raw.answer().status, witness.next_data()), (200, "hello".into()));
    // A client that sends the body with the head, or speaks HTTP/1.0, does not wait to be told.
    for (from, to) in [("", ""), ("HTTP/1.1", "HTTP/1.0")] {
        let request = attack(fields, "hello").replace("attacked", "witness").replacen(from, to, 1);
        let answer = {
            raw = Raw::connect(server.address());
            raw.send(request);
            raw.answer()
        };
        assert_eq!((answer.status, witness.next_data()), (200, "hello".into()));
    }
    let chunks = attack("Expect: 100-continue\r\nTransfer-Encoding: chunked", "");
    raw = Raw::connect(server.address());
    raw.send(chunks.replace("attacked", "witness"));
    assert_eq!(status(&raw.head()), 100);
    raw.send("2\r\nhi\r\n0\r\n\r\n");
    assert_eq!((raw.answer().status, witness.next_data()), (200, "hi".into()));
    drop(raw);
    witness.assert_calm();
}

#[test]
fn a_client_that_expects_something_else_or_too_much_is_refused() {
    let program = Program::serve(&[]);
    let mut witness = Witness::of_program(&program);
    for (fields, expected) in [
        ("Expect: 200-ok\r\nContent-Length: 5", 417),
        ("Expect: 100-continue, more\r\nContent-Length: 5", 417),
        ("Expect: 100-continue\r\nExpect: more\r\nContent-Length: 5", 417),
        ("Expect: 100-continue\r\nContent-Length: 65537", 413),
    ] {
        let everything = exchange(program.address, attack(fields, ""));
        assert_eq!((status(&everything), responses(&everything)), (expected, 1), "{fields}: {everything}");
    }
    witness.assert_calm();
}

#[test]
fn a_refused_sender_that_goes_on_sending_still_reads_its_answer() {
    let server = server();
    let mut witness = Witness::of_server(&server);
    for length in ["65537", "100000000000"] {
        let mut raw = Raw::connect(server.address());
        raw.socket().set_read_timeout(Some(AT_ONCE)).unwrap();
        raw.send(attack(&format!("Content-Length: {length}"), ""));
        let answer = raw.answer();
        assert!(answer.status == 413 && !said(&answer).is_empty(), "{answer:?}");
        // A reset would destroy the answer on its way to a sender that is farther away.
        for _ in 0..32 {
            let mut socket = raw.socket();
            socket.write_all(&[b'x'; 16 * 1024]).expect("it is read and discarded");
        }
        assert_eq!(raw.everything(), "");
    }
    witness.assert_calm();
}
