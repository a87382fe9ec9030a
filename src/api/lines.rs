//! `POST /publish`: many events in one request, a line of JSON each, and an answer a line.
//!
//! The events of a request share a commit. A line that cannot be published harms no other.

use super::topics::Published;
use crate::app::App;
use crate::error::Error;
use crate::event::Draft;
use crate::http::{Answer, Request, Response};
use crate::topic::{TOPICS_MAX, Topic};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use serde::Deserialize;
use serde_json::json;
use std::borrow::Cow;

/// The most lines of one request. With more the request is refused as a whole (400), so that its publisher knows where
/// it stands.
pub const LINES_MAX: usize = 1_000;

const EXAMPLE: &str = r#"{"topic":"news","data":"hello"}"#;

/// One event. What is written without escapes is not copied.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    #[serde(borrow)]
    topic: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    topics: Vec<Cow<'a, str>>,
    #[serde(default, borrow)]
    data: Cow<'a, str>,
    event: Option<String>,
    id: Option<String>,
    retry: Option<u32>,
}

impl Line<'_> {
    fn draft(text: &str) -> Result<Draft, Error> {
        let line: Line = serde_json::from_str(text)
            .map_err(|error| Error::bad(format!("a line has to be JSON like {EXAMPLE}: {error}")))?;
        let names = line.topic.iter().chain(&line.topics);
        let mut topics = Vec::with_capacity(1);
        for name in names {
            let topic = Topic::public(name)?;
            if !topics.contains(&topic) {
                topics.push(topic);
            }
        }
        if topics.is_empty() || topics.len() > TOPICS_MAX {
            return Err(Error::bad(format!("a line names 1 to {TOPICS_MAX} topics, as `topic` or `topics`")));
        }
        let (name, id, retry_millis) = (line.event, line.id, line.retry);
        Ok(Draft { topics, name, id, retry_millis, data: line.data.into_owned() })
    }
}

/// Publishes each line of the body. Access is asked for the topics of each. Answers a line for each, in their order:
/// what publishing that event alone would be answered, or `{"error":"…","status":…}`.
pub fn publish(app: &App, request: &Request) -> Result<Answer, Error> {
    let lines: Vec<&str> = request.text()?.lines().filter(|line| !line.trim().is_empty()).collect();
    if lines.is_empty() || lines.len() > LINES_MAX {
        let count = lines.len();
        return Err(Error::bad(format!(
            "a request publishes 1 to {LINES_MAX} events, a line of JSON each like {EXAMPLE}; this one has {count}"
        )));
    }
    let grant = request.grant()?;
    let drafts = lines.into_iter().map(|line| {
        let draft = Line::draft(line)?;
        Ok((app.access.grant_publish(grant, &draft.topics)?, draft))
    });
    let answers = app.publisher.publish_all(drafts.collect());
    // Whoever forgot the token is told so by the status too.
    if answers.iter().all(|answer| matches!(answer, Err(Error::Unauthorized))) {
        return Err(Error::Unauthorized);
    }
    let mut body = Vec::with_capacity(answers.len() * 32);
    for answer in answers {
        let written = match answer {
            Ok(receipt) => serde_json::to_writer(&mut body, &Published::from(receipt)),
            Err(error) => {
                let status = error.status().as_u16();
                serde_json::to_writer(&mut body, &json!({ "error": error.to_string(), "status": status }))
            }
        };
        written.map_err(|error| Error::Internal(format!("failed to write JSON: {error}")))?;
        body.push(b'\n');
    }
    let response = Response { body: body.into(), ..Response::empty(StatusCode::OK) };
    Ok(Answer::Full(response.with(CONTENT_TYPE, "application/x-ndjson").with(CACHE_CONTROL, "no-store")))
}
