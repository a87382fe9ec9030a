//! Ten clients post at once, and fifty subscribers watch: at the end each of them has seen the final state.

use super::{check_feeds, create, read, settle, text};
use crate::support::{Browser, post, server};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::thread;

const CLIENTS: usize = 10;
const POSTS_EACH: usize = 100;
const SUBSCRIBERS: usize = 50;

/// The tag of every other post, of the first and of the last, and the number of posts with it.
const COMMON: &str = "everyone";
const COMMON_POSTS: u64 = 2 + (CLIENTS * POSTS_EACH / 2) as u64;
const END: &str = "the end #everyone";

#[test]
fn after_a_thousand_posts_by_ten_clients_at_once_the_feeds_are_right_and_fifty_subscribers_know() {
    let server = server();
    let at = server.address();
    let first = create(at, "the beginning #everyone");
    settle(at);
    thread::scope(|scope| {
        let subscribers: Vec<_> = (0..SUBSCRIBERS)
            .map(|number| {
                let path = if number % 2 == 0 { "/api/feeds" } else { "/api/feeds/everyone" };
                // Opened on this thread, so that all of them are subscribed before the next post.
                let mut browser = Browser::open(at, path);
                scope.spawn(move || read_to_the_end(&mut browser))
            })
            .collect();
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                scope.spawn(move || {
                    (0..POSTS_EACH).map(|number| generate(at, client, number)).collect::<Vec<_>>()
                })
            })
            .collect();
        let mut posts = vec![first];
        posts.extend(clients.into_iter().flat_map(|client| client.join().expect("its posts")));
        posts.push(create(at, END));
        settle(at);

        let mut wanted = BTreeMap::new();
        for tag in posts.iter().flat_map(|post| post["tags"].as_array().expect("tags")) {
            *wanted.entry(text(tag).to_owned()).or_insert(0) += 1;
        }
        assert_eq!(super::feeds(at), wanted);
        assert_eq!(wanted[COMMON], COMMON_POSTS);
        let filed = check_feeds(at);
        assert_eq!(filed.len(), posts.len());
        assert!(posts.iter().all(|post| filed[text(&post["id"])] == *post));
        let (list, feed) = (read(at, "/api/feeds"), read(at, "/api/feeds/everyone"));
        for subscriber in subscribers {
            let last = subscriber.join().expect("its last state");
            assert!(last == list || last == feed, "a subscriber was left with {last}");
        }
    });
}

/// Creates a post; every other one is random.
fn generate(at: std::net::SocketAddr, client: usize, number: usize) -> Value {
    match number % 2 {
        0 => create(at, &format!("{number} of #client{client} for #everyone")),
        _ => post(at, "/api/generate/post", "").json(),
    }
}

/// Reads states until one shows the last post, and gives that state.
fn read_to_the_end(browser: &mut Browser) -> Value {
    loop {
        let state = browser.next().json();
        let is_end = match state["feeds"].as_array() {
            Some(feeds) => feeds.contains(&json!({ "name": COMMON, "posts": COMMON_POSTS })),
            None => state["posts"][0]["content"] == END,
        };
        if is_end {
            return state;
        }
    }
}
