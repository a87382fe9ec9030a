//! Too little of something: places for streams, connections, descriptors, threads. Who is there stays,
//! who comes is told or waits, and it ends by itself.

use crate::support::strace::{attach_strace, has_strace, under_strace};
use crate::support::witness::{AT_ONCE, Witness, streams};
use crate::support::{Browser, Program, Raw, get, publish, request, said, server_with, until};
use std::io::{BufRead, BufReader};
use std::process::Command;
use std::time::{Duration, SystemTime};

#[test]
fn past_the_limit_of_streams_an_eventsource_is_told_to_come_back_late() {
    let program = Program::serve(&["--streams", "3"]);
    let mut witness = Witness::of_program(&program);
    let (first, mut second) =
        (Browser::open(program.address, "/topics/a"), Browser::open(program.address, "/sse?user=ann"));
    for path in ["/topics/a", "/topics?topic=a", "/sse?user=eve"] {
        for accept in ["text/event-stream", "text/html, text/event-stream", "Text/Event-Stream"] {
            let head = format!("GET {path} HTTP/1.1\r\nAccept: {accept}");
            let answer = request(program.address, &head, "");
            let body = String::from_utf8(answer.body.clone()).unwrap();
            assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/event-stream")));
            let retry = body.strip_prefix("event: drain\nretry: ").and_then(|rest| rest.strip_suffix("\n\n"));
            let retry_millis: u64 = retry.and_then(|digits| digits.parse().ok()).expect("a retry alone");
            assert!((30_000..=60_000).contains(&retry_millis), "{body}");
        }
        for accept in ["", "\r\nAccept: */*", "\r\nAccept: text/html"] {
            let answer = request(program.address, &format!("GET {path} HTTP/1.1{accept}"), "");
            assert_eq!(answer.status, 503, "{answer:?}");
            let seconds: u64 = answer.header("retry-after").expect("when to come back").parse().unwrap();
            assert!(seconds > 0 && !said(&answer).is_empty());
        }
    }
    // Eve never came in.
    assert_eq!(second.next_named("presence").json()["users"].to_string(), r#"["ann"]"#);
    assert_eq!(streams(program.address), 3);
    drop((first, second));
    until("the places are free", || streams(program.address) == 1);
    witness.assert_calm();
}

#[test]
fn a_connection_past_the_limit_waits_for_those_that_are_busy_and_is_served_when_one_ends() {
    let server = server_with(|config| (config.limits.connections_max, config.streams_max) = (10, 10));
    let mut witness = Witness::of_server(&server);
    let mut streams: Vec<Browser> = (0..9).map(|_| Browser::open(server.address(), "/topics/a")).collect();
    let mut waiting = Raw::connect(server.address());
    waiting.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    waiting.socket().set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    assert!(waiting.reader.fill_buf().is_err(), "served past the limit");
    streams.pop();
    waiting.socket().set_read_timeout(Some(AT_ONCE)).unwrap();
    assert_eq!(waiting.answer().status, 200);
    drop((streams, waiting));
    witness.assert_calm();
}

#[test]
fn out_of_descriptors_streams_live_on_and_accepting_goes_on_when_some_are_free() {
    let mut command = Command::new("bash");
    // Descriptors that are taken by something else, so that the server's own limit cannot see it coming.
    let script = r#"ulimit -n 64; for n in {10..45}; do eval "exec $n</dev/null"; done; exec "$0" "$@""#;
    command.args(["-c", script, env!("CARGO_BIN_EXE_callout"), "serve"]);
    command.args(["--listen", "127.0.0.1:0", "--log", "warn"]);
    let mut program = Program::start(command);
    let mut log = BufReader::new(program.child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let mut publisher = Raw::connect(program.address);
    publisher.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(publisher.answer().status, 200);
    let mut witness = Witness::of_program(&program);

    let flood: Vec<Raw> = (0..30).map(|_| Raw::connect(program.address)).collect();
    let mut next = || logged_at(&log.find(|line| line.contains("accept")).expect("a line about it"));
    let times = [next(), next()];
    for data in ["still", "here"] {
        let length = data.len();
        let head = format!("POST /topics/witness HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}");
        publisher.send(format!("{head}\r\n\r\n{data}"));
        assert_eq!((publisher.answer().status, witness.next_data()), (200, data.into()));
    }
    assert!(is_a_second_later(times[0], times[1]), "{times:?}");
    drop(flood);
    witness.assert_calm();
}

#[test]
fn within_its_own_limit_of_descriptors_the_server_never_runs_out() {
    let mut command = Command::new("bash");
    command.args(["-c", r#"ulimit -n 64; exec "$0" "$@""#, env!("CARGO_BIN_EXE_callout"), "serve"]);
    command.args(["--listen", "127.0.0.1:0", "--log", "warn"]);
    let program = Program::start(command);
    let mut witness = Witness::of_program(&program);
    let mut browsers = Vec::new();
    let refusal = loop {
        let mut raw = Raw::connect(program.address);
        raw.send("GET /topics/a HTTP/1.1\r\nHost: localhost\r\n\r\n");
        match raw.answer() {
            answer if answer.status == 200 => browsers.push(raw),
            answer => break answer,
        }
        assert!(browsers.len() < 64, "more streams than descriptors");
    };
    assert!(refusal.status == 503 && browsers.len() > 20, "{} {refusal:?}", browsers.len());
    assert_eq!(get(program.address, "/healthz").status, 200, "short requests have places of their own");
    drop(browsers);
    until("the places are free", || streams(program.address) == 1);
    witness.assert_calm();
    program.signal("TERM");
    let (code, log) = program.wait();
    assert_eq!((code, log.contains("accept")), (Some(0), false), "{log}");
}

#[test]
fn accepting_goes_on_after_any_error() {
    if !has_strace() {
        return;
    }
    for (error, when) in [
        ("EMFILE", "2..4"),
        ("ENOMEM", "2..4"),
        ("ECONNABORTED", "2..200"),
        ("EPROTO", "2..4"),
        ("ENETDOWN", "2..4"),
        ("EINTR", "2..200"),
    ] {
        let inject = format!("inject=accept4:error={error}:when={when}");
        let program = under_strace(&["-o", "/dev/null", "-e", "trace=accept4", "-e", &inject], &[]);
        let mut witness = Witness::of_program(&program);
        witness.assert_calm();
        assert_eq!(get(program.address, "/healthz").status, 200, "{error}");
        let log = ended(program);
        let times: Vec<SystemTime> =
            log.lines().filter(|line| line.contains("accept")).map(logged_at).collect();
        assert!(times.windows(2).all(|pair| is_a_second_later(pair[0], pair[1])), "{error}: {log}");
    }
}

#[test]
fn where_the_system_has_no_thread_left_those_that_there_are_serve_everybody() {
    if !has_strace() {
        return;
    }
    let program = Program::serve(&[]);
    if !attach_strace(&program, &["-e", "trace=clone,clone3", "-e", "inject=clone,clone3:error=EAGAIN"]) {
        return;
    }
    let streams: Vec<Browser> = (0..50).map(|_| Browser::open(program.address, "/topics/t")).collect();
    publish(program.address, "/topics/t", "to all");
    streams.into_iter().for_each(|mut stream| assert_eq!(stream.next().data, "to all"));
    Witness::of_program(&program).assert_calm();
    let log = ended(program);
    let told: Vec<&str> = log.lines().filter(|line| line.contains("no thread left")).collect();
    assert!((1..=2).contains(&told.len()), "{log}");
}

/// When a line of the log was written.
fn logged_at(line: &str) -> SystemTime {
    humantime::parse_rfc3339(line.split(' ').next().unwrap()).expect("a time")
}

/// Of what cannot be accepted there is one line a second at most.
fn is_a_second_later(before: SystemTime, time: SystemTime) -> bool {
    time.duration_since(before).is_ok_and(|pause| pause > Duration::from_millis(990))
}

/// Ends a program that behaves, and gives its log.
fn ended(program: Program) -> String {
    program.signal("TERM");
    let (code, log) = program.wait();
    assert_eq!(code, Some(0), "{log}");
    log
}
