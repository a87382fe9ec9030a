//! What `callout listen` takes from a server, and when it ends or comes back.

use super::commands::{Listening, callout, complaint, url};
use crate::support::{Raw, publish, server};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::Stdio;

const OPENING: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n:ok\n\n";

/// `callout listen` before a server that gives each connection one of these answers and hangs up; what it says after
/// each.
fn says_to(answers: &[&str]) -> Vec<String> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut command = callout(&["listen", "t", "--url", &url(listener.local_addr().unwrap())]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let listening = Listening { lines: BufReader::new(child.stdout.take().unwrap()), child };
    let mut said = Vec::new();
    for answer in answers {
        let mut raw = Raw::over(listener.accept().unwrap().0);
        raw.head();
        raw.send(answer);
        drop(raw);
        let mut line = String::new();
        stderr.read_line(&mut line).unwrap();
        said.push(line);
    }
    drop(listening);
    said
}

#[test]
fn a_server_that_says_not_now_is_asked_again_at_the_time_that_it_names() {
    let refused = |status: &str, retry_after: &str| {
        format!("HTTP/1.1 {status}\r\nRetry-After: {retry_after}\r\nContent-Length: 0\r\n\r\n")
    };
    let past = "Sun, 06 Nov 1994 08:49:37 GMT";
    for (status, retry_after, wait) in [
        ("429 Too Many Requests", "3", "3.0s"),
        ("503 Service Unavailable", "7", "7.0s"),
        ("408 Request Timeout", "0", "0.1s"),
        ("425 Too Early", "18446744073709551615", "600.0s"),
        ("425 Too Early", past, "2.0s"),
        ("429 Too Many Requests", "soon", "2.0s"),
    ] {
        let said = says_to(&[&refused(status, retry_after)]);
        assert!(said[0].contains(status), "{said:?}");
        assert!(said[0].ends_with(&format!("coming back in {wait}\n")), "{retry_after}: {said:?}");
    }
    // The command does come back.
    assert_eq!(says_to(&[refused("429 Too Many Requests", "0").as_str(); 3]).len(), 3);
}

#[test]
fn a_retry_delay_is_held_to_the_bounds_that_publishers_have() {
    for (retry, wait) in [("0", "0.1s"), ("18446744073709551615", "600.0s")] {
        let said = says_to(&[&format!("{OPENING}retry: {retry}\n\n")]);
        assert_eq!(said, [format!("callout: the stream ended; coming back in {wait}\n")]);
    }
}

#[test]
fn an_answer_that_is_no_stream_of_events_is_a_failure() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = url(listener.local_addr().unwrap());
    let mut command = callout(&["listen", "t", "--url", &url]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut raw = Raw::over(listener.accept().unwrap().0);
    raw.head();
    raw.send("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<p>Please log in.");
    let line = complaint(&child.wait_with_output().unwrap(), 1);
    assert!(line.contains("does not answer like a callout"), "{line}");
}

#[test]
fn a_line_without_an_end_is_given_up_before_it_takes_the_memory() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut command = callout(&["listen", "t", "--url", &url(listener.local_addr().unwrap())]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut raw = Raw::over(listener.accept().unwrap().0);
    raw.head();
    raw.send(format!("{OPENING}data: "));
    let mut socket = raw.socket();
    let mut sent_mb = 0;
    while socket.write_all(&[b'x'; 1024 * 1024]).is_ok() {
        sent_mb += 1;
        assert!(sent_mb < 100, "it goes on reading");
    }
    let line = complaint(&child.wait_with_output().unwrap(), 1);
    assert!(line.contains("more than 32 MB"), "{line}");
}

#[test]
fn an_event_of_many_short_lines_is_printed_whole() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = url(listener.local_addr().unwrap());
    let mut listening = Listening::start(&["t", "--count", "1"], &url);
    let mut raw = Raw::over(listener.accept().unwrap().0);
    raw.head();
    let lines = 300_000;
    raw.send(format!("{OPENING}{}\n", "data: x\n".repeat(lines)));
    let mut printed = String::new();
    listening.lines.read_to_string(&mut printed).unwrap();
    assert_eq!(printed, "x\n".repeat(lines));
}

#[test]
fn listen_ends_after_as_many_events_as_it_was_asked_for() {
    let server = server();
    for data in ["one", "two", "three"] {
        publish(server.address(), "/topics/t", data);
    }
    let options = ["t", "--since", "earliest", "--count", "2"];
    let mut listening = Listening::start(&options, &url(server.address()));
    let mut printed = String::new();
    listening.lines.read_to_string(&mut printed).unwrap();
    assert_eq!(printed, "one\ntwo\n");
    assert_eq!(listening.child.wait().unwrap().code(), Some(0));
}
