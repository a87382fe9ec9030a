//! The chat: `GET /sse?user=NAME` subscribes, `POST /sse/message` sends a message to everybody.
//!
//! A subscriber receives messages as JSON, `{"user","message","at"}`, beginning with the last fifty, and an event
//! `presence` with `{"users":[…]}` when a user comes or goes. `POST /sse/goodbye?stream=…` says that a stream
//! will not come back; its opening comment says where.

use super::name::visible;
use crate::app::{App, PageState};
use crate::error::{Error, Problem};
use crate::event::Draft;
use crate::history::Start;
use crate::http::{Answer, Request, Response};
use crate::live::presence::Presence;
use crate::os::clock::now;
use crate::topic::Topic;
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json;

/// The topic of the messages and of the presence.
pub const TOPIC: &str = "$chat";

/// The earlier messages that a newcomer is sent.
const LATEST_MESSAGES: usize = 50;

/// Where the browser of a stream says goodbye.
pub const GOODBYE: &str = "/sse/goodbye";

/// The longest user name, in characters. A longer one is answered 400.
const USER_CHARS_MAX: usize = 80;

/// Who is in the chat.
struct Chat {
    presence: Presence,
}

impl PageState for Chat {
    fn start(app: &App) -> Result<Chat, Error> {
        let (publisher, hub) = (app.publisher.clone(), app.hub.clone());
        let presence = Presence::start(publisher, hub, &app.threads, Topic::new(TOPIC)?);
        let failed = |error| Error::internal(format!("failed to start the presence: {error}"));
        Ok(Chat { presence: presence.map_err(failed)? })
    }
}

#[derive(Deserialize)]
struct Message {
    user: String,
    message: String,
}

/// Subscribes, under a name.
pub fn subscribe(app: &App, request: &Request) -> Result<Answer, Error> {
    let name = request.query("user").unwrap_or_default();
    let user = check_user(&name)?;
    let chat = app.state::<Chat>()?;
    let mut stream = app.stream(request, Start::Latest(LATEST_MESSAGES))?;
    // HEAD asks only what GET would answer: no user comes in.
    if request.method == Method::GET {
        let present = chat.presence.enter(&user);
        stream.goodbye = Some(format!("{}?stream={}", GOODBYE.trim_start_matches('/'), present.token()));
        stream.guards.push(Box::new(present));
    }
    stream.snapshot = Some(Box::new(move || Some(chat.presence.frame())));
    Ok(Answer::stream(stream))
}

/// Lets the user of a stream leave at once. The request has to name the stream's token; a second one changes nothing.
pub fn goodbye(app: &App, request: &Request) -> Result<Answer, Error> {
    app.state::<Chat>()?.presence.leave(&request.query("stream").unwrap_or_default());
    Ok(Answer::Full(Response::empty(StatusCode::NO_CONTENT)))
}

/// Publishes a message.
pub fn publish(app: &App, request: &Request) -> Result<Answer, Error> {
    let sent: Message = request.json(r#"{"user":"…","message":"…"}"#)?;
    let user = check_user(&sent.user)?;
    if sent.message.trim().is_empty() {
        return Err(Error::bad("`message` is empty").hint("give the text as `message`"));
    }
    let at = humantime::format_rfc3339_millis(now()).to_string();
    let data = json!({ "user": user, "message": sent.message, "at": at }).to_string();
    app.publish(request, Draft { topics: vec![Topic::new(TOPIC)?], data, ..Draft::default() })?;
    Ok(Answer::json(&json!({ "succeeded": true, "message": "OK" })))
}

/// The chat's own form of an error, with the status that fits, beside the form that all errors have.
pub fn failure(error: &Error) -> Response {
    let Problem { error: refused, reason, hint } = error.problem();
    let body = json!({ "succeeded": false, "errorMessage": reason, "error": refused, "reason": reason, "hint": hint });
    Response { body: body.to_string().into_bytes().into(), ..Response::error(error) }
}

/// The name as it is shown: without characters that cannot be seen, by which it could look like another name.
fn check_user(name: &str) -> Result<String, Error> {
    if name.trim().is_empty() {
        return Err(Error::bad("`user` is missing or empty").hint("give your name as `user`"));
    }
    visible(name).filter(|user| user.chars().count() <= USER_CHARS_MAX).ok_or_else(|| {
        let max = USER_CHARS_MAX;
        Error::bad(format!(
            "`user` has at most {max} characters, all of which can be seen: no control or format characters"
        ))
        .hint("choose a shorter or plainer name")
    })
}
