//! CORS: a page of another site reads and publishes only if its origin is on the list.

use crate::support::hostile::exchange;
use crate::support::witness::Witness;
use crate::support::{Answer, Browser, Program, get, request};
use std::net::SocketAddr;

pub(super) const GOOD: &str = "https://good.example";

/// Requests with every kind of answer: files, JSON, errors with and without a route, preflights.
const REQUESTS: &[&str] = &[
    "GET / HTTP/1.1",
    "GET /healthz HTTP/1.1",
    "HEAD /topics/attacked HTTP/1.1",
    "GET /nowhere HTTP/1.1",
    "PUT /healthz HTTP/1.1",
    "GET /topics HTTP/1.1",
    "POST /sse/message HTTP/1.1",
    "OPTIONS /topics/attacked HTTP/1.1",
    "OPTIONS /topics/attacked HTTP/1.1\r\nAccess-Control-Request-Method: POST",
    "OPTIONS * HTTP/1.1",
];

fn with_origin(address: SocketAddr, head: &str, origin: &str) -> Answer {
    request(address, &format!("{head}\r\nOrigin: {origin}"), "")
}

fn assert_unreadable(answer: &Answer, origin: &str) {
    assert!(!answer.head.contains("access-control-"), "{answer:?}");
    // A refusal names the origin in its text, so that an operator finds the reason. The page cannot read it.
    let (host, body) = (origin.trim_start_matches("https://"), String::from_utf8_lossy(&answer.body));
    let is_named = answer.head.contains(host) || answer.status != 403 && body.contains(host);
    assert!(origin == "null" || !is_named, "echoed: {answer:?}");
}

#[test]
fn without_a_list_no_other_site_can_read_anything() {
    let program = Program::serve(&[]);
    let mut witness = Witness::of_program(&program);
    for origin in ["https://evil.example", "null", GOOD] {
        for head in REQUESTS {
            assert_unreadable(&with_origin(program.address, head, origin), origin);
        }
        let stream = with_origin(program.address, "GET /topics/attacked HTTP/1.1", origin);
        assert!(stream.status == 403 && !stream.head.contains("access-control-"), "{stream:?}");
    }
    witness.assert_calm();
}

#[test]
fn with_a_list_only_its_origins_are_named() {
    // As browsers send it: in lower case, without the port that goes with the scheme.
    let program = Program::serve(&["--cors", "HTTPS://Good.example:443", "--cors", "http://localhost:3000"]);
    let mut witness = Witness::of_program(&program);
    for origin in [
        "https://evil.example",
        "null",
        "http://good.example",
        "https://good.example:8443",
        "https://good.example.evil",
        "https://evil-good.example",
        "https://good.example/",
        "https://good.example, https://evil.example",
        "http://localhost:3001",
    ] {
        for head in REQUESTS {
            let answer = with_origin(program.address, head, origin);
            assert!(!answer.head.contains("access-control-"), "{origin} {head}: {answer:?}");
            assert_eq!(answer.header("vary"), Some("origin"), "{origin} {head}");
        }
    }
    for origin in [GOOD, "http://localhost:3000"] {
        for head in REQUESTS {
            assert_readable(&with_origin(program.address, head, origin), origin);
        }
        let mut browser = Browser::open_with(program.address, "/topics/a", &format!("Origin: {origin}\r\n"));
        assert!(browser.head.contains(&format!("access-control-allow-origin: {origin}\r\n")));
        assert!(browser.head.contains("access-control-allow-credentials: true\r\n"));
        let publish = request(program.address, &format!("POST /topics/a HTTP/1.1\r\nOrigin: {origin}"), "hi");
        assert_readable(&publish, origin);
        assert_eq!((publish.status, browser.next().data), (200, "hi".into()));
    }
    assert_eq!(get(program.address, "/healthz").header("vary"), Some("origin"), "asked without one");
    witness.assert_calm();
}

#[test]
fn the_library_can_be_imported_by_the_pages_of_listed_origins_only() {
    let program = Program::serve(&["--cors", GOOD]);
    let import = "GET /callout.js HTTP/1.1\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: cors";
    let answer = with_origin(program.address, import, GOOD);
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/javascript; charset=utf-8")));
    assert_readable(&answer, GOOD);
    assert!(String::from_utf8(answer.body).unwrap().contains("export function connect"));
    // The browser decides whether it is a module, and needs the header for that.
    for origin in ["https://evil.example", "null"] {
        let answer = with_origin(program.address, import, origin);
        assert!(!answer.head.contains("access-control-"), "{answer:?}");
    }
}

fn assert_readable(answer: &Answer, origin: &str) {
    assert_eq!(answer.header("access-control-allow-origin"), Some(origin), "{answer:?}");
    assert_eq!(answer.header("access-control-allow-credentials"), Some("true"));
    assert_eq!(answer.header("vary"), Some("origin"));
}

#[test]
fn a_refusal_that_closes_the_connection_can_be_read_too() {
    let program = Program::serve(&["--cors", GOOD]);
    for (fields, status) in [("Content-Length: 100000000000", "413"), ("Transfer-Encoding: chunked", "400")] {
        let head =
            format!("POST /topics/a HTTP/1.1\r\nHost: localhost\r\nOrigin: {GOOD}\r\n{fields}\r\n\r\nzz\r\n");
        let everything = exchange(program.address, head);
        assert!(everything.starts_with(&format!("HTTP/1.1 {status} ")), "{everything}");
        assert!(everything.contains(&format!("access-control-allow-origin: {GOOD}\r\n")), "{everything}");
    }
}

#[test]
fn a_star_lets_every_site_read_but_without_credentials() {
    let program = Program::serve(&["--cors", "*"]);
    for origin in ["https://evil.example", "null"] {
        for head in REQUESTS {
            let answer = with_origin(program.address, head, origin);
            assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "{head}: {answer:?}");
            assert_eq!(answer.header("access-control-allow-credentials"), None, "{head}");
        }
    }
    let evil = "Origin: https://evil.example\r\nSec-Fetch-Site: cross-site\r\n";
    let browser = Browser::open_with(program.address, "/topics/a", evil);
    assert!(browser.head.contains("access-control-allow-origin: *\r\n"));
}

#[test]
fn the_preflight_of_a_reconnection_and_of_publishing_is_answered() {
    for (flag, origin) in [(GOOD, GOOD), ("*", "https://other.example")] {
        let program = Program::serve(&["--cors", flag]);
        for (path, method, field) in [
            ("/topics/a", "GET", "last-event-id"),
            ("/topics?topic=a", "GET", "last-event-id"),
            ("/sse?user=ann", "GET", "last-event-id"),
            ("/topics/a", "POST", "content-type"),
            ("/topics/a", "POST", "authorization"),
            ("/sse/message", "POST", "content-type"),
        ] {
            let asks = format!(
                "OPTIONS {path} HTTP/1.1\r\nOrigin: {origin}\r\nSec-Fetch-Site: cross-site\r\n\
                 Access-Control-Request-Method: {method}\r\nAccess-Control-Request-Headers: {field}"
            );
            let answer = request(program.address, &asks, "");
            let list = |name: &str| {
                answer
                    .header(name)
                    .unwrap_or_default()
                    .split(',')
                    .map(|word| word.trim().to_owned())
                    .collect()
            };
            let (fields, methods): (Vec<String>, Vec<String>) =
                (list("access-control-allow-headers"), list("access-control-allow-methods"));
            assert_eq!(answer.status, 204, "{answer:?}");
            assert_eq!(answer.header("access-control-allow-origin"), Some(flag));
            assert!(fields.contains(&field.to_owned()), "{path} {field}: {answer:?}");
            assert!(methods.contains(&method.to_lowercase()), "{path} {method}: {answer:?}");
            assert!(answer.header("access-control-max-age").is_some());
        }
    }
}

#[test]
fn the_page_of_an_allowed_origin_may_send_what_it_asks_for_and_read_what_it_needs() {
    let program = Program::serve(&["--cors", "https://*.good.example", "--cors", "capacitor://localhost"]);
    let at = program.address;
    for origin in ["https://app.good.example", "capacitor://localhost"] {
        let head = "OPTIONS /topics/a HTTP/1.1\r\nAccess-Control-Request-Method: POST\r\n\
                    Access-Control-Request-Headers: baggage,sentry-trace,traceparent";
        let preflight = with_origin(at, head, origin);
        assert_readable(&preflight, origin);
        assert_eq!(
            preflight.header("access-control-allow-headers"),
            Some("baggage,sentry-trace,traceparent")
        );
        let exposed = with_origin(at, "GET /healthz HTTP/1.1", origin);
        assert_eq!(exposed.header("access-control-expose-headers"), Some("etag, location, retry-after"));
    }
    let other = with_origin(
        at,
        "OPTIONS /topics/a HTTP/1.1\r\nAccess-Control-Request-Method: POST",
        "https://good.example",
    );
    assert_unreadable(&other, "https://good.example");
}
