//! The connection check: an event for the page that made up the id, with the server's time and how many streams it
//! reached.

use crate::support::{Answer, Browser, Seen, get, joined, post, said, server, server_with, until};
use serde_json::json;
use std::time::{SystemTime, UNIX_EPOCH};

/// The event that a browser has to receive after this answer.
fn event(answer: &Answer) -> Seen {
    assert_eq!(answer.status, 200, "{answer:?}");
    let answer = answer.json();
    let id = answer["id"].as_str().expect("an id").into();
    Seen { id, event: "check".into(), data: json!({ "at": answer["at"] }).to_string() }
}

#[test]
fn an_event_comes_with_the_servers_time_and_the_answer_counts_the_streams() {
    let server = server();
    let at = server.address();
    let millis = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    let mut browser = Browser::open(at, "/check/mine-1");
    let mut other = Browser::open(at, "/check/other");
    joined(&server, 2);
    let before = millis();
    let answer = post(at, "/check/mine-1", "");
    assert_eq!(browser.next(), event(&answer));
    assert_eq!(answer.json()["reached"], 1);
    assert!((before..=millis()).contains(&answer.json()["at"].as_u64().unwrap()), "{answer:?}");
    // The first event that the other browser receives is its own.
    let answer = post(at, "/check/other", "");
    assert_eq!(other.next(), event(&answer));
}

#[test]
fn a_browser_that_left_is_not_reached_and_is_sent_what_it_missed_when_it_comes_back() {
    let server = server();
    let at = server.address();
    let mut browser = Browser::open(at, "/check/mine");
    let seen = event(&post(at, "/check/mine", ""));
    assert_eq!(browser.next(), seen);
    drop(browser);
    let missed = [post(at, "/check/mine", ""), post(at, "/check/mine", "")];
    missed.iter().for_each(|answer| assert_eq!(answer.json()["reached"], 0, "{answer:?}"));
    let mut browser = Browser::resume(at, "/check/mine", &seen.id);
    missed.iter().for_each(|answer| assert_eq!(browser.next(), event(answer)));
    let answer = post(at, "/check/mine", "");
    assert_eq!(browser.next(), event(&answer));
    drop(browser);
    until("the stream has ended", || server.app().permits.in_use() == 0);
}

#[test]
fn the_check_needs_no_publish_token_and_reaches_no_other_topic() {
    let server = server_with(|config| config.publish_token = Some("secret".into()));
    let at = server.address();
    let mut browser = Browser::open(at, "/check/mine");
    let answer = post(at, "/check/mine?event=forged&id=forged", r#"{"data":"forged"}"#);
    assert_eq!(browser.next(), event(&answer));
    assert_ne!(answer.json()["id"], "forged");
    assert_eq!(get(at, "/topics/$check/mine").status, 400);
}

#[test]
fn an_invalid_id_and_a_long_body_are_refused() {
    let server = server();
    let at = server.address();
    let mut browser = Browser::open(at, "/check/mine");
    let longest = "x".repeat(64);
    for id in ["", "a%20b", "a%2Fb", "a%0Ab", "gr%C3%B6%C3%9Fe", "a_b", &format!("{longest}x")] {
        for answer in [get(at, &format!("/check/{id}")), post(at, &format!("/check/{id}"), "")] {
            // The path without an id is not there.
            assert_eq!(answer.status, if id.is_empty() { 404 } else { 400 }, "{id}: {answer:?}");
            said(&answer);
        }
    }
    assert_eq!(post(at, "/check/mine", "x".repeat(1025)).status, 413);
    assert_eq!(post(at, &format!("/check/{longest}"), "x".repeat(1024)).status, 200);
    let answer = post(at, "/check/mine", "");
    assert_eq!(browser.next(), event(&answer));
}
