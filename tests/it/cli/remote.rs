//! Which server the commands reach, and how they take its answers.

use super::commands::{callout, complaint, output, text, url};
use crate::support::{Browser, Raw, server, server_with};
use callout::ListenerKind;
use std::io::Write;
use std::net::TcpListener;
use std::process::{Output, Stdio};
use std::thread;

/// What `callout publish` says to a server that answers one request with these bytes and then sends nothing more.
/// `answer` is given the request's head, in lower case.
fn publish_to(answer: &str, check_head: impl FnOnce(&str) + Send) -> Output {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = url(listener.local_addr().unwrap());
    thread::scope(|scope| {
        let answering = scope.spawn(move || {
            let mut raw = Raw::over(listener.accept().unwrap().0);
            check_head(&raw.head());
            raw.send(answer);
            raw
        });
        let output = output(&["publish", "t", "x", "--url", &url]);
        drop(answering.join().unwrap());
        output
    })
}

#[test]
fn a_proxy_is_not_asked_for_this_machine_and_is_named_where_it_fails() {
    let server = server();
    let port = server.address().port();
    let through = |url: &str| {
        let mut command = callout(&["publish", "t", "x", "--url", url]);
        command.env_remove("NO_PROXY").env_remove("no_proxy");
        command.env("ALL_PROXY", "http://user:pa55word@127.0.0.71:9").output().unwrap()
    };
    for host in ["127.0.0.1", "localhost"] {
        let output = through(&format!("http://{host}:{port}"));
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""), "{host}");
    }
    let line = complaint(&through("http://callout.example:8080"), 1);
    assert!(line.contains("callout.example:8080") && line.contains("proxy 127.0.0.71:9"), "{line}");
    assert!(!line.contains("pa55word"), "{line}");
}

#[test]
fn a_url_that_is_not_where_callout_is_is_refused() {
    for (url, word) in [
        ("http://127.0.0.1:99999", "65535"),
        ("http://127.0.0.1:0", "65535"),
        ("http://127.0.0.1:", "65535"),
        ("http://[::1]:", "65535"),
        ("http://127.0.0.1:8080/topics/news", "the URL of callout itself"),
        ("http://127.0.0.1:8080/push/history/", "the URL of callout itself"),
        ("http://127.0.0.1:8080/?topic=news", "the URL of callout itself"),
        ("http://127.0.0.1:8080#news", "the URL of callout itself"),
        ("http://", "http://host:8080"),
        ("127.0.0.1:8080", "http://host:8080"),
    ] {
        for command in [&["publish", "t", "x"][..], &["listen", "t"], &["history", "t"]] {
            let line = complaint(&output(&[command, &["--url", url]].concat()), 2);
            assert!(line.contains("--url") && line.contains(word), "{url}: {line}");
        }
    }
}

#[test]
fn a_password_in_the_url_is_not_shown() {
    for (url, code) in
        [("http://user:pa55word@127.0.0.71:1", 1), ("http://user:pa55word@127.0.0.71:99999", 2)]
    {
        let line = complaint(&output(&["publish", "t", "x", "--url", url]), code);
        assert!(line.contains("http://user:…@127.0.0.71") && !line.contains("pa55word"), "{line}");
    }
}

#[test]
fn a_publication_that_is_redirected_is_not_sent_on() {
    let server = server();
    let mut browser = Browser::open(server.address(), "/topics/t");
    let location = format!("{}/topics/t", url(server.address()));
    for status in [
        "301 Moved Permanently",
        "302 Found",
        "303 See Other",
        "307 Temporary Redirect",
        "308 Permanent Redirect",
    ] {
        let answer = format!("HTTP/1.1 {status}\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
        let line = complaint(&publish_to(&answer, |head| assert!(head.starts_with("post /topics/t"))), 1);
        assert!(line.contains(status) && line.contains(&location), "{line}");
    }
    crate::support::publish(server.address(), "/topics/t", "the first");
    assert_eq!(browser.next().data, "the first");
}

#[test]
fn an_answer_that_is_not_callouts_or_never_comes_is_a_failure() {
    for (answer, word) in [
        (
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n:ok\n\n",
            "does not answer like a callout",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5\r\n\r\nhello",
            "does not answer like a callout",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
            "does not answer like a callout",
        ),
        ("HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\n\r\nendless", "502 Bad Gateway"),
        ("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{", "timeout"),
    ] {
        let line = complaint(&publish_to(answer, |_| {}), 1);
        assert!(line.contains(word), "{answer:?}: {line}");
    }
}

#[test]
fn a_publication_that_is_too_large_is_refused_in_the_servers_words() {
    for kind in [ListenerKind::Direct, ListenerKind::TinyHttp] {
        let server = server_with(|config| config.listener = kind);
        let mut command = callout(&["publish", "t", "--url", &url(server.address())]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(&vec![b'x'; 20_000_000]).unwrap();
        let line = complaint(&child.wait_with_output().unwrap(), 1);
        for part in ["413", "at most 65536 bytes", "--body-bytes"] {
            assert!(line.contains(part), "{line}");
        }
    }
}

#[test]
fn a_server_that_is_gone_while_it_is_sent_something_is_a_failure() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = url(listener.local_addr().unwrap());
    let mut command = callout(&["publish", "t", "--url", &url]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(&vec![b'x'; 20_000_000]).unwrap();
    drop(listener.accept().unwrap());
    assert!(complaint(&child.wait_with_output().unwrap(), 1).contains("failed to reach"));
}

#[test]
fn a_large_publication_that_fits_arrives_whole() {
    let server = server();
    let mut browser = Browser::open(server.address(), "/topics/t");
    let data = "x".repeat(65_536);
    let output = output(&["publish", "t", &data, "--url", &url(server.address())]);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
    assert_eq!(browser.next().data, data);
}

#[test]
fn the_line_end_that_a_shell_adds_is_not_published() {
    let server = server();
    let mut browser = Browser::open(server.address(), "/topics/t");
    for (input, data) in
        [("hello\r\n", "hello"), ("hello\n", "hello"), ("hello\r", "hello\n"), ("\n\n", "\n")]
    {
        let mut command = callout(&["publish", "t", "-", "--url", &url(server.address())]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success());
        assert_eq!(browser.next().data, data, "{input:?}");
    }
}
