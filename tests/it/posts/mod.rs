//! Posts, their tags, and the feeds that follow from them.

mod crowd;
mod faults;
mod kill;
mod model;
mod routes;
mod streams;
mod tags;

use crate::support::{Answer, get, post, request, until};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

/// Makes a post and gives it.
fn create(at: SocketAddr, content: &str) -> Value {
    let body = json!({ "title": "A title", "content": content, "author": "ann" }).to_string();
    let answer = post(at, "/api/posts", body);
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json()
}

fn path(post: &Value) -> String {
    format!("/api/posts/{}", post["id"].as_str().expect("an id"))
}

fn patch(at: SocketAddr, path: &str, headers: &str, body: &Value) -> Answer {
    request(at, &format!("PATCH {path} HTTP/1.1{headers}"), body.to_string())
}

/// Changes a post's content and gives the post.
fn edit(at: SocketAddr, post: &Value, content: &str) -> Value {
    let answer = patch(at, &path(post), "", &json!({ "content": content }));
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

/// What a path answers, which is there.
fn read(at: SocketAddr, path: &str) -> Value {
    let answer = get(at, path);
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    answer.json()
}

/// Waits until every event was handled.
fn settle(at: SocketAddr) {
    until("all events are handled", || read(at, "/healthz")["posts"]["unhandled"] == 0);
}

/// All feeds, with how many posts they have.
fn feeds(at: SocketAddr) -> BTreeMap<String, u64> {
    let list = read(at, "/api/feeds");
    let feed = |feed: &Value| (text(&feed["name"]).to_owned(), feed["posts"].as_u64().expect("a number"));
    list["feeds"].as_array().expect("feeds").iter().map(feed).collect()
}

/// All posts of a feed, newest first, page by page.
fn whole_feed(at: SocketAddr, name: &str, limit: usize) -> Vec<Value> {
    let (mut posts, mut before) = (Vec::new(), String::new());
    loop {
        let page = read(at, &format!("/api/feeds/{name}?limit={limit}{before}"));
        assert_eq!(page["name"], name);
        posts.extend(page["posts"].as_array().expect("posts").iter().cloned());
        match page["next"].as_str() {
            Some(next) => before = format!("&before={next}"),
            None => return posts,
        }
    }
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

fn ids(posts: &[Value]) -> Vec<&str> {
    posts.iter().map(|post| text(&post["id"])).collect()
}

/// Sees that the feeds are exactly what the posts say, and gives the posts that are in them.
fn check_feeds(at: SocketAddr) -> BTreeMap<String, Value> {
    let mut posts = BTreeMap::new();
    let mut filed: BTreeSet<(String, String)> = BTreeSet::new();
    for (name, count) in feeds(at) {
        let feed = whole_feed(at, &name, 200);
        assert_eq!(feed.len() as u64, count, "{name}");
        for post in feed {
            let id = text(&post["id"]).to_owned();
            assert!(filed.insert((id.clone(), name.clone())), "{name} has a post twice");
            if !posts.contains_key(&id) {
                assert_eq!(read(at, &path(&post)), post, "the feed and the post differ");
            }
            assert!(post["tags"].as_array().expect("tags").contains(&json!(name)), "{post} in {name}");
            posts.insert(id, post);
        }
    }
    for (id, post) in &posts {
        for tag in post["tags"].as_array().expect("tags") {
            assert!(filed.contains(&(id.clone(), text(tag).to_owned())), "{post} is missing in {tag}");
        }
    }
    posts
}
