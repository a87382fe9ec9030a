//! The topic API, the general way in and out: `POST`, `GET` and `DELETE` on `/topics/{topic}` for one topic, `POST` and
//! `GET` on `/topics?topic=…&topic=…` for several; `QUERY /topics` and `POST /subscribe` name them in the body.

use crate::app::App;
use crate::error::Error;
use crate::event::Draft;
use crate::history::{Retracted, Start};
use crate::http::{Answer, Request};
use crate::os::memory;
use crate::publisher::Receipt;
use serde::Serialize;

/// `{"id":"…"}`, and `"duplicate":true` where the same was published before. An ephemeral event has no id.
#[derive(Serialize)]
pub(super) struct Published {
    id: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    duplicate: bool,
}

impl From<Receipt> for Published {
    fn from(receipt: Receipt) -> Published {
        Published { id: receipt.id, duplicate: receipt.duplicate }
    }
}

/// Publishes the body to the topics that the path or the query names; the query says the rest (`event`, `id`, `retry`). Answers `{"id":"…"}`.
pub fn publish(app: &App, request: &Request) -> Result<Answer, Error> {
    let receipt = app.publish(
        request,
        Draft {
            topics: request.grant()?.publish_topics().to_vec(),
            name: request.query("event"),
            id: request.query("id"),
            retry_millis: request.query("retry").map(|text| retry_millis(&text)).transpose()?,
            data: request.text()?.to_owned(),
        },
    )?;
    Ok(Answer::json(&Published::from(receipt)))
}

/// A retraction of so many events takes memory that is worth giving back.
const MANY: usize = 1_000;

/// `{"retracted":1,"id":"…"}`, where `id` is that of the `retract` event; null where nothing was retracted.
#[derive(Serialize)]
struct Retraction {
    retracted: usize,
    id: Option<String>,
}

/// Takes the kept event `?id=` back, or without one all that is kept of the topic.
pub fn retract(app: &App, request: &Request) -> Result<Answer, Error> {
    app.count_publication(request, None)?;
    let grant = request.grant()?;
    let id = request.query("id");
    let [topic] = grant.publish_topics() else { return Err(Error::bad("one topic is retracted at a time")) };
    let Retracted { count, id } = app.publisher.retract(grant, topic, id.as_deref())?;
    if count >= MANY {
        memory::give_back_soon();
    }
    Ok(Answer::json(&Retraction { retracted: count, id }))
}

/// Streams the topics that the path, the query or the body names.
pub fn subscribe(app: &App, request: &Request) -> Result<Answer, Error> {
    Ok(Answer::stream(app.stream(request, Start::Live)?))
}

fn retry_millis(text: &str) -> Result<u32, Error> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // More digits than fit are more than the limit anyway.
    if is_number {
        Ok(text.parse().unwrap_or(u32::MAX))
    } else {
        Err(Error::bad("`retry` is a number of milliseconds").hint("give digits only, such as `retry=3000`"))
    }
}
