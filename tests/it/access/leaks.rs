//! What may not be read is seen nowhere: not live, not replayed, not listed, and in no text of a refusal.

use crate::support::{Browser, joined, request, server_with};
use callout::access::Action;
use callout::{Area, Digest, Rule, Server, Who};
use std::net::SocketAddr;

const SECRET: &str = "the plan";

fn token(name: &str, publish: &[&str], subscribe: &[&str], may: &[Action], pages: &[Area]) -> Rule {
    let mut rule = Rule::new(Who::token(name, Digest::of(name)).unwrap());
    rule.publish.extend(publish.iter().map(|text| text.parse().unwrap()));
    rule.subscribe.extend(subscribe.iter().map(|text| text.parse().unwrap()));
    rule.may.extend(may);
    rule.pages.extend(pages);
    rule
}

/// A server with secrets on a topic, in a user's notifications and in the posts; a `reader` who may read all that is open,
/// and a `watcher` of the live activity.
fn guarded() -> Server {
    server_with(|config| {
        let mut open = Rule::new(Who::Anonymous);
        open.subscribe.push("open/*".parse().unwrap());
        config.rules = vec![
            open,
            token("writer", &["*", "users/*"], &["*", "users/*"], &[Action::History], &[Area::Posts]),
            token("reader", &[], &["users/ann"], &[Action::History], &[]),
            token("watcher", &[], &[], &[], &[Area::Activity]),
        ];
    })
}

fn ask(at: SocketAddr, head: &str, token: &str, body: &str) -> String {
    let answer = request(at, &format!("{head} HTTP/1.1\r\nAuthorization: Bearer {token}"), body);
    format!("{} {}", answer.status, String::from_utf8_lossy(&answer.body))
}

#[test]
fn what_may_not_be_read_is_not_replayed_not_listed_and_in_no_text() {
    let server = guarded();
    let at = server.address();
    for (head, body) in [
        ("POST /topics/hidden/1", SECRET),
        ("POST /topics/open/1", "for all"),
        ("POST /notify/bob", "{\"data\":\"the plan\"}"),
        ("POST /api/posts", "{\"title\":\"the plan\",\"content\":\"the plan\",\"author\":\"bob\"}"),
    ] {
        let answer = ask(at, head, "writer", body);
        assert!(answer.starts_with('2'), "{head}: {answer}");
    }
    assert!(ask(at, "GET /history/hidden/1", "writer", "").contains(SECRET));
    for who in ["reader", "watcher", "nobody"] {
        for (head, body) in [
            ("GET /topics/hidden/1?last=10", ""),
            ("GET /topics/hidden/1?last_event_id=earliest", ""),
            ("GET /topics?topic=open/1&topic=hidden/1&last=10", ""),
            ("QUERY /topics?last=10", "topic=open/1&topic=hidden/1"),
            ("POST /subscribe?last=10", "{\"topics\":[\"hidden/1\"]}"),
            ("GET /sse/bob?last=10", ""),
            ("GET /history", ""),
            ("GET /history/hidden/1", ""),
            ("GET /history/$user/bob", ""),
            ("GET /history/$posts", ""),
            ("GET /api/posts", ""),
            ("GET /api/posts/1", ""),
            ("GET /api/feeds", ""),
            ("DELETE /topics/hidden/1", ""),
            ("POST /topics/hidden/1", "x"),
            ("POST /publish", "{\"topic\":\"hidden/1\",\"data\":\"x\"}\n"),
        ] {
            let answer = ask(at, head, who, body);
            let is_list = head == "GET /history" && who == "reader";
            // Each line is answered for itself.
            let are_lines = head == "POST /publish" && who != "nobody";
            assert_eq!(answer.starts_with("200"), is_list || are_lines, "{who}: {head}: {answer}");
            assert!(!answer.contains(SECRET), "{who}: {head}: {answer}");
            assert!(!is_list || answer.contains("open/1") && !answer.contains("hidden"), "{answer}");
            // What others may is no business of whoever is refused.
            assert!(!answer.contains("writer"), "{who}: {head}: {answer}");
        }
    }
}

#[test]
fn a_stream_gets_what_it_may_read_and_the_activity_page_names_no_topic() {
    let server = guarded();
    let at = server.address();
    let mut watcher = Browser::open_with(at, "/api/streams", "Authorization: Bearer watcher\r\n");
    let mut anybody = Browser::open(at, "/topics/open/1");
    let mut ann = Browser::open_with(at, "/sse/ann", "Authorization: Bearer reader\r\n");
    joined(&server, 3);
    for (head, body) in [
        ("POST /topics/hidden/1", SECRET),
        ("POST /notify/bob", "{\"data\":\"the plan\"}"),
        ("POST /notify/ann", "{\"data\":\"for ann\"}"),
        ("POST /topics/open/1", "for all"),
    ] {
        assert!(ask(at, head, "writer", body).starts_with("200"), "{head}");
    }
    assert_eq!((anybody.next().data.as_str(), ann.next().data.as_str()), ("for all", "for ann"));
    loop {
        let seen = watcher.next();
        assert!(
            !seen.data.contains("hidden") && !seen.data.contains("bob") && !seen.data.contains(SECRET),
            "{seen:?}"
        );
        if seen.data.contains("POST /notify/{id}") {
            break;
        }
    }
}
