//! What is kept can be seen: `callout history` of a running server and of a stopped one's directory, and
//! `/healthz`.

use super::{Folder, callout, serve};
use crate::support::{Program, Raw, get, post, publish, request, server_with};
use callout::access::Secret;
use callout::history::{Address, Durability};
use callout::{Draft, Topic};
use serde_json::{Value, json};
use std::net::SocketAddr;

/// More than one part.
const EVENTS: usize = 600;

/// The objects that `callout history` prints with these arguments.
pub fn history(args: &[&str]) -> Vec<Value> {
    let output = callout(&[&["history"], args].concat()).output().unwrap();
    let log = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!((output.status.code(), log.as_str()), (Some(0), ""));
    let lines = String::from_utf8(output.stdout).expect("UTF-8");
    lines.lines().map(|line| serde_json::from_str(line).expect("an object a line")).collect()
}

/// The line that `callout history` fails with.
fn complaint(args: &[&str]) -> String {
    let output = callout(&[&["history"], args].concat()).output().unwrap();
    let line = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!((output.status.code(), output.stdout.len(), line.lines().count()), (Some(1), 0, 1), "{line}");
    line
}

fn url(at: SocketAddr) -> String {
    format!("http://{at}")
}

#[test]
fn history_prints_the_same_of_a_running_server_and_of_a_stopped_ones_directory() {
    let folder = Folder::new();
    let program = serve(&folder, &[]);
    let at = program.address;
    let ids: Vec<String> = (0..EVENTS).map(|number| publish(at, "/topics/a", number.to_string())).collect();
    publish(at, "/topics/rooms/4%202?event=news&id=mine", "two\nlines");
    let url = url(at);
    let running = ["--url", &url];
    let [topics, a, room] =
        [&[][..], &["a"], &["rooms/4 2"]].map(|topic| history(&[topic, &running].concat()));
    let told: Vec<_> = topics.iter().map(|topic| (topic["topic"].clone(), topic["events"].clone())).collect();
    assert_eq!(told, [(json!("a"), json!(EVENTS)), (json!("rooms/4 2"), json!(1))]);
    let came: Vec<_> = a.iter().map(|event| event["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(came, ids);
    assert_eq!((&topics[0]["oldest"], &topics[0]["newest"]), (&a[0]["at"], &a[EVENTS - 1]["at"]));
    assert!(humantime::parse_rfc3339(a[0]["at"].as_str().unwrap()).is_ok(), "{}", a[0]);
    assert_eq!(
        (&room[0]["id"], &room[0]["event"], &room[0]["data"]),
        (&json!("mine"), &json!("news"), &json!("two\nlines"))
    );
    let line = complaint(&["--directory", folder.text()]);
    assert!(line.contains(folder.text()) && line.contains("in use"), "{line}");
    program.signal("TERM");
    program.wait();
    let stopped = ["--directory", folder.text()];
    assert_eq!(history(&stopped), topics);
    assert_eq!(history(&[&["a"][..], &stopped].concat()), a);
    assert_eq!(history(&[&["rooms/4 2"][..], &stopped].concat()), room);
    // A server goes on with a directory that was read.
    let program = serve(&folder, &[]);
    assert!(publish(program.address, "/topics/a", "next") > ids[EVENTS - 1]);
}

#[test]
fn topics_are_listed_in_parts_that_do_not_name_those_of_pages() {
    let folder = Folder::new();
    for data in [Address::Memory, Address::Folder(folder.path())] {
        let on_disk = data != Address::Memory;
        let server = server_with(|config| {
            config.data = data;
            config.durability = Durability::Relaxed;
            config.publish_token = Some(Secret::new("sesame"));
        });
        let mut wanted = Vec::new();
        let say = |topic: &str| {
            let topics = vec![Topic::new(topic).unwrap()];
            server.publish(Draft { topics, data: "x".into(), ..Draft::default() }).expect("it is kept");
        };
        for number in 0..600 {
            // Those of pages stand between, more than one part of them.
            for topic in [format!("!{number:03}"), format!("${number:03}"), format!("t{number:03}")] {
                say(&topic);
                wanted.push(topic);
            }
        }
        wanted.sort();
        let list = |token: &str| {
            let (mut names, mut after) = (Vec::new(), String::new());
            loop {
                let head = format!("GET /history?after={after} HTTP/1.1\r\nAuthorization: Bearer {token}");
                let part = request(server.address(), &head, "");
                assert!(part.status == 200 && part.body.len() < 64_000, "{}", part.body.len());
                let topics = part.json()["topics"].as_array().unwrap().clone();
                names.extend(topics.iter().map(|topic| topic["topic"].as_str().unwrap().to_owned()));
                match part.json()["next"].as_str() {
                    Some(next) => after = next.to_owned(),
                    None => return names,
                }
            }
        };
        assert_eq!(list("sesame"), wanted, "on disk: {on_disk}");
    }
    let server = server_with(|_| {});
    for number in 0..600 {
        let topics = vec![Topic::new(&format!("${number:03}")).unwrap()];
        server.publish(Draft { topics, data: "x".into(), ..Draft::default() }).expect("it is kept");
    }
    publish(server.address(), "/topics/!first", "x");
    publish(server.address(), "/topics/last", "x");
    let shown = get(server.address(), "/history").json();
    let names = shown["topics"].as_array().unwrap().iter().map(|topic| topic["topic"].clone());
    let mut names: Vec<Value> = names.collect();
    if let Some(next) = shown["next"].as_str() {
        let rest = get(server.address(), &format!("/history?after={next}")).json();
        assert_eq!(rest.get("next"), None);
        names.extend(rest["topics"].as_array().unwrap().iter().map(|topic| topic["topic"].clone()));
    }
    assert_eq!(names, [json!("!first"), json!("last")]);
}

#[test]
fn an_event_of_nothing_but_line_ends_is_taken_and_read_in_time_with_its_lines() {
    let server = server_with(|_| {});
    let lines = "\n".repeat(64 * 1024);
    publish(server.address(), "/topics/t", &lines);
    let began = std::time::Instant::now();
    let events = get(server.address(), "/history/t").json();
    assert_eq!(events["events"][0]["data"], lines);
    println!("read after {:?}", began.elapsed());
}

#[test]
fn history_needs_the_publish_token_where_there_is_one() {
    let folder = Folder::new();
    let program = serve(&folder, &["--publish-token", "sesame"]);
    let head = "POST /topics/t HTTP/1.1\r\nAuthorization: Bearer sesame";
    assert_eq!(request(program.address, head, "secret").status, 200);
    let url = url(program.address);
    for path in ["/history", "/history/t"] {
        let answer = get(program.address, path);
        assert!(answer.status == 401 && !String::from_utf8_lossy(&answer.body).contains("secret"));
    }
    for token in [&[][..], &["--publish-token", "wrong"]] {
        let line = complaint(&[&["t", "--url", &url], token].concat());
        assert!(line.contains("401") && line.contains("token"), "{line}");
    }
    let events = history(&["t", "--url", &url, "--publish-token", "sesame"]);
    assert_eq!((events.len(), &events[0]["data"]), (1, &json!("secret")));
}

#[test]
fn history_of_a_directory_without_one_makes_none() {
    let folder = Folder::new();
    let line = complaint(&["--directory", folder.text()]);
    assert!(line.contains(folder.file().to_str().unwrap()), "{line}");
    assert!(!folder.path().exists());
}

#[test]
fn healthz_says_what_is_kept_and_how_long_a_commit_took() {
    let folder = Folder::new();
    let program = serve(&folder, &["--keep-events", "3"]);
    let kept = || get(program.address, "/healthz").json()["history"].clone();
    assert_eq!(
        kept(),
        json!({ "events": 0, "bytes": 0, "oldest": null, "commit_micros": null, "failure": null })
    );
    for number in 1..=5 {
        assert_eq!(post(program.address, "/topics/t", "x".repeat(100)).status, 200);
        let kept = kept();
        assert_eq!(kept["events"], number.min(3));
        assert!(kept["bytes"].as_u64() > Some(100 * number.min(3)), "{kept}");
        assert!(kept["commit_micros"].as_u64() > Some(0) && kept["failure"].is_null(), "{kept}");
        assert!(humantime::parse_rfc3339(kept["oldest"].as_str().unwrap()).is_ok(), "{kept}");
    }
}

#[test]
fn without_a_flag_the_history_is_in_callout_data_where_the_server_was_started() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path()).unwrap();
    let mut command = callout(&["serve", "--listen", "127.0.0.1:0", "--log", "warn"]);
    command.current_dir(folder.path()).env_remove("CALLOUT_DATA");
    let mut child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    let stdout = child.stdout.as_mut().unwrap();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line).unwrap();
    let address = line.trim().rsplit("http://").next().unwrap().parse().unwrap();
    let program = crate::support::Program { child, address };
    publish(program.address, "/topics/t", "kept");
    program.signal("KILL");
    drop(program);
    let directory = folder.path().join("callout-data");
    let names: Vec<_> =
        std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, [callout::history::log::NAME], "one file");
    assert_eq!(history(&["t", "--directory", directory.to_str().unwrap()]).len(), 1);
}

#[test]
fn whoever_has_the_acknowledgment_finds_the_event_on_the_same_connection() {
    let folder = Folder::new();
    let relaxed = Folder::new();
    let programs = [
        Program::serve(&["--log", "warn"]),
        serve(&folder, &[]),
        serve(&relaxed, &["--durability", "relaxed"]),
    ];
    for program in programs {
        let mut raw = Raw::connect(program.address);
        for number in 0..100 {
            let topic = format!("t{number}");
            raw.send(format!(
                "POST /topics/{topic} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx"
            ));
            let id = raw.answer().json()["id"].clone();
            raw.send(format!("GET /history/{topic} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
            assert_eq!(raw.answer().json()["events"][0]["id"], id, "{number}");
            // So is its topic.
            raw.send("GET /history HTTP/1.1\r\nHost: localhost\r\n\r\n");
            assert_eq!(raw.answer().json()["topics"].as_array().map(Vec::len), Some(number + 1));
        }
    }
}
