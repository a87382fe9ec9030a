//! The clock is moved: ids go on growing and none is used twice, and no time is so strange that it ends a request.

use super::seeing::history;
use super::{Folder, callout};
use crate::support::{Browser, Program, get, post, publish, until};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Events between two starts.
const EVENTS: usize = 20;

/// The library that moves the clock of a program. Where CI runs everything its absence is a failure.
fn library() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").into_iter().flatten().flatten().map(|entry| entry.path());
    let mut candidates = folders.map(|folder| folder.join("faketime/libfaketimeMT.so.1"));
    let library = candidates.find(|library| library.exists());
    assert!(library.is_some() || std::env::var("CI").as_deref() != Ok("true"), "faketime is not installed");
    if library.is_none() {
        println!("skipped: faketime is not installed");
    }
    library
}

/// `callout serve` on this folder, with its clock moved by this offset.
fn serve_at(folder: &Folder, library: &Path, offset: &str) -> Program {
    let mut command =
        callout(&["serve", "--listen", "127.0.0.1:0", "--data", folder.text(), "--log", "warn"]);
    // The monotonic clock goes on as it is, as when an operator sets the time.
    command.env("LD_PRELOAD", library).env("FAKETIME", offset).env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    Program::start(command)
}

#[test]
fn ids_go_on_growing_whatever_the_clock_does_between_two_starts() {
    let Some(library) = library() else { return };
    let folder = Folder::new();
    let mut ids = Vec::new();
    for offset in ["+0", "-30d", "+2d", "-3h", "-1d", "+1d"] {
        let program = serve_at(&folder, &library, offset);
        let last = ids.last().cloned();
        for number in 0..EVENTS {
            let data = format!("{offset} {number}");
            ids.push(publish(program.address, "/topics/t", data));
        }
        if let Some(last) = last {
            let mut browser = Browser::resume(program.address, "/topics/t", &last);
            let came: Vec<String> = (0..EVENTS).map(|_| browser.next().id).collect();
            assert_eq!(came, ids[ids.len() - EVENTS..], "{offset}");
        }
        program.signal("KILL");
        program.wait();
    }
    assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
    // Each event bears the time of that clock, which shows that the clock was really moved.
    let events = history(&["t", "--directory", folder.text()]);
    let at = |index: usize| {
        let at = events[index * EVENTS]["at"].as_str().expect("a time");
        humantime::parse_rfc3339(at).expect("RFC 3339")
    };
    assert_eq!(events.len(), ids.len());
    assert!(at(1) + 29 * DAY < at(0) && at(0) + DAY < at(2), "{:?}", [at(0), at(1), at(2)]);
}

/// A server whose clock is set while it runs, by what a file says.
fn serve_by(folder: &Folder, library: &Path, clock: &Path, flags: &[&str]) -> Program {
    let mut command =
        callout(&["serve", "--listen", "127.0.0.1:0", "--data", folder.text(), "--log", "warn"]);
    command.args(flags).env("LD_PRELOAD", library).env("FAKETIME_TIMESTAMP_FILE", clock);
    command.env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    Program::start(command)
}

#[test]
fn an_events_age_is_the_time_that_has_passed_whatever_the_clock_is_set_to() {
    let Some(library) = library() else { return };
    let (folder, files) = (Folder::new(), Folder::new());
    fs::create_dir(files.path()).unwrap();
    let clock = files.path().join("clock");
    let set = |offset: &str| fs::write(&clock, offset).unwrap();
    let kept = |program: &Program| {
        get(program.address, "/history/t").json()["events"].as_array().map(Vec::len).unwrap()
    };
    // Behind at the start, and set right: what was published before is as young as it is.
    set("-25d");
    let mut program = serve_by(&folder, &library, &clock, &[]);
    publish(program.address, "/topics/t", "behind");
    set("+0");
    publish(program.address, "/topics/t", "right");
    assert_eq!(kept(&program), 2);
    // Ten years ahead for one event, and right again.
    set("+3650d");
    publish(program.address, "/topics/t", "ahead");
    set("+0");
    publish(program.address, "/topics/t", "right again");
    assert_eq!(kept(&program), 4);
    // Across starts of the process the machine counts.
    for offset in ["-25d", "+25d", "+0"] {
        program.signal("KILL");
        program.wait();
        set(offset);
        program = serve_by(&folder, &library, &clock, &[]);
        publish(program.address, "/topics/t", offset);
    }
    assert_eq!(kept(&program), 7);
    drop(program);
    // None of them is kept for longer either.
    let program = serve_by(&folder, &library, &clock, &["--keep-age", "1s"]);
    until("all are too old", || kept(&program) == 0);
}

#[test]
fn a_clock_before_1970_or_after_all_ids_is_no_panic_and_events_are_numbered() {
    let Some(library) = library() else { return };
    let folder = Folder::new();
    let mut last = String::new();
    for offset in ["-70y", "+600y", "+9000y", "-70y"] {
        let program = serve_at(&folder, &library, offset);
        let at = program.address;
        let mut browser = Browser::open(at, "/topics/t");
        let id = publish(at, "/topics/t", offset);
        assert_eq!((&browser.next().id, id > last), (&id, true), "{offset}");
        last = id;
        for (path, body) in [
            ("/time", ""),
            ("/time/ann", ""),
            ("/sse/message", r#"{"user":"ann","message":"hello"}"#),
            ("/notify/ann", r#"{"event":"e","data":"d"}"#),
            ("/messages", r#"{"type":"a","data":"b"}"#),
            ("/check/1", ""),
            ("/api/posts", r##"{"title":"t","content":"#c","author":"a"}"##),
        ] {
            let status = post(at, path, body).status;
            assert!(matches!(status, 200 | 201), "{offset}: {path} is answered {status}");
        }
        for path in ["/history", "/history/t", "/healthz", "/api/posts", "/check.html"] {
            assert_eq!(get(at, path).status, 200, "{offset}: {path}");
        }
        program.signal("TERM");
        let (code, log) = program.wait();
        assert!(code == Some(0) && !log.contains("panicked"), "{offset}: {log}");
    }
}
