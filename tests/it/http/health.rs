//! Is it alive, is it ready, and how long it stays: what supervisors and load balancers ask.

use crate::support::witness::AT_ONCE;
use crate::support::{Browser, Program, Raw, get, post, said, server, until};
use serde_json::json;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

#[test]
fn a_server_is_live_and_ready_until_it_is_about_to_stop() {
    let server = server();
    let at = server.address();
    for (path, status) in [("/healthz/live", "live"), ("/healthz/ready", "ready")] {
        let answer = get(at, path);
        assert_eq!((answer.status, answer.json()), (200, json!({ "status": status })));
    }
    server.announce_stop();
    let answer = get(at, "/healthz/ready");
    assert_eq!((answer.status, answer.header("retry-after").is_some()), (503, true));
    assert!(said(&answer).contains("draining"));
    assert_eq!((get(at, "/healthz/live").status, get(at, "/healthz").status), (200, 200));
    // Everything else goes on.
    let mut browser = Browser::open(at, "/topics/t");
    assert_eq!(post(at, "/topics/t", "still").status, 200);
    assert_eq!(browser.next().data, "still");
}

#[test]
fn a_drain_that_is_delayed_is_announced_first_and_a_second_signal_ends_it() {
    for is_hurried in [false, true] {
        let delay = if is_hurried { "1h" } else { "500ms" };
        let program = Program::serve(&["--drain-delay", delay]);
        let mut open = Raw::connect(program.address);
        let mut browser = Browser::open(program.address, "/topics/t");
        program.signal("TERM");
        until("it says that it is not ready", || get(program.address, "/healthz/ready").status == 503);
        open.send("GET /healthz/live HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert_eq!(open.answer().status, 200);
        if is_hurried {
            program.signal("TERM");
            assert_eq!(program.wait().0, Some(128 + 15));
            continue;
        }
        assert_eq!(post(program.address, "/topics/t", "accepted").status, 200);
        assert_eq!(browser.next().data, "accepted");
        assert!(browser.rest().is_empty() && browser.has_ended);
        let (code, log) = program.wait();
        assert_eq!(code, Some(0), "{log}");
    }
}

#[test]
fn an_idle_connection_stays_for_the_time_of_its_flag() {
    let program = Program::serve(&["--idle", "1s"]);
    let mut raw = Raw::connect(program.address);
    raw.send("GET /healthz/live HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(raw.answer().status, 200);
    raw.socket().set_read_timeout(Some(AT_ONCE)).unwrap();
    assert_eq!(raw.everything(), "", "it is closed");
    for wrong in ["0s", "500ms", "2days", "soon"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_callout"));
        let output = command.args(["serve", "--listen", "127.0.0.1:0", "--idle", wrong]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{wrong}");
    }
}

#[test]
fn a_file_that_may_not_grow_refuses_publishing_and_ends_nothing() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("filesize-{}", std::process::id()));
    let mut command = Command::new("bash");
    // In units of 1,024 bytes.
    command.args(["-c", r#"ulimit -f 3072; exec "$0" "$@""#, env!("CARGO_BIN_EXE_callout"), "serve"]);
    command.args(["--listen", "127.0.0.1:0", "--ephemeral", "now", "--data", folder.to_str().unwrap()]);
    let program = Program::start(command);
    let mut browser = Browser::open(program.address, "/topics?topic=t&topic=now");
    let mut acknowledged = 0;
    let refusal = loop {
        let answer = post(program.address, "/topics/t", "x".repeat(30_000));
        if answer.status != 200 {
            break answer;
        }
        browser.next();
        acknowledged += 1;
        assert!(acknowledged < 300, "the file may grow");
    };
    let reason = said(&refusal);
    assert!(refusal.status == 503 && reason.contains("File too large"), "{reason}");
    let ready = get(program.address, "/healthz/ready");
    assert!(ready.status == 503 && said(&ready).contains("File too large"), "{ready:?}");
    assert_eq!(get(program.address, "/healthz/live").status, 200);
    assert_eq!(post(program.address, "/topics/now", "streams go on").status, 200);
    browser.raw.socket().set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    assert_eq!(browser.next().data, "streams go on");
    program.signal("TERM");
    let (code, log) = program.wait();
    assert!(code == Some(0) && log.contains("File too large"), "{log}");
    fs::remove_dir_all(folder).unwrap();
}
