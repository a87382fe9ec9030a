//! The topic API: what goes in on a topic comes out to those who listen to it, and to nobody else.

use crate::support::witness::{AT_ONCE, Witness};
use crate::support::{
    Browser, Raw, Seen, get, post, publish, request, said, server, server_with, status, until,
};
use callout::{Draft, Event, Topic};
use std::collections::HashMap;
use std::io::BufRead;
use std::net::SocketAddr;

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
        said(&answer);
    }
    assert!(said(&get(at, &many(101))).contains("100"));
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
        "event=reset",
        "event=retract",
        "event=drain",
        "event=end",
        "event=unauthorized",
        "event=presence",
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
        said(&answer);
    }
    let answer = post(at, "/topics/t", [b'a', 0xff, b'b']);
    assert_eq!(answer.status, 400);
    assert!(said(&answer).contains("UTF-8"));
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
        assert!(said(&answer).contains('$'));
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
            said(&answer);
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
        said(&answer);
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

/// A name of 256 bytes, and each of them percent-encoded.
fn long_topic(number: usize) -> (String, String) {
    let name = format!("{number:04}{}", "é".repeat(126));
    let encoded = name.bytes().map(|byte| format!("%{byte:02x}")).collect();
    (name, encoded)
}

#[test]
fn one_event_is_published_on_several_topics_at_once_and_is_one_event() {
    let server = server();
    let at = server.address();
    let address = "https://example.com/books/7";
    let mut one = Browser::open(at, &format!("/topics?topic={address}"));
    let mut both = Browser::open(at, &format!("/topics?topic=news&topic={address}"));
    let path = format!("/topics?topic={address}&topic=news&topic=news&event=changed");
    let id = publish(at, &path, "hello");
    let seen = Seen { id, event: "changed".into(), data: "hello".into() };
    assert_eq!((one.next(), both.next()), (seen.clone(), seen));
    publish(at, "/topics/news", "probe");
    assert_eq!(both.next().data, "probe", "it came once");
    assert_eq!(server.app().history.status().events, 2);
    for path in ["/topics", "/topics?topic=", "/topics?topic=a&topic=$chat", &many(101)] {
        assert_eq!(post(at, path, "never").status, 400, "{path}");
    }
    publish(at, &many(100), "to a hundred");
    for topic in ["t0", "t99"] {
        let mut late = Browser::open(at, &format!("/topics/{topic}?last_event_id=earliest"));
        assert_eq!(late.next().data, "to a hundred");
    }
}

#[test]
fn publishing_on_several_topics_needs_the_token() {
    let server = server_with(|config| config.publish_token = Some("sesame".into()));
    assert_eq!(post(server.address(), "/topics?topic=a", "x").status, 401);
    let head = "POST /topics?topic=a HTTP/1.1\r\nAuthorization: Bearer sesame";
    assert_eq!(request(server.address(), head, "x").status, 200);
}

#[test]
fn the_last_id_is_taken_from_the_query_in_every_spelling() {
    let server = server();
    let at = server.address();
    let first = publish(at, "/topics/t", "first");
    publish(at, "/topics/t", "second");
    for name in
        ["last_event_id", "lastEventId", "lastEventID", "last-event-id", "Last-Event-ID", "LAST_EVENT_ID"]
    {
        let mut browser = Browser::open(at, &format!("/topics/t?{name}={first}"));
        assert_eq!(browser.next().data, "second", "{name}");
        let mut browser = Browser::open(at, &format!("/topics?topic=t&lastEventId=&{name}=earliest&last=1"));
        assert_eq!(browser.next().data, "first", "{name}");
        // What the browser saw since is newer than its address.
        let mut browser = Browser::resume(at, &format!("/topics/t?{name}=earliest"), &first);
        assert_eq!(browser.next().data, "second", "{name}");
    }
}

#[test]
fn a_hundred_topics_fit_into_a_request_however_long_they_are() {
    let server = server();
    let at = server.address();
    let topics: Vec<(String, String)> = (0..100).map(long_topic).collect();
    let query = topics.iter().map(|(_, encoded)| format!("topic={encoded}")).collect::<Vec<_>>().join("&");
    let names: Vec<&str> = topics.iter().map(|(name, _)| name.as_str()).collect();
    let mut browser = Browser::open(at, &format!("/topics?{query}"));
    let body = serde_json::json!({ "topics": names }).to_string();
    let mut others = ["QUERY /topics", "POST /subscribe"].map(|line| asked_with_body(at, line, "", &body));
    for topic in [&topics[0], &topics[99]] {
        let id = publish(at, &format!("/topics/{}", topic.1), &topic.0);
        others.iter_mut().chain([&mut browser]).for_each(|browser| assert_eq!(browser.next().id, id));
    }
    let id = publish(at, &format!("/topics?{query}"), "to all");
    others.iter_mut().chain([&mut browser]).for_each(|browser| assert_eq!(browser.next().id, id));
    let too_long = request(at, &format!("GET /topics?{query}&x={} HTTP/1.1", "x".repeat(24 * 1024)), "");
    assert_eq!(too_long.status, 431);
    let too_long = request(at, &format!("GET /topics?topic=a HTTP/1.1\r\nX: {}", "x".repeat(17 * 1024)), "");
    assert_eq!(too_long.status, 431, "only the query may be long");
}

fn asked_with_body(at: SocketAddr, line: &str, fields: &str, body: &str) -> Browser {
    let mut raw = Raw::connect(at);
    let bytes = body.len();
    raw.send(format!("{line} HTTP/1.1\r\nHost: localhost\r\n{fields}Content-Length: {bytes}\r\n\r\n{body}"));
    Browser::asked_on(raw)
}

#[test]
fn topics_are_named_in_the_body_as_json_or_as_a_form() {
    let server = server();
    let at = server.address();
    publish(at, "/topics/a/b", "1");
    publish(at, "/topics/c", "2");
    for (fields, query, body) in [
        ("", "?last_event_id=earliest", r#"{"topics":["a/b","c"]}"#),
        ("Content-Type: application/json\r\n", "?last=2", "\u{feff} {\"topics\":[\"c\",\"a/b\"]}"),
        ("Content-Type: text/plain\r\n", "?lastEventId=earliest", r#"{"topics":["a/b","c","c"]}"#),
        ("Content-Type: application/x-www-form-urlencoded\r\n", "?last=9", "topic=a%2Fb&topic=c\r\n"),
        ("", "?last=9&topic=c", "topic=a/b"),
        ("", "?last=9&topic=c&topic=a/b", ""),
    ] {
        for path in ["QUERY /topics", "POST /subscribe"] {
            let mut browser = asked_with_body(at, &format!("{path}{query}"), fields, body);
            assert_eq!([browser.next().data, browser.next().data], ["1", "2"], "{path}{query} {body}");
        }
    }
    let many: Vec<String> = (0..101).map(|number| number.to_string()).collect();
    let many = serde_json::json!({ "topics": many }).to_string();
    for body in [
        "",
        "{}",
        r#"{"topics":[]}"#,
        r#"{"topics":["$chat"]}"#,
        r#"{"topics":[7]}"#,
        r#"{"topics":["a"],"last":1}"#,
        "topics=a",
        "topic=a&last_event_id=earliest",
        "hello",
        &many,
    ] {
        for path in ["QUERY /topics", "POST /subscribe"] {
            let answer = request(at, &format!("{path} HTTP/1.1"), body);
            assert_eq!(answer.status, 400, "{path} {body}: {answer:?}");
            said(&answer);
        }
    }
}

#[test]
fn of_requests_with_a_long_query_only_so_many_are_read_at_one_moment() {
    let server = server();
    let mut witness = Witness::of_server(&server);
    let mut long: Vec<Raw> = (0..65)
        .map(|_| {
            let mut raw = Raw::connect(server.address());
            raw.send(format!("GET /topics?topic={}", "x".repeat(20 * 1024)));
            raw.socket().set_nonblocking(true).unwrap();
            raw
        })
        .collect();
    let mut refused = None;
    until("one is refused", || {
        refused = long.iter_mut().position(|raw| raw.reader.fill_buf().is_ok());
        refused.is_some()
    });
    let mut raw = long.remove(refused.unwrap());
    raw.socket().set_nonblocking(false).unwrap();
    raw.socket().set_read_timeout(Some(AT_ONCE)).unwrap();
    let everything = raw.everything();
    assert_eq!(status(&everything), 503);
    assert!(
        everything.to_lowercase().contains("retry-after") && everything.contains("QUERY"),
        "{everything}"
    );
    drop(long);
    witness.assert_calm();
}
