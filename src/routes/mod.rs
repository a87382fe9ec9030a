//! Routes: which handler answers which request, once access has said yes. What is in no route is a file under
//! `www/`, or answered 404.

mod route;
mod table;

pub use crate::topic::TOPICS_MAX;
pub use route::{Handler, Route, Topics, delete, get, patch, post};

use crate::access::Access;
use crate::app::App;
use crate::client::{Client, EndedStream, Step, come_back};
use crate::error::{Error, ErrorKind};
use crate::http::path::capture;
use crate::http::path::percent_decode;
use crate::http::{Answer, Answered, Request, Response, Site, printable};
use crate::hub::outlet::End;
use crate::pages::{Pages, chat};
use http::header::ALLOW;
use http::{Method, StatusCode};
use std::sync::Arc;
use table::{CHAT_MESSAGE, table};

/// How long a browser waits that found no permit left: at random, so that they do not all try again at once.
const FULL_RETRY_MILLIS: std::ops::RangeInclusive<u32> = 30_000..=60_000;

/// The longest cause of a failure in the log, in characters. A longer one is cut.
const CAUSE_CHARS_MAX: usize = 1_024;

/// All routes of a server: those of the program around it come first, then callout's own.
pub(crate) fn routes(own: Vec<Route>, pages: &Pages) -> Arc<[Route]> {
    own.into_iter().chain(table(pages)).collect()
}

/// Answers requests.
pub(crate) struct Router {
    /// What the handlers are given.
    pub(crate) app: Arc<App>,
    /// In the order in which they are tried.
    pub(crate) routes: Arc<[Route]>,
}

impl Site for Router {
    fn answer(&self, request: &mut Request) -> Answer {
        let answer = self.dispatch(request);
        let answer = answer.unwrap_or_else(|error| Answer::Full(refusal(&self.app.access, &error, request)));
        let origin_fields = self.app.access.origins.allow(&request.headers);
        match answer {
            Answer::Full(response) => Answer::Full(response.with_all(origin_fields)),
            Answer::Stream(response, stream) => {
                let response = response.with_all(origin_fields);
                // HEAD wants to know what GET would say, without the stream.
                match request.method {
                    Method::HEAD => Answer::Full(response),
                    _ => Answer::Stream(response, stream),
                }
            }
        }
    }

    fn refuse(&self, error: &Error, request: Option<&Request>) -> Response {
        let Some(request) = request else { return Response::error(error) };
        refusal(&self.app.access, error, request).with_all(self.app.access.origins.allow(&request.headers))
    }

    fn answered(&self, answered: &Answered) {
        if let Some(activity) = &self.app.activity {
            activity.note(answered.method, answered.path, answered.status, answered.took);
        }
    }

    fn advance(&self, client: &mut Client, has_turn: bool) -> Step {
        client.advance(&self.app.hub, &*self.app.history, has_turn)
    }

    fn finish(&self, client: Client, end: End) -> EndedStream {
        client.finish(end, &self.app.hub)
    }

    fn run(&self, client: Client) -> EndedStream {
        client.run(&self.app.hub, &*self.app.history)
    }
}

impl Router {
    /// Finds the route, asks access, and then the route's handler.
    fn dispatch(&self, request: &mut Request) -> Result<Answer, Error> {
        self.app.access.check_host(&request.headers, request.peer.ip())?;
        // A page's HEAD is the head of its GET.
        let method = if request.method == Method::HEAD { Method::GET } else { request.method.clone() };
        for route in self.routes.iter().filter(|route| route.method == method) {
            if let Some(captures) = capture(route.path, request.path())? {
                request.captures = captures;
                return self.ask(route, request);
            }
        }
        self.dispatch_rest(request)
    }

    /// Nothing is published, read or listed before `access` has said yes.
    fn ask(&self, route: &Route, request: &mut Request) -> Result<Answer, Error> {
        let access = &self.app.access;
        access.origins.check_site(&request.method, &request.headers, route.effect(request))?;
        let wanted = route.wanted(request)?;
        request.grant =
            Some(access.grant(&request.headers, Some(request.target.query()), request.client, wanted)?);
        (route.handler)(&self.app, request)
    }

    /// What is in no route: files, OPTIONS, and methods that a path does not take.
    fn dispatch_rest(&self, request: &Request) -> Result<Answer, Error> {
        let path = request.path();
        let mut allowed = Vec::new();
        for route in self.routes.iter() {
            if capture(route.path, path)?.is_some() {
                allowed.push(&route.method);
            }
        }
        if allowed.is_empty() {
            if path != "*" {
                let name = percent_decode(path.trim_start_matches('/'))?;
                let response = self.app.files.answer(request, &name)?;
                allowed.push(&Method::GET);
                if matches!(request.method, Method::GET | Method::HEAD) {
                    return Ok(Answer::Full(response));
                }
            } else if request.method != Method::OPTIONS {
                return Err(
                    Error::bad("only OPTIONS has the target `*`").hint("name a path, such as `/topics/news`")
                );
            }
        }
        let allow = allow(&allowed);
        if request.method != Method::OPTIONS {
            return Err(Error::method(allow));
        }
        let preflight = self.app.access.origins.preflight(&request.headers, &allow);
        Ok(Answer::Full(Response::empty(StatusCode::NO_CONTENT).with(ALLOW, allow).with_all(preflight)))
    }
}

/// A request's path as everybody may see it: where a part of it names a user, or anything on a server that
/// has rules, its route's pattern.
pub(crate) fn shown_path(routes: &[Route], has_rules: bool, path: &str) -> String {
    let is_secret = |pattern: &str| pattern.contains("{id}") || (pattern.contains('{') && has_rules);
    let route = routes.iter().find(|route| matches!(capture(route.path, path), Ok(Some(_))));
    route.map(|route| route.path).filter(|pattern| is_secret(pattern)).unwrap_or(path).to_owned()
}

/// The value of `Allow`: what the routes take, and what is always taken.
fn allow(methods: &[&Method]) -> String {
    let mut names: Vec<&str> = methods.iter().map(|method| method.as_str()).collect();
    if names.contains(&"GET") {
        names.push("HEAD");
    }
    names.push("OPTIONS");
    names.join(", ")
}

/// The answer to a request that failed, in the form that its route's clients expect.
fn refusal(access: &Access, error: &Error, request: &Request) -> Response {
    if let Some(cause) = error.cause() {
        // A cause may quote what the client sent.
        let cause: String = cause.escape_debug().take(CAUSE_CHARS_MAX).collect();
        log::error!("{} {}: {cause}", printable(request.method.as_str()), printable(request.path()));
    }
    match error.kind() {
        // Any other status would stop an EventSource for good.
        ErrorKind::Full if request.wants_events() => empty_stream(fastrand::u32(FULL_RETRY_MILLIS)),
        ErrorKind::TooMany | ErrorKind::Unavailable
            if request.wants_events() && (is_subscription(request) || is_unasked(request)) =>
        {
            let millis = error.retry_after_secs().and_then(|secs| u32::try_from(secs * 1_000).ok());
            let millis = millis.unwrap_or(*FULL_RETRY_MILLIS.start());
            empty_stream(fastrand::u32(millis..=millis.saturating_mul(2)))
        }
        ErrorKind::Unauthorized => {
            let fields = access.refused(&request.headers, Some(request.target.query()));
            Response::error(error).with_all(fields)
        }
        _ if request.path() == CHAT_MESSAGE => chat::failure(error),
        _ => Response::error(error),
    }
}

/// Whether the request's route answers with a stream and does nothing else.
fn is_subscription(request: &Request) -> bool {
    request
        .grant()
        .is_ok_and(|grant| grant.publish_topics().is_empty() && !grant.subscribe_selectors().is_empty())
}

/// Whether it is a request to read, of which access could not say yet what it may.
fn is_unasked(request: &Request) -> bool {
    request.method == Method::GET && request.grant.is_none()
}

/// A stream that says when to come back, and ends.
fn empty_stream(retry_millis: u32) -> Response {
    Response {
        body: come_back(retry_millis).into_bytes().into(),
        is_open: false,
        is_refusal: true,
        ..Response::stream()
    }
}
