//! The table: method, path, handler, and what access is asked.

use super::route::{Route, Topics, delete, get, patch, post, query};
use crate::access::Action;
use crate::api::{access, health, history, lines, tickets, topics};
use crate::app::App;
use crate::error::Error;
use crate::http::{Answer, Request};
use crate::live::activity::TOPIC as ACTIVITY;
use crate::pages::{Page, Pages, activity, chat, check, notifications, posts, wall};

/// The one route whose errors have a form of their own.
pub(super) const CHAT_MESSAGE: &str = "/sse/message";

/// callout's own routes, without those of pages that are off.
#[rustfmt::skip] // a table
pub(super) fn table(pages: &Pages) -> Vec<Route> {
    let routes = vec![
        get("/", |app, request| file(app, request, "index.html")),
        get("/pages/{name}", |app, request| file(app, request, &format!("{}.html", request.capture("name")))),
        get("/healthz", health::show),
        get("/healthz/live", health::live),
        get("/healthz/ready", health::ready),
        get("/history", history::topics).needs(Action::HistoryList),
        get("/history/{topic...}", history::events).needs(Action::History),

        get("/topics", topics::subscribe).subscribes(Topics::in_query("topic")),
        query("/topics", topics::subscribe).subscribes(Topics::in_body()),
        post("/topics", topics::publish).publishes(Topics::in_query("topic")),
        post("/publish", lines::publish).publishes(Topics::in_lines()),
        post("/subscribe", topics::subscribe).subscribes(Topics::in_body()),
        get("/topics/{topic...}", topics::subscribe).subscribes(Topics::in_path("topic")),
        post("/topics/{topic...}", topics::publish).publishes(Topics::in_path("topic")),
        delete("/topics/{topic...}", topics::retract).publishes(Topics::in_path("topic")).needs(Action::Retract),

        get("/access", access::show),
        post("/tickets", tickets::give).needs(Action::Tickets),
        post("/tickets/cookie", tickets::set_cookie).signs_in(),
        delete("/tickets/cookie", tickets::clear_cookie).signs_in(),
        post("/revoke", tickets::revoke).needs(Action::Tickets),

        get("/sse", chat::subscribe).subscribes(Topics::fixed(chat::TOPIC)).of(Page::Chat),
        post(chat::GOODBYE, chat::goodbye).of(Page::Chat),
        post(CHAT_MESSAGE, chat::publish).publishes(Topics::fixed(chat::TOPIC)).of(Page::Chat),

        get("/sse/{id}", notifications::subscribe).subscribes(Topics::from(notifications::received)).of(Page::Notifications),
        post("/notify", notifications::notify).publishes(Topics::from(notifications::addressee)).of(Page::Notifications),
        post("/notify/{id}", notifications::notify).publishes(Topics::from(notifications::addressee)).of(Page::Notifications),
        get("/time", notifications::send_time).publishes(Topics::from(notifications::time_addressee)).of(Page::Notifications),
        get("/time/{id}", notifications::send_time).publishes(Topics::from(notifications::time_addressee)).of(Page::Notifications),
        post("/time", notifications::send_time).publishes(Topics::from(notifications::time_addressee)).of(Page::Notifications),
        post("/time/{id}", notifications::send_time).publishes(Topics::from(notifications::time_addressee)).of(Page::Notifications),

        get("/api/streams", activity::subscribe).subscribes(Topics::fixed(ACTIVITY)).of(Page::Activity),

        get("/messages", wall::subscribe).subscribes(Topics::fixed(wall::TOPIC)).of(Page::Wall),
        post("/messages", wall::publish).publishes(Topics::fixed(wall::TOPIC)).of(Page::Wall),

        get("/api/feeds", posts::feeds).subscribes(Topics::from(posts::feeds_topic)).of(Page::Posts),
        get("/api/feeds/{name}", posts::feed).subscribes(Topics::from(posts::feed_topic)).of(Page::Posts),
        get("/api/posts/{post}", posts::show).subscribes(Topics::from(posts::post_topic)).of(Page::Posts),
        get("/api/posts", posts::list).subscribes(Topics::fixed(posts::TOPIC)).of(Page::Posts),
        post("/api/posts", posts::create).publishes(Topics::fixed(posts::TOPIC)).of(Page::Posts),
        patch("/api/posts/{post}", posts::edit).publishes(Topics::fixed(posts::TOPIC)).of(Page::Posts),
        delete("/api/posts/{post}", posts::delete).publishes(Topics::fixed(posts::TOPIC)).of(Page::Posts),
        post("/api/generate/post", posts::generate).publishes(Topics::fixed(posts::TOPIC)).of(Page::Posts),

        get("/check/{id}", check::subscribe).subscribes(Topics::from(check::topic)),
        post("/check/{id}", check::publish).publishes(Topics::from(check::topic)),
    ];
    routes.into_iter().filter(|route| route.page.is_none_or(|page| pages.has(page))).collect()
}

fn file(app: &App, request: &Request, name: &str) -> Result<Answer, Error> {
    app.files.answer(request, name).map(Answer::Full)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_can_be_taken_and_finds_its_topics() {
        for route in table(&Pages::all()) {
            assert_eq!(route.check(), Ok(()));
        }
    }
}
