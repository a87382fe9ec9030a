//! The hub: one thread that knows every client and what it subscribes to.
//!
//! Everyone may wait for the hub; the hub waits for no one. It only ever sends without blocking, so a
//! browser that stops reading cannot delay the others. It knows no HTTP, no page and no history.
//!
//! Clients that subscribe to the same selectors in the same form are a group. What the inbox holds at one moment is gathered
//! into one batch per group, and each member gets the batch with one write: when it is quiet an event
//! goes at once, when it is busy the cost per event falls.

mod batches;
mod queued;
pub mod chunk;
mod groups;
pub mod outlet;
mod prefixes;
mod thread;
pub mod wire;

use crate::error::Error;
use crate::event::{Count, Event, Form, Frame, Id};
use crate::os::threads::{Threads, answer as answer_of};
use crate::selector::Selector;
use crate::topic::Topic;
use crossbeam_channel::{Receiver, Sender, bounded};
use outlet::Outlet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{
    AtomicU64, AtomicUsize,
    Ordering::{Acquire, Release},
};
use thread::HubThread;

/// Messages waiting for the hub. When the inbox is full, senders wait. Every queue, body, header, history, thread and
/// count has a named limit and a stated consequence.
const INBOX_MESSAGES: usize = 512;

/// An event on its way to all who subscribe to one of its topics.
#[derive(Debug, Clone)]
pub struct Dispatch {
    /// Its id. An ephemeral event bears no id, is never kept, and is dropped for a browser that is behind. The
    /// browser's last id stays that of the last kept event.
    pub id: Option<Id>,
    /// The topics it was published to.
    pub topics: Arc<[Topic]>,
    /// Its bytes in the plain form, never none.
    pub frame: Frame,
    /// Counts the browsers that the event is passed on to, if the publisher asked for the count.
    pub count: Option<Count>,
}

impl Dispatch {
    /// An event that is kept, under the id that it was given.
    pub fn kept(event: &Event, id: Id, frame: Frame) -> Dispatch {
        Dispatch { id: Some(id), topics: event.topics().clone(), frame, count: event.count() }
    }

    /// An ephemeral event.
    pub fn ephemeral(event: &Event) -> Dispatch {
        Dispatch { id: None, topics: event.topics().clone(), frame: event.encode(None), count: event.count() }
    }
}

/// Identifies a client. No number is used twice while the process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientId(pub u64);

enum Message {
    Register(Registration),
    Unregister(ClientId),
    Broadcast(Dispatch),
    Survey(Sender<Survey>),
    BeginAfter(Id),
    Drain,
}

/// A client that wants to be registered.
struct Registration {
    id: ClientId,
    selectors: Arc<[Selector]>,
    form: Form,
    outlet: Arc<Outlet>,
    /// Takes the last id that was passed on before, and the selectors as its group has them.
    registered: Sender<(Id, Arc<[Selector]>)>,
}

/// How many clients there are, and how many are behind, at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Survey {
    /// Clients that are registered.
    pub clients: usize,
    /// Those of them that are behind: what is sent to them is queued.
    pub behind: usize,
}

/// The handle to the hub's thread; clones lead to the same one. The thread ends with the last handle.
///
/// A history gets it from [`Builder::history`](crate::Builder::history), and hands it each event that is kept. Its
/// methods may be called from any thread.
///
/// ```
/// use callout::{Event, Frame, Hub, Id};
///
/// /// Gives an event the next id, keeps it, and passes it on: under one lock, so that ids reach the hub in order.
/// fn append(hub: &Hub, kept: &mut Vec<(Id, Frame)>, event: &Event) -> Id {
///     let last = kept.last().map_or(Id::default(), |(last, _)| *last);
///     let id = Id::from_key(last.key() + 1);
///     let frame = event.encode(Some(id));
///     kept.push((id, frame.clone()));
///     hub.broadcast_kept(event, id, frame);
///     id
/// }
/// ```
///
/// After a panic of that thread the server has failed and is about to end: events are no longer passed on, and no
/// client can register.
#[derive(Clone)]
pub struct Hub(Arc<Handle>);

struct Handle {
    inbox: Sender<Message>,
    /// Disconnected when the thread has ended.
    ended: Receiver<()>,
    counters: Arc<Counters>,
}

/// The hub's counters. Any thread may read them.
#[derive(Debug, Default)]
pub struct Counters {
    /// The id up to which everything has been passed on.
    last: AtomicU64,
    /// Clients that are registered now.
    pub clients: AtomicUsize,
    /// Events that were broadcast.
    pub published: AtomicU64,
    /// Events times the browsers that each was passed on to.
    pub delivered: AtomicU64,
    /// Browsers that were hung up on because they read too slowly.
    pub too_slow: AtomicU64,
}

impl Hub {
    /// Starts the hub's thread.
    #[doc(hidden)]
    pub fn start(threads: &Threads) -> io::Result<Hub> {
        let (inbox, messages) = bounded(INBOX_MESSAGES);
        let counters = Arc::new(Counters::default());
        let thread = HubThread::new(counters.clone());
        let (running, ended) = bounded(0);
        threads.spawn_essential("hub", move || {
            let _running: Sender<()> = running;
            thread.run(messages);
        })?;
        Ok(Hub(Arc::new(Handle { inbox, ended, counters })))
    }

    /// Sets the newest id that was given, in this process or in one before. A history calls it once, before anything
    /// else: all that comes is newer. Waits while the inbox is full.
    pub fn begin_after(&self, last: Id) {
        self.0.counters.last.store(last.key(), Release);
        self.send(Message::BeginAfter(last));
    }

    /// Registers a client, whose selectors are sorted and without doubles, and waits until that is done. Events newer than
    /// [`Subscription::live_after`] reach its outlet from now on, older ones do not. Dropping the subscription unregisters
    /// it. The selectors are given back as all clients with the same ones share them. [`Error::unavailable`] where the hub
    /// has ended.
    #[doc(hidden)]
    pub fn register(
        &self,
        id: ClientId,
        selectors: Arc<[Selector]>,
        form: Form,
        outlet: Arc<Outlet>,
    ) -> Result<(Subscription, Arc<[Selector]>), Error> {
        let (registered, answers) = bounded(1);
        let registration = Registration { id, selectors, form, outlet, registered };
        self.send(Message::Register(registration));
        let stopped = || Error::unavailable("the hub has stopped");
        let (live_after, selectors) = answer_of(&answers, &self.0.ended).map_err(|_| stopped())?;
        Ok((Subscription { id, live_after, hub: self.clone() }, selectors))
    }

    /// Passes on an event that is kept under this id, as the bytes that the history keeps. Waits while the inbox is
    /// full, never for a browser. Each id has to be larger than the one before; in a debug build a smaller one panics
    /// the hub, with which the server ends.
    pub fn broadcast_kept(&self, event: &Event, id: Id, frame: Frame) {
        self.broadcast(Dispatch::kept(event, id, frame));
    }

    /// Passes an event on. Waits while the inbox is full, never for a browser. The history makes sure that ids come in
    /// growing order; in a debug build a smaller one panics the hub.
    #[doc(hidden)]
    pub fn broadcast(&self, dispatch: Dispatch) {
        self.send(Message::Broadcast(dispatch));
    }

    /// Counts the clients, looking at each once. Blocks until the hub has done so.
    #[doc(hidden)]
    pub fn survey(&self) -> Survey {
        let (answer, answers) = bounded(1);
        self.send(Message::Survey(answer));
        // A hub that has ended has no clients.
        answer_of(&answers, &self.0.ended).unwrap_or_default()
    }

    /// Ends all streams, present and future, each with its own retry delay.
    #[doc(hidden)]
    pub fn drain(&self) {
        self.send(Message::Drain);
    }

    /// Everything up to this id has been passed on to those who subscribed.
    #[doc(hidden)]
    pub fn last(&self) -> Id {
        // Acquire pairs with the release in `flush`: whoever sees an id sees that it was passed on.
        Id::from_key(self.0.counters.last.load(Acquire))
    }

    /// What the hub has counted.
    #[doc(hidden)]
    pub fn counters(&self) -> &Counters {
        &self.0.counters
    }

    /// Sums up the browsers that an event was passed on to. Blocks until the hub is done with the event.
    #[doc(hidden)]
    pub fn count(&self, counts: &Receiver<usize>) -> usize {
        std::iter::from_fn(|| answer_of(counts, &self.0.ended).ok()).sum()
    }

    fn send(&self, message: Message) {
        // Sending fails only after the hub's thread has panicked. Then the server ends, and a caller that waits for
        // an answer waits no longer.
        let _ = self.0.inbox.send(message);
    }
}

/// A client's registration with the hub. A stream leaves in one way (`Drop` of its subscription), whatever ended it.
pub struct Subscription {
    id: ClientId,
    /// The last id that was passed on before this client registered.
    pub live_after: Id,
    hub: Hub,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.hub.send(Message::Unregister(self.id));
    }
}
