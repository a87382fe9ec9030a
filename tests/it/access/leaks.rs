//! What may not be read is seen nowhere: not live, not replayed, not listed, and in no text of a refusal.

use crate::support::{Browser, Seen, joined, request, server_with};
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
/// a `watcher` of the live activity, and a `cleaner` who may publish and retract, and read nothing of it.
fn guarded() -> Server {
    server_with(|config| {
        let mut open = Rule::new(Who::Anonymous);
        open.subscribe.push("open/*".parse().unwrap());
        config.rules = vec![
            open,
            token(
                "writer",
                &["*", "users/*"],
                &["*", "users/*"],
                &[Action::History, Action::Retract],
                &[Area::Posts],
            ),
            token("cleaner", &["notes/*", "drop/*"], &[], &[Action::Retract], &[]),
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

/// The whole of a stream from the beginning of what is kept up to an event of everybody's.
fn replayed(at: SocketAddr, path: &str, token: &str) -> Vec<Seen> {
    assert!(ask(at, "POST /topics?topic=open/1&topic=rooms/1", "writer", "the last").starts_with("200"));
    let mut browser = Browser::open_with(at, path, &format!("Authorization: Bearer {token}\r\n"));
    let mut came = Vec::new();
    while came.last().is_none_or(|seen: &Seen| seen.data != "the last") {
        came.push(browser.next());
    }
    came
}

fn published(at: SocketAddr, path: &str) -> String {
    let answer = ask(at, &format!("POST {path}"), "writer", SECRET);
    answer.split('"').nth(3).unwrap_or_else(|| panic!("{answer}")).to_owned()
}

#[test]
fn a_retraction_tells_each_topic_its_own_name_and_nothing_to_who_may_not_see_the_event() {
    let server = guarded();
    let at = server.address();
    let mut anybody = Browser::open(at, "/topics?topic=open/*&with=topic");
    joined(&server, 1);
    published(at, "/topics/hidden/1?id=unseen");
    published(at, "/topics?topic=hidden/1&topic=open/1&id=on-both");
    published(at, "/topics?topic=hidden/2&topic=open/1&id=with-all");
    // One event, one on both, and all of a topic with an event that is on another one too.
    for what in ["hidden/1?id=unseen", "hidden/1?id=on-both", "hidden/2"] {
        let answer = ask(at, &format!("DELETE /topics/{what}"), "writer", "");
        assert!(answer.starts_with("200"), "{answer}");
    }
    let live = std::iter::from_fn(|| Some(anybody.next())).take(4).collect::<Vec<_>>();
    for came in [live, replayed(at, "/topics/open/1?last_event_id=earliest", "")] {
        let told: Vec<_> = came.iter().filter(|seen| seen.event == "retract").collect();
        let texts: Vec<_> = told.iter().map(|seen| &*seen.data).collect();
        let of = |id: &str| format!(r#"{{"topic":"open/1","id":"{id}"}}"#);
        assert_eq!(texts, [of("on-both"), of("with-all")]);
        assert!(
            !format!("{came:?}").contains("hidden") && !format!("{came:?}").contains("unseen"),
            "{came:?}"
        );
    }
}

#[test]
fn an_id_of_an_event_that_one_may_not_read_means_nothing_elsewhere() {
    let server = guarded();
    let at = server.address();
    let hidden = published(at, "/topics/hidden/1");
    published(at, "/topics/hidden/1?id=order-7");
    // A number that was never given, as near as can be.
    let never = format!("{:016x}", u64::from_str_radix(&hidden, 16).unwrap() + 1);
    let first = |id: &str| {
        let path = format!("/topics/open/1?last_event_id={id}");
        let came = replayed(at, &path, "");
        // What was asked for is said again.
        let texts = came.iter().map(|seen| format!("{} {}", seen.event, seen.data.replace(id, "ID")));
        let position = |text: String| text.split("\"continues_after\"").next().unwrap().to_owned();
        texts.map(position).filter(|text| !text.contains("the last")).collect::<Vec<_>>()
    };
    assert_eq!(first("order-7"), first("order-8"));
    // callout's own ids are positions, which every stream is told when it opens: that something was published is seen by
    // everybody, and not what or where.
    assert_eq!(Browser::open(at, "/topics/open/1").parser.last_event_id.len(), hidden.len());
    assert_eq!((first(&hidden).len(), first(&never)), (0, vec!["reset {".to_owned()]));
    // Who may take events back on another topic finds none there, as if it were nowhere.
    let deleted = |id: &str| ask(at, &format!("DELETE /topics/notes/1?id={id}"), "cleaner", "");
    assert!(deleted("order-7").starts_with("404"), "{}", deleted("order-7"));
    assert_eq!(deleted("order-7"), deleted("order-8"));
    assert_eq!(deleted(&hidden), deleted(&never));
    // Nor is it in anybody's way who publishes under it.
    let answer = ask(at, "POST /topics/notes/1?id=order-7", "cleaner", "of its own");
    assert_eq!(answer, r#"200 {"id":"order-7"}"#);
}

#[test]
fn who_may_publish_to_a_topic_and_not_read_it_learns_that_an_id_is_taken_and_no_more() {
    let server = guarded();
    let at = server.address();
    published(at, "/topics?topic=drop/1&topic=hidden/1&id=order-7");
    let taken = ask(at, "POST /topics/drop/1?id=order-7", "cleaner", "another");
    assert!(taken.starts_with("409") && !taken.contains("hidden") && !taken.contains(SECRET), "{taken}");
    // Whoever publishes the very same under it does so again, and has guessed the text.
    let same = ask(at, "POST /topics/drop/1?id=order-7", "cleaner", SECRET);
    assert_eq!(same, r#"200 {"id":"order-7","duplicate":true}"#);
}

#[test]
fn the_health_of_the_server_counts_and_names_nothing() {
    let server = guarded();
    let at = server.address();
    published(at, "/topics/hidden/1?event=hidden-name&id=hidden-id");
    let health = ask(at, "GET /healthz", "", "");
    assert!(health.contains(r#""events":1"#), "{health}");
    for secret in ["hidden", SECRET, "writer", "reader"] {
        assert!(!health.contains(secret), "{health}");
    }
}

#[test]
fn only_who_may_publish_to_a_user_learns_whether_the_user_is_there() {
    let server = guarded();
    let at = server.address();
    let _ann = Browser::open_with(at, "/sse/ann", "Authorization: Bearer reader\r\n");
    joined(&server, 1);
    let body = r#"{"data":"x"}"#;
    assert!(ask(at, "POST /notify/ann", "writer", body).contains(r#""reached":1"#));
    for (head, body) in
        [("POST /notify/ann", body), ("POST /notify", body), ("GET /time/ann", ""), ("POST /time", "")]
    {
        for who in ["reader", "watcher", "cleaner", "nobody"] {
            let answer = ask(at, head, who, body);
            assert!(answer.starts_with("40") && !answer.contains("reached"), "{who}: {head}: {answer}");
        }
    }
}
