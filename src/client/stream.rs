//! What a stream is to carry: the answer of a handler to a request for events.

use super::Permit;
use crate::access::{Grant, Held, Watch};
use crate::event::{Form, Frame};
use crate::history::Start;
use crate::selector::{Selector, reduced};
use std::any::Any;
use std::sync::Arc;

/// Gives the present state as a frame (presence, statistics), or nothing if there is none. It is asked when a
/// stream begins and when it has missed an ephemeral event while it was behind; it may block.
///
/// ```
/// use callout::{Draft, Event, Snapshot, Topic};
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
///
/// let (votes, topic) = (Arc::new(AtomicU32::new(7)), Topic::new("$poll")?);
/// let snapshot: Snapshot = Box::new(move || {
///     let data = votes.load(Relaxed).to_string();
///     let draft = Draft { topics: vec![topic.clone()], data, ..Draft::default() };
///     Some(Event::new(draft).ok()?.encode(None))
/// });
/// assert_eq!(snapshot().as_deref(), Some(&b"data: 7\n\n"[..]));
/// # Ok::<(), callout::Error>(())
/// ```
pub type Snapshot = Box<dyn Fn() -> Option<Frame> + Send>;

/// What a stream is to carry. [`App::stream`](crate::App::stream) makes one that holds a permit, and a handler answers
/// with it.
///
/// ```
/// use callout::{Answer, App, Error, Request, Start};
///
/// /// A stream whose end is noted.
/// fn subscribe(app: &App, request: &Request) -> Result<Answer, Error> {
///     struct Note;
///     impl Drop for Note {
///         fn drop(&mut self) {
///             println!("one subscriber has left");
///         }
///     }
///     let mut stream = app.stream(request, Start::Live)?;
///     stream.guards.push(Box::new(Note));
///     Ok(Answer::stream(stream))
/// }
/// ```
pub struct Stream {
    /// What it subscribes to: sorted, and none of them names only what another one names too.
    selectors: Arc<[Selector]>,
    /// Where it begins.
    start: Start,
    /// The form in which its events are sent.
    pub form: Form,
    /// The present state, for topics that have one.
    pub snapshot: Option<Snapshot>,
    /// Where the browser can say that it will not come back: a path and query, relative to where callout is.
    pub goodbye: Option<String>,
    /// Says when it has lost its right; none where nothing can take it away.
    pub(crate) watch: Option<Watch>,
    /// What has to end with the stream (its name among those present, say): dropped when the stream is over.
    pub guards: Vec<Box<dyn Any + Send>>,
    /// It is one of the streams of its client that are sent what they missed; given back when it is live.
    pub(crate) replay: Option<Held>,
    /// It is one of so many streams; given back when it is over.
    permit: Option<Permit>,
}

impl Stream {
    /// A stream of what the grant lets subscribe to.
    pub fn new(grant: &Grant, start: Start) -> Stream {
        Stream {
            selectors: reduced(grant.subscribe_selectors().to_vec()).into(),
            start,
            form: Form::default(),
            snapshot: None,
            goodbye: None,
            watch: None,
            guards: Vec::new(),
            replay: None,
            permit: None,
        }
    }

    /// The same, which holds this permit for as long as it lives.
    pub(crate) fn with_permit(mut self, permit: Permit) -> Stream {
        self.permit = Some(permit);
        self
    }

    /// What it subscribes to: sorted, and none of them names only what another one names too.
    pub fn selectors(&self) -> &Arc<[Selector]> {
        &self.selectors
    }

    /// Where it begins.
    pub fn start(&self) -> &Start {
        &self.start
    }

    /// It has begun: what only its beginning needed is let go.
    pub(super) fn note_begun(&mut self) {
        (self.start, self.goodbye) = (Start::Live, None);
    }

    /// Holds these selectors, which are the same, in place of its own.
    pub(super) fn share(&mut self, selectors: Arc<[Selector]>) {
        self.selectors = selectors;
    }
}
