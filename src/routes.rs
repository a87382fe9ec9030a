//! One table: method, path, function. What is not in it is a file under `www/`, or not here.

use crate::app::App;
use crate::client::{Client, Stream, Visit};
use crate::cors;
use crate::error::Error;
use crate::http::request::percent_decode;
use crate::http::{Answer, Request, Response, Site};
use crate::pages::{chat, health, history, topics};
use http::header::{ACCEPT, ALLOW};
use http::{Method, StatusCode};

/// A page's function.
type Page = fn(&App, &Request, &Captures) -> Result<Answer, Error>;

struct Route {
    method: Method,
    /// `{name}` stands for one segment, `{name...}` for all that are left.
    path: &'static str,
    page: Page,
}

const fn get(path: &'static str, page: Page) -> Route {
    Route { method: Method::GET, path, page }
}

const fn post(path: &'static str, page: Page) -> Route {
    Route { method: Method::POST, path, page }
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
];

/// The one route whose errors have a form of their own.
const CHAT_MESSAGE: &str = "/sse/message";

/// How long a browser waits that found no place: at random, so that they do not all try again at once.
const FULL_RETRY_MILLIS: std::ops::RangeInclusive<u32> = 30_000..=60_000;

/// The parts of a path that its route gave names to, decoded.
#[derive(Debug, Default)]
pub struct Captures(Vec<(&'static str, String)>);

impl Captures {
    /// The part of this name; empty if the route has none.
    pub fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| *key == name).map_or("", |(_, value)| value)
    }
}

impl Site for App {
    fn answer(&self, request: &Request) -> Answer {
        let answer = dispatch(self, request).unwrap_or_else(|error| Answer::Full(apologize(&error, request)));
        match answer {
            Answer::Full(response) => Answer::Full(cors::allow(&self.origins, request, response)),
            Answer::Stream(response, stream) => {
                let response = cors::allow(&self.origins, request, response);
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
        cors::allow(&self.origins, request, apologize(error, request))
    }

    fn follow(&self, client: Client, head: Vec<u8>, stream: Stream) -> Visit {
        client.run(head, stream, &self.hub, &*self.history)
    }
}

/// Finds the route and asks its page.
fn dispatch(app: &App, request: &Request) -> Result<Answer, Error> {
    let path = request.path();
    let mut allowed = Vec::new();
    for route in ROUTES {
        let Some(captures) = capture(route.path, path)? else { continue };
        if route.method == request.method || (route.method == Method::GET && request.method == Method::HEAD) {
            cors::check_site(&app.origins, request)?;
            return (route.page)(app, request, &captures);
        }
        allowed.push(&route.method);
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

/// The value of `Allow`: what the routes take, and what is always taken.
fn allow(methods: &[&Method]) -> String {
    let mut names: Vec<&str> = methods.iter().map(|method| method.as_str()).collect();
    if names.contains(&"GET") {
        names.push("HEAD");
    }
    names.push("OPTIONS");
    names.join(", ")
}

/// Compares a path with a route's, segment by segment; none if it is another.
fn capture(pattern: &'static str, path: &str) -> Result<Option<Captures>, Error> {
    let literal_bytes = pattern.bytes().position(|byte| byte == b'{').unwrap_or(pattern.len());
    if !path.starts_with(&pattern[..literal_bytes]) {
        return Ok(None);
    }
    let mut captures = Captures::default();
    let mut rest = path;
    for part in pattern.split('/').skip(1) {
        let Some(tail) = rest.strip_prefix('/') else { return Ok(None) };
        if let Some(name) = part.strip_prefix('{').and_then(|part| part.strip_suffix("...}")) {
            if tail.is_empty() {
                return Ok(None);
            }
            captures.0.push((name, percent_decode(tail)?));
            return Ok(Some(captures));
        }
        let (segment, after) = tail.split_at(tail.find('/').unwrap_or(tail.len()));
        match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
            Some(name) if !segment.is_empty() => captures.0.push((name, percent_decode(segment)?)),
            None if segment == part => {}
            _ => return Ok(None),
        }
        rest = after;
    }
    Ok(rest.is_empty().then_some(captures))
}

fn file(app: &App, request: &Request, name: &str) -> Result<Answer, Error> {
    app.files.answer(request, name).map(Answer::Full)
}

/// An error as its route's users expect it.
fn apologize(error: &Error, request: &Request) -> Response {
    if let Error::Internal(cause) = error {
        log::error!("{} {}: {cause}", request.method, request.path());
    }
    let accepts_events = request.header_has(ACCEPT, "text/event-stream");
    match error {
        // Any other status would stop an EventSource for good.
        Error::Full if accepts_events => {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_takes_its_own_paths_and_no_others() {
        let captured = |pattern, path, name: &str| {
            capture(pattern, path).unwrap().map(|captures| captures.get(name).to_owned())
        };
        assert_eq!(captured("/topics/{topic...}", "/topics/rooms/42", "topic").unwrap(), "rooms/42");
        assert_eq!(captured("/topics/{topic...}", "/topics/a%20b", "topic").unwrap(), "a b");
        assert_eq!(captured("/topics/{topic...}", "/topics/", "topic"), None);
        assert_eq!(captured("/topics/{topic...}", "/topics", "topic"), None);
        assert_eq!(captured("/sse/{id}", "/sse/7", "id").unwrap(), "7");
        assert_eq!(captured("/sse/{id}", "/sse/7/8", "id"), None);
        assert_eq!(captured("/", "/", ""), Some(String::new()));
        assert_eq!(captured("/", "/x", ""), None);
        assert!(capture("/sse/{id}", "/sse/%ff").is_err());
    }
}
