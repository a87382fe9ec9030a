//! Tickets: `POST /tickets` gives one for a user, `POST /tickets/cookie` puts one into the browser's cookie, `POST /revoke`
//! makes void what was given.

use crate::access::{Revocation, TicketWish, no_cookie};
use crate::app::App;
use crate::error::Error;
use crate::http::{Answer, Request, Response};
use crate::selector::Selector;
use http::StatusCode;
use http::header::{CACHE_CONTROL, SET_COOKIE};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How long a ticket lasts that nobody named a time for.
const TTL: Duration = Duration::from_secs(10 * 60);

/// What a right wish looks like.
const WISH: &str = r#"{"user":"ann","subscribe":["users/ann/*"],"publish":[],"ttl":"10m"}"#;
const REVOCATION: &str = r#"{"user":"ann"}, {"ticket":"…"} or {"token":"shop"}"#;
const COOKIE: &str = r#"{"ticket":"…"}"#;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    user: String,
    #[serde(default)]
    publish: Vec<String>,
    #[serde(default)]
    subscribe: Vec<String>,
    ttl: Option<String>,
}

#[derive(Serialize)]
struct Given {
    ticket: String,
    expires: String,
}

/// Gives a ticket: `{"ticket":"…","expires":"…"}`.
pub fn give(app: &App, request: &Request) -> Result<Answer, Error> {
    let Wish { user, publish, subscribe, ttl } = request.json(WISH)?;
    let ttl = match ttl {
        None => TTL,
        Some(text) => humantime::parse_duration(&text).map_err(|error| {
            Error::bad(format!("`ttl` is no time: {error}")).hint("give a time like `10m`")
        })?,
    };
    let wish = TicketWish { user, publish: selectors(&publish)?, subscribe: selectors(&subscribe)?, ttl };
    let (ticket, expires) = app.access.give_ticket(request.grant()?, wish)?;
    Ok(Answer::json(&Given { ticket, expires: expires.to_string() }))
}

fn selectors(texts: &[String]) -> Result<Vec<Selector>, Error> {
    texts.iter().map(|text| text.parse()).collect()
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
enum Revoke {
    User(String),
    Ticket(String),
    Token(String),
}

#[derive(Serialize)]
struct Revoked {
    revoked: bool,
    /// Whether it survives a restart.
    kept: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'static str>,
}

/// Makes void what was given until now: `{"revoked":true,"kept":true}`.
pub fn revoke(app: &App, request: &Request) -> Result<Answer, Error> {
    let revocation = match request.json(REVOCATION)? {
        Revoke::User(name) => Revocation::User(name),
        Revoke::Ticket(text) => Revocation::Ticket(text),
        Revoke::Token(name) => Revocation::Token(name),
    };
    let kept = app.access.revoke(revocation)?;
    let note = (!kept).then_some("a restart forgets it: this server keeps its data in memory");
    Ok(Answer::json(&Revoked { revoked: true, kept, note }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Trade {
    ticket: String,
}

/// Puts a ticket into the browser's cookie. The ticket comes in the body, so that it is in no address.
pub fn set_cookie(app: &App, request: &Request) -> Result<Answer, Error> {
    let Trade { ticket } = request.json(COOKIE)?;
    let cookie = app.access.cookie(&ticket, request.is_secure())?;
    Ok(with_cookie(cookie))
}

/// Takes the cookie from the browser.
pub fn clear_cookie(_app: &App, _request: &Request) -> Result<Answer, Error> {
    Ok(with_cookie(no_cookie()))
}

fn with_cookie(cookie: String) -> Answer {
    let response = Response::empty(StatusCode::NO_CONTENT).with(SET_COOKIE, cookie);
    Answer::Full(response.with(CACHE_CONTROL, "no-store"))
}
