//! Notifications reach all streams of one user and no other; the answer counts the streams.

use crate::support::{
    Answer, Browser, Raw, get, joined, post, request, said, server, server_with, status, until,
};
use serde_json::json;
use std::net::SocketAddr;

fn notify(at: SocketAddr, path: &str, data: &str) -> Answer {
    let answer = post(at, path, json!({ "event": "note", "data": data }).to_string());
    assert_eq!(answer.status, 200, "{answer:?}");
    answer
}

fn reached(answer: &Answer) -> u64 {
    answer.json()["reached"].as_u64().expect("a count")
}

/// The data of the next notification, whatever its name.
fn next(browser: &mut Browser) -> String {
    browser.next().data
}

#[test]
fn a_notification_reaches_all_tabs_of_one_user_and_no_other() {
    let server = server();
    let at = server.address();
    let mut ann = [Browser::open(at, "/sse/ann"), Browser::open(at, "/sse/ann")];
    let mut bob = Browser::open(at, "/sse/bob");
    joined(&server, 3);
    let answer = notify(at, "/notify/ann", "for ann");
    assert_eq!(reached(&answer), 2);
    for tab in &mut ann {
        let seen = tab.next();
        assert_eq!((seen.event.as_str(), seen.data.as_str()), ("note", "for ann"));
        assert_eq!(answer.json()["id"], seen.id.as_str());
    }
    assert_eq!(reached(&notify(at, "/notify", "for all")), 3);
    // The first event that bob receives is the one for everyone.
    assert_eq!(next(&mut bob), "for all");
    ann.iter_mut().for_each(|tab| assert_eq!(next(tab), "for all"));
    assert_eq!(reached(&notify(at, "/notify/carl", "nobody is there")), 0);
}

#[test]
fn after_one_of_three_tabs_closes_the_other_two_still_receive() {
    let server = server();
    let at = server.address();
    let mut tabs: Vec<Browser> = (0..3).map(|_| Browser::open(at, "/sse/ann")).collect();
    joined(&server, 3);
    drop(tabs.remove(0));
    assert_eq!(reached(&notify(at, "/notify/ann", "still there?")), 2);
    tabs.iter_mut().for_each(|tab| assert_eq!(next(tab), "still there?"));
}

#[test]
fn tabs_that_have_just_closed_are_not_counted() {
    let server = server();
    let at = server.address();
    for round in 0..20 {
        let mut tabs: Vec<Browser> = (0..3).map(|_| Browser::open(at, "/sse/ann")).collect();
        joined(&server, 3);
        // The test does not wait until the server has noticed.
        tabs.truncate(1);
        assert_eq!(reached(&notify(at, "/notify/ann", "now")), 1, "round {round}");
        assert_eq!(next(&mut tabs[0]), "now");
        drop(tabs);
        until("all tabs are closed", || server.app().permits.in_use() == 0);
    }
}

#[test]
fn the_time_goes_to_one_user_or_to_everyone_and_is_not_kept() {
    let server = server();
    let at = server.address();
    let mut ann = Browser::open(at, "/sse/ann");
    let mut bob = Browser::open(at, "/sse/bob");
    let id = ann.parser.last_event_id.clone();
    joined(&server, 2);
    let one = get(at, "/time/ann");
    assert_eq!(reached(&one), 1);
    let all = get(at, "/time");
    assert_eq!(reached(&all), 2);
    for answer in [&one, &all] {
        let seen = ann.next();
        assert_eq!(
            (seen.event.as_str(), &*seen.data),
            ("timeEvent", answer.json()["time"].as_str().unwrap())
        );
        let parts: Vec<u8> = seen.data.split(':').map(|part| part.parse().expect("a number")).collect();
        assert!(matches!(parts[..], [0..=23, 0..=59, 0..=60]), "{seen:?}");
        assert_eq!(seen.id, id, "it has no id of its own");
    }
    // HEAD sends no time; if it did, that would be the next event.
    let mut raw = Raw::connect(at);
    raw.send("HEAD /time HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert_eq!(status(&raw.head()), 200);
    notify(at, "/notify", "probe");
    assert_eq!(next(&mut ann), "probe");
    assert_eq!(bob.next().data, all.json()["time"].as_str().unwrap());
    assert_eq!(server.app().history.status().events, 1, "the probe alone is kept");
}

#[test]
fn a_browser_that_comes_back_is_sent_what_it_missed_for_the_user_and_for_everyone() {
    let server = server();
    let at = server.address();
    let mut ann = Browser::open(at, "/sse/ann");
    notify(at, "/notify/ann", "1");
    let last = ann.next().id;
    drop(ann);
    until("the tab is closed", || server.app().permits.in_use() == 0);
    assert_eq!(reached(&notify(at, "/notify/ann", "2")), 0);
    notify(at, "/notify/bob", "not for ann");
    notify(at, "/notify", "3");
    let mut ann = Browser::resume(at, "/sse/ann", &last);
    assert_eq!([next(&mut ann), next(&mut ann)], ["2", "3"]);
}

#[test]
fn data_is_text_as_it_is_or_any_other_json() {
    let server = server();
    let at = server.address();
    let mut ann = Browser::open(at, "/sse/ann");
    for (data, received) in
        [(json!("%s %n\n{}"), "%s %n\n{}"), (json!({ "a": [1, null] }), r#"{"a":[1,null]}"#), (json!(7), "7")]
    {
        let answer = post(at, "/notify/ann", json!({ "data": data }).to_string());
        assert_eq!(answer.status, 200, "{answer:?}");
        let seen = ann.next();
        assert_eq!((seen.event.as_str(), seen.data.as_str()), ("message", received));
    }
}

#[test]
fn data_other_than_text_is_sent_byte_for_byte() {
    let server = server();
    let at = server.address();
    let mut ann = Browser::open(at, "/sse/ann");
    for data in [
        r#"{"b":1,"a":123456789012345678901234567890}"#,
        r#"{ "b" : 1.0 , "b" : 2 }"#,
        "[1e400, -0, 0.10]",
        "0.30000000000000004441",
        r#"["\u00e9", "é"]"#,
        "{\n  \"a\": 1\n}",
        "true",
    ] {
        let answer = post(at, "/notify/ann", format!(r#"{{"event":"note","data":{data}}}"#));
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(next(&mut ann), data);
    }
    // Text is unescaped and has no quotes.
    assert_eq!(post(at, "/notify/ann", r#"{"data":"\u00e9\n\"x\""}"#).status, 200);
    assert_eq!(next(&mut ann), "é\n\"x\"");
}

#[test]
fn the_time_is_sent_by_a_post_as_well() {
    let server = server();
    let at = server.address();
    let mut ann = Browser::open(at, "/sse/ann");
    joined(&server, 1);
    for path in ["/time/ann", "/time"] {
        assert_eq!(reached(&post(at, path, "")), 1, "{path}");
        assert_eq!(ann.next().event, "timeEvent");
    }
}

#[test]
fn a_notification_with_an_id_of_its_own_can_be_sent_again_safely() {
    let server = server();
    let at = server.address();
    let mut ann = Browser::open(at, "/sse/ann");
    joined(&server, 1);
    let body = r#"{"id":"order-7","data":"paid"}"#;
    assert_eq!(post(at, "/notify/ann", body).json(), json!({ "id": "order-7", "reached": 1 }));
    let again = json!({ "id": "order-7", "reached": 0, "duplicate": true });
    assert_eq!(post(at, "/notify/ann", body).json(), again);
    notify(at, "/notify/ann", "probe");
    assert_eq!([next(&mut ann), next(&mut ann)], ["paid", "probe"]);
}

#[test]
fn what_cannot_be_sent_is_refused_and_nobody_receives_it() {
    let server = server();
    let at = server.address();
    let mut ann = Browser::open(at, "/sse/ann");
    for body in [
        "",
        "not JSON",
        "[]",
        r#"{"event":"note"}"#,
        r#"{"data":null}"#,
        r#"{"event":"a\nid: 9","data":"x"}"#,
        r#"{"event":"error","data":"x"}"#,
        r#"{"event":"reset","data":"x"}"#,
        r#"{"id":"a b","data":"x"}"#,
    ] {
        let answer = post(at, "/notify/ann", body);
        assert_eq!(answer.status, 400, "{body}: {answer:?}");
        said(&answer);
    }
    let html = request(at, "POST /notify/ann HTTP/1.1\r\nContent-Type: text/html", r#"{"data":"x"}"#);
    assert_eq!(html.status, 415, "{html:?}");
    let long = format!("/notify/{}", "n".repeat(201));
    assert_eq!(post(at, &long, r#"{"data":"x"}"#).status, 400);
    assert_eq!(post(at, "/notify/a%0Ab", r#"{"data":"x"}"#).status, 400);
    assert_eq!(get(at, "/sse/a%00b").status, 400);
    notify(at, "/notify/ann", "probe");
    assert_eq!(next(&mut ann), "probe");
}

#[test]
fn nobody_reads_or_writes_a_users_topic_by_guessing_it() {
    let server = server_with(|config| config.publish_token = Some("secret".into()));
    let at = server.address();
    let mut ann = Browser::open(at, "/sse/ann");
    for path in ["/topics/$user/ann", "/topics/%24user%2Fann", "/topics?topic=$user/ann", "/topics/$users"] {
        assert_eq!(get(at, path).status, 400, "{path}");
    }
    let with_token = |path| {
        request(at, &format!("POST {path} HTTP/1.1\r\nAuthorization: Bearer secret"), r#"{"data":"hello"}"#)
    };
    assert_eq!(with_token("/topics/$user/ann").status, 400);
    assert_eq!(get(at, "/history/$user/ann").status, 401);
    joined(&server, 1);
    // Notifying needs the publish token too.
    assert_eq!(post(at, "/notify/ann", r#"{"data":"forged"}"#).status, 401);
    assert_eq!(post(at, "/notify", r#"{"data":"forged"}"#).status, 401);
    assert_eq!(reached(&with_token("/notify/ann")), 1);
    assert_eq!(next(&mut ann), "hello");
}
