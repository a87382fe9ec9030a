//! Posts, tags and feeds: `#tags` in a post's content put it into the feed of each tag. A post, a feed and the
//! list of feeds are to be had in two ways, as JSON and as a stream of the same JSON, whichever is asked for.

use crate::app::App;
use crate::error::Error;
use crate::http::{Answer, Request, Response};
use crate::live::snapshot::Watcher;
use crate::posts::store::{NO_FEED, NO_POST};
use crate::posts::{Edit, NewPost, Post, PostId};
use crate::posts::{STREAM_POSTS, topics};
use crate::topic::Topic;
use http::StatusCode;
use http::header::{ETAG, IF_MATCH, LOCATION};
use serde::Deserialize;

/// The topic that posts are published to, for access. Streams are of the topics of states.
pub const TOPIC: &str = "$posts";

/// The most posts on a page of a feed. More are answered 400.
const LIMIT_MAX: usize = 200;

/// What random posts are made of: a title, a text with a place for each of one to three tags.
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

/// The author stays, whatever is said of it.
#[derive(Deserialize)]
struct Change {
    title: Option<String>,
    content: Option<String>,
}

/// All feeds: `{"feeds":[{"name","posts"}…]}`.
pub fn feeds(app: &App, request: &Request) -> Result<Answer, Error> {
    if request.wants_events() {
        return stream(app, request, app.posts.watch_feeds()?);
    }
    Ok(Answer::json(&app.posts.feeds()?))
}

/// A page of a feed, newest first: `{"name","posts":[…],"next"}`. As a stream, always the first.
pub fn feed(app: &App, request: &Request) -> Result<Answer, Error> {
    let name = feed_name(request);
    let (limit, before) = (request.query("limit"), request.query("before"));
    if request.wants_events() {
        if limit.is_some() || before.is_some() {
            return Err(Error::bad(
                "the stream of a feed is its newest posts: `limit` and `before` are for JSON",
            ));
        }
        return stream(app, request, app.posts.watch_feed(&name)?);
    }
    let limit = limit.map_or(Some(STREAM_POSTS), |text| text.parse().ok());
    let limit = limit.filter(|limit| (1..=LIMIT_MAX).contains(limit));
    let limit = limit.ok_or_else(|| Error::bad(format!("`limit` is a number from 1 to {LIMIT_MAX}")))?;
    let right = || Error::bad("`before` is the id of a post in the feed, what `next` said before");
    let before = before.map(|text| PostId::parse(&text).ok_or_else(right)).transpose()?;
    Ok(Answer::json(&app.posts.feed(&name, before, limit)?))
}

/// The topic of the list of feeds.
pub fn feeds_topic(_request: &Request) -> Result<Vec<Topic>, Error> {
    Ok(vec![Topic::new(topics::FEEDS)?])
}

/// The topic of the feed that the path names.
pub fn feed_topic(request: &Request) -> Result<Vec<Topic>, Error> {
    // What cannot be a topic is no tag either.
    let topic = topics::feed(&feed_name(request)).map_err(|_| Error::NotFound(NO_FEED.into()))?;
    Ok(vec![topic])
}

/// The topic of the post that the path names.
pub fn post_topic(request: &Request) -> Result<Vec<Topic>, Error> {
    Ok(vec![topics::post(post_id(request)?)?])
}

/// Tags are in lower case, and whoever writes `#HelloWorld` means this feed.
fn feed_name(request: &Request) -> String {
    request.capture("name").to_ascii_lowercase()
}

/// A post.
pub fn show(app: &App, request: &Request) -> Result<Answer, Error> {
    let id = post_id(request)?;
    if request.wants_events() {
        return stream(app, request, app.posts.watch_post(id)?);
    }
    Ok(Answer::Full(respond(StatusCode::OK, &app.posts.post(id)?)))
}

/// Makes a post. Answers 201 with it, and where it is.
pub fn create(app: &App, request: &Request) -> Result<Answer, Error> {
    let New { title, content, author } =
        request.json(r##"{"title":"…","content":"… #tag","author":"…"}"##)?;
    created(app, NewPost::new(&title, content, &author)?)
}

/// Changes a post's title, content or both. Answers with the post. With `If-Match`, only if the post is
/// still at that version.
pub fn edit(app: &App, request: &Request) -> Result<Answer, Error> {
    let id = post_id(request)?;
    let Change { title, content } = request.json(r#"{"title":"…","content":"…"}"#)?;
    let edit = Edit::new(title.as_deref(), content, versions(request)?)?;
    Ok(Answer::Full(respond(StatusCode::OK, &app.posts.edit(id, edit)?)))
}

/// Makes a random post.
pub fn generate(app: &App, _request: &Request) -> Result<Answer, Error> {
    let tags = fastrand::choose_multiple(WORDS, fastrand::usize(1..=3));
    let title = format!("{} {}", pick(OPENINGS), tags[0]);
    let hashtags: Vec<String> = tags.iter().map(|tag| format!("#{tag}")).collect();
    let content = format!("{} {}", pick(SENTENCES), hashtags.join(" "));
    created(app, NewPost::new(&title, content, pick(AUTHORS))?)
}

fn created(app: &App, new: NewPost) -> Result<Answer, Error> {
    let post = app.posts.create(new)?;
    let address = format!("/api/posts/{}", post.id);
    Ok(Answer::Full(respond(StatusCode::CREATED, &post).with(LOCATION, address)))
}

fn respond(status: StatusCode, post: &Post) -> Response {
    Response::json(status, post).with(ETAG, format!("\"{}\"", post.version))
}

fn stream(app: &App, request: &Request, watcher: Watcher) -> Result<Answer, Error> {
    let mut stream = app.ephemeral_stream(request)?;
    stream.snapshot = Some(Box::new(move || watcher.frame()));
    Ok(Answer::stream(stream))
}

fn post_id(request: &Request) -> Result<PostId, Error> {
    PostId::parse(request.capture("post")).ok_or_else(|| Error::NotFound(NO_POST.into()))
}

/// The versions that `If-Match` names (RFC 9110, section 13.1.1); none if any will do. A tag that a proxy
/// has weakened because it compresses still names its version.
fn versions(request: &Request) -> Result<Option<Vec<u64>>, Error> {
    let right = || Error::bad("`If-Match` is what `ETag` said of the post, like \"3\"");
    let mut versions = None;
    for value in request.headers.get_all(IF_MATCH) {
        for tag in value.to_str().map_err(|_| right())?.split(',').map(str::trim) {
            if tag == "*" {
                return Ok(None);
            }
            let tag = tag.strip_prefix("W/").unwrap_or(tag);
            let version = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')).ok_or_else(right)?;
            // A tag that is none of ours is the tag of no version.
            versions.get_or_insert_with(Vec::new).extend(version.parse::<u64>());
        }
    }
    Ok(versions)
}

fn pick(words: &'static [&'static str]) -> &'static str {
    words[fastrand::usize(..words.len())]
}
