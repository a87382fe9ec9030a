//! The message wall: `GET /messages` streams named events, `POST /messages` puts one there.
//!
//! An event's name is the message's type (`red`, `yellow`, `blue`, any other), its id the message's number,
//! its data the message as JSON, `{"id","data","type"}`. A newcomer is shown the last hundred.

use super::name::visible;
use crate::app::{App, PageState};
use crate::decode::decode;
use crate::error::Error;
use crate::event::Draft;
use crate::history::{PART_EVENTS, Start};
use crate::http::{Answer, Request};
use crate::topic::Topic;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::time::{SystemTime, UNIX_EPOCH};

/// The topic of the messages.
pub const TOPIC: &str = "$wall";

/// The earlier messages that a newcomer is sent.
const LATEST_MESSAGES: usize = 100;

/// The longest type, in characters. A longer one is answered 400.
const TYPE_CHARS_MAX: usize = 40;

/// The number of the wall's newest message.
struct Wall {
    /// Held while a message is published, so that the numbers are in the order of the messages.
    newest: Mutex<u64>,
}

impl PageState for Wall {
    fn start(app: &App) -> Result<Wall, Error> {
        Ok(Wall { newest: Mutex::new(newest_number(app, Topic::new(TOPIC)?)?) })
    }
}

/// A message as it is sent.
#[derive(Deserialize)]
struct NewMessage {
    data: String,
    #[serde(rename = "type")]
    kind: String,
}

/// A message as it is shown.
#[derive(Serialize)]
struct Message<'a> {
    id: u64,
    data: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
}

/// Streams the messages.
pub fn subscribe(app: &App, request: &Request) -> Result<Answer, Error> {
    Ok(Answer::stream(app.stream(request, Start::Latest(LATEST_MESSAGES))?))
}

/// Publishes a message. Answers 200 with the message and its number.
pub fn publish(app: &App, request: &Request) -> Result<Answer, Error> {
    let NewMessage { data, kind } = request.json(r#"{"data":"…","type":"red"}"#)?;
    let kind = visible(&kind).filter(|kind| kind.chars().count() <= TYPE_CHARS_MAX).ok_or_else(|| {
        Error::bad(format!(
            "`type` has 1 to {TYPE_CHARS_MAX} characters, no control or format characters among them"
        ))
        .hint("use `red`, `yellow` or `blue`, which have columns of their own, or another short word")
    })?;
    if data.trim().is_empty() {
        return Err(Error::bad("`data` is empty").hint("give the message as `data`"));
    }
    let wall = app.state::<Wall>()?;
    let mut newest = wall.newest.lock();
    loop {
        let number = *newest + 1;
        let message = Message { id: number, data: &data, kind: &kind };
        let receipt = app.publish(
            request,
            Draft {
                topics: vec![Topic::new(TOPIC)?],
                name: Some(kind.clone()),
                id: Some(number.to_string()),
                data: serde_json::to_string(&message).expect("a number and two texts are JSON"),
                retry_millis: None,
            },
        )?;
        *newest = number;
        // The program around the server may have published a message under this number.
        if !receipt.duplicate {
            return Ok(Answer::json(&message));
        }
    }
}

/// The number after which a server that has just started goes on: that of the newest message that is kept, or
/// the time in milliseconds if that is larger, which is past every number that was used, also by messages that
/// were let go or lost. A browser that comes back with one of those must not find another message under it.
fn newest_number(app: &App, topic: Topic) -> Result<u64, Error> {
    const { assert!(PART_EVENTS >= 1, "one part holds the newest message") };
    let selectors = [topic.into()];
    let after = app.history.resume(&Start::Latest(1), &selectors)?.after;
    let part = app.history.read(after, app.hub.last(), &selectors)?;
    let newest = part.events.last().and_then(|kept| decode(&kept.frame)?.id.parse().ok());
    let millis = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    Ok(u64::try_from(millis).unwrap_or(0).max(newest.unwrap_or(0)))
}
