//! `GET /healthz`: is it alive, and how is it doing?

use crate::app::App;
use crate::error::Error;
use crate::http::{Answer, Request};
use crate::live::stats::Figures;
use crate::posts::store::Status;
use serde::Serialize;

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
