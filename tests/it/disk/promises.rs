//! What publishers may rely on: trying again is safe, an ephemeral event is never kept, and with
//! `--durability relaxed` an acknowledged event is on disk soon.

use super::{Folder, serve};
use crate::support::{Browser, Program, get, post, publish, said, until};
use serde_json::{Value, json};

/// Publishes under an id and gives the whole answer.
fn answer(program: &Program, path: &str, data: &str) -> Value {
    let answer = post(program.address, path, data);
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

fn kept_events(program: &Program) -> u64 {
    get(program.address, "/healthz").json()["history"]["events"].as_u64().expect("a number")
}

#[test]
fn the_same_published_again_is_answered_as_before_and_anything_else_under_its_id_is_refused() {
    for on_disk in [true, false] {
        let folder = Folder::new();
        let start = || if on_disk { serve(&folder, &[]) } else { Program::serve(&[]) };
        let mut program = start();
        let mut listener = Browser::open(program.address, "/topics?topic=t&topic=u");
        assert_eq!(answer(&program, "/topics/t?id=mine", "first"), json!({ "id": "mine" }));
        let again = json!({ "id": "mine", "duplicate": true });
        assert_eq!(answer(&program, "/topics/t?id=mine", "first"), again);
        assert_eq!(answer(&program, "/topics/t?id=lines", "a\r\nb"), json!({ "id": "lines" }));
        assert_eq!(
            answer(&program, "/topics/t?id=lines", "a\nb")["duplicate"],
            true,
            "browsers see the same"
        );
        assert_eq!(listener.next().data, "first");
        assert_eq!(listener.next().data, "a\nb");
        refuses_others(&program);
        // On another topic it is another event.
        assert_eq!(answer(&program, "/topics/u?id=mine", "third"), json!({ "id": "mine" }));
        assert_eq!(listener.next().data, "third");
        if on_disk {
            for signal in ["TERM", "KILL"] {
                program.signal(signal);
                program.wait();
                program = start();
                assert_eq!(answer(&program, "/topics/t?id=mine", "first"), again, "after {signal}");
                refuses_others(&program);
            }
            listener = Browser::open(program.address, "/topics/t?last_event_id=lines");
        }
        publish(program.address, "/topics/t", "last");
        assert_eq!((listener.next().data.as_str(), kept_events(&program)), ("last", 4));
    }
}

/// The id `mine` is taken for the text `first` without a name.
fn refuses_others(program: &Program) {
    for (path, data) in [
        ("/topics/t?id=mine", "second"),
        ("/topics/t?id=mine", "first "),
        ("/topics/t?id=mine&event=named", "first"),
        ("/topics/t?id=mine&retry=1000", "first"),
    ] {
        let refused = post(program.address, path, data);
        assert_eq!(refused.status, 409, "{path} {data}: {refused:?}");
        assert!(said(&refused).contains("`mine`"), "{refused:?}");
    }
}

#[test]
fn an_id_that_is_no_longer_kept_may_be_used_again() {
    for data in ["disk", "memory"] {
        let folder = Folder::new();
        let address = if data == "disk" { folder.text() } else { data };
        let program = Program::serve(&["--data", address, "--keep-events", "2"]);
        for _ in 0..2 {
            assert_eq!(answer(&program, "/topics/t?id=mine", ""), json!({ "id": "mine" }));
            publish(program.address, "/topics/t", "");
            publish(program.address, "/topics/t", "");
        }
    }
}

#[test]
fn an_ephemeral_event_has_no_id_and_is_never_kept() {
    let folder = Folder::new();
    let flags = ["--ephemeral", "cursors/*", "--ephemeral", "load", "--heartbeat", "20ms"];
    let program = serve(&folder, &flags);
    let mut listener = Browser::open(program.address, "/topics?topic=cursors/1&topic=load&topic=loaded");
    // A stream that sends heartbeats is registered with the hub.
    listener.next_comment();
    let position = listener.parser.last_event_id.clone();
    for topic in ["cursors/1", "load"] {
        assert_eq!(answer(&program, &format!("/topics/{topic}"), topic), json!({ "id": null }));
        let seen = listener.next();
        assert_eq!((seen.data.as_str(), &seen.id), (topic, &position), "the last id stays");
        let refused = post(program.address, &format!("/topics/{topic}?id=mine"), "x");
        assert_eq!(refused.status, 400);
        assert!(said(&refused).contains("ephemeral"));
    }
    assert_eq!(kept_events(&program), 0);
    // `load` without a star is that topic alone.
    publish(program.address, "/topics/loaded", "kept");
    assert_eq!((listener.next().data.as_str(), kept_events(&program)), ("kept", 1));
    let mut late =
        Browser::open(program.address, "/topics?topic=cursors/1&topic=loaded&last_event_id=earliest");
    assert_eq!(late.next().data, "kept");
}

#[test]
fn for_a_browser_that_is_behind_ephemeral_events_are_dropped_and_the_rest_comes() {
    /// A queue holds as many kept events.
    const EVENTS: usize = 14;
    let folder = Folder::new();
    let program = serve(&folder, &["--ephemeral", "now"]);
    let socket = crate::support::narrow_socket(program.address);
    let raw = crate::support::Raw::over(socket);
    let mut slow = Browser::open_on(raw, "/topics?topic=now&topic=kept", "");
    let large = "x".repeat(60_000);
    for number in 0..EVENTS {
        publish(program.address, "/topics/kept", format!("kept {number} {large}"));
        post(program.address, "/topics/now", format!("now {number} {large}"));
    }
    publish(program.address, "/topics/kept", "end");
    let came: Vec<String> =
        std::iter::from_fn(|| Some(slow.next().data).filter(|data| data != "end")).collect();
    let count = |kind: &str| came.iter().filter(|data| data.starts_with(kind)).count();
    assert_eq!(count("kept"), EVENTS);
    assert!(count("now") < EVENTS, "some were dropped");
}

#[test]
fn relaxed_events_are_seen_at_once_and_are_there_after_a_clean_stop() {
    let folder = Folder::new();
    let program = serve(&folder, &["--durability", "relaxed"]);
    let mut listener = Browser::open(program.address, "/topics/t");
    for number in 0..200 {
        let id = publish(program.address, "/topics/t", number.to_string());
        assert_eq!(listener.next().id, id);
    }
    program.signal("TERM");
    assert_eq!(program.wait().0, Some(0));
    let program = serve(&folder, &["--durability", "relaxed"]);
    let mut browser = Browser::open(program.address, "/topics/t?last_event_id=earliest");
    (0..200).for_each(|number| assert_eq!(browser.next().data, number.to_string()));
}

#[test]
fn relaxed_events_are_on_disk_soon_and_after_a_kill_none_is_missing_between_others() {
    let folder = Folder::new();
    let program = serve(&folder, &["--durability", "relaxed"]);
    let bytes =
        || folder.segments().iter().flat_map(|path| std::fs::read(path).unwrap()).collect::<Vec<u8>>();
    let first = publish(program.address, "/topics/t", "first");
    // A commit that is not saved does not reach the file at all.
    let needle = format!("id: {first}\n").into_bytes();
    until("it is in the file", || bytes().windows(needle.len()).any(|window| window == needle));
    let more: Vec<String> = (0..50).map(|n| publish(program.address, "/topics/t", n.to_string())).collect();
    program.signal("KILL");
    program.wait();
    let program = serve(&folder, &["--durability", "relaxed"]);
    let next = publish(program.address, "/topics/t", "next");
    assert!(more.iter().all(|id| *id < next), "no id is used again, of the lost ones neither");
    let mut browser = Browser::open(program.address, "/topics/t?last_event_id=earliest");
    let kept: Vec<String> = std::iter::from_fn(|| Some(browser.next().id).filter(|id| *id != next)).collect();
    assert_eq!(kept[0], first);
    assert_eq!(kept[1..], more[..kept.len() - 1], "the end may be missing, nothing before it");
}
