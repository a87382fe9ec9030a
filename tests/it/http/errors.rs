//! Every status that is an error is answered in one form, whoever refuses: the listener, access, the routes, a page or
//! the program around callout.

use crate::support::hostile::exchange;
use crate::support::{Answer, Browser, Raw, assert_problem, get, post, publish, request, said, server_with};
use callout::server::{Config, Server};
use callout::{Answer as Given, Error, ListenerKind, delete, get as route};
use std::net::SocketAddr;
use std::time::Duration;

/// A server with a token, little patience and routes that fail.
fn server(change: impl FnOnce(&mut Config)) -> Server {
    let mut config = Config::default();
    config.listen = SocketAddr::from(([127, 0, 0, 1], 0));
    config.publish_token = Some("sesame".into());
    config.limits.head_deadline = Duration::from_millis(200);
    config.limits.body_deadline = Duration::from_millis(200);
    config.streams_max = 1;
    change(&mut config);
    Server::builder()
        .config(config)
        .route(route("/internal", |_, _| Err(Error::internal("the secret path /srv/x is gone"))))
        .route(route("/panics", |_, _| panic!("on purpose")))
        .route(route("/often", |_, _| Err(Error::too_many("10 requests came within a second", 7))))
        .route(delete("/thing", |_, _| Ok(Given::json(&1))))
        .start()
        .expect("a free port")
}

/// A whole request without a body.
fn plain(line: &str) -> String {
    format!("{line} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

/// A whole `POST` with these fields and this body.
fn posted(path: &str, fields: &str, body: &str) -> String {
    let bytes = body.len();
    format!("POST {path} HTTP/1.1\r\nHost: localhost\r\n{fields}Content-Length: {bytes}\r\n\r\n{body}")
}

/// What everybody who may be refused by either listener is refused with.
fn refused_by_both() -> Vec<(u16, String)> {
    const TOKEN: &str = "Authorization: Bearer sesame\r\n";
    let chunked = "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    vec![
        (400, plain("GET /topics/a%FF")),
        (400, plain("GET /topics/$chat")),
        (400, plain("GET /topics/a?last=0")),
        (400, posted("/topics/t?event=open", TOKEN, "x")),
        (400, posted("/topics/t?retry=soon", TOKEN, "x")),
        (400, posted("/publish", TOKEN, "")),
        (400, posted("/notify/ann", TOKEN, "{}")),
        (400, posted("/sse/message", "", "not JSON")),
        (400, posted("/messages", "", r#"{"data":"","type":"red"}"#)),
        (400, posted("/api/posts", "", r#"{"title":"","content":"c","author":"a"}"#)),
        (400, posted("/check/a+b", "", "")),
        (401, posted("/topics/t", "", "x")),
        (401, posted("/topics/t", "Authorization: Bearer sesam\r\n", "x")),
        (401, posted("/publish", "", r#"{"topic":"t"}"#)),
        (401, plain("GET /history")),
        (403, posted("/topics/t", "Origin: https://other.example\r\n", "x")),
        (404, plain("GET /nothing")),
        (404, plain("GET /no.html")),
        (404, plain("GET /api/posts/1")),
        (404, plain("GET /api/feeds/none")),
        (405, plain("PUT /healthz")),
        (405, plain("GET /thing")),
        (409, posted("/topics/t?id=mine", TOKEN, "another")),
        (413, posted("/check/x", "", &"x".repeat(2_000))),
        (415, posted("/topics/t", &format!("{TOKEN}Content-Type: multipart/form-data; boundary=x\r\n"), "x")),
        (415, posted("/topics/t", &format!("{TOKEN}Content-Type: text/plain; charset=utf-16\r\n"), "x")),
        (415, posted("/topics/t", &format!("{TOKEN}Content-Encoding: gzip\r\n"), "x")),
        (415, posted("/api/posts", "Content-Type: text/html\r\n", "<p>")),
        (421, "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n".into()),
        (429, plain("GET /often")),
        (500, plain("GET /internal")),
        (500, plain("GET /panics")),
        (503, plain("GET /topics/full")),
        (400, format!("POST /publish HTTP/1.1\r\nHost: localhost\r\n{TOKEN}{chunked}")),
    ]
}

/// What only the direct listener is asked for, which reads heads itself.
fn refused_by_direct() -> Vec<(u16, String)> {
    let post = |fields: &str| format!("POST /topics/t HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n");
    vec![
        (400, "not HTTP\r\n\r\n".into()),
        (400, "GET /a b HTTP/1.1\r\nHost: localhost\r\n\r\n".into()),
        (400, "GET /a#b HTTP/1.1\r\nHost: localhost\r\n\r\n".into()),
        (400, "GET host/a HTTP/1.1\r\nHost: localhost\r\n\r\n".into()),
        (400, "GET * HTTP/1.1\r\nHost: localhost\r\n\r\n".into()),
        (400, "GET / HTTP/1.1\nHost: localhost\n\n".into()),
        (400, "GET / HTTP/1.1\r\n\r\n".into()),
        (400, "GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n".into()),
        (400, post("Content-Length: x\r\n")),
        (400, post("Content-Length: 1\r\nContent-Length: 1\r\n")),
        (400, post("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n")),
        (400, post("Transfer-Encoding: chunked\r\n") + "x\r\n"),
        (400, post("Transfer-Encoding: chunked\r\n") + "1\r\nxyz"),
        (400, post("Transfer-Encoding: chunked\r\n") + &"1".repeat(300)),
        (400, post("Transfer-Encoding: chunked\r\n") + "1\n"),
        (400, "POST /topics/t HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n".into()),
        (408, "GET / HTTP/1.1\r\nHost: loc".into()),
        (408, post("Content-Length: 10\r\n") + "half"),
        (411, post("Authorization: Bearer sesame\r\n")),
        (413, post("Content-Length: 65537\r\n")),
        (413, post("Transfer-Encoding: chunked\r\n") + "10001\r\n"),
        (417, post("Expect: a miracle\r\nContent-Length: 1\r\n")),
        (431, format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}", "x".repeat(17 * 1024))),
        (431, format!("GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n", "x: y\r\n".repeat(101))),
        (501, post("Transfer-Encoding: gzip, chunked\r\n")),
        (505, "GET / HTTP/2.0\r\nHost: localhost\r\n\r\n".into()),
    ]
}

/// The answer to these bytes; nothing comes behind it that is no part of it.
fn ask(at: SocketAddr, bytes: &str) -> Answer {
    let mut raw = Raw::connect(at);
    raw.send(bytes);
    raw.answer()
}

/// Fails the test if the table in the document does not say this of an error.
fn assert_documented(answer: &Answer) {
    const API: &str = include_str!("../../../docs/http-api.md");
    let row = format!("| `{}` | {} |", answer.status, answer.json()["error"].as_str().unwrap());
    assert!(answer.status == 429 || API.contains(&row), "no row in docs/http-api.md begins {row}");
}

/// Asks all, and holds each answer to the form and to what its status requires.
fn assert_all_in_one_form(at: SocketAddr, asked: Vec<(u16, String)>) {
    for (status, bytes) in asked {
        let answer = ask(at, &bytes);
        assert_eq!(answer.status, status, "{bytes:.200}: {answer:?}");
        said(&answer);
        assert_documented(&answer);
        let text = String::from_utf8(answer.body.clone()).unwrap();
        assert!(!text.contains("/srv") && !text.contains("sesam") && !text.contains("on purpose"), "{text}");
        let required = match status {
            401 => Some(("www-authenticate", "bearer")),
            405 => Some(("allow", "options")),
            429 => Some(("retry-after", "7")),
            503 => Some(("retry-after", "5")),
            _ => None,
        };
        if let Some((name, part)) = required {
            assert!(answer.header(name).is_some_and(|value| value.contains(part)), "{name}: {answer:?}");
        }
    }
}

/// An event under an id of its own, and a stream that takes the only permit.
fn prepare(at: SocketAddr) -> Browser {
    let head = "POST /topics/t?id=mine HTTP/1.1\r\nAuthorization: Bearer sesame";
    assert_eq!(request(at, head, "the first").status, 200);
    Browser::open(at, "/topics/taken")
}

#[test]
fn every_error_says_what_why_and_what_to_do() {
    let server = server(|_| {});
    let _stream = prepare(server.address());
    assert_all_in_one_form(server.address(), refused_by_both());
    assert_all_in_one_form(server.address(), refused_by_direct());
}

#[test]
fn every_error_on_tiny_http_says_so_too() {
    let server = server(|config| config.listener = ListenerKind::TinyHttp);
    let _stream = prepare(server.address());
    // An answer of this listener ends with its connection where it did not read the whole request.
    assert_all_in_one_form(server.address(), refused_by_both());
    let large = posted("/topics/t", "Authorization: Bearer sesame\r\n", &"x".repeat(64 * 1024 + 1));
    assert_all_in_one_form(server.address(), vec![(413, large)]);
}

#[test]
fn a_post_that_has_changed_and_a_server_that_drains_say_so_in_the_same_form() {
    for listener in [ListenerKind::Direct, ListenerKind::TinyHttp] {
        let server = server_with(|config| config.listener = listener);
        let at = server.address();
        let new = post(at, "/api/posts", r#"{"title":"t","content":"c","author":"a"}"#);
        assert_eq!(new.status, 201, "{new:?}");
        let path = format!("/api/posts/{}", new.json()["id"].as_str().unwrap());
        let stale = format!("PATCH {path} HTTP/1.1\r\nIf-Match: \"9\"");
        let stale = request(at, &stale, r#"{"title":"u"}"#);
        assert!(stale.status == 412 && said(&stale).contains("version 1"), "{stale:?}");
        // Events are taken back by those who may publish only; nobody may read what the pages keep.
        let pages = get(at, "/history/$chat");
        assert!(pages.status == 403 && said(&pages).contains("publish token"), "{pages:?}");
        publish(at, "/topics/t", "x");
        let gone = request(at, "DELETE /topics/t?id=none HTTP/1.1", "");
        assert!(gone.status == 404 && said(&gone).contains("no event"), "{gone:?}");
        server.announce_stop();
        let ready = get(at, "/healthz/ready");
        assert!(ready.status == 503 && said(&ready).contains("draining"), "{ready:?}");
    }
}

#[test]
fn each_line_of_a_request_is_refused_in_this_form_with_its_status() {
    let server = server_with(|_| {});
    let answer = post(server.address(), "/publish", "{}\n{\"topic\":\"t\"}\nx\n{\"topic\":\"$chat\"}\n");
    let text = String::from_utf8(answer.body).unwrap();
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(answer.status == 200 && lines.len() == 4 && lines[1]["id"].is_string(), "{text}");
    for line in [&lines[0], &lines[2], &lines[3]] {
        assert_problem(line);
        assert_eq!(line["status"], 400, "{line}");
    }
}

#[test]
fn the_answer_to_a_head_has_the_errors_head_and_no_body() {
    let server = server(|_| {});
    for (status, target, fields) in [
        (404, "/nothing", ""),
        (401, "/history", ""),
        (405, "/thing", ""),
        (400, "/topics/$chat", ""),
        // These are refused by the listener itself.
        (413, "/nothing", "Content-Length: 65537\r\n"),
        (408, "/nothing", "Content-Length: 10\r\n"),
    ] {
        let head = format!("HEAD {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{fields}\r\n");
        let everything = exchange(server.address(), &head);
        let (head, body) = everything.split_once("\r\n\r\n").expect("a head");
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")) && body.is_empty(), "{everything}");
        assert!(head.contains("\r\ncontent-type: application/json\r\n"), "{head}");
        let length = head.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
        assert!(length.is_some_and(|bytes| bytes.parse::<usize>().is_ok_and(|bytes| bytes > 0)), "{head}");
    }
}
