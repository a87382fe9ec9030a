//! Notifications for one user: `GET /sse/{id}` opens a stream, of which a user may have many (tabs,
//! devices), and `POST /notify/{id}` reaches all of them and no other user's. Without an id both are for everyone.
//!
//! A notification is kept, so that a browser that was away for a moment is sent it when it comes back.
//! `POST` and `GET` on `/time` and `/time/{id}` send the time of day, which is ephemeral. Anybody may ask for that, so
//! the time has topics of its own, which need no publish token.

use crate::app::App;
use crate::error::Error;
use crate::event::Draft;
use crate::history::Start;
use crate::http::{Answer, Request};
use crate::os::clock;
use crate::topic::Topic;
use http::Method;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

/// The longest user id, in bytes. A longer one is answered 400.
const USER_BYTES_MAX: usize = 200;

#[derive(Deserialize)]
struct Notification {
    event: Option<String>,
    /// As it was sent: numbers of any length, and keys in their order.
    data: Option<Box<RawValue>>,
    id: Option<String>,
}

/// Streams what is for this user and what is for everyone.
pub fn subscribe(app: &App, request: &Request) -> Result<Answer, Error> {
    Ok(Answer::stream(app.stream(request, Start::Live)?))
}

/// Sends the body's event to a user, or to everyone. Answers `{"id":"…","reached":2}`: so many streams were open
/// and were passed it.
pub fn notify(app: &App, request: &Request) -> Result<Answer, Error> {
    let Notification { event, data, id } = request.json(r#"{"event":"…","data":"…"}"#)?;
    let data =
        data.ok_or_else(|| Error::bad("`data` is missing").hint("give a text or any other JSON as `data`"))?;
    let data = match data.get() {
        // Text is sent without its quotes.
        text if text.starts_with('"') => {
            serde_json::from_str(text).map_err(|error| Error::bad(format!("`data` is no text: {error}")))?
        }
        other => other.to_owned(),
    };
    let topics = request.grant()?.publish_topics().to_vec();
    let draft = Draft { topics, name: event, id, data, retry_millis: None };
    let (receipt, reached) = app.publish_counted(request, draft)?;
    let mut answer = json!({ "id": receipt.id, "reached": reached });
    if receipt.duplicate {
        answer["duplicate"] = true.into();
    }
    Ok(Answer::json(&answer))
}

/// Sends the event `timeEvent` with the time, `15:04:05` UTC, to a user or to everyone. Answers
/// `{"reached":2,"time":"15:04:05"}`.
pub fn send_time(app: &App, request: &Request) -> Result<Answer, Error> {
    let now = humantime::format_rfc3339_seconds(clock::now()).to_string();
    // 2026-01-31T15:04:05Z
    let time = &now[11..19];
    let topics = request.grant()?.publish_topics().to_vec();
    let draft = Draft { topics, name: Some("timeEvent".into()), data: time.into(), ..Draft::default() };
    // HEAD asks only what GET would answer: nothing is sent.
    let reached = if request.method == Method::HEAD { 0 } else { app.broadcast(request, draft)? };
    Ok(Answer::json(&json!({ "reached": reached, "time": time })))
}

/// The topics of a user's stream.
pub fn received(request: &Request) -> Result<Vec<Topic>, Error> {
    let id = user(request)?;
    let names = [format!("$user/{id}"), "$users".into(), format!("$time/{id}"), "$time".into()];
    names.iter().map(|name| Topic::new(name)).collect()
}

/// The topic of a notification: one user's, or everyone's. It is reserved, so that nobody reads or writes it
/// through the topic API by guessing a name.
pub fn addressee(request: &Request) -> Result<Vec<Topic>, Error> {
    one_topic(request, "$user/", "$users")
}

/// The topic of the time of day: one user's, or everyone's.
pub fn time_addressee(request: &Request) -> Result<Vec<Topic>, Error> {
    one_topic(request, "$time/", "$time")
}

fn one_topic(request: &Request, prefix: &str, everyone: &str) -> Result<Vec<Topic>, Error> {
    let name = match user(request)? {
        "" => everyone.to_owned(),
        id => format!("{prefix}{id}"),
    };
    Ok(vec![Topic::new(&name)?])
}

/// The user whom the path names; empty if none.
fn user(request: &Request) -> Result<&str, Error> {
    let id = request.capture("id");
    if id.len() > USER_BYTES_MAX || id.chars().any(char::is_control) {
        return Err(Error::bad(format!(
            "a user's id has 1 to {USER_BYTES_MAX} bytes and no control characters"
        )));
    }
    Ok(id)
}
