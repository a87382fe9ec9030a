//! One table: method, path, function. What is not in it is a file under `www/`, or not here.

use crate::access::origins as cors;
use crate::api::{health, history, topics};
use crate::app::App;
use crate::client::{Client, Stream, Visit};
use crate::error::Error;
use crate::http::path::capture;
use crate::http::request::percent_decode;
use crate::http::{Answer, Answered, Captures, Request, Response, Site};
use crate::pages::{activity, chat, check, notifications, posts, wall};
use http::header::ALLOW;
use http::{Method, StatusCode};
use std::sync::Arc;

/// A page's function: what it makes of a request. Runs on the request's thread and may block.
pub type Page = fn(&App, &Request, &Captures) -> Result<Answer, Error>;

/// A line of the table.
pub struct Route {
    method: Method,
    path: &'static str,
    page: Page,
}

/// `GET` (and so `HEAD`) on this path. `{name}` stands for one segment, `{name...}` for all that are left.
pub const fn get(path: &'static str, page: Page) -> Route {
    Route { method: Method::GET, path, page }
}

/// `POST` on this path; see [`get`].
pub const fn post(path: &'static str, page: Page) -> Route {
    Route { method: Method::POST, path, page }
}

/// `PATCH` on this path; see [`get`].
pub const fn patch(path: &'static str, page: Page) -> Route {
    Route { method: Method::PATCH, path, page }
}

/// `DELETE` on this path; see [`get`].
pub const fn delete(path: &'static str, page: Page) -> Route {
    Route { method: Method::DELETE, path, page }
}

static ROUTES: &[Route] = &[
    get("/", |app, request, _| file(app, request, "index.html")),
    get("/pages/{name}", |app, request, captures| {
        file(app, request, &format!("{}.html", captures.get("name")))
    }),
    get("/healthz", health::show),
    get("/history", history::topics),
    get("/history/{topic...}", history::events),
    get("/topics", topics::follow_many),
    get("/topics/{topic...}", topics::follow_one),
    post("/topics/{topic...}", topics::publish),
    get("/sse", chat::listen),
    post(CHAT_MESSAGE, chat::say),
    get("/sse/{id}", notifications::listen),
    get("/time", notifications::tell_time),
    get("/time/{id}", notifications::tell_time),
    post("/notify", notifications::notify),
    post("/notify/{id}", notifications::notify),
    get("/api/streams", activity::listen),
    get("/messages", wall::listen),
    post("/messages", wall::put),
    get("/api/feeds", posts::feeds),
    get("/api/feeds/{name}", posts::feed),
    get("/api/posts", posts::list),
    post("/api/posts", posts::create),
    get("/api/posts/{post}", posts::show),
    patch("/api/posts/{post}", posts::edit),
    delete("/api/posts/{post}", posts::delete),
    post("/api/generate/post", posts::generate),
    get("/check/{id}", check::listen),
    post("/check/{id}", check::send),
];

/// The one route whose errors have a form of their own.
const CHAT_MESSAGE: &str = "/sse/message";

/// How long a browser waits that found no place: at random, so that they do not all try again at once.
const FULL_RETRY_MILLIS: std::ops::RangeInclusive<u32> = 30_000..=60_000;

/// Answers requests: the program's own routes come first, then the table, then the files.
pub struct Router {
    /// What the pages are given.
    pub app: Arc<App>,
    /// Routes of the program around the server.
    pub own: &'static [Route],
}

impl Site for Router {
    fn answer(&self, request: &Request) -> Answer {
        let answer = self.dispatch(request).unwrap_or_else(|error| Answer::Full(apologize(&error, request)));
        let origins = &self.app.origins;
        match answer {
            Answer::Full(response) => Answer::Full(cors::allow(origins, request, response)),
            Answer::Stream(response, stream) => {
                let response = cors::allow(origins, request, response);
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
        cors::allow(&self.app.origins, request, apologize(error, request))
    }

    fn answered(&self, answered: &Answered) {
        if let Some(activity) = &self.app.activity {
            activity.announce(answered);
        }
    }

    fn follow(&self, client: Client, head: Vec<u8>, stream: Stream) -> Visit {
        client.run(head, stream, &self.app.hub, &*self.app.history)
    }
}

impl Router {
    /// Finds the route and asks its page.
    fn dispatch(&self, request: &Request) -> Result<Answer, Error> {
        let app = &*self.app;
        // A page's HEAD is the head of its GET.
        let method = if request.method == Method::HEAD { &Method::GET } else { &request.method };
        for route in self.routes().filter(|route| route.method == *method) {
            if let Some(captures) = capture(route.path, request.path())? {
                cors::check_site(&app.origins, request)?;
                return (route.page)(app, request, &captures);
            }
        }
        self.dispatch_rest(request)
    }

    /// What is in no route: files, OPTIONS, and methods that a path does not take.
    fn dispatch_rest(&self, request: &Request) -> Result<Answer, Error> {
        let app = &*self.app;
        let path = request.path();
        let mut allowed = Vec::new();
        for route in self.routes() {
            if capture(route.path, path)?.is_some() {
                allowed.push(&route.method);
            }
        }
        if allowed.is_empty() {
            if path != "*" {
                let name = percent_decode(path.trim_start_matches('/'))?;
                let response = app.files.answer(request, &name)?;
                allowed.push(&Method::GET);
                if matches!(request.method, Method::GET | Method::HEAD) {
                    return Ok(Answer::Full(response));
                }
            } else if request.method != Method::OPTIONS {
                return Err(Error::bad("only OPTIONS has the target `*`"));
            }
        }
        let allow = allow(&allowed);
        if request.method != Method::OPTIONS {
            return Err(Error::Method { allow });
        }
        let response = Response::empty(StatusCode::NO_CONTENT).with(ALLOW, allow.clone());
        Ok(Answer::Full(cors::preflight(&app.origins, request, &allow, response)))
    }

    fn routes(&self) -> impl Iterator<Item = &'static Route> {
        self.own.iter().chain(ROUTES)
    }
}

/// A request's path as everybody may see it: where a part of it names a user, or a topic of a server that has
/// a publish token, its route's pattern.
pub fn shown_path(own: &[Route], has_token: bool, path: &str) -> String {
    let is_secret = |pattern: &str| pattern.contains("{id}") || (pattern.contains("{topic...}") && has_token);
    let mut routes = own.iter().chain(ROUTES);
    let route = routes.find(|route| matches!(capture(route.path, path), Ok(Some(_))));
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

fn file(app: &App, request: &Request, name: &str) -> Result<Answer, Error> {
    app.files.answer(request, name).map(Answer::Full)
}

/// An error as its route's users expect it.
fn apologize(error: &Error, request: &Request) -> Response {
    if let Error::Internal(cause) = error {
        log::error!("{} {}: {cause}", request.method, request.path());
    }
    match error {
        // Any other status would stop an EventSource for good.
        Error::Full if request.wants_events() => {
            let retry_millis = fastrand::u32(FULL_RETRY_MILLIS);
            Response {
                body: format!("retry: {retry_millis}\n\n").into_bytes().into(),
                is_open: false,
                ..Response::stream()
            }
        }
        error if request.path() == CHAT_MESSAGE => chat::failure(error),
        error => Response::error(error),
    }
}
