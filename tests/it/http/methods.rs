//! Every method on every route: the head alone, 204 with `Allow`, or 405 with `Allow`.

use crate::support::hostile::{exchange, responses};
use crate::support::witness::Witness;
use crate::support::{Program, Raw, get, header_names, status};

/// Each route and what `Allow` says about it.
const ROUTES: &[(&str, &str)] = &[
    ("/", "GET, HEAD, OPTIONS"),
    ("/index.html", "GET, HEAD, OPTIONS"),
    ("/pages/index", "GET, HEAD, OPTIONS"),
    ("/healthz", "GET, HEAD, OPTIONS"),
    ("/topics?topic=a&topic=b", "GET, POST, HEAD, OPTIONS"),
    ("/topics/attacked", "GET, POST, HEAD, OPTIONS"),
    ("/sse?user=ann", "GET, HEAD, OPTIONS"),
    // The path that chat messages are posted to is also the stream of a user named `message`.
    ("/sse/message", "POST, GET, HEAD, OPTIONS"),
    ("/check/attacked", "GET, POST, HEAD, OPTIONS"),
    ("/notify", "POST, OPTIONS"),
];

const STREAMS: &[&str] =
    &["/topics?topic=a&topic=b", "/topics/attacked", "/sse?user=ann", "/sse/message", "/check/attacked"];

fn head(line: &str) -> String {
    format!("{line} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

#[test]
fn other_methods_are_answered_405_and_told_what_is_allowed() {
    let program = Program::serve(&[]);
    let mut witness = Witness::of_program(&program);
    for (path, allow) in ROUTES {
        let mut raw = Raw::connect(program.address);
        for method in ["PUT", "DELETE", "PATCH", "TRACE", "get", "Get", "options", "POSTS", "M-SEARCH"] {
            raw.send(head(&format!("{method} {path}")).replace("\r\n\r\n", "\r\nX-Secret: s3cret\r\n\r\n"));
            let answer = raw.answer();
            assert_eq!(answer.status, 405, "{method} {path}");
            assert_eq!(answer.header("allow"), Some(&*allow.to_lowercase()), "{method} {path}");
            assert!(answer.json().is_object() && !String::from_utf8(answer.body).unwrap().contains("s3cret"));
        }
        if !allow.contains("POST") {
            raw.send(head(&format!("POST {path}")));
            assert_eq!(raw.answer().status, 405, "POST {path}");
        }
        if !allow.contains("GET") {
            raw.send(head(&format!("GET {path}")));
            assert_eq!(raw.answer().status, 405, "GET {path}");
        }
    }
    witness.assert_calm();
}

#[test]
fn options_are_answered_204_with_what_is_allowed() {
    let program = Program::serve(&[]);
    let mut witness = Witness::of_program(&program);
    let mut raw = Raw::connect(program.address);
    for (path, allow) in ROUTES {
        raw.send(head(&format!("OPTIONS {path}")));
        let answer = raw.answer();
        assert_eq!((answer.status, answer.header("allow")), (204, Some(&*allow.to_lowercase())), "{path}");
        assert_eq!(answer.header("content-length"), None, "204 has no body and no length");
    }
    raw.send(head("OPTIONS *"));
    assert_eq!(raw.answer().status, 204);
    raw.send(head("OPTIONS /nowhere"));
    assert_eq!(raw.answer().status, 404);
    drop(raw);
    witness.assert_calm();
}

#[test]
fn head_is_the_head_that_get_would_have_had_and_nothing_else() {
    let program = Program::serve(&[]);
    let mut witness = Witness::of_program(&program);
    for (path, allow) in ROUTES.iter().chain(&[("/nowhere", "GET")]) {
        // If there were a body, it would stand where the next response is expected.
        let next = head("OPTIONS *").replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
        let everything = exchange(program.address, head(&format!("HEAD {path}")) + &next);
        let (first, second) = everything.split_once("\r\n\r\n").expect("a head");
        let expected = match *path {
            "/nowhere" => 404,
            _ if allow.contains("GET") => 200,
            _ => 405,
        };
        assert_eq!(status(first), expected, "{path}: {first}");
        assert_eq!((status(second), responses(second)), (204, 1), "{path}: {everything}");
    }
    witness.assert_calm();
}

#[test]
fn head_of_a_whole_response_has_the_length_that_get_would_have() {
    let program = Program::serve(&[]);
    for path in ["/", "/index.html", "/nowhere", "/topics"] {
        let full = get(program.address, path);
        let everything = exchange(program.address, format!("HEAD {path} HTTP/1.0\r\n\r\n")).to_lowercase();
        let length = format!("\r\ncontent-length: {}\r\n", full.body.len());
        assert!(everything.contains(&length), "{path}: {everything}");
        assert_eq!(status(&everything), full.status);
        let names = header_names(everything.trim_end()).into_iter().filter(|name| name != "connection");
        assert_eq!(names.collect::<Vec<_>>(), header_names(&full.head), "{path}");
    }
}

#[test]
fn head_of_a_stream_has_no_length_because_the_stream_has_none() {
    let program = Program::serve(&[]);
    let mut witness = Witness::of_program(&program);
    for path in STREAMS {
        let everything = exchange(program.address, format!("HEAD {path} HTTP/1.0\r\n\r\n")).to_lowercase();
        assert!(everything.contains("\r\ncontent-type: text/event-stream\r\n"), "{path}: {everything}");
        assert!(!everything.contains("\r\ncontent-length:"), "{path}: {everything}");
    }
    witness.assert_calm();
}
