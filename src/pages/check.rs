//! The connection check: a browser measures what lies between itself and this server.
//!
//! It makes up an id, opens `GET /check/{id}` and sends itself events with `POST /check/{id}`. If they arrive late,
//! in lumps or not at all, something in between did it. Nothing of the request gets into an event, so the check needs
//! no publish token.

use crate::app::App;
use crate::error::Error;
use crate::event::Draft;
use crate::history::Start;
use crate::http::{Answer, Request};
use crate::topic::Topic;
use serde_json::json;
use std::time::{SystemTime, UNIX_EPOCH};

/// The longest id of a check, in bytes. A longer one is answered 400.
const ID_BYTES_MAX: usize = 64;

/// The longest body, in bytes. The body is ignored; a longer one is answered 413.
const BODY_BYTES_MAX: usize = 1024;

/// Streams the events of one check. They are kept like any other, so that resuming can be tried too.
pub fn subscribe(app: &App, request: &Request) -> Result<Answer, Error> {
    Ok(Answer::stream(app.stream(request, Start::Live)?))
}

/// Sends the check's streams the event `check` with `{"at":…}`, the server's time in milliseconds since
/// 1970. Answers `{"id":"…","reached":1,"at":…}`: the event's id and time, and how many streams it reached.
pub fn publish(app: &App, request: &Request) -> Result<Answer, Error> {
    if request.body.len() > BODY_BYTES_MAX {
        return Err(Error::too_large(BODY_BYTES_MAX));
    }
    // A clock that stands before 1970 is shown as that moment, which is wrong enough to be noticed.
    let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
    let data = json!({ "at": at }).to_string();
    let topics = request.grant()?.publish_topics().to_vec();
    let draft = Draft { topics, name: Some("check".into()), data, ..Draft::default() };
    let (receipt, reached) = app.publish_counted(request, draft)?;
    Ok(Answer::json(&json!({ "id": receipt.id, "reached": reached, "at": at })))
}

/// The topic of a check.
pub fn topic(request: &Request) -> Result<Vec<Topic>, Error> {
    let id = request.capture("id");
    let is_plain = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if id.is_empty() || id.len() > ID_BYTES_MAX || !is_plain {
        return Err(Error::bad(format!(
            "the id of a check has 1 to {ID_BYTES_MAX} letters, digits and hyphens, chosen at random"
        )));
    }
    Ok(vec![Topic::new(&format!("$check/{id}"))?])
}
