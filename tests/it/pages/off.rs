//! Pages that are switched off: no routes; everything else stays.

use crate::support::{Browser, Program, get, post, publish, server_with};
use callout::{Page, Pages};

/// A route of each page that can be switched off.
const ROUTES: [(Page, &str); 5] = [
    (Page::Chat, "/sse?user=ann"),
    (Page::Activity, "/api/streams"),
    (Page::Notifications, "/sse/ann"),
    (Page::Wall, "/messages"),
    (Page::Posts, "/api/feeds"),
];

#[test]
fn a_page_that_is_off_has_no_routes_and_the_others_stay() {
    for (off, _) in ROUTES {
        let server =
            server_with(|config| config.pages = Page::ALL.into_iter().filter(|page| *page != off).collect());
        for (page, path) in ROUTES {
            let head = crate::support::request(server.address(), &format!("HEAD {path} HTTP/1.1"), "");
            assert_eq!(head.status, if page == off { 404 } else { 200 }, "{path} without {off:?}");
        }
    }
}

#[test]
fn without_pages_topics_health_and_the_check_are_there() {
    let server = server_with(|config| config.pages = Pages::none());
    let at = server.address();
    let mut browser = Browser::open(at, "/topics/news");
    publish(at, "/topics/news", "hello");
    assert_eq!(browser.next().data, "hello");
    let start = get(at, "/");
    let html = String::from_utf8(start.body).unwrap();
    assert!(html.contains("\"check.html"), "{html}");
    for page in ["sse.html", "activity.html", "notifications.html", "wall.html", "posts.html"] {
        assert_eq!(get(at, &format!("/{page}")).status, 404, "{page}");
        assert!(!html.contains(page), "the start page leads to {page}");
    }
    assert_eq!(get(at, "/healthz").status, 200);
    assert_eq!(post(at, "/check/abc", "").status, 200);
    for (method, path) in
        [("POST", "/sse/message"), ("POST", "/notify"), ("POST", "/messages"), ("POST", "/api/posts")]
    {
        assert_eq!(
            crate::support::request(at, &format!("{method} {path} HTTP/1.1"), "").status,
            404,
            "{path}"
        );
    }
}

#[test]
fn the_log_of_the_start_says_what_is_open_to_whom() {
    let program = Program::serve(&["--pages", "chat,posts"]);
    program.signal("TERM");
    let (code, log) = program.wait();
    assert_eq!(code, Some(0));
    assert!(log.contains("publishing to topics, notifying and the history are open to everybody"), "{log}");
    assert!(log.contains("pages open to everybody: chat,posts"), "{log}");
}
