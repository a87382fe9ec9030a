//! The other listener, `tiny_http`: the same chat and the same topic API, and the defect because of which it
//! is not the default.

use crate::support::{Browser, Program, Raw, get, post, publish, request, said, server_with, until};
use callout::ListenerKind;
use callout::Server;
use serde_json::json;
use std::io::Read;
use std::time::{Duration, Instant};

fn tiny_server() -> Server {
    server_with(|config| {
        config.listener = ListenerKind::TinyHttp;
        // A hang-up is noticed when a heartbeat fails.
        config.limits.pace.heartbeat = Duration::from_millis(50);
    })
}

fn users_become(browser: &mut Browser, wanted: serde_json::Value) {
    while browser.next_named("presence").json()["users"] != wanted {}
}

#[test]
fn the_chat_on_tiny_http_brings_what_is_said_and_who_is_there() {
    let server = tiny_server();
    let at = server.address();
    let mut ann = Browser::open(at, "/sse?user=ann");
    let mut bob = Browser::open(at, "/sse?user=bob");
    users_become(&mut ann, json!(["ann", "bob"]));
    users_become(&mut bob, json!(["ann", "bob"]));
    let answer = post(at, "/sse/message", r#"{"user":"bob","message":"hi\nthere"}"#);
    assert_eq!((answer.status, answer.json()), (200, json!({ "succeeded": true, "message": "OK" })));
    for browser in [&mut ann, &mut bob] {
        let said = browser.next_named("message").json();
        assert_eq!((said["user"].as_str(), said["message"].as_str()), (Some("bob"), Some("hi\nthere")));
    }
    drop(bob);
    users_become(&mut ann, json!(["ann"]));
    until("its permit is free", || server.app().permits.in_use() == 1);

    assert_eq!(get(at, "/sse").status, 400);
    let too_large = json!({ "user": "ann", "message": "x".repeat(64 * 1024) }).to_string();
    for (body, status) in [("not JSON", 400), (&too_large, 413)] {
        let answer = post(at, "/sse/message", body);
        assert_eq!((answer.status, &answer.json()["succeeded"]), (status, &json!(false)), "{answer:?}");
        assert!(said(&answer).starts_with(answer.json()["errorMessage"].as_str().expect("the reason")));
    }
}

#[test]
fn the_topic_api_on_tiny_http_publishes_streams_and_resumes() {
    let server = tiny_server();
    let at = server.address();
    let mut listener = Browser::open(at, "/topics?topic=rooms%2F1&topic=t");
    assert!(listener.head.contains("content-type: text/event-stream"), "{}", listener.head);
    let first = publish(at, "/topics/t?event=news&retry=4321", "a\r\nb\rid: 9");
    assert_eq!(publish(at, "/topics/rooms/1?id=mine", "second"), "mine");
    let seen = listener.next();
    assert_eq!((&seen.id, seen.event.as_str(), seen.data.as_str()), (&first, "news", "a\nb\nid: 9"));
    assert_eq!(listener.parser.retry_millis, Some(4321));
    assert_eq!(listener.next().id, "mine");
    for resumed in [
        Browser::resume(at, "/topics?topic=rooms%2F1&topic=t", &first),
        Browser::open(at, "/topics/rooms/1?last_event_id=earliest"),
    ] {
        let mut resumed = resumed;
        assert_eq!(resumed.next().data, "second");
    }
    assert_eq!(Browser::resume(at, "/topics/t", "unknown").next().event, "reset");
    for (path, body) in [("/topics/t?event=error", "x"), ("/topics/t?id=a%0Ab", "x"), ("/topics/$chat", "x")]
    {
        let answer = post(at, path, body);
        assert_eq!(answer.status, 400, "{path}");
        said(&answer);
    }
    assert_eq!(post(at, "/topics/t", [0xff]).status, 400);
    assert_eq!(post(at, "/topics/t", "x".repeat(64 * 1024 + 1)).status, 413);
}

#[test]
fn a_thousand_events_on_tiny_http_arrive_in_order() {
    let server = tiny_server();
    let at = server.address();
    let mut listeners: Vec<Browser> = (0..5).map(|_| Browser::open(at, "/topics/t")).collect();
    for number in 0..1_000 {
        publish(at, "/topics/t", number.to_string());
        listeners.iter_mut().for_each(|listener| assert_eq!(listener.next().data, number.to_string()));
    }
}

#[test]
fn the_publish_token_holds_on_tiny_http() {
    let server = server_with(|config| {
        config.listener = ListenerKind::TinyHttp;
        config.publish_token = Some("sesame".into());
    });
    assert_eq!(post(server.address(), "/topics/t", "x").status, 401);
    let head = "POST /topics/t HTTP/1.1\r\nAuthorization: Bearer sesame";
    assert_eq!(request(server.address(), head, "x").status, 200);
}

#[test]
fn a_drain_on_tiny_http_tells_when_to_come_back_and_ends_with_code_0() {
    let program = Program::serve(&["--listener", "tiny_http"]);
    let mut stream = Browser::open(program.address, "/topics/t");
    publish(program.address, "/topics/t", "last");
    program.signal("TERM");
    assert_eq!(stream.next().data, "last");
    stream.parser.retry_millis = None;
    assert_eq!(stream.rest(), []);
    assert!(stream.parser.retry_millis.is_some());
    assert_eq!(program.wait().0, Some(0));
}

/// Opens 1,000 streams in one burst, and counts how many are answered before nothing more comes for five
/// seconds.
fn answered_in_a_burst(program: &Program) -> usize {
    let open = |_| {
        let mut raw = Raw::connect(program.address);
        raw.send("GET /topics/t HTTP/1.1\r\nHost: localhost\r\n\r\n");
        raw.socket().set_nonblocking(true).unwrap();
        raw
    };
    // Once these are answered, the library's pool of threads is there, and idle.
    (0..10).for_each(|_| assert_eq!(get(program.address, "/healthz").status, 200));
    // The first ones wait in the kernel (whose queue for a listener holds 128), so that the program finds
    // them all at once, however fast this machine is.
    program.signal("STOP");
    let mut raws: Vec<Raw> = (0..100).map(open).collect();
    program.signal("CONT");
    raws.extend((100..1_000).map(open));
    // Those that were answered stay open, because each that left would free a thread for another.
    let mut answered = Vec::new();
    let mut last = Instant::now();
    while !raws.is_empty() && last.elapsed() < Duration::from_secs(5) {
        for mut raw in std::mem::take(&mut raws) {
            if raw.reader.get_mut().read(&mut [0; 1]).is_ok_and(|count| count > 0) {
                answered.push(raw);
                last = Instant::now();
            } else {
                raws.push(raw);
            }
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    answered.len()
}

/// Not a promise, but the reason why `direct` is the default: the pool of tiny_http 0.12.0 loses wake-ups, so
/// of many connections that come at once, some (17 to 33 of 1,000 were seen) are never answered.
///
/// The day this test fails, tiny_http has fixed the defect. Then its other defects are to be looked at again,
/// the documentation changed, and this test deleted.
#[test]
fn known_defect_of_tiny_http_a_burst_leaves_some_streams_unanswered_for_ever() {
    let give_up = Instant::now() + Duration::from_secs(60);
    while Instant::now() < give_up {
        let program = Program::serve(&["--listener", "tiny_http", "--log", "error"]);
        let answered = answered_in_a_burst(&program);
        if answered < 1_000 {
            return println!("{answered} of 1000 were answered");
        }
    }
    panic!("all streams were answered in every burst: tiny_http seems to have fixed its defect");
}
