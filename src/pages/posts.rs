//! Posts, tags and feeds: each `#tag` in a post's content puts the post into the feed of that tag. A post, a
//! feed, all posts and the list of feeds are each answered as JSON, or as a stream of the same JSON where the
//! request accepts events.

use crate::access::Kept;
use crate::app::App;
use crate::error::Error;
use crate::http::{Answer, Request, Response};
use crate::live::snapshot::Subscriber;
use crate::posts::store::{NO_FEED, NO_POST};
use crate::posts::{Edit, NewPost, Post, PostId};
use crate::posts::{STREAM_POSTS, topics};
use crate::topic::Topic;
use http::StatusCode;
use http::header::{ETAG, IF_MATCH, LOCATION};
use serde::Deserialize;

/// The topic of the stream of all posts. Creating, editing and deleting publish to it.
pub const TOPIC: &str = topics::POSTS;

/// The most posts in one answer. Asking for more is answered 400.
const LIMIT_MAX: usize = 200;

/// What random posts are made of: the beginning of a title, a sentence, one to three tags, an author.
const OPENINGS: &[&str] =
    &["Morning notes on", "A question about", "Three things about", "Goodbye to", "Hello,"];
const SENTENCES: &[&str] = &[
    "I had another look at it today, and it is simpler than it seemed.",
    "It took an evening, a pot of tea and one very small change.",
    "Does anybody know why it works? It does.",
    "Measured twice, cut once, measured again.",
    "The second try was faster, the third was right.",
];
const WORDS: &[&str] =
    &["rust", "sse", "threads", "sockets", "databases", "gardening", "coffee", "bicycles", "chess", "maps"];
const AUTHORS: &[&str] = &["Ada", "Bruno", "Chidi", "Dagny", "Emre", "Farida"];

#[derive(Deserialize)]
struct New {
    title: String,
    content: String,
    author: String,
}

/// A new author in the body is ignored: the author of a post stays.
#[derive(Deserialize)]
struct Change {
    title: Option<String>,
    content: Option<String>,
}

/// Endings of a tag that a server in between adds where it compresses the answer (`"3-gzip"`), before the closing quote
/// or behind it: Apache, Caddy and Jetty, LiteSpeed. The tag still names its version.
const TAG_SUFFIXES: &[&str] =
    &["-gzip", "-br", "-zstd", "-deflate", "-df", "--gzip", "--br", "--zstd", ";gz", ";br", ";zstd"];

/// Feeds behind the name `?after=`: `{"feeds":[{"name","posts"}…],"more"}`.
pub fn feeds(app: &App, request: &Request) -> Result<Answer, Error> {
    if request.wants_events() {
        return stream(app, request, app.posts.subscribe_feeds()?);
    }
    Ok(Answer::json(&app.posts.feeds(&request.query("after").unwrap_or_default())?))
}

/// Posts of a feed, newest first: `{"name","posts":[…],"next"}`. A stream shows the newest.
pub fn feed(app: &App, request: &Request) -> Result<Answer, Error> {
    let name = feed_name(request);
    match List::read(request)? {
        List::Stream => stream(app, request, app.posts.subscribe_feed(&name)?),
        List::Json { before, limit } => Ok(Answer::json(&app.posts.feed(&name, before, limit)?)),
    }
}

/// All posts, newest first: `{"posts":[…],"next"}`. A stream shows the newest.
pub fn list(app: &App, request: &Request) -> Result<Answer, Error> {
    match List::read(request)? {
        List::Stream => stream(app, request, app.posts.subscribe_posts()?),
        List::Json { before, limit } => Ok(Answer::json(&app.posts.posts(before, limit)?)),
    }
}

/// The topic of the list of feeds.
pub fn feeds_topic(_request: &Request) -> Result<Vec<Topic>, Error> {
    Ok(vec![Topic::new(topics::FEEDS)?])
}

/// The topic of the feed that the path names.
pub fn feed_topic(request: &Request) -> Result<Vec<Topic>, Error> {
    // A name that cannot be in a topic cannot be a tag either.
    let topic = topics::feed(&feed_name(request)).map_err(|_| Error::not_found(NO_FEED))?;
    Ok(vec![topic])
}

/// The topic of the post that the path names.
pub fn post_topic(request: &Request) -> Result<Vec<Topic>, Error> {
    Ok(vec![topics::post(post_id(request)?)?])
}

/// Tags are in lower case, so `#HelloWorld` leads to the feed `helloworld`.
fn feed_name(request: &Request) -> String {
    request.capture("name").to_ascii_lowercase()
}

/// A post. A stream of it gets an event `end` when the post is deleted.
pub fn show(app: &App, request: &Request) -> Result<Answer, Error> {
    let id = post_id(request)?;
    if request.wants_events() {
        return stream(app, request, app.posts.subscribe_post(id)?);
    }
    Ok(Answer::Full(respond(StatusCode::OK, &app.posts.post(id)?)))
}

/// Creates a post. Answers 201 with the post, and with its address in `Location`.
pub fn create(app: &App, request: &Request) -> Result<Answer, Error> {
    let New { title, content, author } =
        request.json(r##"{"title":"…","content":"… #tag","author":"…"}"##)?;
    created(app, request, NewPost::new(&title, content, &author)?)
}

/// Edits a post's title, content or both. Answers with the post. With `If-Match`, edits it only at one of the
/// versions named there, and answers 412 otherwise.
pub fn edit(app: &App, request: &Request) -> Result<Answer, Error> {
    let id = post_id(request)?;
    let Change { title, content } = request.json(r#"{"title":"…","content":"…"}"#)?;
    let edit = Edit::new(title.as_deref(), content, versions(request)?)?;
    app.count_publication(request, Some(kept(request, edit.tags())))?;
    Ok(Answer::Full(respond(StatusCode::OK, &app.posts.edit(id, edit)?)))
}

/// Deletes a post. Answers 204. `If-Match` is read as for [`edit`].
pub fn delete(app: &App, request: &Request) -> Result<Answer, Error> {
    // Whoever has had too much kept may still delete.
    app.count_publication(request, None)?;
    app.posts.delete(post_id(request)?, versions(request)?)?;
    Ok(Answer::Full(Response::empty(StatusCode::NO_CONTENT)))
}

/// Creates a random post.
pub fn generate(app: &App, request: &Request) -> Result<Answer, Error> {
    let tags = fastrand::choose_multiple(WORDS, fastrand::usize(1..=3));
    let title = format!("{} {}", pick(OPENINGS), tags[0]);
    let hashtags: Vec<String> = tags.iter().map(|tag| format!("#{tag}")).collect();
    let content = format!("{} {}", pick(SENTENCES), hashtags.join(" "));
    created(app, request, NewPost::new(&title, content, pick(AUTHORS))?)
}

fn created(app: &App, request: &Request, new: NewPost) -> Result<Answer, Error> {
    app.count_publication(request, Some(kept(request, new.tags())))?;
    let post = app.posts.create(new)?;
    let address = format!("/api/posts/{}", post.id);
    Ok(Answer::Full(respond(StatusCode::CREATED, &post).with(LOCATION, address)))
}

/// What is kept of a post with these tags.
fn kept(request: &Request, tags: &[String]) -> Kept {
    Kept { bytes: request.body.len(), entries: 1 + tags.len() }
}

/// What a request for a list of posts wants.
enum List {
    /// A stream of the newest posts.
    Stream,
    Json {
        before: Option<PostId>,
        limit: usize,
    },
}

impl List {
    fn read(request: &Request) -> Result<List, Error> {
        let (limit, before) = (request.query("limit"), request.query("before"));
        if request.wants_events() {
            if limit.is_some() || before.is_some() {
                return Err(Error::bad("a stream shows the newest posts; `limit` and `before` are for JSON")
                    .hint("leave them out, or send `Accept: application/json`"));
            }
            return Ok(List::Stream);
        }
        let limit = limit.map_or(Some(STREAM_POSTS), |text| text.parse().ok());
        let limit = limit.filter(|limit| (1..=LIMIT_MAX).contains(limit));
        let limit = limit.ok_or_else(|| Error::bad(format!("`limit` is a number from 1 to {LIMIT_MAX}")))?;
        let bad = || Error::bad("`before` is the id of a post: the `next` of the answer before");
        let before = before.map(|text| PostId::parse(&text).ok_or_else(bad)).transpose()?;
        Ok(List::Json { before, limit })
    }
}

fn respond(status: StatusCode, post: &Post) -> Response {
    Response::json(status, post).with(ETAG, format!("\"{}\"", post.version))
}

fn stream(app: &App, request: &Request, subscriber: Subscriber) -> Result<Answer, Error> {
    let mut stream = app.ephemeral_stream(request)?;
    stream.snapshot = Some(Box::new(move || subscriber.frame()));
    Ok(Answer::stream(stream))
}

fn post_id(request: &Request) -> Result<PostId, Error> {
    PostId::parse(request.capture("post")).ok_or_else(|| Error::not_found(NO_POST))
}

/// The versions that `If-Match` names (RFC 9110, section 13.1.1); none if any version will do. A proxy that
/// compresses marks a tag as weak (`W/`); the tag still names its version.
fn versions(request: &Request) -> Result<Option<Vec<u64>>, Error> {
    let bad = || Error::bad("`If-Match` has to be the `ETag` of the post, like \"3\"");
    let mut versions = None;
    for value in request.headers.get_all(IF_MATCH) {
        for tag in value.to_str().map_err(|_| bad())?.split(',').map(str::trim) {
            if tag == "*" {
                return Ok(None);
            }
            let tag = without_suffix(tag.strip_prefix("W/").unwrap_or(tag));
            let version = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')).ok_or_else(bad)?;
            // A tag that is not a number names no version of a post.
            versions.get_or_insert_with(Vec::new).extend(without_suffix(version).parse::<u64>());
        }
    }
    Ok(versions)
}

fn without_suffix(tag: &str) -> &str {
    let stripped = TAG_SUFFIXES.iter().filter_map(|suffix| tag.strip_suffix(suffix));
    // The shortest rest: `--gzip` ends in `-gzip` too.
    stripped.min_by_key(|rest| rest.len()).unwrap_or(tag)
}

fn pick(words: &'static [&'static str]) -> &'static str {
    words[fastrand::usize(..words.len())]
}
