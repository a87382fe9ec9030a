//! `POST /publish`: many events in one request, and an answer for each.

use crate::disk::Folder;
use crate::support::{Browser, assert_problem, get, post, request, server_with};
use callout::access::Secret;
use callout::history::Address;
use callout::server::Server;
use serde_json::{Value, json};

/// The answers to these lines.
fn publish(server: &Server, lines: &[Value]) -> Vec<Value> {
    let body: String = lines.iter().map(|line| format!("{line}\n")).collect();
    answers(&post(server.address(), "/publish", body).body)
}

fn answers(body: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(body).expect("UTF-8");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn each_line_is_published_and_answered_and_a_bad_one_harms_no_other() {
    let folder = Folder::new();
    for data in [Address::Memory, Address::Folder(folder.path())] {
        let server = server_with(|config| {
            config.data = data;
            config.ephemeral.push("now/*".parse().unwrap());
        });
        let mut browser = Browser::open(server.address(), "/topics?topic=a&topic=b&topic=now/1");
        let lines = [
            json!({ "topic": "a", "data": "first" }),
            json!({ "topic": "a", "data": "no such field", "name": "x" }),
            json!({ "topics": ["a", "b"], "data": "two\nlines", "event": "named", "id": "mine" }),
            json!({ "topic": "$chat", "data": "not here" }),
            json!({ "topics": ["a", "b"], "data": "two\nlines", "event": "named", "id": "mine" }),
            json!({ "topic": "a", "data": "another", "id": "mine" }),
            json!({ "topic": "now/1", "data": "ephemeral" }),
            json!({ "data": "nowhere" }),
            json!("text"),
            json!({ "topic": "b" }),
        ];
        let answers = publish(&server, &lines);
        let statuses: Vec<u64> =
            answers.iter().map(|answer| answer["status"].as_u64().unwrap_or(200)).collect();
        assert_eq!(statuses, [200, 400, 200, 400, 200, 409, 200, 400, 400, 200]);
        assert_eq!(
            (&answers[2], &answers[4]),
            (&json!({ "id": "mine" }), &json!({ "id": "mine", "duplicate": true }))
        );
        assert_eq!(answers[6], json!({ "id": null }));
        answers.iter().filter(|answer| answer["status"].is_u64()).for_each(assert_problem);
        assert!(answers[1]["reason"].as_str().unwrap().contains("name"), "{}", answers[1]);
        let mut came = Vec::new();
        // The ephemeral one does not wait for the commit of the others, and is not sent to whoever has only just come.
        while came.last().is_none_or(|(_, data): &(String, String)| !data.is_empty()) {
            let seen = browser.next();
            came.extend((seen.data != "ephemeral").then_some((seen.event, seen.data)));
        }
        let wanted = [("message", "first"), ("named", "two\nlines"), ("message", "")];
        assert_eq!(came, wanted.map(|(event, data)| (event.to_owned(), data.to_owned())));
        let kept = get(server.address(), "/history/a").json();
        assert_eq!((&kept["events"][0]["id"], &kept["events"][1]["id"]), (&answers[0]["id"], &json!("mine")));
    }
}

#[test]
fn lines_and_bytes_are_bounded_and_a_request_without_a_line_is_refused() {
    let server = server_with(|_| {});
    let at = server.address();
    let line = "{\"topic\":\"t\"}\n";
    assert_eq!(
        post(at, "/publish", format!("\r\n{}\n\n", line.repeat(1_000)))
            .body
            .iter()
            .filter(|b| **b == b'\n')
            .count(),
        1_000
    );
    for (body, status) in
        [(line.repeat(1_001), 400), (String::new(), 400), ("\n \n".into(), 400), ("x".repeat(70_000), 413)]
    {
        assert_eq!(post(at, "/publish", body).status, status);
    }
    assert_eq!(get(at, "/healthz").json()["history"]["events"], 1_000, "nothing of what was refused");
}

#[test]
fn the_token_is_asked_for_the_topics_of_each_line() {
    let server = server_with(|config| config.publish_token = Some(Secret::new("sesame")));
    let at = server.address();
    let body = "{\"topic\":\"t\",\"data\":\"x\"}\nnot JSON\n";
    let refused = post(at, "/publish", body);
    assert_eq!(answers(&refused.body)[0]["status"], 401);
    assert_eq!(post(at, "/publish", "{\"topic\":\"t\"}").status, 401, "nothing else was wrong");
    let head = "POST /publish HTTP/1.1\r\nAuthorization: Bearer sesame";
    let allowed = request(at, head, body);
    assert_eq!((allowed.status, answers(&allowed.body)[0]["id"].is_string()), (200, true));
    assert_eq!(get(at, "/healthz").json()["history"]["events"], 1);
    // A page of another site may not either.
    let cross = request(
        at,
        "POST /publish HTTP/1.1\r\nOrigin: https://evil.example\r\nAuthorization: Bearer sesame",
        body,
    );
    assert_eq!(cross.status, 403);
}
