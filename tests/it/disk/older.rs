//! What older versions wrote is read completely, and is still there when this version has written to it.

use super::seeing::history;
use super::{Folder, callout, serve};
use crate::support::{Answer, Browser, Program, request};
use callout::event::Id;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// The events date from November 2026, and are to be kept whenever this test runs.
const KEEP_AGE: &str = "1000years";
const TOKEN: &str = "sesame";

/// A topic as it stands in a path: with every byte encoded, since it may hold slashes and text outside ASCII.
fn encoded(topic: &str) -> String {
    topic.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

/// The folders that 0.1.0 left behind, and what it answered before it ended.
fn left_by_0_1_0() -> [(PathBuf, Value); 2] {
    ["stopped", "killed"].map(|name| {
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/0.1.0");
        let answers = fs::read(data.join(format!("{name}.json"))).expect("it is in the repository");
        (data.join(name), serde_json::from_slice(&answers).expect("JSON"))
    })
}

fn copy(from: &Path) -> Folder {
    let folder = Folder::new();
    fs::create_dir(folder.path()).unwrap();
    for file in fs::read_dir(from).unwrap().map(Result::unwrap) {
        fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
    }
    folder
}

fn serve_for_long(folder: &Folder) -> Program {
    serve(folder, &["--keep-age", KEEP_AGE, "--publish-token", TOKEN])
}

fn ask(program: &Program, head: &str, body: &str) -> Answer {
    let answer = request(program.address, &format!("{head} HTTP/1.1\r\nAuthorization: Bearer {TOKEN}"), body);
    assert_eq!(answer.status, 200, "{head}: {answer:?}");
    answer
}

/// The topics as `GET /history` shows them, from the events of each.
fn topics(events: &Value) -> Vec<Value> {
    let topics = events.as_object().unwrap().iter();
    let topic = |(topic, events): (&String, &Value)| {
        let events = events.as_array().unwrap();
        let (oldest, newest) = (&events[0]["at"], &events[events.len() - 1]["at"]);
        json!({ "topic": topic, "events": events.len(), "oldest": oldest, "newest": newest })
    };
    topics.map(topic).collect()
}

/// All that a server shows of its history: the topics, and the events of each.
fn check_history(program: &Program, events: &Value) {
    let shown = ask(program, "GET /history", "").json();
    assert_eq!(shown, json!({ "topics": topics(events) }));
    for (topic, events) in events.as_object().unwrap() {
        let shown = ask(program, &format!("GET /history/{}", encoded(topic)), "").json();
        assert_eq!(shown["events"], *events, "{topic}");
    }
}

/// A browser that comes back with the id of any event on a topic of its own goes on behind it, without a gap.
fn check_resuming(program: &Program, events: &Value) {
    for (topic, events) in events.as_object().unwrap().iter().filter(|(topic, _)| !topic.starts_with('$')) {
        let events = events.as_array().unwrap();
        for (index, event) in events.iter().enumerate() {
            let path = format!("/topics/{}", encoded(topic));
            let mut browser = Browser::resume(program.address, &path, event["id"].as_str().unwrap());
            if Id::parse(event["id"].as_str().unwrap()).is_some() {
                assert_eq!(event["id"], browser.parser.last_event_id, "{topic}");
            }
            for next in &events[index + 1..] {
                let seen = browser.next();
                assert_eq!((&next["id"], &next["data"]), (&json!(seen.id), &json!(seen.data)), "{topic}");
            }
        }
    }
}

/// Publishes an event and adds it to the expected ones.
fn publish(program: &Program, events: &mut Value, topic: &str, data: &str) {
    let id = ask(program, &format!("POST /topics/{}", encoded(topic)), data).json()["id"].clone();
    let shown = ask(program, &format!("GET /history/{}", encoded(topic)), "").json();
    let new = shown["events"].as_array().unwrap().last().expect("it is kept").clone();
    assert_eq!((&new["id"], &new["data"]), (&id, &json!(data)));
    let known = events[topic].as_array_mut().expect("a topic that is known");
    assert!(known.iter().all(|old| old["at"].as_str() < new["at"].as_str()), "times go on");
    known.push(new);
}

#[test]
fn a_history_of_0_1_0_is_read_completely_and_goes_on() {
    for (left, answers) in left_by_0_1_0() {
        let folder = copy(&left);
        let mut events = answers["events"].clone();
        {
            let program = serve_for_long(&folder);
            check_history(&program, &events);
            check_resuming(&program, &events);
            // The ids of publishers are known as before, so this is not kept a second time.
            let again = |data| ask(&program, "POST /topics/sensors%2Fattic?id=board-1", data);
            let is_it = |event: &&Value| event["id"] == "board-1";
            let kept = events["sensors/attic"].as_array().unwrap().iter().find(is_it).expect("it is kept");
            let answer = again(kept["data"].as_str().unwrap()).json();
            assert_eq!(answer, json!({ "id": "board-1", "duplicate": true }));
            let head = "POST /topics/sensors%2Fattic?id=board-1 HTTP/1.1\r\nAuthorization: Bearer ";
            let other = request(program.address, &format!("{head}{TOKEN}"), "another text");
            assert_eq!(other.status, 409);
            publish(&program, &mut events, "news", "of the new version");
            publish(&program, &mut events, "größe/日本", "of the new version");
            check_history(&program, &events);
        }
        // The server above was killed; this one is stopped.
        for _ in 0..2 {
            let program = serve_for_long(&folder);
            check_history(&program, &events);
            check_resuming(&program, &events);
            program.signal("TERM");
            assert_eq!(program.wait().0, Some(0));
        }
    }
}

#[test]
fn the_command_history_reads_a_directory_of_0_1_0() {
    for (left, answers) in left_by_0_1_0() {
        let folder = copy(&left);
        let directory = ["--directory", folder.text()];
        assert_eq!(history(&directory), topics(&answers["events"]));
        for (topic, events) in answers["events"].as_object().unwrap() {
            let printed = history(&[&[topic.as_str()][..], &directory].concat());
            assert_eq!(printed, *events.as_array().unwrap(), "{topic}");
        }
        // A server reads a directory that the command has read.
        check_history(&serve_for_long(&folder), &answers["events"]);
    }
}

#[test]
fn taking_over_starts_again_where_it_was_interrupted_and_leaves_the_old_file_as_it_was() {
    let [(left, answers), _] = left_by_0_1_0();
    let old = fs::read(left.join("history.redb")).unwrap();
    let folder = copy(&left);
    let [file, imported, unfinished] =
        ["history.redb", "history.redb.imported", "events.new"].map(|name| folder.path().join(name));
    // It ended while the log was being made.
    fs::create_dir(&unfinished).unwrap();
    fs::write(unfinished.join("0000000000000001.open"), "half of it").unwrap();
    check_history(&serve_for_long(&folder), &answers["events"]);
    assert!(fs::read(&imported).unwrap() == old && !file.exists() && !unfinished.exists());
    // It ended after the old file had its new name.
    fs::rename(folder.file(), &unfinished).unwrap();
    check_history(&serve_for_long(&folder), &answers["events"]);
    // An older callout has used the folder again: nothing says which of the two is the history.
    fs::write(&file, &old).unwrap();
    for command in [vec!["serve", "--listen", "127.0.0.1:0", "--data"], vec!["history", "--directory"]] {
        let output = callout(&[&command[..], &[folder.text()]].concat()).output().unwrap();
        let line = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(1) && line.lines().count() == 1, "{line}");
        assert!(line.contains("beside") && line.contains(file.to_str().unwrap()), "{line}");
    }
    // A damaged one is named, and nothing is made of it.
    let folder = copy(&left);
    fs::write(folder.path().join("history.redb"), &old[..old.len() / 2]).unwrap();
    let output = callout(&["serve", "--listen", "127.0.0.1:0", "--data", folder.text()]).output().unwrap();
    let line = String::from_utf8(output.stderr).unwrap();
    assert!(line.contains("is damaged") && line.lines().count() == 1 && !folder.file().exists(), "{line}");
}
