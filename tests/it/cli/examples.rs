//! The programs under `examples/` do what the documents say of them.

use crate::support::{Browser, get, post, until};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// An example that runs. It is killed when the test is over.
struct Example {
    child: Child,
    address: SocketAddr,
}

impl Example {
    /// Builds and starts the example, which prints where it listens.
    fn start(name: &str, arguments: &[&str]) -> Example {
        let cargo = std::env::var_os("CARGO").expect("cargo runs the tests");
        let built = Command::new(cargo).args(["build", "--quiet", "--example", name]).status();
        assert!(built.expect("cargo runs").success());
        // Beside this test: target/debug/deps/it-…
        let test = std::env::current_exe().expect("it has a path");
        let path: PathBuf =
            test.ancestors().nth(2).expect("a profile's directory").join("examples").join(name);
        let mut child =
            Command::new(path).args(arguments).stdout(Stdio::piped()).spawn().expect("it was built");
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().expect("it is piped")).read_line(&mut line).expect("a line");
        let address = line.split("http://").nth(1).and_then(|rest| rest.split('/').next()?.parse().ok());
        Example { child, address: address.unwrap_or_else(|| panic!("no address: {line:?}")) }
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        // The example may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_program_publishes_from_within() {
    let example = Example::start("embedded", &[]);
    let mut browser = Browser::open(example.address, "/topics/progress?last_event_id=earliest");
    for step in 1..=3 {
        assert_eq!(browser.next().data, format!("step {step} of 100"));
    }
}

#[test]
fn the_poll_streams_and_takes_votes() {
    let example = Example::start("poll", &["127.0.0.1:0"]);
    let at = example.address;
    let mut browser = Browser::open(at, "/poll");
    assert_eq!(browser.next().data, r#"{"coffee":0,"tea":0,"water":0}"#);
    // A vote that is cast while the stream opens is in the snapshot, and is not sent as well.
    let mut votes = 0;
    until("a vote reaches it", || {
        votes += 1;
        post(at, "/poll", r#""tea""#).json()["reached"] == 1
    });
    let wanted = format!(r#"{{"coffee":0,"tea":{votes},"water":0}}"#);
    let mut seen = browser.next_named("votes");
    while seen.data != wanted {
        seen = browser.next_named("votes");
    }
    for body in ["", "tea", r#""gin""#, "7"] {
        assert_eq!(post(at, "/poll", body).status, 400, "{body}");
    }
    for (path, kind) in [("/poll.html", "text/html"), ("/poll.js", "text/javascript"), ("/", "text/html")] {
        let answer = get(at, path);
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.header("content-type").unwrap().starts_with(kind), "{path}: {answer:?}");
    }
    assert_eq!(get(at, "/topics/$poll").status, 400);
}

#[test]
fn the_counters_routes_share_state() {
    let example = Example::start("counter", &["127.0.0.1:0"]);
    let mut browser = Browser::open(example.address, "/count");
    for count in 1..=3 {
        assert_eq!(post(example.address, "/count", "").json(), count);
        assert_eq!(browser.next().data, count.to_string());
    }
    assert_eq!(Browser::open(example.address, "/count").next().data, "3");
    // callout's own pages are off.
    assert_eq!(get(example.address, "/sse?user=ann").status, 404);
}
