//! The programs under `examples/` do what the documents say of them.

use crate::support::{Browser, get, post, request, until};
use std::collections::BTreeSet;
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
fn the_history_numbers_keeps_replays_and_retracts() {
    let example = Example::start("history", &["127.0.0.1:0"]);
    let at = example.address;
    let publish = |target: &str, data: &str| {
        let answer = post(at, target, data);
        (answer.status, answer.json()["id"].as_str().unwrap_or_default().to_owned())
    };
    // More than a part of a replay.
    let ids: Vec<String> = (0..300).map(|number| publish("/topics/t", &number.to_string()).1).collect();
    assert!(ids.is_sorted() && ids.iter().collect::<BTreeSet<_>>().len() == ids.len());
    let mut browser = Browser::open(at, "/topics/t?last_event_id=earliest");
    (0..300).for_each(|number| assert_eq!(browser.next().data, number.to_string()));
    let mut browser = Browser::resume(at, "/topics/t", &ids[297]);
    assert_eq!((browser.next().data, browser.next().data), ("298".into(), "299".into()));
    assert_eq!(Browser::open(at, "/topics/t?last=1").next().data, "299");

    let both = "/topics?topic=t&topic=u&id=mine";
    assert_eq!(publish(both, "two topics"), (200, "mine".into()));
    assert_eq!(post(at, both, "two topics").json()["duplicate"], true);
    assert_eq!(publish(both, "another").0, 409);
    assert_eq!(browser.next().data, "two topics");

    assert_eq!(request(at, "DELETE /topics/t?id=mine HTTP/1.1", "").json()["retracted"], 1);
    assert_eq!(browser.next().data, r#"{"topic":"t","id":"mine"}"#);
    assert_eq!(request(at, "DELETE /topics/t?id=mine HTTP/1.1", "").status, 404);
    assert_eq!(request(at, "DELETE /topics/t HTTP/1.1", "").json()["retracted"], 300);
    assert_eq!(browser.next().data, r#"{"topic":"t","id":null}"#);
    let kept = |topic: &str| get(at, &format!("/history/{topic}")).json()["events"].as_array().unwrap().len();
    // The event that tells `u` stays, and on `t` the one that tells of all.
    assert_eq!((kept("t"), kept("u")), (1, 1));
    let nothing_left = request(at, "DELETE /topics/t HTTP/1.1", "").json();
    assert_eq!(nothing_left, serde_json::json!({ "retracted": 0, "id": null }));
    // A browser that saw a retracted event goes on from it.
    assert_eq!(Browser::resume(at, "/topics/t", &ids[299]).next().event, "retract");

    // The oldest are let go, and a browser that comes back for them is told.
    (0..1_000).for_each(|number| _ = publish("/topics/t", &number.to_string()));
    let mut browser = Browser::resume(at, "/topics/t", &ids[0]);
    assert_eq!((browser.next().event, browser.next().data), ("reset".into(), "0".into()));
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
