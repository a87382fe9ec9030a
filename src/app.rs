//! What handlers are given: the way in for events, streams, and the state of pages.

use crate::access::{Access, ClientKey, Kept, Rates};
use crate::client::{Permits, Stream};
use crate::error::Error;
use crate::event::{Draft, EARLIEST, Form};
use crate::history::{History, Start};
use crate::http::Request;
use crate::http::files::Files;
use crate::hub::Hub;
use crate::live::activity::Activity;
use crate::live::stats::Stats;
use crate::os::threads::Threads;
use crate::posts::PostService;
use crate::publisher::{Publisher, Receipt};
use http::HeaderName;
use parking_lot::Mutex;
use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// The longest id that is echoed in a `reset`, in characters; what is longer was never one of callout's.
const ASKED_CHARS_MAX: usize = 256;

/// The most events that `?last=` may ask for. More are answered 400.
pub const LAST_EVENTS_MAX: usize = 1_000;

/// What handlers are given. All that they publish or subscribe to needs the grant that their request bears.
///
/// ```
/// use callout::{Answer, App, Draft, Error, Request};
///
/// /// Publishes the request's body to the topics that the route declared.
/// fn publish(app: &App, request: &Request) -> Result<Answer, Error> {
///     let (topics, data) = (request.grant()?.publish_topics().to_vec(), request.text()?.to_owned());
///     let receipt = app.publish(request, Draft { topics, data, ..Draft::default() })?;
///     Ok(Answer::json(&receipt.id))
/// }
/// ```
pub struct App {
    /// Passes events on.
    #[doc(hidden)]
    pub hub: Hub,
    /// Gives events their ids and keeps them.
    #[doc(hidden)]
    pub history: Arc<dyn History>,
    /// How many streams there are, and may be.
    #[doc(hidden)]
    pub permits: Arc<Permits>,
    pub(crate) publisher: Publisher,
    pub(crate) posts: PostService,
    pub(crate) files: Files,
    pub(crate) access: Arc<Access>,
    /// What each client has taken.
    pub(crate) rates: Arc<Rates>,
    pub(crate) stats: Stats,
    /// Live activity; none with `--no-activity`, or where its page is off.
    pub(crate) activity: Option<Activity>,
    pub(crate) threads: Threads,
    pub(crate) page_states: PageStates,
    /// Set once the server is about to stop, for those who ask whether it is ready.
    pub(crate) draining: AtomicBool,
}

impl App {
    /// Publishes an event to topics that the request's route declared; to others it is [`Error::internal`]. Blocks until
    /// the event has its id and is where the history keeps it. [`Error::bad`] says what in the draft cannot be sent,
    /// [`Error::conflict`] that another event is kept under its id, [`Error::unavailable`] that it cannot be kept now.
    pub fn publish(&self, request: &Request, draft: Draft) -> Result<Receipt, Error> {
        self.count_event(request, &draft)?;
        self.publisher.publish(request.grant()?, draft)
    }

    /// The same, and counts the streams that the event reached, for which it also waits for the hub.
    pub fn publish_counted(&self, request: &Request, draft: Draft) -> Result<(Receipt, usize), Error> {
        self.count_event(request, &draft)?;
        self.publisher.publish_counted(request.grant()?, draft)
    }

    /// Broadcasts an event that is ephemeral by nature, and counts the streams that it reached. Blocks
    /// until the hub has passed it on. Errors as [`App::publish`], but for those of what is kept.
    pub fn broadcast(&self, request: &Request, draft: Draft) -> Result<usize, Error> {
        self.count_publication(request, None)?;
        self.publisher.broadcast_counted(request.grant()?, draft)
    }

    /// Counts an event that is about to be published for whoever sent the request. A 429 if that is too much for one
    /// client.
    pub(crate) fn count_event(&self, request: &Request, draft: &Draft) -> Result<(), Error> {
        if counted(request)?.is_none() {
            return Ok(());
        }
        let is_kept = !draft.topics.iter().all(|topic| self.publisher.is_ephemeral(topic));
        self.count_publication(request, is_kept.then_some(Kept { bytes: draft.data.len(), entries: 1 }))
    }

    /// The same for any other publication, with what of it is kept.
    pub(crate) fn count_publication(&self, request: &Request, kept: Option<Kept>) -> Result<(), Error> {
        let Some(key) = counted(request)? else { return Ok(()) };
        self.rates.publish(&key)?;
        kept.map_or(Ok(()), |kept| self.rates.keep(&key, kept))
    }

    /// A stream on the topics that the request's route declared, in the form that the request asks for, beginning
    /// where the request says, or else at `start`. It holds a permit for as long as it lives;
    /// [`ErrorKind::Full`](crate::ErrorKind::Full) if none is left, and [`Error::too_many`] if the client has as many
    /// streams as it may. [`Error::bad`] if the request asks for an impossible `last`.
    pub fn stream(&self, request: &Request, start: Start) -> Result<Stream, Error> {
        let selectors = request.grant()?.subscribe_selectors();
        let asked = asked_start(request)?;
        // What is not kept cannot be asked for, and needs no history that can be read.
        let is_ephemeral = selectors.iter().all(|selector| self.publisher.are_ephemeral(selector));
        self.stream_from(request, asked.filter(|_| !is_ephemeral).unwrap_or(start))
    }

    /// A stream on topics whose events are ephemeral by nature. Where the request asks to begin has no effect.
    pub fn ephemeral_stream(&self, request: &Request) -> Result<Stream, Error> {
        self.stream_from(request, Start::Live)
    }

    fn stream_from(&self, request: &Request, start: Start) -> Result<Stream, Error> {
        let is_replayed = !matches!(start, Start::Live);
        let mut stream = Stream::new(request.grant()?, start);
        stream.form = asked_form(request)?;
        stream.watch = self.access.watch(request.grant()?, &self.threads)?;
        if let Some(key) = counted(request)? {
            if let Some(held) = self.rates.hold_stream(&key)? {
                stream.guards.push(Box::new(held));
            }
            stream.replay = if is_replayed { self.rates.hold_replay(&key)? } else { None };
        }
        Ok(stream.with_permit(self.permits.take()?))
    }

    /// Whether the server is about to stop.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Relaxed)
    }

    /// The state of a page: one for the server, made when it is first asked for, so that a page without visitors costs
    /// nothing.
    pub(crate) fn state<T: PageState>(&self) -> Result<Arc<T>, Error> {
        let mut states = self.page_states.0.lock();
        let state = match states.get(&TypeId::of::<T>()) {
            Some(state) => state.clone(),
            None => {
                let state: Arc<dyn Any + Send + Sync> = Arc::new(T::start(self)?);
                states.insert(TypeId::of::<T>(), state.clone());
                state
            }
        };
        Ok(state.downcast().expect("it is kept under its own type"))
    }
}

/// What one of callout's own pages keeps between requests.
pub(crate) trait PageState: Any + Send + Sync + Sized {
    /// Makes it, under the lock on all states: it may not ask for another one.
    fn start(app: &App) -> Result<Self, Error>;
}

/// The states of the pages, by type; see [`App::state`].
#[derive(Default)]
pub(crate) struct PageStates(Mutex<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>);

/// Who is counted for a request, if anybody is.
fn counted(request: &Request) -> Result<Option<ClientKey>, Error> {
    Ok(ClientKey::of(&request.grant()?.caller().identity, request.counted))
}

/// Where a browser asks to go on: the header that it sends when it reconnects, or a query parameter that a first
/// request can carry. The header wins, for it is the newer one; then the id in the query,
/// then `last`.
fn asked_start(request: &Request) -> Result<Option<Start>, Error> {
    let header = request.headers.get(HeaderName::from_static("last-event-id"));
    let header = header.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let named = |id: &String| !id.is_empty();
    let id = header.filter(named).or_else(|| id_in_query(request));
    match id.as_deref() {
        Some(EARLIEST) => Ok(Some(Start::Earliest)),
        Some(id) => Ok(Some(Start::After(id.chars().take(ASKED_CHARS_MAX).collect()))),
        None => request.query("last").map(|text| latest(&text)).transpose(),
    }
}

/// What events are to say beside what the standard has: `?with=topic`.
fn asked_form(request: &Request) -> Result<Form, Error> {
    let mut form = Form::Plain;
    for with in request.query_all("with") {
        form = match with.as_str() {
            "topic" => Form::WithTopic,
            _ => {
                return Err(Error::bad("`with` has a value that is not known")
                    .hint("give it the value `topic`, or leave it out"));
            }
        };
    }
    Ok(form)
}

/// The id in the query, under any of the names that clients give it: `last_event_id`, `lastEventId`, `Last-Event-ID`.
fn id_in_query(request: &Request) -> Option<String> {
    let plain = |name: &str| name.replace(['_', '-'], "").to_ascii_lowercase();
    let mut ids = request.query_pairs().filter(|(name, id)| !id.is_empty() && plain(name) == "lasteventid");
    ids.next().map(|(_, id)| id.into_owned())
}

fn latest(text: &str) -> Result<Start, Error> {
    let count = text.parse().ok().filter(|count| (1..=LAST_EVENTS_MAX).contains(count));
    count
        .map(Start::Latest)
        .ok_or_else(|| Error::bad(format!("`last` is a number from 1 to {LAST_EVENTS_MAX}")))
}
