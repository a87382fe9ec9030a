//! What a publisher puts in is what a browser takes out, whatever it is.

use crate::support::{Browser, Parser, Program, Raw, Seen, get, post, publish, request, server, server_with};
use callout::event::{Id, RETRY_MILLIS};
use callout::{Draft, Event, Topic};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::json;
use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};

/// Text that means something to one parser or another.
const TRICKY: &[&str] = &[
    "\r",
    "\n",
    "\r\n",
    "\n\n",
    ":",
    " ",
    "",
    "\0",
    "\u{feff}",
    "\u{85}",
    "\u{2028}",
    "\t",
    "data: x",
    "\nid: 9",
    "\nevent: x",
    "\nretry: 1",
    "\n:",
    "é",
    "日本",
    "🦀",
    "{\"a\":1}",
    "<b>",
];

fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        3 => prop::sample::select(TRICKY).prop_map(str::to_owned),
        1 => any::<String>(),
        1 => "[ -~]{0,40}",
    ];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

/// Drafts of which most are accepted, with all that an event can have.
fn draft() -> impl Strategy<Value = Draft> {
    let name = prop_oneof![text(), "[a-z: é日]{0,64}", "\\PC{0,85}"];
    let id = prop_oneof![text(), "[!#-'*+,./0-9;=A-Z^_`a-z|~-]{1,64}"];
    let retry = prop_oneof![any::<u32>(), 0..700_000_u32];
    (prop::option::of(name), prop::option::of(id), prop::option::of(retry), text()).prop_map(
        |(name, id, retry_millis, data)| Draft {
            topics: vec![Topic::new("t").unwrap()],
            name,
            id,
            retry_millis,
            data,
        },
    )
}

/// Drafts that are accepted, and the events made of them.
fn accepted() -> impl Strategy<Value = (Draft, Event)> {
    draft().prop_filter_map("refused", |draft| Some((draft.clone(), Event::new(draft).ok()?)))
}

/// What a browser has to see of a draft that was accepted and got `id`.
fn wanted(draft: &Draft, id: Id) -> Seen {
    let name = draft.name.clone().filter(|name| !name.is_empty());
    Seen {
        id: draft.id.clone().unwrap_or_else(|| id.to_string()),
        event: name.unwrap_or_else(|| "message".into()),
        data: with_lf(&draft.data),
    }
}

/// All three kinds of line end as LF.
fn with_lf(data: &str) -> String {
    data.replace("\r\n", "\n").replace('\r', "\n")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_accepted_is_parsed_back_as_it_was((draft, event) in accepted(), number in any::<u64>()) {
        let id = Id::parse(&format!("{number:016x}")).expect("an id");
        let mut parser = Parser::default();
        let mut parse = |bytes: &[u8]| -> Vec<Seen> {
            bytes.iter().filter_map(|&byte| parser.byte(byte)).collect()
        };
        prop_assert_eq!(parse(&event.encode(Some(id))), [wanted(&draft, id)]);
        // Nothing of it is left for the next event.
        prop_assert_eq!(parse(b"id: next\ndata: x\n\n"), [Seen {
            id: "next".into(), event: "message".into(), data: "x".into(),
        }]);
        let retry = draft.retry_millis.map(|ms| ms.clamp(*RETRY_MILLIS.start(), *RETRY_MILLIS.end()));
        prop_assert_eq!(parser.retry_millis, retry.map(u64::from));
        prop_assert_eq!(parser.comments, 0);
    }

    #[test]
    fn an_event_that_is_only_true_now_bears_no_id((draft, _) in accepted()) {
        let event = Event::new(Draft { id: None, ..draft }).expect("it was accepted with an id");
        let mut parser = Parser::default();
        let bytes = [b"id: before\n\n", &*event.encode(None)].concat();
        prop_assert_eq!(bytes.iter().filter_map(|&byte| parser.byte(byte)).count(), 1);
        prop_assert_eq!(&parser.last_event_id, "before");
    }
}

#[test]
fn line_ends_and_fields_within_data_arrive_as_data() {
    let server = server();
    let at = server.address();
    let mut listener = Browser::open(at, "/topics/t");
    let opening = listener.parser.retry_millis;
    for data in [
        "a\rb", "a\nb", "a\r\nb", "a\n\nb", "\r", "\n", "\r\n", "\n\n\n", "\n\r", "a\r", "a\n", "", " a",
        ":a",
    ] {
        let id = publish(at, "/topics/t", data);
        assert_eq!(listener.next(), Seen { id, event: "message".into(), data: with_lf(data) });
    }
    for field in ["id: 9", "event: x", "retry: 1", "data: y", ": comment"] {
        for end in ["\n", "\r", "\r\n", "\n\n"] {
            let data = format!("a{end}{field}{end}");
            let id = publish(at, "/topics/t", &data);
            assert_eq!(listener.next(), Seen { id, event: "message".into(), data: with_lf(&data) });
        }
    }
    for data in ["\0", "\u{feff}a", "\u{85}\u{2028}\u{2029}", "\u{1b}[0m", "🦀"] {
        publish(at, "/topics/t", data);
        assert_eq!(listener.next().data, data);
    }
    assert_eq!(listener.parser.retry_millis, opening);
    assert_eq!(listener.parser.comments, 1, "only the opening one");
}

#[test]
fn data_of_the_greatest_length_arrives_whole() {
    let server = server();
    let at = server.address();
    let mut listener = Browser::open(at, "/topics/t");
    for data in ["x".repeat(64 * 1024), "\n".repeat(64 * 1024), "é\r\n".repeat(16 * 1024)] {
        publish(at, "/topics/t", &data);
        assert!(listener.next().data == with_lf(&data), "{} bytes of {:?}", data.len(), &data[..1]);
    }
    assert_eq!(post(at, "/topics/t", "x".repeat(64 * 1024 + 1)).status, 413);
}

#[test]
fn a_head_asked_for_alone_is_that_of_the_stream() {
    let server = server();
    let answer = request(server.address(), "HEAD /topics/t HTTP/1.1", "");
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/event-stream")));
    assert_eq!(get(server.address(), "/healthz").json()["streams"], 0);
}

#[test]
fn an_eventsource_that_nobody_here_wrote_sees_what_went_in() {
    let version = Command::new("node").args(["--experimental-eventsource", "--version"]).output();
    if !version.is_ok_and(|output| output.status.success()) {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "CI runs everything: it needs node 20.18");
        return println!("SKIPPED: no node with --experimental-eventsource is installed");
    }
    let server = server_with(|config| config.limits.pace.heartbeat = std::time::Duration::from_millis(10));
    let app = server.app();
    let topics = || vec![Topic::new("t").unwrap()];
    let publish = |event: Event| app.history.publish(event).unwrap().id;
    let mut runner = TestRunner::deterministic();
    let drawn = std::iter::from_fn(|| Some(accepted().new_tree(&mut runner).unwrap().current()));
    let hostile = TRICKY.iter().flat_map(|piece| [piece.to_string(), format!("a{piece}b{piece}")]);
    let hostile = hostile.map(|data| Draft { data, topics: topics(), ..Draft::default() });
    let hostile = hostile.map(|draft| (draft.clone(), Event::new(draft).unwrap()));
    let all: Vec<Seen> = hostile
        .chain(drawn.take(500))
        .map(|(draft, event)| Seen { id: publish(event), ..wanted(&draft, Id::default()) })
        .collect();
    let end = Draft { name: Some("the-end".into()), topics: topics(), ..Draft::default() };
    publish(Event::new(end).unwrap());

    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/support/eventsource.mjs");
    let url = format!("http://{}/topics/t?last_event_id=earliest", server.address());
    let mut node = Command::new("node")
        .args(["--no-warnings", "--experimental-eventsource", script, &url, "the-end"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it answered its version");
    let names: BTreeSet<&str> = all.iter().map(|seen| seen.event.as_str()).collect();
    node.stdin.take().unwrap().write_all(json!(names).to_string().as_bytes()).unwrap();
    let output = node.wait_with_output().unwrap();
    assert!(output.status.success());
    let seen: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap();
    for (seen, wanted) in seen.iter().zip(&all) {
        assert_eq!(seen, &json!({ "id": wanted.id, "event": wanted.event, "data": wanted.data }));
    }
    assert_eq!(seen.len(), all.len());
}

/// Many clients hand something to their program at each empty line, whatever stood before it.
#[test]
fn what_is_no_message_bears_a_name_and_a_browser_dispatches_nothing_of_it() {
    let program = Program::serve(&["--heartbeat", "50ms"]);
    let mut raw = Raw::connect(program.address);
    // HTTP/1.0 has no chunks between the lines.
    raw.send("GET /topics/t HTTP/1.0\r\nAccept: text/event-stream\r\n\r\n");
    raw.head();
    let mut lines = Vec::new();
    while lines.iter().filter(|line| *line == ":\n").count() < 2 {
        lines.push(raw.line());
    }
    publish(program.address, "/topics/t", "x");
    program.signal("TERM");
    let stream = lines.concat() + &raw.everything();

    let blocks = stream.strip_suffix("\n\n").expect("a whole block at the end").split("\n\n");
    let handed_out = blocks.map(|block| {
        let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name));
        (field("event: ").unwrap_or("message"), field("data: ").unwrap_or_default())
    });
    assert_eq!(handed_out.collect::<Vec<_>>(), [("open", ""), ("message", "x"), ("drain", "")], "{stream}");

    let mut parser = Parser::default();
    let seen: Vec<Seen> = stream.bytes().filter_map(|byte| parser.byte(byte)).collect();
    assert_eq!(seen.iter().map(|seen| &*seen.data).collect::<Vec<_>>(), ["x"]);
    assert!(parser.retry_millis.is_some() && Id::parse(&seen[0].id).is_some());
}
