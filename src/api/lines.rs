//! `POST /publish`: many events in one request, a line of JSON each, and an answer a line.
//!
//! The events of a request share a commit. A line that cannot be published harms no other.

use super::topics::Published;
use crate::access::Grant;
use crate::app::App;
use crate::error::{Error, ErrorKind, Problem};
use crate::event::Draft;
use crate::http::{Answer, Request, Response};
use crate::publisher::Receipt;
use crate::topic::{TOPICS_MAX, Topic};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::sync::Arc;

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

/// A line that was refused: the error as it would be answered alone, with its status.
#[derive(Serialize)]
struct Refused<'a> {
    #[serde(flatten)]
    problem: Problem<'a>,
    status: u16,
}

impl<'a> From<&'a Error> for Refused<'a> {
    fn from(error: &'a Error) -> Refused<'a> {
        Refused { problem: error.problem(), status: error.status().as_u16() }
    }
}

impl Line<'_> {
    fn draft(text: &str) -> Result<Draft, Error> {
        let line: Line = serde_json::from_str(text).map_err(|error| {
            Error::bad(format!("the line is not JSON of this form: {error}"))
                .hint(format!("a line is like {EXAMPLE}"))
        })?;
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
/// what publishing that event alone would be answered, a refusal with its `status`.
pub fn publish(app: &App, request: &Request) -> Result<Answer, Error> {
    let lines: Vec<&str> = request.text()?.lines().filter(|line| !line.trim().is_empty()).collect();
    if lines.is_empty() || lines.len() > LINES_MAX {
        let count = lines.len();
        let error = Error::bad(format!("a request publishes 1 to {LINES_MAX} events, this one has {count}"));
        return Err(
            error.hint(format!("send each event as a line like {EXAMPLE}; split more into several requests"))
        );
    }
    let caller = request.grant()?;
    // Lines that follow each other often have the same topics.
    let mut last: Option<Arc<Grant>> = None;
    let drafts = lines.into_iter().map(|line| {
        let draft = Line::draft(line)?;
        let grant = match &last {
            Some(grant) if grant.publish_topics() == draft.topics => grant.clone(),
            _ => last.insert(app.access.grant_publish(caller, &draft.topics)?.into()).clone(),
        };
        app.count_event(request, &draft)?;
        Ok((grant, draft))
    });
    let answers = app.publisher.publish_all(drafts.collect());
    // Whoever forgot the token, or publishes too much, is told so by the status too.
    let is_of_all = |answer: &Result<Receipt, Error>| {
        let of_all = |kind| matches!(kind, ErrorKind::Unauthorized | ErrorKind::TooMany);
        answer.as_ref().is_err_and(|error| of_all(error.kind()))
    };
    if let (Some(Err(error)), true) = (answers.first(), answers.iter().all(is_of_all)) {
        return Err(error.clone());
    }
    let mut body = Vec::with_capacity(answers.len() * 32);
    for answer in answers {
        let written = match answer {
            Ok(receipt) => serde_json::to_writer(&mut body, &Published::from(receipt)),
            Err(error) => serde_json::to_writer(&mut body, &Refused::from(&error)),
        };
        written.map_err(|error| Error::internal(format!("failed to write JSON: {error}")))?;
        body.push(b'\n');
    }
    let response = Response { body: body.into(), ..Response::empty(StatusCode::OK) };
    Ok(Answer::Full(response.with(CONTENT_TYPE, "application/x-ndjson").with(CACHE_CONTROL, "no-store")))
}
