//! The command line: what it says, how it ends, and that it talks to a server.

use crate::support::{Browser, Program, Raw, publish, request, server, server_with};
use serde_json::{Value, json};
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::ffi::OsStrExt;
use std::process::{Child, ChildStdout, Command, Output, Stdio};

/// The program with these arguments and none of the variables of the tests. Its history is in memory.
pub(super) fn callout(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_callout"));
    let variables = std::env::vars().map(|(name, _)| name).filter(|name| name.starts_with("CALLOUT_"));
    variables.for_each(|name| _ = command.env_remove(name));
    command.args(args).stdin(Stdio::null()).env("CALLOUT_DATA", "memory");
    command
}

pub(super) fn output(args: &[&str]) -> Output {
    callout(args).output().expect("it starts")
}

pub(super) fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("UTF-8")
}

/// Checks that the program failed with this code and one line. Gives the line.
pub(super) fn complaint(output: &Output, code: i32) -> String {
    let line = text(&output.stderr).to_owned();
    assert_eq!(output.status.code(), Some(code), "{line}");
    assert_eq!(line.lines().count(), 1, "one line: {line}");
    assert!(line.starts_with("callout: ") && line.ends_with('\n'), "{line}");
    assert!(output.stdout.is_empty(), "{}", text(&output.stdout));
    line
}

pub(super) fn url(at: SocketAddr) -> String {
    format!("http://{at}")
}

#[test]
fn help_lists_commands_and_flags_and_exits_with_0() {
    for (args, words) in [
        (&["--help"][..], &["callout serve", "callout publish", "callout listen", "--publish-token"][..]),
        (&["help"], &["callout serve", "callout publish", "callout listen", "CALLOUT_"]),
        (&["-h"], &["Commands"]),
        (
            &["serve", "--help"],
            &["--listen ", "--grace", "--cors", "--log", "5s", "127.0.0.1:8080", "CALLOUT_"],
        ),
        (
            &["publish", "--help"],
            &["TOPIC [DATA]", "standard input if it is `-`", "--event", "--id", "--publish-token", "--url"],
        ),
        (&["listen", "--help"], &["--json", "--count", "--url"]),
    ] {
        let output = output(args);
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""), "{args:?}");
        let help = text(&output.stdout);
        words.iter().for_each(|word| assert!(help.contains(word), "{args:?} without {word}: {help}"));
        help.lines().for_each(|line| assert!(line.chars().count() <= 120, "too long: {line}"));
    }
}

#[test]
fn the_version_is_that_of_the_package() {
    for flag in ["--version", "-V"] {
        let output = output(&[flag]);
        assert_eq!(text(&output.stdout), format!("callout {}\n", env!("CARGO_PKG_VERSION")));
        assert_eq!(output.status.code(), Some(0));
    }
}

#[test]
fn a_mistake_in_the_call_is_one_clear_line_and_code_2() {
    for (args, word) in [
        (&["dance"][..], "dance"),
        (&["serve", "--colour", "red"], "--colour"),
        (&["--colour"], "--colour"),
        (&["serve", "-x"], "-x"),
        (&["serve", "extra"], "extra"),
        (&["serve", "--listen"], "listen"),
        (&["serve", "--listen", "nowhere:at:all"], "--listen"),
        (&["serve", "--listener", "nginx"], "tiny_http"),
        (&["serve", "--heartbeat", "0s"], "--heartbeat"),
        (&["serve", "--heartbeat", "1ns"], "10ms"),
        (&["serve", "--heartbeat", "18446744073709551615"], "an hour"),
        (&["serve", "--grace", "soon"], "soon"),
        (&["serve", "--grace", "18446744073709551615"], "a day"),
        (&["serve", "--data", "--log", "debug"], "--data needs a value"),
        (&["serve", "--publish-token", ""], "visible ASCII"),
        (&["serve", "--publish-token", "sec ret"], "visible ASCII"),
        (&["serve", "--publish-token", "sëcret"], "visible ASCII"),
        (&["serve", "--ephemeral", "$*"], "callout's own"),
        (&["serve", "--trusted-proxy", "proxy.lan"], "10.0.0.0/8"),
        (&["serve", "--trusted-proxy", "10.0.0.1,172.16.5.4/12"], "172.16.0.0/12"),
        (&["serve", "--pages", "chat,blog"], "`blog` is no page"),
        (&["serve", "--log", "loud"], "debug"),
        (&["serve", "--keep-events", "-1"], "keep-events"),
        (&["serve", "--keep-bytes", "12 apples"], "12 apples"),
        (&["serve", "--keep-reserve", "few"], "few"),
        (&["serve", "--keep", "news"], "1000 1MB 1h"),
        (&["serve", "--keep", "news=12 apples"], "12 apples"),
        (&["serve", "--keep", "news=1 2"], "twice"),
        (&["serve", "--keep", "$*=1"], "wildcard"),
        (&["serve", "--streams", "many"], "--streams"),
        (&["serve", "--cors", "example.org"], "https://example.org"),
        (&["serve", "--www", "/no/such/folder"], "/no/such/folder"),
        (&["publish"], "topic"),
        (&["publish", "", "x"], "topic"),
        (&["publish", "t", "-5"], "`--`"),
        (&["publish", "t", "two", "words"], "DATA"),
        (&["publish", "t", "x", "--url", "ftp://x"], "--url"),
        (&["publish", "t", "x", "--json"], "--json"),
        (&["listen"], "topic"),
        (&["listen", "t", "--event", "x"], "--event"),
    ] {
        let line = complaint(&output(args), 2);
        assert!(line.contains(word), "{args:?} without {word}: {line}");
    }
    let output = callout(&["serve"]).env("CALLOUT_GRACE", "soon").output().unwrap();
    assert!(complaint(&output, 2).contains("soon"));
    // An empty token would leave the server open.
    for token in ["".as_ref(), OsStr::from_bytes(b"\xffsecret")] {
        let output = callout(&["serve"]).env("CALLOUT_PUBLISH_TOKEN", token).output().unwrap();
        assert!(complaint(&output, 2).to_lowercase().replace('_', "-").contains("publish-token"));
    }
}

#[test]
fn a_port_that_is_taken_is_one_clear_line_and_code_1() {
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap();
    for kind in ["direct", "tiny_http"] {
        let line = complaint(&output(&["serve", "--listen", &taken.to_string(), "--listener", kind]), 1);
        assert!(line.contains(&taken.to_string()), "{line}");
    }
}

#[test]
fn flags_win_over_variables() {
    let token = |publish_token: &[&str]| {
        let mut command = callout(&["serve", "--log", "error"]);
        command.args(publish_token);
        command.env("CALLOUT_LISTEN", "127.0.0.1:0").env("CALLOUT_PUBLISH_TOKEN", "from-the-variable");
        command.env("CALLOUT_LOG", "loud");
        Program::start(command)
    };
    for (program, right, wrong) in [
        (token(&[]), "from-the-variable", "from-the-flag"),
        (token(&["--publish-token", "from-the-flag"]), "from-the-flag", "from-the-variable"),
    ] {
        for (token, status) in [(right, 200), (wrong, 401)] {
            let head = format!("POST /topics/t HTTP/1.1\r\nAuthorization: Bearer {token}");
            assert_eq!(request(program.address, &head, "x").status, status, "{token}");
        }
    }
}

#[test]
fn publish_sends_its_argument_or_standard_input_and_prints_the_id() {
    let server = server_with(|config| config.publish_token = Some("sesame".into()));
    let mut listener = Browser::open(server.address(), "/topics?topic=rooms%2F42&topic=a+b%3F%26%23%25");
    let url = url(server.address());
    let publish = |args: &[&str], input: &str| {
        let mut command = callout(&["publish"]);
        command.args(args).env("CALLOUT_URL", &url).env("CALLOUT_PUBLISH_TOKEN", "sesame");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        // With an argument the program does not read its standard input.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
        text(&output.stdout).strip_suffix('\n').expect("a line").to_owned()
    };
    for (args, input, event, data) in [
        (&["rooms/42", "hello there"][..], "not this", "message", "hello there"),
        (&["rooms/42"], "from\nstandard input\n", "message", "from\nstandard input"),
        (&["rooms/42", "-", "--event", "news & more"], "é\r\n\r\nb", "news & more", "é\n\nb"),
        (&["a b?&#%", ""], "not this", "message", ""),
        (&["--event=x", "rooms/42", "--", "--data"], "", "x", "--data"),
    ] {
        let id = publish(args, input);
        let seen = listener.next();
        assert_eq!((seen.id, seen.event.as_str(), seen.data.as_str()), (id, event, data), "{args:?}");
    }
    assert_eq!(publish(&["rooms/42", "x", "--id", "mine-1"], ""), "mine-1");
    assert_eq!(listener.next().id, "mine-1");
}

#[test]
fn a_refusal_and_a_missing_server_are_one_line_and_code_1() {
    let nobody = url(TcpListener::bind("127.0.0.71:0").unwrap().local_addr().unwrap());
    let line = complaint(&output(&["publish", "t", "x", "--url", &nobody]), 1);
    assert!(line.contains(&nobody), "{line}");

    let server = server_with(|config| config.publish_token = Some("sesame".into()));
    let url = url(server.address());
    for token in [&[][..], &["--publish-token", "wrong"]] {
        let line = complaint(&output(&[&["publish", "t", "x", "--url", &url], token].concat()), 1);
        assert!(line.contains("401") && line.contains("token"), "{line}");
    }
    let right = ["publish", "t", "x", "--url", &url, "--publish-token", "sesame", "--event", "error"];
    assert!(complaint(&output(&right), 1).contains("400"));
    assert!(complaint(&output(&["listen", "$chat", "--url", &url]), 1).contains("400"));
}

/// `callout listen`, ended when the test is over.
pub(super) struct Listening {
    pub(super) child: Child,
    pub(super) lines: BufReader<ChildStdout>,
}

impl Listening {
    pub(super) fn start(args: &[&str], url: &str) -> Listening {
        let mut command = callout(&["listen", "--url", url]);
        command.args(args).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("it starts");
        let lines = BufReader::new(child.stdout.take().expect("it is piped"));
        Listening { child, lines }
    }

    pub(super) fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("a line");
        line.trim_end_matches('\n').to_owned()
    }

    fn json(&mut self) -> Value {
        serde_json::from_str(&self.line()).expect("an object a line")
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn listen_prints_events_as_they_come() {
    let server = server();
    let at = server.address();
    publish(at, "/topics/a", "before");
    let since = ["a", "rooms/42", "--since", "earliest"];
    let mut plain = Listening::start(&since, &url(at));
    let mut json = Listening::start(&[&since[..], &["--json"]].concat(), &url(at));
    assert_eq!((plain.line().as_str(), &json.json()["data"]), ("before", &json!("before")));
    let first = publish(at, "/topics/rooms/42", "hello");
    assert_eq!(plain.line(), "hello");
    assert_eq!(json.json(), json!({ "id": first, "event": "message", "topic": "rooms/42", "data": "hello" }));
    publish(at, "/topics/other", "not for them");
    publish(at, "/topics/a?event=news&id=mine", "two\nlines");
    assert_eq!((plain.line().as_str(), plain.line().as_str()), ("news: two", "lines"));
    assert_eq!(json.json(), json!({ "id": "mine", "event": "news", "topic": "a", "data": "two\nlines" }));
}

#[test]
fn listen_takes_prefixes_and_says_by_which_topic_each_event_came() {
    let server = server();
    let at = server.address();
    let mut listening = Listening::start(&["rooms/*", "news", "--json", "--since", "earliest"], &url(at));
    for (topic, data) in [("rooms/1", "one"), ("other", "no"), ("news", "two"), ("rooms/2/x", "three")] {
        publish(at, &format!("/topics/{topic}"), data);
    }
    for (topic, data) in [("rooms/1", "one"), ("news", "two"), ("rooms/2/x", "three")] {
        let event = listening.json();
        assert_eq!((event["topic"].as_str(), event["data"].as_str()), (Some(topic), Some(data)));
    }
    let refused = complaint(&output(&["listen", "$*", "--url", &url(at)]), 1);
    assert!(refused.contains("400") && refused.contains('$'), "{refused}");
}

#[test]
fn listen_comes_back_when_the_server_was_killed_and_started_again() {
    // An address of its own, so that no other test's connection takes the port in between.
    let server = Program::serve(&["--listen", "127.0.0.72:0"]);
    let at = server.address;
    let last = publish(at, "/topics/t", "before");
    let mut listening = Listening::start(&["t", "--json", "--since", "earliest"], &url(at));
    assert_eq!(listening.json()["data"], "before");
    drop(server); // This sends SIGKILL.
    let mut command = callout(&["serve"]);
    command.args(["--listen", &at.to_string()]);
    let server = Program::start(command);
    publish(server.address, "/topics/t", "after");
    // The history was in memory, so the command is told of a gap after its last id, and gets what is kept.
    let reset = listening.json();
    assert_eq!(reset["event"], "reset");
    let told: Value = serde_json::from_str(reset["data"].as_str().unwrap()).unwrap();
    assert_eq!(told["requested"], last);
    assert_eq!(listening.json()["data"], "after");
}

#[test]
fn listen_comes_back_with_the_id_of_the_last_event_that_was_complete() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let _listening = Listening::start(&["t"], &url(listener.local_addr().unwrap()));
    let accept = || {
        let mut raw = Raw::over(listener.accept().unwrap().0);
        (raw.head(), raw)
    };
    let (head, mut raw) = accept();
    assert!(head.starts_with("get /topics?topic=t http/1.1") && !head.contains("last-event-id"), "{head}");
    raw.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n");
    raw.send("retry: 100\nid: 1\ndata: whole\n\nid: 2\ndata: cut of");
    drop(raw);
    let (head, _raw) = accept();
    assert!(head.contains("last-event-id: 1\r\n"), "{head}");
}

#[test]
fn listen_waits_as_the_server_tells_it() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut listening = callout(&["listen", "t", "--url", &url(listener.local_addr().unwrap())]);
    let mut child = listening.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let stderr = BufReader::new(child.stderr.take().unwrap());
    let _listening = Listening { lines: BufReader::new(child.stdout.take().unwrap()), child };
    let mut said = stderr.lines().map(|line| line.unwrap());
    let opening = |heartbeat_secs: f32| {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
        format!("{head}:ok heartbeat={heartbeat_secs}\n\nretry: 100\n\n")
    };
    // The delay grows only with streams that could not be opened, not with those that broke.
    for _ in 0..4 {
        let mut raw = Raw::over(listener.accept().unwrap().0);
        raw.head();
        raw.send(opening(15.0));
        drop(raw);
        assert_eq!(said.next().unwrap(), "callout: the stream ended; coming back in 0.1s");
    }
    // Two and a half heartbeats without a byte.
    let mut raw = Raw::over(listener.accept().unwrap().0);
    raw.head();
    raw.send(opening(0.1));
    assert_eq!(said.next().unwrap(), "callout: the stream went silent; coming back in 0.1s");
}

#[test]
fn the_start_line_says_where_it_listens_and_a_warning_says_that_anybody_may_publish() {
    for (flags, warns) in [
        (&["--listen", "0.0.0.0:0"][..], true),
        (&["--listen", "0.0.0.0:0", "--publish-token", "sesame"], false),
        (&["--listen", "127.0.0.1:0"], false),
    ] {
        let mut command = callout(&["serve", "--log", "warn"]);
        command.args(flags).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).expect("a start line");
        let host = flags[1].trim_end_matches('0');
        let start = format!("callout {} listening on http://{host}", env!("CARGO_PKG_VERSION"));
        assert!(line.starts_with(&start), "{line}");
        let program = Program { child, address: ([127, 0, 0, 1], 0).into() };
        program.signal("TERM");
        let (code, log) = program.wait();
        assert_eq!(code, Some(0));
        assert_eq!(log.contains("--publish-token"), warns, "{flags:?}: {log}");
        let mut rest = String::new();
        stdout.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "", "the start line is the only one");
    }
}
