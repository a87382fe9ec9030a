//! The message wall: named events, numbered, and the last hundred for a newcomer.

use crate::disk::Folder;
use crate::support::{Answer, Browser, get, post, request, said, server, server_with};
use callout::history::Address;
use serde_json::json;
use std::net::SocketAddr;
use std::time::Duration;

fn put(at: SocketAddr, kind: &str, data: &str) -> Answer {
    let answer = post(at, "/messages", json!({ "data": data, "type": kind }).to_string());
    assert_eq!(answer.status, 200, "{answer:?}");
    answer
}

fn number(answer: &Answer) -> u64 {
    answer.json()["id"].as_u64().expect("a number")
}

#[test]
fn a_message_arrives_under_its_type_with_its_number() {
    let server = server();
    let at = server.address();
    let mut browser = Browser::open(at, "/messages");
    let mut before = 0;
    for kind in ["red", "yellow", "blue", "green and blue", "größe", "message"] {
        let answer = put(at, kind, "an important message\nin two lines");
        let seen = browser.next();
        assert_eq!((&*seen.event, &seen.id), (kind, &number(&answer).to_string()));
        let wanted =
            json!({ "id": number(&answer), "data": "an important message\nin two lines", "type": kind });
        assert_eq!((seen.json(), answer.json()), (wanted.clone(), wanted));
        assert!(before == 0 || number(&answer) == before + 1, "the numbers follow each other");
        before = number(&answer);
    }
}

#[test]
fn a_late_visitor_sees_the_last_hundred() {
    let server = server();
    let at = server.address();
    (0..120).for_each(|count| drop(put(at, "red", &count.to_string())));
    let mut browser = Browser::open(at, "/messages");
    for count in 20..120 {
        assert_eq!(browser.next().json()["data"], count.to_string());
    }
    put(at, "blue", "live");
    assert_eq!(browser.next().json()["data"], "live");
}

#[test]
fn a_browser_that_comes_back_goes_on_after_the_last_number() {
    let server = server();
    let at = server.address();
    let last = number(&put(at, "red", "seen"));
    (0..150).for_each(|count| drop(put(at, "blue", &count.to_string())));
    let mut browser = Browser::resume(at, "/messages", &last.to_string());
    for count in 0..150 {
        let seen = browser.next();
        assert_eq!((seen.event.as_str(), &seen.json()["data"]), ("blue", &json!(count.to_string())));
    }
}

#[test]
fn an_invalid_message_is_refused_with_the_reason_and_nobody_sees_it() {
    let server = server();
    let at = server.address();
    let mut browser = Browser::open(at, "/messages");
    let long = json!({ "data": "x", "type": "t".repeat(41) }).to_string();
    let large = json!({ "data": "x".repeat(64 * 1024), "type": "red" }).to_string();
    for (body, status, why) in [
        ("", 400, "JSON like"),
        ("not JSON", 400, "JSON like"),
        (r#"{"type":"red"}"#, 400, "`data`"),
        (r#"{"data":"x"}"#, 400, "`type`"),
        (r#"{"data":7,"type":"red"}"#, 400, "string"),
        (r#"{"data":" \n","type":"red"}"#, 400, "`data` is empty"),
        (r#"{"data":"x","type":" "}"#, 400, "`type`"),
        (r#"{"data":"x","type":"reset"}"#, 400, "`reset`"),
        (r#"{"data":"x","type":"error"}"#, 400, "`error`"),
        (r#"{"data":"x","type":"red\nid: 9"}"#, 400, "control"),
        (&long, 400, "`type`"),
        (&large, 413, "at most 65536 bytes"),
    ] {
        let answer = post(at, "/messages", body);
        let said = said(&answer);
        assert!(answer.status == status && said.contains(why), "{body:.60}: {answer:?}");
    }
    let text =
        request(at, "POST /messages HTTP/1.1\r\nContent-Type: text/xml", r#"{"data":"x","type":"red"}"#);
    assert_eq!(text.status, 415, "{text:?}");
    put(at, "red", "probe");
    assert_eq!(browser.next().json()["data"], "probe");
}

#[test]
fn messages_that_are_put_at_once_are_numbered_in_the_order_of_the_wall() {
    let server = server();
    let at = server.address();
    let mut browser = Browser::open(at, "/messages");
    let mut numbers: Vec<u64> = std::thread::scope(|scope| {
        let writer =
            |kind| scope.spawn(move || (0..50).map(|_| number(&put(at, kind, "x"))).collect::<Vec<_>>());
        let writers: Vec<_> = ["red", "yellow", "blue", "other"].into_iter().map(writer).collect();
        writers.into_iter().flat_map(|writer| writer.join().expect("its numbers")).collect()
    });
    numbers.sort_unstable();
    let seen: Vec<u64> = numbers.iter().map(|_| browser.next().id.parse().expect("a number")).collect();
    assert_eq!(seen, numbers);
}

#[test]
fn numbers_go_on_after_a_restart_and_none_is_used_twice() {
    let folder = Folder::new();
    let start = |data: Address| server_with(|config| config.data = data);
    let disk = || Address::Folder(folder.path());
    let server = start(disk());
    let first = number(&put(server.address(), "red", "before"));
    server.stop(Duration::from_secs(5));
    let server = start(disk());
    let second = number(&put(server.address(), "red", "after"));
    assert!(second > first);
    server.stop(Duration::from_secs(5));
    // A server whose history is empty.
    let server = start(Address::Memory);
    let at = server.address();
    assert!(number(&put(at, "red", "anew")) > second);
    let mut browser = Browser::resume(at, "/messages", &first.to_string());
    assert_eq!(browser.next().event, "reset");
}

#[test]
fn the_page_announces_what_it_needs() {
    let server = server();
    let at = server.address();
    for (path, up) in [("/wall.html", ""), ("/pages/wall", "../")] {
        let page = get(at, path);
        assert_eq!(page.status, 200, "{path}");
        let link = page.header("link").expect("a Link header");
        let html = String::from_utf8(page.body.clone()).unwrap();
        for (name, kind) in [("site.css", "as=style"), ("wall.js", "as=script; crossorigin")] {
            assert!(link.contains(&format!("<{up}{name}>; rel=preload; {kind}")), "{link}");
            assert!(html.contains(&format!("\"{up}{name}\"")), "{name} is announced and not used");
            assert_eq!(get(at, &format!("/{name}")).status, 200);
        }
    }
}
