//! Streams whose events say more than the standard has: `?with=topic`.

use crate::disk::Folder;
use crate::support::{Browser, Raw, get, joined, publish, request, said, server, server_with};
use callout::server::Server;
use callout::{Draft, Topic};

/// The next event: the topic that it tells, and its data.
fn next(browser: &mut Browser) -> (Option<String>, String) {
    let data = browser.next().data;
    (browser.parser.topic.clone(), data)
}

fn told(topic: &str, data: &str) -> (Option<String>, String) {
    (Some(topic.into()), data.into())
}

fn publish_to(server: &Server, topics: &[&str], data: &str) {
    let topics = topics.iter().map(|topic| Topic::new(topic).unwrap()).collect();
    server.publish(Draft { topics, data: data.into(), ..Draft::default() }).unwrap();
}

#[test]
fn each_event_tells_its_topic_where_that_is_asked_for_and_is_the_same_as_ever_elsewhere() {
    let server = server_with(|config| config.ephemeral = vec!["now/*".parse().unwrap()]);
    let at = server.address();
    let topics = "/topics?topic=a&topic=r%C3%B6%2F1&topic=now%2F1";
    let mut listener = Browser::open(at, &format!("{topics}&with=topic"));
    let mut plain = Raw::connect(at);
    plain.send(format!("GET {topics} HTTP/1.0\r\nHost: localhost\r\n\r\n"));
    while !plain.line().starts_with("id: ") {}
    plain.line();
    let id = publish(at, "/topics/a?event=news", "two\nlines");
    assert_eq!(next(&mut listener), told("a", "two\nlines"));
    let lines: Vec<String> = (0..5).map(|_| plain.line()).collect();
    assert_eq!(lines, [&format!("id: {id}\n"), "event: news\n", "data: two\n", "data: lines\n", "\n"]);
    publish_to(&server, &["rö/1"], "x");
    assert_eq!(next(&mut listener), told("rö/1", "x"));
    assert_eq!(request(at, "POST /topics/now/1 HTTP/1.1", "ephemeral").status, 200);
    assert_eq!(next(&mut listener), told("now/1", "ephemeral"));
    assert_eq!(request(at, &format!("DELETE /topics/a?id={id} HTTP/1.1"), "").status, 200);
    let (topic, data) = next(&mut listener);
    assert_eq!(topic.as_deref(), Some("a"), "{data}");
}

#[test]
fn an_event_on_several_topics_tells_the_first_of_those_that_the_stream_subscribes_to() {
    let folder = Folder::new();
    for address in ["memory", folder.text()] {
        let server = server_with(|config| config.data = address.parse().unwrap());
        let at = server.address();
        let wanted = [
            ("topic=a", vec![told("a", "ba"), told("a", "ab")]),
            ("topic=b", vec![told("b", "ba"), told("b", "ab")]),
            ("topic=a&topic=b", vec![told("b", "ba"), told("a", "ab")]),
            ("topic=z&topic=b&topic=a", vec![told("b", "ba"), told("a", "ab"), told("z", "z")]),
        ];
        let path = |topics: &str| format!("/topics?{topics}&with=topic&last_event_id=earliest");
        let mut live: Vec<Browser> =
            wanted.iter().map(|(topics, _)| Browser::open(at, &path(topics))).collect();
        joined(&server, live.len());
        publish_to(&server, &["secret", "b", "a"], "ba");
        publish_to(&server, &["a", "secret", "b"], "ab");
        publish_to(&server, &["z"], "z");
        for (browser, (topics, wanted)) in live.iter_mut().zip(&wanted) {
            let mut replayed = Browser::open(at, &path(topics));
            for event in wanted {
                assert_eq!(next(browser), *event, "live, {topics}, {address}");
                assert_eq!(next(&mut replayed), *event, "in a replay, {topics}, {address}");
            }
        }
    }
}

#[test]
fn streams_of_both_forms_are_sent_the_same_events_under_load() {
    const EVENTS: usize = 3_000;
    let server = server();
    let at = server.address();
    let topics = ["a", "b", "c"];
    let query = |form: &str| format!("/topics?topic=a&topic=b&topic=c{form}");
    let open = |form: &str, own: usize| {
        Browser::open(at, &format!("{}&topic=own{own}&last_event_id=earliest", query(form)))
    };
    // Those that subscribe to the same topics are one group in each form; the others are groups of their own.
    let mut plain: Vec<Browser> = (0..4).map(|client| open("", client / 2)).collect();
    let mut with_topic: Vec<Browser> = (0..4).map(|client| open("&with=topic", client / 2)).collect();
    for number in 0..EVENTS {
        publish_to(&server, &[topics[number % 3]], &number.to_string());
    }
    for number in 0..EVENTS {
        for browser in &mut plain {
            assert_eq!(next(browser), (None, number.to_string()));
        }
        for browser in &mut with_topic {
            assert_eq!(next(browser), told(topics[number % 3], &number.to_string()));
        }
    }
}

#[test]
fn what_concerns_no_topic_tells_none_and_no_other_form_is_known() {
    let server = server();
    let at = server.address();
    publish(at, "/topics/a", "x");
    let mut listener = Browser::open(at, "/topics?topic=a&topic=b&with=topic&last_event_id=0000000000000001");
    assert_eq!(listener.next().event, "reset");
    assert_eq!(listener.parser.topic, None);
    assert_eq!(next(&mut listener), told("a", "x"));
    for path in ["/topics/a?with=", "/topics/a?with=topic&with=Topic", "/topics/a?with=everything"] {
        let answer = get(at, path);
        assert!(answer.status == 400 && said(&answer).contains("`topic`"), "{answer:?}");
    }
}
