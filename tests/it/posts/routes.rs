//! The routes of the posts, and every status that they answer.

use super::{all_posts, create, edit, feeds, ids, patch, path, read, settle, text, whole_feed};
use crate::support::{Browser, get, post, request, said, server};
use humantime::format_rfc3339_millis;
use serde_json::{Value, json};
use std::time::SystemTime;

#[test]
fn a_post_is_created_read_and_edited() {
    let server = server();
    let at = server.address();
    let body = json!({ "title": " Hello ", "content": "One\r\n\ttwo #Go", "author": " ann " });
    let made = post(at, "/api/posts", body.to_string());
    assert_eq!((made.status, made.header("etag")), (201, Some("\"1\"")));
    let post = made.json();
    assert_eq!(made.header("location").expect("an address"), path(&post));
    let id = text(&post["id"]);
    assert!(id.len() == 36 && id.as_bytes()[14] == b'4', "a random UUID: {id}");
    let wanted = json!({
        "id": id, "title": "Hello", "content": "One\r\n\ttwo #Go", "author": "ann", "tags": ["go"], "version": 1,
        "created": post["created"], "updated": post["created"],
    });
    assert_eq!(post, wanted);
    let got = get(at, &path(&post));
    assert_eq!((got.json(), got.header("etag")), (wanted, Some("\"1\"")));

    let changed = patch(at, &path(&post), "", &json!({ "title": "Bye", "author": "eve" }));
    assert_eq!((changed.status, changed.header("etag")), (200, Some("\"2\"")));
    let changed = changed.json();
    assert_eq!(
        (&changed["title"], &changed["author"], &changed["content"]),
        (&json!("Bye"), &json!("ann"), &post["content"])
    );
    assert_eq!(read(at, &path(&post)), changed);
    // An edit that changes nothing makes no new version and has no date.
    assert_eq!(edit(at, &post, "One\r\n\ttwo #Go"), changed);
}

#[test]
fn a_post_has_the_dates_of_its_creation_and_of_its_last_change() {
    let server = server();
    let at = server.address();
    let now = || format_rfc3339_millis(SystemTime::now()).to_string();
    let started = now();
    let post = create(at, "#go 0");
    let created = text(&post["created"]).to_owned();
    assert!(started <= created && created <= now(), "{created}");
    assert_eq!(post["updated"], post["created"]);
    let mut before = post;
    for number in 1..20 {
        let post = edit(at, &before, &format!("#go {number}"));
        assert_eq!(post["created"], created);
        assert!(text(&post["updated"]) > text(&before["updated"]), "{post} after {before}");
        before = post;
    }
    settle(at);
    assert_eq!(read(at, "/api/feeds/go")["posts"][0], before);
}

#[test]
fn an_invalid_post_is_refused_with_the_field_and_the_reason() {
    let server = server();
    let at = server.address();
    let with = |field: &str, value: &str| {
        let mut body = json!({ "title": "t", "content": "c", "author": "a" });
        body[field] = value.into();
        body.to_string()
    };
    let tags: String = (0..21).map(|number| format!("#t{number} ")).collect();
    for (body, status, why) in [
        ("".to_owned(), 400, "JSON like"),
        ("not JSON".into(), 400, "JSON like"),
        ("[]".into(), 400, "JSON like"),
        (r#"{"title":"t","content":"c"}"#.into(), 400, "`author`"),
        (r#"{"title":"t","author":"a"}"#.into(), 400, "`content`"),
        (r#"{"content":"c","author":"a"}"#.into(), 400, "`title`"),
        (r#"{"title":7,"content":"c","author":"a"}"#.into(), 400, "string"),
        (with("title", " "), 400, "`title` is empty"),
        (with("author", ""), 400, "`author` is empty"),
        (with("content", " \n"), 400, "`content` is empty"),
        (with("title", "a\nb"), 400, "`title` must not have control"),
        (with("author", "a\0b"), 400, "`author` must not have control"),
        (with("content", "a\0b"), 400, "`content` must not have control"),
        (with("content", "\u{1b}[31m"), 400, "`content` must not have control"),
        (with("title", &"ü".repeat(201)), 400, "`title` has 201 characters; at most 200"),
        (with("author", &"ü".repeat(81)), 400, "`author` has 81 characters; at most 80"),
        (with("content", &"x".repeat(10_001)), 400, "`content` has 10001 characters; at most 10000"),
        (with("content", &tags), 400, "`content` has more than 20 tags"),
        (with("content", &format!("#{}", "x".repeat(101))), 400, "a tag in `content` has 101"),
        (with("content", &"x".repeat(1_000_000)), 413, "at most 65536 bytes"),
        ("{\"title\":\"\\ud800\",\"content\":\"c\",\"author\":\"a\"}".into(), 400, "JSON like"),
    ] {
        let answer = post(at, "/api/posts", &body);
        let said = said(&answer);
        assert!(answer.status == status && said.contains(why), "{body:.80}: {answer:?}");
    }
    assert_eq!(
        post(at, "/api/posts", b"{\"title\":\"\xff\",\"content\":\"c\",\"author\":\"a\"}").status,
        400
    );
    let xml = request(at, "POST /api/posts HTTP/1.1\r\nContent-Type: text/xml", with("title", "t"));
    assert_eq!(xml.status, 415, "{xml:?}");
    assert_eq!(read(at, "/api/feeds"), json!({ "feeds": [] }));
    // The largest fields that are accepted.
    for (field, largest) in [("title", 200), ("author", 80), ("content", 10_000)] {
        let answer = post(at, "/api/posts", with(field, &"\u{1f600}".repeat(largest)));
        assert_eq!(answer.status, 201, "{field}: {}", answer.json()["reason"]);
    }
}

#[test]
fn an_invalid_edit_is_refused_and_changes_nothing() {
    let server = server();
    let at = server.address();
    let post = create(at, "as it was #go");
    for (body, why) in [
        (json!({}), "give a `title`, a `content` or both"),
        (json!({ "author": "eve" }), "give a `title`, a `content` or both"),
        (json!({ "title": " " }), "`title` is empty"),
        (json!({ "title": "t", "content": "\0" }), "`content` must not have control"),
        (json!({ "content": "x".repeat(10_001) }), "at most 10000"),
        (json!({ "content": 7 }), "JSON like"),
        (json!("text"), "JSON like"),
    ] {
        let answer = patch(at, &path(&post), "", &body);
        let said = said(&answer);
        assert!(answer.status == 400 && said.contains(why), "{body}: {answer:?}");
    }
    let large = patch(at, &path(&post), "", &json!({ "content": "x".repeat(1_000_000) }));
    assert_eq!(large.status, 413);
    assert_eq!(patch(at, &path(&post), "\r\nContent-Type: text/html", &json!({ "title": "t" })).status, 415);
    assert_eq!(read(at, &path(&post)), post);
}

#[test]
fn what_is_not_there_is_404_as_json_and_as_a_stream() {
    let server = server();
    let at = server.address();
    create(at, "#go");
    settle(at);
    for path in [
        "/api/posts/00000000-0000-4000-8000-000000000000",
        "/api/posts/7",
        "/api/posts/%00",
        "/api/feeds/nix",
        "/api/feeds/%E6%97%A5",
        "/api/feeds/a%0Ab",
        "/api/posts/",
        "/api/feeds/go/more",
    ] {
        for accept in ["application/json", "text/event-stream"] {
            let answer = request(at, &format!("GET {path} HTTP/1.1\r\nAccept: {accept}"), "");
            assert_eq!(answer.status, 404, "{path} {accept}: {answer:?}");
            said(&answer);
        }
    }
    let gone = patch(at, "/api/posts/00000000-0000-4000-8000-000000000000", "", &json!({ "title": "t" }));
    assert_eq!(gone.status, 404);
    assert_eq!(patch(at, "/api/posts/x", "", &json!({ "title": "t" })).status, 404);
}

#[test]
fn methods_that_a_route_does_not_take_are_405_with_those_it_does() {
    let server = server();
    let at = server.address();
    let post = path(&create(at, "#go"));
    settle(at);
    for (path, allow) in [
        ("/api/feeds", "get, head, options"),
        ("/api/feeds/go", "get, head, options"),
        ("/api/posts", "get, post, head, options"),
        (&*post, "get, patch, delete, head, options"),
        ("/api/generate/post", "post, options"),
    ] {
        let answer = request(at, &format!("PUT {path} HTTP/1.1"), "");
        assert_eq!((answer.status, answer.header("allow")), (405, Some(allow)), "{path}");
        let options = request(at, &format!("OPTIONS {path} HTTP/1.1"), "");
        assert_eq!((options.status, options.header("allow")), (204, Some(allow)), "{path}");
    }
    // HEAD answers the head of a stream, and opens none.
    let head = request(at, "HEAD /api/feeds/go HTTP/1.1\r\nAccept: text/event-stream", "");
    assert_eq!((head.status, head.header("content-type")), (200, Some("text/event-stream")));
    assert_eq!(server.app().permits.in_use(), 0);
}

#[test]
fn a_list_of_long_posts_ends_early_and_says_where_it_goes_on() {
    let server = server();
    let at = server.address();
    let long: Vec<Value> =
        (0..20).map(|number| create(at, &format!("#big {number} {}", "\u{65e5}".repeat(9_900)))).collect();
    settle(at);
    for path in ["/api/posts", "/api/feeds/big"] {
        let part = get(at, &format!("{path}?limit=200"));
        let posts = part.json()["posts"].as_array().unwrap().len();
        assert!(part.body.len() < 200_000 && posts > 1, "{posts} posts in {} bytes", part.body.len());
        assert_eq!(part.json()["next"], part.json()["posts"][posts - 1]["id"]);
    }
    let all = whole_feed(at, "big", 200);
    assert!(all.iter().rev().eq(&long));
}

#[test]
fn of_two_editors_the_second_is_told_that_the_post_was_changed() {
    let server = server();
    let at = server.address();
    let post = create(at, "first #go");
    let say = |tag: &str, content: &str| {
        patch(at, &path(&post), &format!("\r\nIf-Match: {tag}"), &json!({ "content": content }))
    };
    assert_eq!(say("\"1\"", "ann's #go").status, 200);
    let stale = say("\"1\"", "bob's #go");
    assert_eq!(stale.status, 412);
    assert!(text(&stale.json()["reason"]).contains("version 2"), "{stale:?}");
    assert_eq!(read(at, &path(&post))["content"], "ann's #go");
    for (tag, status) in [
        ("\"2\"", 200),
        // A weak tag, as a proxy that compresses makes it, and one tag of several.
        ("W/\"3\"", 200),
        ("\"9\", \"4\"", 200),
        ("*", 200),
        // Tags as servers that compress make them.
        ("\"6-gzip\"", 200),
        ("\"7-br\"", 200),
        ("W/\"8--gzip\"", 200),
        ("\"9\"-gzip", 200),
        ("\"10;gz\"", 200),
        ("\"1-gzip\"", 412),
        ("\"11-other\"", 412),
        ("\"-gzip\"", 412),
        ("\"other\"", 412),
        ("\"99\"", 412),
        ("6", 400),
        ("\"6", 400),
    ] {
        assert_eq!(say(tag, &format!("by {tag} #go")).status, status, "{tag}");
    }
    // A stale edit is refused even if it would change nothing.
    assert_eq!(say("\"1\"", text(&read(at, &path(&post))["content"])).status, 412);
}

#[test]
fn of_many_who_edit_one_version_at_once_one_succeeds() {
    const EDITORS: usize = 8;
    let server = server();
    let at = server.address();
    let post = create(at, "#go 0");
    for round in 1..=10 {
        let statuses: Vec<u16> = std::thread::scope(|scope| {
            let editor = |editor| {
                let post = &post;
                scope.spawn(move || {
                    let body = json!({ "content": format!("#go {round} {editor}") });
                    patch(at, &path(post), &format!("\r\nIf-Match: \"{round}\""), &body).status
                })
            };
            let editors: Vec<_> = (0..EDITORS).map(editor).collect();
            editors.into_iter().map(|editor| editor.join().expect("a status")).collect()
        });
        assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
        assert!(statuses.iter().all(|status| matches!(status, 200 | 412)), "{statuses:?}");
    }
    assert_eq!(read(at, &path(&post))["version"], 11);
}

#[test]
fn a_feed_is_read_in_parts_newest_first() {
    let server = server();
    let at = server.address();
    let mut posts: Vec<Value> = (0..60).map(|number| create(at, &format!("{number} #go"))).collect();
    posts.reverse();
    settle(at);
    let first = read(at, "/api/feeds/go");
    assert_eq!(ids(first["posts"].as_array().unwrap()), ids(&posts[..50]));
    assert_eq!(first["next"], posts[49]["id"]);
    for limit in [1, 7, 59, 60, 61, 200] {
        assert_eq!(whole_feed(at, "go", limit), posts, "{limit}");
    }
    let other = create(at, "#other");
    settle(at);
    let next = text(&first["next"]).to_owned();
    for (query, why) in [
        ("limit=0".to_owned(), "`limit` is a number from 1 to 200"),
        ("limit=201".into(), "`limit`"),
        ("limit=-1".into(), "`limit`"),
        ("limit=x".into(), "`limit`"),
        ("before=x".into(), "`before` is the id"),
        (format!("before={}", text(&other["id"])), "`before` is not a post of the feed `go`"),
        (format!("limit=0&before={next}"), "`limit`"),
    ] {
        let answer = get(at, &format!("/api/feeds/go?{query}"));
        assert_eq!(answer.status, 400, "{query}: {answer:?}");
        assert!(text(&answer.json()["reason"]).contains(why), "{query}: {answer:?}");
    }
    let stream = request(at, "GET /api/feeds/go?limit=5 HTTP/1.1\r\nAccept: text/event-stream", "");
    assert_eq!(stream.status, 400, "{stream:?}");
}

#[test]
fn all_posts_are_listed_newest_first_also_without_tags() {
    let server = server();
    let at = server.address();
    assert_eq!(read(at, "/api/posts"), json!({ "posts": [], "next": null }));
    let content =
        |number: usize| if number.is_multiple_of(3) { format!("{number}") } else { format!("{number} #go") };
    let mut posts: Vec<Value> = (0..60).map(|number| create(at, &content(number))).collect();
    // An edited post keeps its position. No waiting: the list shows what was acknowledged.
    posts[0] = edit(at, &posts[0], "no more #tags");
    posts[41] = edit(at, &posts[41], "no tags");
    posts.reverse();
    let first = read(at, "/api/posts");
    assert_eq!(first, json!({ "posts": posts[..50], "next": posts[49]["id"] }));
    for limit in [1, 7, 59, 60, 61, 200] {
        assert_eq!(all_posts(at, limit), posts, "{limit}");
    }
    for (query, why) in [
        ("limit=0", "`limit` is a number from 1 to 200"),
        ("limit=201", "`limit`"),
        ("before=x", "`before` is the id"),
        ("before=00000000-0000-4000-8000-000000000000", "`before` is not the id of a post"),
    ] {
        let answer = get(at, &format!("/api/posts?{query}"));
        assert_eq!(answer.status, 400, "{query}: {answer:?}");
        assert!(text(&answer.json()["reason"]).contains(why), "{query}: {answer:?}");
    }
    let stream = request(at, "GET /api/posts?limit=5 HTTP/1.1\r\nAccept: text/event-stream", "");
    assert_eq!(stream.status, 400, "{stream:?}");
}

#[test]
fn a_random_post_has_one_to_three_tags_and_is_in_their_feeds() {
    let server = server();
    let at = server.address();
    let mut wanted = std::collections::BTreeMap::new();
    for _ in 0..50 {
        let answer = post(at, "/api/generate/post", "");
        assert_eq!(answer.status, 201);
        let post = answer.json();
        assert_eq!(answer.header("location"), Some(&*path(&post)));
        let tags = post["tags"].as_array().unwrap();
        assert!((1..=3).contains(&tags.len()), "{post}");
        tags.iter().for_each(|tag| *wanted.entry(text(tag).to_owned()).or_insert(0) += 1);
    }
    settle(at);
    assert_eq!(feeds(at), wanted);
}

#[test]
fn hostile_content_is_text_everywhere() {
    let server = server();
    let at = server.address();
    let contents = [
        "<script>alert('#xss')</script></textarea><img src=x onerror=alert(1)> #go",
        "\r\n\nid: 9\nevent: x\nretry: 1\ndata: y\n\n#go",
        "\u{feff}\u{2028}\u{2029}\u{202e} \u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467} 𝕏 \u{10ffff} #go",
        "{\"error\":\"no\"} \\u0000 ${x} {{x}} %00 '; DROP TABLE posts; -- #go",
    ];
    let mut posts: Vec<Value> = contents.iter().map(|content| create(at, content)).collect();
    settle(at);
    let shown: Vec<&str> = posts.iter().map(|post| text(&post["content"])).collect();
    assert_eq!(shown, contents);
    posts.reverse();
    let mut browser = Browser::open_with(at, "/api/feeds/go", "");
    let retry_millis = browser.parser.retry_millis;
    let seen = browser.next();
    assert_eq!((&*seen.event, &seen.json()["posts"]), ("data", &json!(posts)));
    assert!(seen.id != "9" && browser.parser.retry_millis == retry_millis);
    let answer = get(at, &path(&posts[0]));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
}
