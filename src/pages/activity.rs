//! `GET /api/streams`: live statistics and the server's activity on one stream, because browsers allow six
//! HTTP/1.1 connections per host.

use crate::app::App;
use crate::error::Error;
use crate::http::{Answer, Request};

/// Streams statistics and activity, the statistics at once.
pub fn subscribe(app: &App, request: &Request) -> Result<Answer, Error> {
    let Some(activity) = &app.activity else {
        return Err(Error::not_found("this server runs with --no-activity: it shows no activity")
            .hint("read the server's figures at `/healthz`, or have it started without --no-activity"));
    };
    let mut stream = app.ephemeral_stream(request)?;
    let subscriber = activity.subscribe()?;
    stream.snapshot = Some(Box::new(move || subscriber.stats_frame()));
    Ok(Answer::stream(stream))
}
