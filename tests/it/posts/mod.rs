//! Posts, their tags, and the feeds that follow from them.

mod crowd;
mod delete;
mod faults;
mod kill;
mod migration;
mod model;
mod routes;
mod streams;
mod tags;

use crate::support::{Answer, get, post, request, until};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

/// Creates a post and gives it.
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

/// Edits a post's content and gives the post.
fn edit(at: SocketAddr, post: &Value, content: &str) -> Value {
    let answer = patch(at, &path(post), "", &json!({ "content": content }));
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

/// Deletes a post.
fn delete(at: SocketAddr, post: &Value) {
    let answer = request(at, &format!("DELETE {} HTTP/1.1", path(post)), "");
    assert_eq!((answer.status, &*answer.body), (204, &b""[..]), "{answer:?}");
}

/// The JSON at a path that exists.
fn read(at: SocketAddr, path: &str) -> Value {
    let answer = get(at, path);
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    answer.json()
}

/// Waits until every event was handled.
fn settle(at: SocketAddr) {
    until("all events are handled", || read(at, "/healthz")["posts"]["unhandled"] == 0);
}

/// All feeds, each with the number of its posts.
fn feeds(at: SocketAddr) -> BTreeMap<String, u64> {
    let list = read(at, "/api/feeds");
    let feed = |feed: &Value| (text(&feed["name"]).to_owned(), feed["posts"].as_u64().expect("a number"));
    list["feeds"].as_array().expect("feeds").iter().map(feed).collect()
}

/// All posts of a feed, newest first, read `limit` at a time.
fn whole_feed(at: SocketAddr, name: &str, limit: usize) -> Vec<Value> {
    let path = format!("/api/feeds/{name}");
    assert_eq!(read(at, &path)["name"], name);
    whole(at, &path, limit)
}

/// All posts, newest first, read `limit` at a time.
fn all_posts(at: SocketAddr, limit: usize) -> Vec<Value> {
    whole(at, "/api/posts", limit)
}

fn whole(at: SocketAddr, path: &str, limit: usize) -> Vec<Value> {
    let (mut posts, mut before) = (Vec::new(), String::new());
    loop {
        let part = read(at, &format!("{path}?limit={limit}{before}"));
        let found = part["posts"].as_array().expect("posts");
        assert!(found.len() <= limit, "{part}");
        posts.extend(found.iter().cloned());
        match part["next"].as_str() {
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

/// Checks that the feeds are exactly what the posts say, and gives all posts by their ids.
fn check_feeds(at: SocketAddr) -> BTreeMap<String, Value> {
    let list = all_posts(at, 200);
    let posts: BTreeMap<String, Value> =
        list.iter().map(|post| (text(&post["id"]).to_owned(), post.clone())).collect();
    assert_eq!(posts.len(), list.len(), "a post is listed twice");
    assert_eq!(read(at, "/healthz")["posts"]["posts"], posts.len());
    let mut filed = BTreeSet::new();
    for (name, count) in feeds(at) {
        let feed = whole_feed(at, &name, 200);
        assert_eq!(feed.len() as u64, count, "{name}");
        for post in feed {
            let id = text(&post["id"]);
            assert_eq!(posts.get(id), Some(&post), "the feed {name} and the list differ");
            assert!(filed.insert((id.to_owned(), name.clone())), "{name} has a post twice");
        }
    }
    let tags = |post: &Value| post["tags"].as_array().expect("tags").clone();
    let wanted = posts.iter().flat_map(|(id, post)| {
        tags(post).into_iter().map(|tag| (id.clone(), text(&tag).to_owned())).collect::<Vec<_>>()
    });
    assert_eq!(filed, wanted.collect());
    posts
}
