//! The topic API, the general way in and out: `POST /topics/{topic}`, `GET /topics/{topic}` and
//! `GET /topics?topic=…&topic=…`.

use crate::app::App;
use crate::error::Error;
use crate::event::{Draft, Event};
use crate::history::Start;
use crate::http::{Answer, Captures, Request, Response};
use crate::hub::Dispatch;
use crate::topic::Topic;
use http::StatusCode;
use serde::Serialize;

/// The most topics that one stream may listen to. More are answered 400.
pub const TOPICS_MAX: usize = 100;

/// `{"id":"…"}`, and `"duplicate":true` where the same was published before. What is only true now has
/// no id.
#[derive(Serialize)]
struct Published<'a> {
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    duplicate: bool,
}

/// Publishes the body; the query says the rest (`event`, `id`, `retry`). Answers `{"id":"…"}`.
pub fn publish(app: &App, request: &Request, captures: &Captures) -> Result<Answer, Error> {
    app.check_publish_token(request)?;
    let topic = open_topic(captures.get("topic"))?;
    let is_ephemeral = app.is_ephemeral(&topic);
    let draft = Draft {
        topics: vec![topic],
        name: request.query("event"),
        id: request.query("id"),
        retry_millis: request.query("retry").map(|text| retry_millis(&text)).transpose()?,
        data: request.text()?.to_owned(),
    };
    let event = Event::new(draft)?;
    if is_ephemeral {
        if event.given_id().is_some() {
            return Err(Error::bad("this topic is only true now: its events are not kept and have no id"));
        }
        app.hub.broadcast(Dispatch::ephemeral(&event));
        return Ok(answer(None, false));
    }
    let receipt = app.history.publish(event)?;
    Ok(answer(Some(&receipt.id), receipt.duplicate))
}

/// Streams one topic.
pub fn follow_one(app: &App, request: &Request, captures: &Captures) -> Result<Answer, Error> {
    let topics = vec![open_topic(captures.get("topic"))?];
    Ok(Answer::stream(app.stream(request, topics, Start::Live)?))
}

/// Streams several topics, named by the query.
pub fn follow_many(app: &App, request: &Request, _captures: &Captures) -> Result<Answer, Error> {
    let topics: Vec<Topic> =
        request.query_all("topic").map(|name| open_topic(&name)).collect::<Result<_, _>>()?;
    if topics.is_empty() || topics.len() > TOPICS_MAX {
        let count = topics.len();
        return Err(Error::bad(format!(
            "a stream listens to 1 to {TOPICS_MAX} topics (`?topic=a&topic=b`), these are {count}"
        )));
    }
    Ok(Answer::stream(app.stream(request, topics, Start::Live)?))
}

fn answer(id: Option<&str>, duplicate: bool) -> Answer {
    Answer::Full(Response::json(StatusCode::OK, &Published { id, duplicate }))
}

/// A topic that is anyone's. Those of callout's own pages have their own routes.
fn open_topic(name: &str) -> Result<Topic, Error> {
    let topic = Topic::new(name)?;
    if topic.is_reserved() {
        return Err(Error::bad("topics that begin with `$` belong to the server's own pages"));
    }
    Ok(topic)
}

fn retry_millis(text: &str) -> Result<u32, Error> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // More digits than fit are more than is held to anyway.
    if is_number {
        Ok(text.parse().unwrap_or(u32::MAX))
    } else {
        Err(Error::bad("`retry` is a number of milliseconds"))
    }
}
