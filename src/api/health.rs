//! `GET /healthz`: is it alive, and how is it doing?

use crate::app::App;
use crate::error::Error;
use crate::http::{Answer, Captures, Request};
use serde_json::json;
use std::sync::atomic::Ordering::Relaxed;

/// Version, uptime, open streams, and what the hub and the history have counted.
pub fn show(app: &App, _request: &Request, _captures: &Captures) -> Result<Answer, Error> {
    let counters = app.hub.counters();
    let history = app.history.status();
    let health = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_secs": app.started.elapsed().as_secs(),
        "streams": app.permits.in_use(),
        "published": counters.published.load(Relaxed),
        "delivered": counters.delivered.load(Relaxed),
        "too_slow": counters.too_slow.load(Relaxed),
        "history": {
            "events": history.events,
            "bytes": history.bytes,
            "oldest": history.oldest.map(|at| humantime::format_rfc3339_millis(at).to_string()),
            "commit_micros": history.commit.map(|commit| commit.as_micros() as u64),
            "failure": history.failure,
        },
        "posts": app.posts.status(),
    });
    Ok(Answer::json(&health))
}
