//! The topic API: what goes in on a topic comes out to those who listen to it, and to nobody else.

use crate::support::{Answer, Browser, Seen, get, post, publish, request, server, server_with};
use callout::{Draft, Event, Topic};
use std::collections::HashMap;
use std::net::SocketAddr;

/// The explanation in a refusal.
fn refusal(answer: &Answer) -> String {
    let why = answer.json()["error"].as_str().unwrap_or_default().to_owned();
    assert!(!why.is_empty(), "no explanation: {answer:?}");
    why
}

/// A query for this many topics.
fn many(count: usize) -> String {
    let names: Vec<String> = (0..count).map(|number| format!("topic=t{number}")).collect();
    format!("/topics?{}", names.join("&"))
}

#[test]
fn a_stream_carries_its_own_topic_and_no_other() {
    let server = server();
    let at = server.address();
    let mut listener = Browser::open(at, "/topics/news");
    for header in ["content-type: text/event-stream", "x-accel-buffering: no", "no-store, no-transform"] {
        assert!(listener.head.contains(header), "{}", listener.head);
    }
    publish(at, "/topics/other", "not for you");
    let id = publish(at, "/topics/news", "hello");
    assert_eq!(listener.next(), Seen { id, event: "message".into(), data: "hello".into() });
}

#[test]
fn a_stream_of_several_topics_carries_them_all_in_order() {
    let server = server();
    let at = server.address();
    let mut listener = Browser::open(at, "/topics?topic=a&topic=b%2Fc&topic=d");
    for (topic, data) in [("d", "1"), ("a", "2"), ("x", "no"), ("b/c", "3"), ("b", "no"), ("a", "4")] {
        publish(at, &format!("/topics/{topic}"), data);
    }
    let seen: Vec<String> = (0..4).map(|_| listener.next().data).collect();
    assert_eq!(seen, ["1", "2", "3", "4"]);
}

#[test]
fn a_stream_listens_to_a_hundred_topics_and_not_to_more() {
    let server = server();
    let at = server.address();
    let mut listener = Browser::open(at, &many(100));
    publish(at, "/topics/t0", "first");
    publish(at, "/topics/t99", "last");
    assert_eq!((listener.next().data, listener.next().data), ("first".into(), "last".into()));
    for path in [many(101), "/topics".into(), "/topics?topic=".into()] {
        let answer = get(at, &path);
        assert_eq!(answer.status, 400, "{answer:?}");
        refusal(&answer);
    }
    assert!(refusal(&get(at, &many(101))).contains("100"));
    let answer = get(at, &many(10_000));
    assert!(matches!(answer.status, 400 | 431), "{answer:?}");
}

#[test]
fn name_id_and_retry_come_from_the_query() {
    let server = server();
    let at = server.address();
    let mut listener = Browser::open(at, "/topics/t");
    let id = publish(at, "/topics/t?event=price+%C3%A9&id=mine-1&retry=4321", "x");
    assert_eq!(id, "mine-1");
    assert_eq!(listener.next(), Seen { id, event: "price é".into(), data: "x".into() });
    assert_eq!(listener.parser.retry_millis, Some(4321));
    publish(at, "/topics/t?event=&retry=1", "");
    let seen = listener.next();
    assert_eq!((seen.event.as_str(), seen.data.as_str()), ("message", ""));
    assert_eq!(listener.parser.retry_millis, Some(100), "what would be a stampede is held to the minimum");
    publish(at, "/topics/t?retry=99999999999", "");
    listener.next();
    assert_eq!(listener.parser.retry_millis, Some(600_000), "and what would look dead to the maximum");
}

#[test]
fn what_cannot_be_sent_is_refused_with_the_reason_and_not_published() {
    let server = server();
    let at = server.address();
    let mut listener = Browser::open(at, "/topics/t");
    let long_name = format!("event={}", "n".repeat(256));
    let long_id = format!("id={}", "i".repeat(65));
    for query in [
        "event=error",
        "event=open",
        "event=a%0Ab",
        "event=a%0Db",
        "event=a%00b",
        "event=a%09b",
        &long_name,
        "id=",
        "id=a%0Ab",
        "id=a%0Db",
        "id=a%00b",
        "id=a+b",
        "id=%C3%A9",
        "id=a:b",
        "id=%7Bx%7D",
        &long_id,
        "retry=",
        "retry=soon",
        "retry=-1",
        "retry=1.5",
    ] {
        let answer = post(at, &format!("/topics/t?{query}"), "never");
        assert_eq!(answer.status, 400, "{query}: {answer:?}");
        refusal(&answer);
    }
    let answer = post(at, "/topics/t", [b'a', 0xff, b'b']);
    assert_eq!(answer.status, 400);
    assert!(refusal(&answer).contains("UTF-8"));
    publish(at, "/topics/t", "probe");
    assert_eq!(listener.next().data, "probe");
    assert_eq!(server.app().history.status().events, 1);
}

#[test]
fn the_topics_of_callouts_own_pages_are_not_for_everyone() {
    let server = server();
    let at = server.address();
    for topic in ["$chat", "%24chat", "$", "$reset"] {
        assert_eq!(post(at, &format!("/topics/{topic}"), "x").status, 400, "{topic}");
        let answer = get(at, &format!("/topics/{topic}"));
        assert_eq!(answer.status, 400, "{topic}");
        assert!(refusal(&answer).contains('$'));
        assert_eq!(get(at, &format!("/topics?topic=a&topic={topic}")).status, 400, "{topic}");
    }
}

#[test]
fn slashes_and_percent_encoding_lead_to_the_topic_that_is_meant() {
    let server = server();
    let at = server.address();
    let longest = "x".repeat(256);
    for (path, query) in [
        ("rooms/42", "rooms%2F42"),
        ("rooms%2f43", "rooms/43"),
        ("rooms//44/", "rooms//44/"),
        ("a%20b", "a+b"),
        ("a+b", "a%2Bb"),
        ("gr%C3%B6%C3%9Fe", "gr%c3%b6%c3%9fe"),
        ("100%25", "100%25"),
        ("what%3F", "what%3f"),
        (&longest, &longest),
    ] {
        let mut one = Browser::open(at, &format!("/topics/{path}"));
        let mut several = Browser::open(at, &format!("/topics?topic={query}"));
        publish(at, &format!("/topics/{path}"), path);
        assert_eq!((one.next().data.as_str(), several.next().data.as_str()), (path, path));
    }
    assert_eq!(post(at, "/topics/%FF", "x").status, 400);
    for topic in ["a%0Ab", "a%0Db", "a%00", "a%09b", &"x".repeat(257)] {
        let (one, several) = (format!("/topics/{topic}"), format!("/topics?topic={topic}"));
        for answer in [post(at, &one, "x"), get(at, &one), get(at, &several)] {
            assert_eq!(answer.status, 400, "{topic}: {answer:?}");
            refusal(&answer);
        }
    }
}

#[test]
fn publishing_needs_the_token_and_nothing_else_does() {
    let server = server_with(|config| config.publish_token = Some("sesame".into()));
    let at = server.address();
    let mut listener = Browser::open(at, "/topics/t");
    for header in [
        "",
        "\r\nAuthorization: Bearer wrong!",
        "\r\nAuthorization: Bearer sesam",
        "\r\nAuthorization: Bearer sesamee",
        "\r\nAuthorization: Bearer ",
        "\r\nAuthorization: Basic sesame",
        "\r\nAuthorization: sesame",
    ] {
        let answer = request(at, &format!("POST /topics/t HTTP/1.1{header}"), "never");
        assert_eq!(answer.status, 401, "{header}: {answer:?}");
        assert_eq!(answer.header("www-authenticate"), Some("bearer"));
        refusal(&answer);
    }
    for scheme in ["Bearer", "bearer"] {
        let head = format!("POST /topics/t HTTP/1.1\r\nAuthorization: {scheme} sesame");
        assert_eq!(request(at, &head, scheme).status, 200);
        assert_eq!(listener.next().data, scheme);
    }
    assert_eq!(get(at, "/healthz").status, 200);
    assert_eq!(post(at, "/sse/message", r#"{"user":"ann","message":"hi"}"#).status, 200);
}

#[test]
fn with_several_publishers_everybody_sees_the_same_order() {
    const PUBLISHERS: usize = 4;
    const EVENTS: usize = 100;
    let server = server();
    let at = server.address();
    let mut listeners: Vec<Browser> = (0..4).map(|_| Browser::open(at, "/topics/t")).collect();
    listeners.push(Browser::open(at, "/topics?topic=t&topic=other"));
    std::thread::scope(|scope| {
        for publisher in 0..PUBLISHERS {
            scope.spawn(move || publish_numbers(at, publisher, EVENTS));
        }
    });
    let mut seen = listeners
        .iter_mut()
        .map(|listener| -> Vec<Seen> { (0..PUBLISHERS * EVENTS).map(|_| listener.next()).collect() });
    let first = seen.next().unwrap();
    seen.for_each(|other| assert_eq!(other, first));
    assert!(first.is_sorted_by(|a, b| a.id < b.id), "the order is that of the ids");
    let mut next = HashMap::<&str, usize>::new();
    for event in &first {
        let (publisher, number) = event.data.split_once(' ').unwrap();
        let wanted = next.entry(publisher).or_default();
        assert_eq!(number, wanted.to_string(), "publisher {publisher}'s own order");
        *wanted += 1;
    }
}

fn publish_numbers(at: SocketAddr, publisher: usize, count: usize) {
    (0..count).for_each(|number| drop(publish(at, "/topics/t", format!("{publisher} {number}"))));
}

#[test]
fn an_event_on_several_of_a_streams_topics_is_received_once() {
    let server = server();
    let mut live = Browser::open(server.address(), "/topics?topic=a&topic=b&topic=c&topic=a");
    let topics = ["a", "b", "a"].map(|name| Topic::new(name).unwrap());
    let say = |data: &str| {
        let draft = Draft { topics: topics.to_vec(), data: data.into(), ..Draft::default() };
        server.app().history.publish(Event::new(draft).unwrap()).unwrap();
    };
    // Soon it is past its replay, and receives them live.
    for number in 0..100 {
        say(&number.to_string());
        assert_eq!(live.next().data, number.to_string());
    }
    let mut late = Browser::open(server.address(), "/topics?topic=b&topic=a&last_event_id=earliest");
    (0..100).for_each(|number| assert_eq!(late.next().data, number.to_string()));
}
