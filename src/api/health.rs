//! `GET /healthz`: how is it doing? `GET /healthz/live` and `GET /healthz/ready`: the same as yes or no, for supervisors
//! and load balancers.

use crate::app::App;
use crate::error::Error;
use crate::http::{Answer, Request};
use crate::live::stats::Figures;
use crate::posts::store::Status;
use serde::Serialize;
use serde_json::json;

#[derive(Serialize)]
struct Health {
    #[serde(flatten)]
    figures: Figures,
    /// None where there are no posts yet.
    posts: Option<Status>,
}

/// The server's figures, and how the posts are doing.
pub fn show(app: &App, _request: &Request) -> Result<Answer, Error> {
    Ok(Answer::json(&Health { figures: app.stats.read(), posts: app.posts.status() }))
}

/// The process answers, also where the disk fails: a restart would not help.
pub fn live(_app: &App, _request: &Request) -> Result<Answer, Error> {
    Ok(Answer::json(&json!({ "status": "live" })))
}

/// Whether requests should come here. [`Error::unavailable`] while the server drains, and while what is published or
/// posted cannot be kept. Posts that could not be opened are tried again first.
pub fn ready(app: &App, _request: &Request) -> Result<Answer, Error> {
    app.posts.try_again();
    let history = app.history.status().failure.map(|why| format!("the history cannot be written: {why}"));
    let posts = app.posts.status().and_then(|status| status.failure);
    let posts = posts.map(|why| format!("the posts cannot be written: {why}"));
    let draining = app.is_draining().then(|| "the server is draining".to_owned());
    match draining.or(history).or(posts) {
        Some(why) => {
            Err(Error::unavailable(why).hint("send requests elsewhere until this is answered with 200"))
        }
        None => Ok(Answer::json(&json!({ "status": "ready" }))),
    }
}
