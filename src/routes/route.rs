//! A route: a method, a path, who may take it, and the handler that answers.

use crate::access::{Action, Effect, Wanted};
use crate::app::App;
use crate::error::Error;
use crate::http::path::is_pattern;
use crate::http::{Answer, QUERY_BYTES_MAX, Request};
use crate::pages::Page;
use crate::selector::Selector;
use crate::topic::{TOPIC_BYTES_MAX, TOPICS_MAX, Topic};
use http::Method;
use serde::Deserialize;

// They fit into a query however long they are, each byte of them percent-encoded.
const _: () = assert!(TOPICS_MAX * ("&topic=".len() + 3 * (TOPIC_BYTES_MAX + "*".len())) <= QUERY_BYTES_MAX);

/// Makes an answer of a request. Runs on the request's thread and may block.
pub type Handler = Box<dyn Fn(&App, &Request) -> Result<Answer, Error> + Send + Sync>;

/// Finds in a request what it is about: topics, or their names as they stand there.
enum Find {
    Topics(Box<Finder<Topic>>),
    Names(Box<Finder<String>>),
}

type Finder<T> = dyn Fn(&Request) -> Result<Vec<T>, Error> + Send + Sync;

/// Says which topics a request is about. Where a route subscribes, what stands in the request may also be a
/// [`Selector`] of many topics (`rooms/*`).
///
/// ```
/// use callout::{Answer, Start, Topic, Topics, get};
///
/// // `GET /rooms/7` streams the topic `rooms/7`.
/// let room = Topics::from(|request| Ok(vec![Topic::new(&format!("rooms/{}", request.capture("id")))?]));
/// let route = get("/rooms/{id}", |app, request| Ok(Answer::stream(app.stream(request, Start::Live)?)));
/// let route = route.subscribes(room);
/// ```
pub struct Topics {
    find: Find,
    source: Source,
}

/// What has to be right with a route for its topics to be found.
enum Source {
    /// The name of a topic.
    Fixed(&'static str),
    /// A part of the path.
    InPath(&'static str),
    Request,
}

impl Topics {
    /// Always this topic. Topics of pages begin with `$`, so that they are reached by their
    /// own routes only.
    pub fn fixed(name: &'static str) -> Topics {
        let topics = Topics::from(move |_| Ok(vec![Topic::new(name)?]));
        Topics { source: Source::Fixed(name), ..topics }
    }

    /// The topic that stands in this part of the path.
    pub fn in_path(capture: &'static str) -> Topics {
        let topics = Topics::named(move |request| Ok(vec![request.capture(capture).to_owned()]));
        Topics { source: Source::InPath(capture), ..topics }
    }

    /// The topics that stand in this query parameter, 1 to [`TOPICS_MAX`].
    pub fn in_query(parameter: &'static str) -> Topics {
        Topics::named(move |request| check_count(request.query_all(parameter).collect()))
    }

    /// The topics that stand in the query, as `topic`, and in the body: `{"topics":["a","b"]}`, or a form like the
    /// query. 1 to [`TOPICS_MAX`] in all.
    pub(super) fn in_body() -> Topics {
        Topics::named(|request| {
            let mut names: Vec<String> = request.query_all("topic").collect();
            // A request that names nothing in the query has a body, also where its length is missing.
            if names.is_empty() || !request.body.is_empty() {
                names.extend(names_in_body(request)?);
            }
            check_count(names)
        })
    }

    /// Topics that stand in each line of the body. The handler asks access for those of each.
    pub(super) fn in_lines() -> Topics {
        Topics::from(|_| Ok(Vec::new()))
    }

    /// The topics that a function finds in the request: in its path, its query, a form or JSON. It runs before
    /// the handler.
    pub fn from(find: impl Fn(&Request) -> Result<Vec<Topic>, Error> + Send + Sync + 'static) -> Topics {
        Topics { find: Find::Topics(Box::new(find)), source: Source::Request }
    }

    /// The same for names that are not checked yet.
    fn named(find: impl Fn(&Request) -> Result<Vec<String>, Error> + Send + Sync + 'static) -> Topics {
        Topics { find: Find::Names(Box::new(find)), source: Source::Request }
    }

    /// What the request publishes to.
    fn to_publish(&self, request: &Request) -> Result<Vec<Topic>, Error> {
        match &self.find {
            Find::Topics(find) => find(request),
            Find::Names(find) => each_once(find(request)?, Topic::public),
        }
    }

    /// What the request subscribes to.
    fn to_subscribe(&self, request: &Request) -> Result<Vec<Selector>, Error> {
        match &self.find {
            Find::Topics(find) => Ok(find(request)?.into_iter().map(Selector::from).collect()),
            Find::Names(find) => each_once(find(request)?, Selector::public),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    topics: Vec<String>,
}

fn names_in_body(request: &Request) -> Result<Vec<String>, Error> {
    let text = request.text()?;
    let is_json = text.trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n']).starts_with('{');
    if is_json {
        return Ok(request.json::<Named>(r#"{"topics":["a","b"]}"#)?.topics);
    }
    let pairs = form_urlencoded::parse(text.trim_end().as_bytes());
    pairs
        .map(|(key, value)| if key == "topic" { Ok(value.into_owned()) } else { Err(not_topics()) })
        .collect()
}

/// Other fields of the body would be ignored, so they are refused.
fn not_topics() -> Error {
    let error = Error::bad("the body names something other than topics");
    error.hint("send `topic=a&topic=b` or `{\"topics\":[\"a\",\"b\"]}`, and the rest in the query")
}

/// Refuses none and too many.
fn check_count(names: Vec<String>) -> Result<Vec<String>, Error> {
    if names.is_empty() || names.len() > TOPICS_MAX {
        let count = names.len();
        let error = Error::bad(format!("a request names 1 to {TOPICS_MAX} topics, this one names {count}"));
        return Err(error.hint("name each topic as `?topic=a&topic=b`"));
    }
    Ok(names)
}

/// What these names mean, each once.
fn each_once<T: PartialEq>(
    names: Vec<String>,
    parse: impl Fn(&str) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    let mut found = Vec::with_capacity(names.len());
    for name in names {
        let parsed = parse(&name)?;
        if !found.contains(&parsed) {
            found.push(parsed);
        }
    }
    Ok(found)
}

/// A line of the table of routes. [`get`], [`post`], [`patch`] and [`delete`] make one.
///
/// A route says which topics it publishes and subscribes to. Access is asked before the handler runs, and what
/// the route did not declare, the handler cannot do.
///
/// ```
/// use callout::{Answer, Draft, Topics, post};
///
/// let route = post("/rooms/{room}", |app, request| {
///     let (topics, data) = (request.grant()?.publish_topics().to_vec(), request.text()?.to_owned());
///     Ok(Answer::json(&app.publish(request, Draft { topics, data, ..Draft::default() })?.id))
/// });
/// let route = route.publishes(Topics::in_path("room"));
/// ```
pub struct Route {
    pub(super) method: Method,
    pub(super) path: &'static str,
    pub(super) page: Option<Page>,
    pub(super) handler: Handler,
    publishes: Option<Topics>,
    subscribes: Option<Topics>,
    action: Option<Action>,
    /// Whether it changes who the browser is taken for.
    signs_in: bool,
}

impl Route {
    /// What is wrong with it, so that no request could be answered as it is meant.
    pub(crate) fn check(&self) -> Result<(), String> {
        let path = self.path;
        if !is_pattern(path) {
            return Err(format!(
                "`{path}` is no path that begins with `/`, where `{{name}}` is a segment and `{{name...}}` the rest"
            ));
        }
        for topics in [&self.publishes, &self.subscribes].into_iter().flatten() {
            match topics.source {
                Source::Fixed(name) => {
                    Topic::new(name).map_err(|error| format!("the topic of `{path}`: {error}"))?;
                }
                Source::InPath(name) => {
                    let is_there =
                        path.contains(&format!("{{{name}}}")) || path.contains(&format!("{{{name}...}}"));
                    if !is_there {
                        return Err(format!(
                            "`{path}` has no part `{{{name}}}` in which the topic could stand"
                        ));
                    }
                }
                Source::Request => {}
            }
        }
        Ok(())
    }

    /// The handler publishes to these topics.
    pub fn publishes(self, topics: Topics) -> Route {
        Route { publishes: Some(topics), ..self }
    }

    /// The handler answers with a stream of these topics.
    pub fn subscribes(self, topics: Topics) -> Route {
        Route { subscribes: Some(topics), ..self }
    }

    /// The handler changes who the browser is taken for, which pages of other sites may not.
    pub(super) fn signs_in(self) -> Route {
        Route { signs_in: true, ..self }
    }

    /// The handler needs this right.
    pub(super) fn needs(self, action: Action) -> Route {
        Route { action: Some(action), ..self }
    }

    /// The route belongs to this page, and is there when the page is on.
    pub(super) fn of(self, page: Page) -> Route {
        Route { page: Some(page), ..self }
    }

    /// What taking this route does beside reading.
    pub(super) fn effect(&self, request: &Request) -> Effect {
        // The posts are JSON, and streams for those who want events.
        let is_json = self.page == Some(Page::Posts) && !request.wants_events();
        match (&self.publishes, &self.subscribes) {
            (Some(_), _) => Effect::Publishes,
            _ if self.signs_in => Effect::SignsIn,
            (None, Some(_)) if is_json => Effect::None,
            (None, Some(_)) => Effect::Subscribes,
            (None, None) => Effect::None,
        }
    }

    /// What the request asks for by taking this route.
    pub(super) fn wanted(&self, request: &Request) -> Result<Wanted, Error> {
        let publish = self.publishes.as_ref().map(|topics| topics.to_publish(request));
        let subscribe = self.subscribes.as_ref().map(|topics| topics.to_subscribe(request));
        Ok(Wanted {
            publish: publish.transpose()?.unwrap_or_default(),
            subscribe: subscribe.transpose()?.unwrap_or_default(),
            action: self.action,
            nothing: self.publishes.is_none() && self.subscribes.is_none() && self.action.is_none(),
        })
    }
}

/// `GET` (and so `HEAD`) on this path. `{name}` stands for one segment, `{name...}` for all that are left; the
/// handler finds them with [`Request::capture`].
///
/// ```
/// use callout::{Answer, Pages, Server, get};
///
/// let hello = get("/hello/{name}", |_app, request| Ok(Answer::json(&request.capture("name"))));
/// let server = Server::builder().listen(([127, 0, 0, 1], 0).into()).pages(Pages::none()).route(hello).start();
/// # server.unwrap().stop(std::time::Duration::ZERO);
/// ```
pub fn get(
    path: &'static str,
    handler: impl Fn(&App, &Request) -> Result<Answer, Error> + Send + Sync + 'static,
) -> Route {
    route(Method::GET, path, Box::new(handler))
}

/// `POST` on this path; see [`get`].
///
/// ```
/// use callout::{Answer, post};
///
/// let echo = post("/echo", |_app, request| Ok(Answer::json(&request.text()?)));
/// ```
pub fn post(
    path: &'static str,
    handler: impl Fn(&App, &Request) -> Result<Answer, Error> + Send + Sync + 'static,
) -> Route {
    route(Method::POST, path, Box::new(handler))
}

/// `QUERY` on this path: a `GET` with a body (draft-ietf-httpbis-safe-method-w-body); see [`get`].
pub(super) fn query(
    path: &'static str,
    handler: impl Fn(&App, &Request) -> Result<Answer, Error> + Send + Sync + 'static,
) -> Route {
    let method = Method::from_bytes(b"QUERY").expect("it is a valid method");
    route(method, path, Box::new(handler))
}

/// `PATCH` on this path; see [`get`].
///
/// ```
/// use callout::{Answer, patch};
///
/// let rename = patch("/rooms/{id}", |_app, request| {
///     let name: String = request.json(r#""kitchen""#)?;
///     Ok(Answer::json(&format!("room {} is called {name}", request.capture("id"))))
/// });
/// ```
pub fn patch(
    path: &'static str,
    handler: impl Fn(&App, &Request) -> Result<Answer, Error> + Send + Sync + 'static,
) -> Route {
    route(Method::PATCH, path, Box::new(handler))
}

/// `DELETE` on this path; see [`get`].
///
/// ```
/// use callout::{Answer, Response, delete};
/// use http::StatusCode;
///
/// let remove = delete("/rooms/{id}", |_app, _request| Ok(Answer::Full(Response::empty(StatusCode::NO_CONTENT))));
/// ```
pub fn delete(
    path: &'static str,
    handler: impl Fn(&App, &Request) -> Result<Answer, Error> + Send + Sync + 'static,
) -> Route {
    route(Method::DELETE, path, Box::new(handler))
}

fn route(method: Method, path: &'static str, handler: Handler) -> Route {
    Route {
        method,
        path,
        page: None,
        handler,
        publishes: None,
        subscribes: None,
        action: None,
        signs_in: false,
    }
}
