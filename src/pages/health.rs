//! `GET /healthz`: is it alive, and how is it doing?

use crate::app::App;
use crate::error::Error;
use crate::http::{Answer, Request, Response};
use crate::routes::Captures;
use http::StatusCode;
use serde_json::json;
use std::sync::atomic::Ordering::Relaxed;

/// Version, uptime, open streams, and what the hub and the history have counted.
pub fn show(app: &App, _request: &Request, _captures: &Captures) -> Result<Answer, Error> {
    let books = app.hub.books();
    let (kept_events, kept_bytes) = app.history.kept();
    let health = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_secs": app.started.elapsed().as_secs(),
        "streams": app.places.taken(),
        "published": books.published.load(Relaxed),
        "delivered": books.delivered.load(Relaxed),
        "too_slow": books.too_slow.load(Relaxed),
        "history": { "events": kept_events, "bytes": kept_bytes },
    });
    Ok(Answer::Full(Response::json(StatusCode::OK, &health)))
}
