//! What every page is given: the hub, the history, the files, and the rules for who may do what.

use crate::client::Stream;
use crate::error::Error;
use crate::event::{Draft, EARLIEST, Event};
use crate::history::{History, Receipt, Start};
use crate::http::Request;
use crate::http::files::Files;
use crate::hub::{Dispatch, Hub};
use crate::pages::activity::Activity;
use crate::posts::PostService;
use crate::topic::Topic;
use http::HeaderName;
use http::header::AUTHORIZATION;
use parking_lot::Mutex;
use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Instant;
use subtle::ConstantTimeEq;

/// The longest id that is echoed in a `reset`, in characters; what is longer was never one of ours.
const ASKED_CHARS_MAX: usize = 256;

/// Everything the pages stand on.
pub struct App {
    /// Passes events on.
    pub hub: Hub,
    /// Gives events their ids and keeps them.
    pub history: Arc<dyn History>,
    /// Keeps posts, and the feeds that follow from them.
    pub posts: PostService,
    /// The files under `www/`.
    pub files: Files,
    /// Which other sites' pages may read and publish.
    pub origins: Vec<String>,
    /// What publishing through the topic API needs, if anything.
    pub publish_token: Option<String>,
    /// Topics whose events are only true now, and so are not kept; with a `*` at the end, all that begin
    /// like this.
    pub ephemeral: Vec<String>,
    /// How many streams there are, and may be.
    pub permits: Arc<Permits>,
    /// What is going on, unless that is nobody's business.
    pub activity: Option<Activity>,
    /// What the pages hold.
    pub holdings: Holdings,
    /// When the server started.
    pub started: Instant,
}

impl App {
    /// A stream on these topics, beginning where the request says, or else at `start`. It holds one of
    /// the server's permits for as long as it lives; [`Error::Full`] if none is left.
    pub fn stream(&self, request: &Request, topics: Vec<Topic>, start: Start) -> Result<Stream, Error> {
        let is_ephemeral = topics.iter().all(|topic| self.is_ephemeral(topic));
        // What is not kept cannot be asked for, and needs no history that can be read.
        let asked = asked_start(request).filter(|_| !is_ephemeral);
        self.stream_from(topics, asked.unwrap_or(start))
    }

    /// A stream on topics whose events are only true now, wherever the request would begin.
    pub fn stream_now(&self, topics: Vec<Topic>) -> Result<Stream, Error> {
        self.stream_from(topics, Start::Live)
    }

    fn stream_from(&self, topics: Vec<Topic>, start: Start) -> Result<Stream, Error> {
        let mut stream = Stream::new(topics, start);
        stream.guards.push(Box::new(Permits::take(&self.permits)?));
        Ok(stream)
    }

    /// What a page holds: one for the server, made when it is first asked for. A page that nobody uses
    /// costs nothing.
    pub fn holding<T: Holding>(&self) -> Result<Arc<T>, Error> {
        let mut made = self.holdings.0.lock();
        let made = match made.get(&TypeId::of::<T>()) {
            Some(holding) => holding.clone(),
            None => {
                let holding: Arc<dyn Any + Send + Sync> = Arc::new(T::start(self)?);
                made.insert(TypeId::of::<T>(), holding.clone());
                holding
            }
        };
        Ok(made.downcast().expect("it is kept under its own type"))
    }

    /// Publishes: when this returns, the event has its id and is where the history keeps it. Blocks until then.
    /// [`Error::Bad`] says what in the draft cannot be sent, [`Error::Unavailable`] that it cannot be kept
    /// now.
    pub fn publish(&self, draft: Draft) -> Result<Receipt, Error> {
        self.history.publish(Event::new(draft)?)
    }

    /// The same, and how many streams it was passed on to: all that listened at that moment. Blocks until
    /// the hub has done so.
    pub fn publish_counted(&self, draft: Draft) -> Result<(Receipt, usize), Error> {
        let (event, reached) = Event::new(draft)?.counted();
        let receipt = self.history.publish(event)?;
        Ok((receipt, reached.iter().sum()))
    }

    /// Passes on what is only true now: no id, not kept. Says how many streams it was passed on to; blocks
    /// until the hub has done so. [`Error::Bad`] says what in the draft cannot be sent.
    pub fn tell_counted(&self, draft: Draft) -> Result<usize, Error> {
        let (event, reached) = Event::new(draft)?.counted();
        self.hub.broadcast(Dispatch::ephemeral(&event));
        drop(event);
        Ok(reached.iter().sum())
    }

    /// Whether a topic's events are only true now. Those of callout's own pages see to that themselves.
    pub fn is_ephemeral(&self, topic: &Topic) -> bool {
        let fits = |pattern: &String| match pattern.strip_suffix('*') {
            Some(beginning) => topic.as_str().starts_with(beginning),
            None => topic.as_str() == pattern,
        };
        !topic.is_reserved() && self.ephemeral.iter().any(fits)
    }

    /// Refuses a request that lacks the publish token. Takes the same time for every wrong one.
    pub fn check_publish_token(&self, request: &Request) -> Result<(), Error> {
        let Some(token) = &self.publish_token else { return Ok(()) };
        let given = request.header(AUTHORIZATION).unwrap_or_default();
        let (scheme, given) = given.split_once(' ').unwrap_or_default();
        let is_right = bool::from(given.trim().as_bytes().ct_eq(token.as_bytes()));
        if scheme.eq_ignore_ascii_case("bearer") && is_right { Ok(()) } else { Err(Error::Unauthorized) }
    }
}

/// What a page holds between requests: who is there, a count, a store.
pub trait Holding: Any + Send + Sync + Sized {
    /// Makes it, with the app's lock on holdings held: it may not ask for another holding.
    fn start(app: &App) -> Result<Self, Error>;
}

/// What the pages hold, by type; see [`App::holding`].
#[derive(Default)]
pub struct Holdings(Mutex<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>);

/// Where a browser asks to go on: the header that it sends when it reconnects, or the query parameter
/// that a first request can carry. The header wins, for it is the newer of the two.
fn asked_start(request: &Request) -> Option<Start> {
    let header = request.headers.get(HeaderName::from_static("last-event-id"));
    let header = header.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let asked = header.filter(|id| !id.is_empty()).or_else(|| request.query("last_event_id"))?;
    match asked.as_str() {
        "" => None,
        EARLIEST => Some(Start::Earliest),
        _ => Some(Start::After(asked.chars().take(ASKED_CHARS_MAX).collect())),
    }
}

/// The permits for streams.
pub struct Permits {
    max: usize,
    in_use: AtomicUsize,
}

impl Permits {
    /// So many permits, all free.
    pub fn new(max: usize) -> Arc<Permits> {
        Arc::new(Permits { max, in_use: AtomicUsize::new(0) })
    }

    /// How many streams are open.
    pub fn in_use(&self) -> usize {
        self.in_use.load(Relaxed)
    }

    fn take(permits: &Arc<Permits>) -> Result<Permit, Error> {
        let permit = Permit(permits.clone());
        // Counted first, so that two that come at once cannot share the last permit; dropping the permit
        // gives it back.
        if permits.in_use.fetch_add(1, Relaxed) < permits.max { Ok(permit) } else { Err(Error::Full) }
    }
}

struct Permit(Arc<Permits>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.in_use.fetch_sub(1, Relaxed);
    }
}
