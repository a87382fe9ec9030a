//! Streams of state: the whole state at once, and the whole again after each change.

use super::{create, delete, edit, patch, path, read, settle, text};
use crate::support::{Browser, Raw, Seen, joined, narrow_socket, request, server, until};
use callout::{Answer, Server, Topic, Topics, get};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// The next state.
fn state(browser: &mut Browser) -> Value {
    let seen = browser.next();
    assert_eq!(seen.event, "data");
    seen.json()
}

/// Reads states until one is as wanted.
fn until_state(browser: &mut Browser, wanted: impl Fn(&Value) -> bool) {
    while !wanted(&state(browser)) {}
}

#[test]
fn each_of_the_four_sends_its_state_at_once_and_again_when_it_changes() {
    let server = server();
    let at = server.address();
    let mut posts = Browser::open(at, "/api/posts");
    assert_eq!(state(&mut posts), json!({ "posts": [], "next": null }));
    let mut feeds = Browser::open(at, "/api/feeds");
    assert_eq!(state(&mut feeds), json!({ "feeds": [] }));
    let post = create(at, "#go");
    assert_eq!(state(&mut posts), json!({ "posts": [post], "next": null }));
    assert_eq!(state(&mut feeds), json!({ "feeds": [{ "name": "go", "posts": 1 }] }));

    let mut feed = Browser::open(at, "/api/feeds/go");
    assert_eq!(state(&mut feed), json!({ "name": "go", "posts": [post], "next": null }));
    let mut one = Browser::open(at, &path(&post));
    assert_eq!(state(&mut one), post);

    let changed = edit(at, &post, "changed #go #rust");
    assert_eq!(state(&mut one), changed);
    assert_eq!(state(&mut posts), json!({ "posts": [changed], "next": null }));
    assert_eq!(state(&mut feed), json!({ "name": "go", "posts": [changed], "next": null }));
    let both = json!({ "feeds": [{ "name": "go", "posts": 1 }, { "name": "rust", "posts": 1 }] });
    assert_eq!(state(&mut feeds), both);
}

#[test]
fn the_list_of_all_posts_shows_the_newest_fifty() {
    let server = server();
    let at = server.address();
    let mut posts: Vec<Value> = (0..51).map(|number| create(at, &format!("{number}"))).collect();
    posts.reverse();
    settle(at);
    let mut list = Browser::open(at, "/api/posts");
    assert_eq!(state(&mut list), json!({ "posts": posts[..50], "next": posts[49]["id"] }));
    delete(at, &posts[3]);
    posts.remove(3);
    assert_eq!(state(&mut list), json!({ "posts": posts, "next": null }));
}

#[test]
fn a_deleted_post_is_gone_from_every_state_and_ends_its_own() {
    let server = server();
    let at = server.address();
    let kept = create(at, "kept #go");
    let post = create(at, "deleted #go #rust");
    settle(at);
    let mut one = Browser::open(at, &path(&post));
    let mut streams = ["/api/posts", "/api/feeds/go", "/api/feeds"].map(|path| Browser::open(at, path));
    assert_eq!(state(&mut one), post);
    streams.iter_mut().for_each(|stream| drop(state(stream)));
    // From here on no subscriber is shown one state twice.
    joined(&server, 4);
    delete(at, &post);
    let end = one.next();
    assert_eq!((&*end.event, end.json()), ("end", json!({})));
    let [posts, go, feeds] = &mut streams;
    assert_eq!(state(posts), json!({ "posts": [kept], "next": null }));
    assert_eq!(state(go), json!({ "name": "go", "posts": [kept], "next": null }));
    let counts = json!({ "feeds": [{ "name": "go", "posts": 1 }] });
    assert_eq!(state(feeds), counts);
    // A browser that comes back is told that there is no such post.
    let back = request(at, &format!("GET {} HTTP/1.1\r\nAccept: text/event-stream", path(&post)), "");
    assert_eq!(back.status, 404, "{back:?}");
}

#[test]
fn states_follow_each_other_at_the_pace_that_is_documented_however_fast_the_changes_come() {
    /// The least time between two states.
    const PAUSE: Duration = Duration::from_millis(10);
    let server = server();
    let at = server.address();
    let post = create(at, "first #go");
    let mut browser = Browser::open(at, &path(&post));
    assert_eq!(state(&mut browser), post);
    joined(&server, 1);
    let began = Instant::now();
    let mut last = post.clone();
    for number in 0..200 {
        last = edit(at, &post, &format!("{number} #go"));
    }
    let mut states = 1;
    while state(&mut browser) != last {
        states += 1;
    }
    // The first state is sent at once. On a slow machine each change may be a state of its own.
    let most = 1 + began.elapsed().div_duration_f64(PAUSE) as usize;
    assert!(states <= most + 1, "{states} states, {most} pauses");
}

#[test]
fn two_subscribers_of_a_feed_both_see_an_edit() {
    let server = server();
    let at = server.address();
    let post = create(at, "#go");
    settle(at);
    let mut subscribers = [Browser::open(at, "/api/feeds/go"), Browser::open(at, "/api/feeds/Go")];
    subscribers.iter_mut().for_each(|subscriber| assert_eq!(state(subscriber)["posts"][0], post));
    let changed = edit(at, &post, "changed #go");
    subscribers.iter_mut().for_each(|subscriber| assert_eq!(state(subscriber)["posts"][0], changed));
    let dropped = edit(at, &post, "no tag");
    assert_eq!(dropped["tags"], json!([]));
    subscribers.iter_mut().for_each(|subscriber| assert_eq!(state(subscriber)["posts"], json!([])));
}

#[test]
fn a_state_is_not_history_it_has_no_id_and_needs_no_replay() {
    let server = server();
    let at = server.address();
    let post = create(at, "#go");
    let mut browser = Browser::open(at, &path(&post));
    let opening = browser.parser.last_event_id.clone();
    for number in 0..5 {
        edit(at, &post, &format!("{number} #go"));
    }
    until_state(&mut browser, |state| state["version"] == 6);
    assert_eq!(browser.parser.last_event_id, opening);
    // A browser that comes back with any id is shown the state once, and no reset.
    let mut back = Browser::resume(at, &path(&post), "18ea000000000000");
    assert_eq!(state(&mut back)["version"], 6);
    assert_eq!(read(at, "/healthz")["history"]["events"], 0);
}

#[test]
fn a_stream_that_is_opened_after_an_answer_shows_the_change() {
    let server = server();
    let at = server.address();
    let post = create(at, "0");
    // With another subscriber, newcomers are shown the state that is shared.
    let _subscriber = Browser::open(at, &path(&post));
    for number in 1..100 {
        let changed = edit(at, &post, &number.to_string());
        assert_eq!(state(&mut Browser::open(at, &path(&post))), changed);
    }
}

#[test]
fn the_same_holds_for_the_list_of_posts_and_for_creating_and_deleting() {
    let server = server();
    let at = server.address();
    let shown = || state(&mut Browser::open(at, "/api/posts"))["posts"].clone();
    let _subscriber = Browser::open(at, "/api/posts");
    for _ in 0..50 {
        let post = create(at, "#go");
        assert_eq!(shown(), json!([post]));
        delete(at, &post);
        assert_eq!(shown(), json!([]));
    }
}

#[test]
fn many_changes_in_one_moment_are_few_states_and_the_last_is_right() {
    const EDITS: u64 = 300;
    let server = server();
    let at = server.address();
    let post = create(at, "#go");
    settle(at);
    let mut browser = Browser::open(at, "/api/feeds/go");
    state(&mut browser);
    // A stream that has not joined yet may be shown one state twice.
    joined(&server, 1);
    // All in one write, so that no edit waits for this thread.
    let edits = (0..EDITS).map(|number| {
        let body = json!({ "content": format!("{number} #go") }).to_string();
        format!(
            "PATCH {} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{body}",
            path(&post),
            body.len()
        )
    });
    let mut raw = Raw::connect(at);
    raw.send(edits.collect::<String>());
    (0..EDITS).for_each(|_| assert_eq!(raw.answer().status, 200));
    let mut versions = Vec::new();
    while versions.last() != Some(&(EDITS + 1)) {
        versions.push(state(&mut browser)["posts"][0]["version"].as_u64().expect("a number"));
    }
    assert!(versions.windows(2).all(|pair| pair[0] < pair[1]), "each is newer: {versions:?}");
    assert!((versions.len() as u64) < EDITS, "some were sent together");
}

#[test]
fn a_browser_that_is_behind_is_shown_the_newest_state_when_it_has_caught_up() {
    const EDITS: usize = 200;
    let server = server();
    let at = server.address();
    // Frames of 800 KB, so that the socket is full at once.
    let large = "\u{1f600}".repeat(9_900);
    let posts: Vec<Value> = (0..20).map(|number| create(at, &format!("{number} {large} #go"))).collect();
    settle(at);
    let mut slow = Browser::open_on(Raw::over(narrow_socket(at)), "/api/feeds/go", "");
    let mut last = posts[0].clone();
    for number in 0..EDITS {
        last = edit(at, &posts[number % posts.len()], &format!("edit {number} #go"));
    }
    let is_last = |state: &Value| {
        let posts = state["posts"].as_array().expect("posts");
        posts.contains(&last)
    };
    let mut states = 1;
    while !is_last(&state(&mut slow)) {
        states += 1;
    }
    assert!(states < EDITS, "it was shown {states} states");
}

#[test]
fn a_newcomer_is_shown_the_present_state_and_not_what_the_last_subscriber_saw() {
    let server = server();
    let at = server.address();
    let post = create(at, "#go");
    settle(at);
    let streams = [Browser::open(at, "/api/feeds/go"), Browser::open(at, &path(&post))];
    drop(streams);
    until("they have left", || server.app().permits.in_use() == 0);
    edit(at, &post, "changed #go");
    assert_eq!(state(&mut Browser::open(at, &path(&post)))["content"], "changed #go");
    settle(at);
    assert_eq!(state(&mut Browser::open(at, "/api/feeds/go"))["posts"][0]["content"], "changed #go");
}

#[test]
fn the_program_around_the_server_can_subscribe_to_the_events() {
    let topic = Topics::from(|request| Ok(vec![Topic::new(request.capture("topic"))?]));
    let own = get("/own/{topic...}", |app, request| Ok(Answer::stream(app.ephemeral_stream(request)?)));
    let builder = Server::builder().listen(SocketAddr::from(([127, 0, 0, 1], 0)));
    let server = builder.route(own.subscribes(topic)).start().expect("a free port");
    let at = server.address();
    let mut posts = Browser::open(at, "/own/$posts/events");
    let mut feeds = Browser::open(at, "/own/$feeds/events");
    joined(&server, 2);
    let post = create(at, "#a");
    let changed = patch(at, &path(&post), "", &json!({ "content": "#b" })).json();
    delete(at, &changed);
    let named = |seen: Seen| (seen.event.clone(), seen.json());
    assert_eq!(named(posts.next()), ("PostCreated".into(), post));
    assert_eq!(named(posts.next()), ("PostUpdated".into(), changed.clone()));
    // The event has the post as it was last.
    assert_eq!(named(posts.next()), ("PostDeleted".into(), changed));
    let mut names: Vec<String> = Vec::new();
    while names.last().is_none_or(|name| name != "b") {
        let seen = feeds.next();
        assert_eq!(seen.event, "FeedUpdated");
        names.push(text(&seen.json()["name"]).to_owned());
    }
    assert_eq!(names[0], "a");
    // No route but the program's own leads to these topics.
    for topic in ["$posts/events", "$posts", "$feed/a", "$feeds"] {
        let refused = crate::support::get(at, &format!("/topics/{topic}"));
        assert_eq!(refused.status, 400, "{topic}");
    }
}
