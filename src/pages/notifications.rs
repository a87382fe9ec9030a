//! Notifications for one user: `GET /sse/{id}` opens a stream, of which a user may have many (tabs,
//! devices), and `POST /notify/{id}` reaches them all and nobody else. Without an id both are for everyone.
//!
//! A notification is kept, so that a browser that was away for a moment is given it when it comes back.
//! `GET /time` and `GET /time/{id}` send the time of day, which is only true now.

use crate::app::App;
use crate::error::Error;
use crate::event::Draft;
use crate::history::Start;
use crate::http::{Answer, Captures, Request};
use crate::topic::Topic;
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::SystemTime;

/// The longest user id, in bytes. A longer one is answered 400.
const USER_BYTES_MAX: usize = 200;

#[derive(Deserialize)]
struct Notification {
    event: Option<String>,
    data: Value,
    id: Option<String>,
}

/// Listens to what is for this user, and to what is for everyone.
pub fn listen(app: &App, request: &Request, captures: &Captures) -> Result<Answer, Error> {
    let topics = vec![user_topic(captures)?, everyone()?];
    Ok(Answer::stream(app.stream(request, topics, Start::Live)?))
}

/// Sends the body's event to a user, or to everyone. Answers `{"id":"…","reached":2}`: so many streams
/// were open and were passed it. With a publish token it needs that token.
pub fn notify(app: &App, request: &Request, captures: &Captures) -> Result<Answer, Error> {
    app.check_publish_token(request)?;
    let topics = vec![addressee(captures)?];
    let Notification { event, data, id } = request.json(r#"{"event":"…","data":"…"}"#)?;
    let data = match data {
        Value::Null => return Err(Error::bad("`data` is missing")),
        Value::String(text) => text,
        other => other.to_string(),
    };
    let (receipt, reached) =
        app.publish_counted(Draft { topics, name: event, id, data, retry_millis: None })?;
    let mut answer = json!({ "id": receipt.id, "reached": reached });
    if receipt.duplicate {
        answer["duplicate"] = true.into();
    }
    Ok(Answer::json(&answer))
}

/// Sends the event `timeEvent` with the time, `15:04:05` UTC, to a user or to everyone. Answers
/// `{"reached":2,"time":"15:04:05"}`.
pub fn tell_time(app: &App, request: &Request, captures: &Captures) -> Result<Answer, Error> {
    let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    // 2026-01-31T15:04:05Z
    let time = &now[11..19];
    let topics = vec![addressee(captures)?];
    let draft = Draft { topics, name: Some("timeEvent".into()), data: time.into(), ..Draft::default() };
    // Whoever only asks for the head sends nothing.
    let reached = if request.method == Method::GET { app.tell_counted(draft)? } else { 0 };
    Ok(Answer::json(&json!({ "reached": reached, "time": time })))
}

fn addressee(captures: &Captures) -> Result<Topic, Error> {
    if captures.get("id").is_empty() { everyone() } else { user_topic(captures) }
}

/// Reserved, so that nobody reads or writes a user's topic through the topic API by guessing it.
fn user_topic(captures: &Captures) -> Result<Topic, Error> {
    let id = captures.get("id");
    if id.len() > USER_BYTES_MAX || id.chars().any(char::is_control) {
        return Err(Error::bad(format!(
            "a user's id has 1 to {USER_BYTES_MAX} bytes and no control characters"
        )));
    }
    Topic::new(&format!("$user/{id}"))
}

fn everyone() -> Result<Topic, Error> {
    Topic::new("$users")
}
