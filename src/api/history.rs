//! What is kept, for the operator: `GET /history` per topic, `GET /history/{topic}` its events. Where there are rules it
//! needs the right `history`, and shows only what whoever asks may subscribe to.
//!
//! Both answer a part at a time, so that answers do not grow with the history, and reading does not delay publishers.

use crate::access::Action;
use crate::app::App;
use crate::decode::decode;
use crate::error::Error;
use crate::event::Id;
use crate::history::{Kept, Part, TOPICS_PART, TopicStatus};
use crate::http::{Answer, Request};
use crate::topic::Topic;
use serde_json::{Value, json};
use std::time::SystemTime;

/// Topics behind the name `?after=`, with how much is kept of each: `{"topics":[…]}`, and where there are more
/// `"next":"…"`, which is what to ask for then.
pub fn topics(app: &App, request: &Request) -> Result<Answer, Error> {
    let caller = request.grant()?.caller();
    let shows_pages = app.access.may(caller, Action::PageHistory).is_ok();
    let mut after = request.query("after").unwrap_or_default();
    // Topics that are not shown are read over, so that `next` does not name one of them.
    loop {
        let part = app.history.topics(&after)?;
        let may_read = |topic: Topic| app.access.may_subscribe(caller, &topic.into()).is_ok();
        let shown = |status: &&TopicStatus| {
            (shows_pages || !status.topic.starts_with('$')) && Topic::new(&status.topic).is_ok_and(may_read)
        };
        let topics: Vec<Value> = part.iter().filter(shown).map(topic_json).collect();
        match (part.last(), topics.last()) {
            (Some(_), Some(next)) if part.len() == TOPICS_PART => {
                return Ok(Answer::json(&json!({ "next": next["topic"], "topics": topics })));
            }
            (Some(last), None) if part.len() == TOPICS_PART => after = last.topic.clone(),
            _ => return Ok(Answer::json(&json!({ "topics": topics }))),
        }
    }
}

/// A topic's events after `?after=`: `{"events":[…],"next":"…"}`, where `next` is what to ask for then,
/// or null.
pub fn events(app: &App, request: &Request) -> Result<Answer, Error> {
    let topic = Topic::new(request.capture("topic"))?;
    let caller = request.grant()?.caller();
    if topic.is_reserved() {
        app.access.may(caller, Action::PageHistory)?;
    }
    app.access.may_subscribe(caller, &topic.clone().into())?;
    let after = match request.query("after") {
        None => Id::default(),
        Some(token) => Id::parse(&token).ok_or_else(|| {
            Error::bad("`after` is what `next` said before").hint("ask without `after` first")
        })?,
    };
    // Not only up to what the hub has passed on: from an acknowledgement on every read finds the event.
    let part = app.history.read(after, Id::MAX, &[topic.into()])?;
    let next = part.events.last().map(|kept| kept.id.to_string());
    Ok(Answer::json(&json!({ "events": part_json(&part), "next": next })))
}

/// A topic as JSON.
pub(crate) fn topic_json(status: &TopicStatus) -> Value {
    json!({
        "topic": status.topic,
        "events": status.events,
        "oldest": moment(status.oldest),
        "newest": moment(status.newest),
    })
}

/// A part's events as JSON.
pub(crate) fn part_json(part: &Part) -> Vec<Value> {
    let event = |kept: &Kept| {
        let seen = decode(&kept.frame)?;
        Some(json!({ "id": seen.id, "event": seen.event, "data": seen.data, "at": moment(kept.at) }))
    };
    part.events.iter().filter_map(event).collect()
}

fn moment(at: SystemTime) -> String {
    humantime::format_rfc3339_millis(at).to_string()
}
