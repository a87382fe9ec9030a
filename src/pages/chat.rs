//! The chat: `GET /sse?user=NAME` listens, `POST /sse/message` says something to everybody.
//!
//! A listener receives what was said as JSON, `{"user","message","at"}`, beginning with the last fifty
//! messages, and an event `presence` with `{"users":[…]}` whenever somebody comes or goes.

use crate::app::{App, Holding};
use crate::error::Error;
use crate::event::Draft;
use crate::history::Start;
use crate::http::{Answer, Captures, Request, Response};
use crate::live::presence::Presence;
use crate::topic::Topic;
use http::Method;
use serde::Deserialize;
use serde_json::json;
use std::time::SystemTime;

/// What a latecomer is shown of what was said before.
const LATE_MESSAGES: usize = 50;

/// The longest user name, in characters. A longer one is answered 400.
const USER_CHARS_MAX: usize = 80;

/// What the chat holds: its topic, and who is there.
struct Chat {
    topic: Topic,
    presence: Presence,
}

impl Holding for Chat {
    fn start(app: &App) -> Result<Chat, Error> {
        let topic = Topic::new("$chat")?;
        let presence = Presence::start(app.hub.clone(), topic.clone());
        let presence =
            presence.map_err(|error| Error::Internal(format!("failed to start the presence: {error}")))?;
        Ok(Chat { presence, topic })
    }
}

#[derive(Deserialize)]
struct Said {
    user: String,
    message: String,
}

/// Listens, under a name.
pub fn listen(app: &App, request: &Request, _captures: &Captures) -> Result<Answer, Error> {
    let name = request.query("user").unwrap_or_default();
    let user = check_user(&name)?;
    let chat = app.holding::<Chat>()?;
    let mut stream = app.stream(request, vec![chat.topic.clone()], Start::Latest(LATE_MESSAGES))?;
    // Whoever only asks for the head does not come in.
    if request.method == Method::GET {
        stream.guards.push(Box::new(chat.presence.enter(user)));
    }
    stream.snapshot = Some(Box::new(move || Some(chat.presence.frame())));
    Ok(Answer::stream(stream))
}

/// Says something.
pub fn say(app: &App, request: &Request, _captures: &Captures) -> Result<Answer, Error> {
    let said: Said = request.json(r#"{"user":"…","message":"…"}"#)?;
    let user = check_user(&said.user)?;
    if said.message.trim().is_empty() {
        return Err(Error::bad("`message` is empty"));
    }
    let at = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
    let data = json!({ "user": user, "message": said.message, "at": at }).to_string();
    let topics = vec![app.holding::<Chat>()?.topic.clone()];
    app.publish(Draft { topics, data, ..Draft::default() })?;
    Ok(Answer::json(&json!({ "succeeded": true, "message": "OK" })))
}

/// The chat's own form of an error, with the status that fits.
pub fn failure(error: &Error) -> Response {
    let body = json!({ "succeeded": false, "errorMessage": error.to_string() });
    Response { body: body.to_string().into_bytes().into(), ..Response::error(error) }
}

fn check_user(name: &str) -> Result<&str, Error> {
    let user = name.trim();
    if user.is_empty() {
        return Err(Error::bad("who are you? give a name as `user`"));
    }
    if user.chars().count() > USER_CHARS_MAX || user.chars().any(char::is_control) {
        let max = USER_CHARS_MAX;
        return Err(Error::bad(format!("`user` has at most {max} characters and no control characters")));
    }
    Ok(user)
}
