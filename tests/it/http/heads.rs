//! HTTP on the direct listener: heads good and bad, and how long a connection lasts.

use crate::support::hostile::{drip, exchange, responses};
use crate::support::witness::{AT_ONCE, Witness, streams};
use crate::support::{Browser, Program, Raw, get, request, said, server, server_with, status};
use std::io::Write;
use std::net::Shutdown;
use std::time::Duration;

/// Many times the bytes that a refused connection may go on sending.
const ENDLESS_BYTES: usize = 64 * 1024 * 1024;

#[test]
fn an_endless_header_line_is_answered_431_and_cut_off() {
    let program = Program::serve(&[]);
    let mut witness = Witness::of_program(&program);
    let mut raw = Raw::connect(program.address);
    raw.send(format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(17 * 1024)));
    let answer = raw.answer();
    assert_eq!((answer.status, answer.header("connection")), (431, Some("close")));
    let mut socket = raw.socket();
    let mut sent_bytes = 0;
    while sent_bytes < ENDLESS_BYTES && socket.write_all(&[b'x'; 64 * 1024]).is_ok() {
        sent_bytes += 64 * 1024;
    }
    assert!(sent_bytes < ENDLESS_BYTES, "the server goes on reading");
    witness.assert_calm();
}

#[test]
fn a_head_has_at_most_16_kb_and_100_fields() {
    let program = Program::serve(&[]);
    let mut witness = Witness::of_program(&program);
    let fields = |count: usize| {
        let fields: String = (0..count).map(|number| format!("x-{number}: y\r\n")).collect();
        format!("GET /healthz HTTP/1.1\r\nhost: localhost\r\n{fields}connection: close\r\n\r\n")
    };
    let sized = |bytes: usize| {
        let frame = "GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nx: \r\n\r\n";
        frame.replace("x: ", &format!("x: {}", "x".repeat(bytes - frame.len())))
    };
    for (head, expected) in [
        (fields(98), 200),
        (fields(99), 431),
        (fields(100_000), 431),
        (sized(16 * 1024), 200),
        (sized(16 * 1024 + 1), 431),
        (format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(17 * 1024)), 431),
    ] {
        let everything = exchange(program.address, &head);
        assert_eq!((status(&everything), responses(&everything)), (expected, 1), "{}", head.len());
    }
    witness.assert_calm();
}

#[test]
fn another_version_is_answered_505_and_closed() {
    let program = Program::serve(&[]);
    let mut witness = Witness::of_program(&program);
    for head in [
        "GET / HTTP/2.0\r\n\r\n",
        "GET /topics/attacked HTTP/2.0\r\nHost: localhost\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET / HTTP/3.0\r\n\r\n",
    ] {
        let everything = exchange(program.address, head);
        assert_eq!((status(&everything), responses(&everything)), (505, 1), "{head:?}");
    }
    witness.assert_calm();
}

#[test]
fn what_is_not_http_is_refused_at_once() {
    let program = Program::serve(&[]);
    let mut witness = Witness::of_program(&program);
    let tls_hello = [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".as_slice(), &[7; 300]].concat();
    let cases: &[&[u8]] = &[
        &tls_hello,
        b"GET / HTTP/1.1\nHost: localhost\n\n",
        b"GET / HTTP/1.1\nHost: localhost\n",
        b"GET / HTTP/1.1\r\nHost: localhost\nX: y\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: te\rst\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : test\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n folded\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: te\0st\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: one\r\nHost: two\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n: empty\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET  / HTTP/1.1\r\n\r\n",
        b"GET healthz HTTP/1.1\r\n\r\n",
        b"GET * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"CONNECT test:443 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\0\0\0\0\0\0\0\0",
        b"\xff\xfe\xfd\xfc",
        b"{\"user\":\"ann\"}",
        b"SSH-2.0-OpenSSH_9.6\r\n",
    ];
    for bytes in cases {
        let everything = exchange(program.address, bytes);
        let refused = everything.is_empty() || status(&everything) == 400;
        assert!(
            refused && responses(&everything) <= 1,
            "{:?}: {everything}",
            bytes.escape_ascii().to_string()
        );
    }
    witness.assert_calm();
}

#[test]
fn other_bytes_than_ascii_in_a_header_are_served_and_never_echoed() {
    let server = server_with(|config| {
        config.origins = ["*", "https://good.example"].map(|origin| origin.parse().unwrap()).into()
    });
    let mut witness = Witness::of_server(&server);
    for field in ["X-Name", "User-Agent", "Cookie", "Origin", "Referer", "If-None-Match", "Accept"] {
        let mut raw = Raw::connect(server.address());
        raw.send(
            [b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n", field.as_bytes(), b": J\xfcrgen\xff\r\n\r\n"]
                .concat(),
        );
        let answer = raw.answer();
        assert!(
            answer.status == 200 && answer.head.is_ascii() && answer.body.is_ascii(),
            "{field}: {answer:?}"
        );
    }
    let mut raw = Raw::connect(server.address());
    raw.send(b"GET /topics/a HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: J\xfcrgen\xff\r\n\r\n");
    assert_eq!(status(&raw.head()), 200);
    // Closing half of the connection counts as hanging up, which ends the stream.
    raw.socket().shutdown(Shutdown::Write).unwrap();
    // A byte that is not UTF-8 would fail the test here.
    assert!(raw.everything().contains("event: reset"));
    drop(raw);
    witness.assert_calm();
}

#[test]
fn five_hundred_pipelined_stream_requests_are_one_stream() {
    let program = Program::serve(&[]);
    let mut witness = Witness::of_program(&program);
    let one = "GET /topics/witness HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n";
    let mut raw = Raw::connect(program.address);
    raw.send(one.repeat(500));
    let head = raw.head();
    assert_eq!((status(&head), streams(program.address)), (200, 2), "{head}");
    let mut browser = Browser::over(raw, head);
    for data in ["first", "second"] {
        assert_eq!(request(program.address, "POST /topics/witness HTTP/1.1", data).status, 200);
        assert_eq!((browser.next().data, witness.next_data()), (data.into(), data.into()));
    }
    assert_eq!(streams(program.address), 2);
    drop(browser);
    witness.assert_calm();
}

#[test]
fn http_1_0_is_delimited_by_the_end_of_the_connection() {
    let server = server();
    for connection in ["", "Connection: close\r\n", "Connection: keep-alive\r\n"] {
        let everything = exchange(server.address(), format!("GET /healthz HTTP/1.0\r\n{connection}\r\n"));
        assert_eq!((status(&everything), responses(&everything)), (200, 1));
        assert!(everything.ends_with('}'), "{everything}");
    }
    let mut raw = Raw::connect(server.address());
    raw.send("GET /topics/a HTTP/1.0\r\n\r\n");
    let head = raw.head();
    assert!(status(&head) == 200 && !head.contains("transfer-encoding") && !head.contains("content-length"));
    let mut browser = Browser::over(raw, head);
    assert_eq!(request(server.address(), "POST /topics/a HTTP/1.0", "hello").status, 200);
    assert_eq!(browser.next().data, "hello");
    assert!(server.stop(Duration::from_secs(5)));
    assert_eq!(browser.rest(), [], "a clean end");
}

#[test]
fn a_stream_opens_whatever_the_connection_header_says() {
    let server = server();
    for connection in ["close", "keep-alive", "Keep-Alive, x", "upgrade"] {
        let headers = format!("Connection: {connection}\r\n");
        let mut browser = Browser::open_with(server.address(), "/topics/a", &headers);
        assert_eq!(request(server.address(), "POST /topics/a HTTP/1.1", connection).status, 200);
        assert_eq!(browser.next().data, connection);
    }
}

#[test]
fn requests_follow_each_other_on_one_connection() {
    let server = server();
    let mut raw = Raw::connect(server.address());
    for _ in 0..3 {
        raw.send("POST /topics/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello");
        let answer = raw.answer();
        assert_eq!((answer.status, answer.header("connection")), (200, None));
        raw.send("GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert_eq!(raw.answer().status, 404);
    }
    raw.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: x, Close\r\n\r\n");
    assert_eq!(raw.answer().header("connection"), Some("close"));
    assert!(raw.is_closed());
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    let server = server();
    let mut raw = Raw::connect(server.address());
    let publish = "POST /topics/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello";
    let rest = "GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n\r\nGET http://test/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    raw.send(format!("{publish}{rest}").repeat(20));
    let statuses: Vec<u16> = (0..60).map(|_| raw.answer().status).collect();
    assert_eq!(statuses, [200, 404, 200].repeat(20));
}

#[test]
fn a_connection_that_stays_silent_after_a_request_is_closed_at_the_idle_deadline() {
    let server = server_with(|config| config.limits.idle_deadline = Duration::from_secs(1));
    let mut witness = Witness::of_server(&server);
    let mut raw = Raw::connect(server.address());
    raw.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(raw.answer().status, 200);
    raw.socket().set_read_timeout(Some(AT_ONCE)).unwrap();
    assert_eq!(raw.everything(), "", "closed without an answer");
    witness.assert_calm();
}

#[test]
fn a_second_head_that_drips_is_refused_at_the_deadline_too() {
    let server = server_with(|config| config.limits.head_deadline = Duration::from_secs(1));
    let mut witness = Witness::of_server(&server);
    let mut raw = Raw::connect(server.address());
    raw.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(raw.answer().status, 200);
    drip(&mut raw, format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(1_000)).as_bytes());
    let everything = raw.everything();
    assert_eq!((status(&everything), responses(&everything)), (408, 1));
    drop(raw);
    witness.assert_calm();
}

#[test]
fn what_is_not_here_is_answered_404_in_json() {
    let server = server();
    for path in ["/nowhere", "/pages/nowhere", "/topics/", "/sse/", "/healthz/x", "//", "/index.html/x"] {
        let answer = get(server.address(), path);
        assert_eq!((answer.status, answer.header("content-type")), (404, Some("application/json")), "{path}");
        said(&answer);
    }
    let answer = request(server.address(), "POST /nowhere HTTP/1.1", "hello");
    assert_eq!(answer.status, 404);
}
