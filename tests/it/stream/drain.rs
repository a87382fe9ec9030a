//! The end of the process, and what must not be its end.

use crate::support::{Browser, PATIENCE, Program, Raw, get, narrow_socket, publish};
use std::collections::BTreeSet;
use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Exit codes of processes that a signal was the reason for, by the shell's convention.
const ENDED_BY_TERM: i32 = 128 + 15;

/// A request whose body is still on its way: `rest` completes it.
struct Unfinished {
    raw: Raw,
    rest: &'static str,
}

fn unfinished(program: &Program) -> Unfinished {
    let mut raw = Raw::connect(program.address);
    // The server's word that it has read the head and waits for the body.
    raw.send(
        "POST /topics/t HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
    );
    assert!(raw.head().starts_with("http/1.1 100"));
    raw.send("he");
    Unfinished { raw, rest: "llo" }
}

impl Unfinished {
    /// Nothing comes, and no end either: the request is still under way.
    fn check_that_it_is_waited_for(&self) {
        self.raw.socket().set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        let read = self.raw.socket().peek(&mut [0]);
        let waits = read.as_ref().is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
        assert!(waits, "a request that is under way was cut: {read:?}");
        self.raw.socket().set_read_timeout(Some(PATIENCE)).unwrap();
    }
}

/// Ends and gives the code, without reading what it wrote.
fn code(mut program: Program) -> Option<i32> {
    program.child.wait().expect("it ends").code()
}

#[test]
fn a_drain_tells_each_of_a_thousand_streams_when_to_come_back_and_ends_with_code_0() {
    let program = Program::serve(&["--log", "warn", "--grace", "20s"]);
    let mut browsers: Vec<Browser> =
        (0..1_000).map(|_| Browser::open(program.address, "/topics/t")).collect();
    publish(program.address, "/topics/t", "last");
    program.signal("TERM");
    let mut retries = BTreeSet::new();
    for browser in &mut browsers {
        browser.parser.retry_millis = None;
        let mut rest = Vec::new();
        browser.raw.reader.read_to_end(&mut rest).expect("a clean end, not a reset");
        let seen: Vec<_> = rest.iter().filter_map(|&byte| browser.parser.byte(byte)).collect();
        assert_eq!(seen.len(), 1, "what was published before is delivered before");
        let retry = browser.parser.retry_millis.expect("a time to come back");
        assert!((500..=60_000).contains(&retry), "{retry} ms");
        retries.insert(retry);
    }
    assert!(retries.len() > 500, "{} different times", retries.len());
    assert!(retries.last().unwrap() - retries.first().unwrap() > 2_000, "they are spread");
    // The log would say if some had still been there after the grace time.
    let (code, log) = program.wait();
    assert_eq!((code, log.as_str()), (Some(0), ""));
}

#[test]
fn an_interrupt_drains_too_and_idle_connections_do_not_hold_it_up() {
    let program = Program::serve(&["--grace", "30s"]);
    let began = Instant::now();
    let mut idle = Raw::connect(program.address);
    idle.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(idle.answer().status, 200);
    let _silent = Raw::connect(program.address);
    program.signal("INT");
    assert_eq!(code(program), Some(0));
    assert!(began.elapsed() < Duration::from_secs(15));
}

#[test]
fn a_drain_finishes_the_request_under_way_and_takes_no_new_connections() {
    let program = Program::serve(&["--grace", "30s"]);
    let mut stream = Browser::open(program.address, "/topics/other");
    let mut unfinished = unfinished(&program);
    program.signal("TERM");
    assert_eq!(stream.rest(), []);
    match TcpStream::connect(program.address) {
        Err(_) => {}
        Ok(socket) => {
            let mut late = Raw::over(socket);
            late.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
            assert!(late.is_closed(), "a new connection was served");
        }
    }
    unfinished.check_that_it_is_waited_for();
    unfinished.raw.send(unfinished.rest);
    assert_eq!(unfinished.raw.answer().status, 200);
    assert_eq!(code(program), Some(0));
}

#[test]
fn the_grace_time_is_the_longest_that_a_drain_takes() {
    let program = Program::serve(&["--grace", "300ms"]);
    let _unfinished = unfinished(&program);
    let began = Instant::now();
    program.signal("TERM");
    assert_eq!(code(program), Some(0));
    // The body's own deadline would come after ten seconds.
    assert!(began.elapsed() < Duration::from_secs(8));
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let program = Program::serve(&["--grace", "30s"]);
    let mut stream = Browser::open(program.address, "/topics/other");
    let unfinished = unfinished(&program);
    program.signal("TERM");
    // The first has been heard when the streams end.
    assert_eq!(stream.rest(), []);
    unfinished.check_that_it_is_waited_for();
    program.signal("TERM");
    assert_eq!(code(program), Some(ENDED_BY_TERM));
}

#[test]
fn signals_that_mean_nothing_here_harm_nothing() {
    let program = Program::serve(&[]);
    let mut stream = Browser::open(program.address, "/topics/t");
    for signal in ["HUP", "USR1", "USR2", "PIPE", "HUP"] {
        program.signal(signal);
        publish(program.address, "/topics/t", signal);
        assert_eq!(stream.next().data, signal);
    }
    program.signal("TERM");
    let (code, log) = program.wait();
    assert_eq!(code, Some(0), "{log}");
    assert!(!log.contains("panic"), "{log}");
}

/// Asks for so many things that the log is longer than a pipe and the log's queue hold.
fn fill_the_log(program: &Program) {
    let mut raw = Raw::connect(program.address);
    for _ in 0..120 {
        raw.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(100));
        (0..100).for_each(|_| assert_eq!(raw.answer().status, 200));
    }
}

#[test]
fn a_standard_error_that_nobody_reads_stops_nothing() {
    let program = Program::serve(&["--log", "info"]);
    let mut stream = Browser::open(program.address, "/topics/t");
    fill_the_log(&program);
    publish(program.address, "/topics/t", "still here");
    assert_eq!(stream.next().data, "still here");
    program.signal("TERM");
    assert_eq!(stream.rest(), []);
    assert_eq!(code(program), Some(0));
}

#[test]
fn a_closed_standard_error_stops_nothing() {
    // Closed from the beginning, and closed by whoever read it.
    let mut command = Command::new("sh");
    command.args(["-c", "exec \"$0\" serve --listen 127.0.0.1:0 2>&-", env!("CARGO_BIN_EXE_callout")]);
    let mut unread = Program::serve(&[]);
    unread.child.stderr = None;
    for program in [Program::start(command), unread] {
        let mut stream = Browser::open(program.address, "/topics/t");
        (0..50).for_each(|_| assert_eq!(get(program.address, "/healthz").status, 200));
        publish(program.address, "/topics/t", "still here");
        assert_eq!(stream.next().data, "still here");
        program.signal("TERM");
        assert_eq!(stream.rest(), []);
        assert_eq!(code(program), Some(0));
    }
}

#[test]
fn a_closed_standard_output_stops_nothing() {
    // No other test is on this address, so the port stays free.
    let at = std::net::TcpListener::bind("127.0.0.73:0").unwrap().local_addr().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_callout"));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    command.args(["serve", "--listen", &at.to_string(), "--data", "memory"]);
    command.stdout(writer).stderr(Stdio::piped());
    let program = Program { child: command.spawn().expect("it starts"), address: at };
    crate::support::until("it listens", || TcpStream::connect(at).is_ok());
    assert_eq!(get(at, "/healthz").status, 200);
    program.signal("TERM");
    assert_eq!(code(program), Some(0));
}

#[test]
fn a_stream_that_breaks_during_a_drain_does_not_count_as_drained() {
    let program = Program::serve(&["--log", "info", "--grace", "30s"]);
    let at = program.address;
    let slow = Browser::open_on(Raw::over(narrow_socket(at)), "/topics/slow", "");
    let mut other = Browser::open(at, "/topics/other");
    // More than both sockets take together, and less than the queue takes.
    (0..12).for_each(|_| _ = publish(at, "/topics/slow", "x".repeat(60_000)));
    program.signal("TERM");
    // The hub drains all streams at once, and the slow one still has something to read.
    assert_eq!((other.rest(), other.has_ended), (vec![], true));
    drop(slow);
    let (code, log) = program.wait();
    let end_of = |path: &str| {
        let line = log.lines().find(|line| line.contains(&format!(" GET {path} 200 ")));
        line.and_then(|line| line.rsplit(' ').next()).unwrap_or_else(|| panic!("{path}: {log}")).to_owned()
    };
    assert_eq!(
        (code, end_of("/topics/other"), end_of("/topics/slow")),
        (Some(0), "drained".into(), "hung-up".into())
    );
}
