//! `GET /access?topic=…`: what whoever asks may do here. A page says so with it before anybody has written a message in vain.

use crate::access::{Area, Caller};
use crate::app::App;
use crate::error::{Error, Problem};
use crate::http::{Answer, Request};
use crate::topic::{TOPICS_MAX, Topic};
use serde::Serialize;
use std::collections::BTreeMap;

#[derive(Serialize)]
struct Shown {
    /// The name in a ticket or a JWT.
    user: Option<String>,
    /// When it ends.
    expires: Option<String>,
    /// By the names that rules have for pages. That of the notifications is about the user's own.
    pages: BTreeMap<&'static str, May>,
    /// Those that were asked for.
    topics: BTreeMap<String, May>,
}

/// What may be done with a topic, and why the rest may not.
#[derive(Serialize)]
struct May {
    subscribe: bool,
    publish: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

/// Says it of all pages, and of the topics that the query names.
pub fn show(app: &App, request: &Request) -> Result<Answer, Error> {
    let caller = request.grant()?.caller();
    let names: Vec<String> = request.query_all("topic").collect();
    if names.len() > TOPICS_MAX {
        let count = names.len();
        return Err(Error::bad(format!(
            "a request names at most {TOPICS_MAX} topics, this one names {count}"
        )));
    }
    let claims = caller.claims();
    let user = claims.and_then(|claims| claims.user.as_deref());
    let page = |area: Area| Ok((area.name(), may(app, caller, &area.topic(user)?)));
    let topic = |name: String| {
        let topic = Topic::public(&name)?;
        Ok((name, may(app, caller, &topic)))
    };
    let shown = Shown {
        user: user.map(str::to_owned),
        expires: claims.and_then(|claims| claims.expires).map(|at| at.to_string()),
        pages: Area::NAMED.into_iter().map(page).collect::<Result<_, Error>>()?,
        topics: names.into_iter().map(topic).collect::<Result<_, Error>>()?,
    };
    Ok(Answer::json(&shown))
}

fn may(app: &App, caller: &Caller, topic: &Topic) -> May {
    let subscribe = app.access.may_subscribe(caller, &topic.clone().into());
    let publish = app.access.may_publish(caller, topic);
    let (is_readable, is_writable) = (subscribe.is_ok(), publish.is_ok());
    let refusal = subscribe.and(publish).err();
    let Problem { reason, hint, .. } = match &refusal {
        Some(error) => error.problem(),
        None => return May { subscribe: true, publish: true, reason: None, hint: None },
    };
    May { subscribe: is_readable, publish: is_writable, reason: Some(reason.into()), hint: Some(hint.into()) }
}
