//! The hub: one thread that knows every client and which topics it subscribes to.
//!
//! Everyone may wait for the hub; the hub waits for no one. It only ever sends without blocking, so a
//! browser that stops reading cannot delay the others. It knows no HTTP, no page and no history.
//!
//! Clients that subscribe to the same topics form a group. What the inbox holds at one moment is gathered
//! into one batch per group, and each member gets the batch with one write: when it is quiet an event
//! goes at once, when it is busy the cost per event falls.

mod queued;
pub mod chunk;
mod groups;
pub mod outlet;
pub mod wire;

use crate::error::Error;
use crate::event::{Count, Event, Frame, Id};
use crate::os::threads::{Threads, answer as answer_of};
use crate::topic::Topic;
use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};
use groups::Groups;
use outlet::Outlet;
use parking_lot::{Condvar, Mutex};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{
    AtomicU64, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};
use std::time::{Duration, Instant};

/// Messages waiting for the hub. When the inbox is full, senders wait.
const INBOX_MESSAGES: usize = 512;

/// Bytes gathered before a batch is sent although more is waiting, so that one write stays within what
/// a socket takes at once. One event may still be larger.
const BATCH_BYTES: usize = 64 * 1024;

/// How often the hub looks for another message before it sleeps, yielding the processor in between: about 25 µs.
/// Waking the hub costs the publisher a system call, and on a small machine more than the event itself.
const LINGER_TURNS: usize = 60;

/// How often a client that waits to be registered looks whether the hub's thread has ended.
const ENDED_LOOK: Duration = Duration::from_millis(100);

/// Reconnections per second that a drain aims at: the more streams, the longer the spread.
const DRAIN_RECONNECTS_PER_SEC: usize = 500;

/// The shortest retry delay of a drained stream, and the longest where few are drained, in milliseconds.
const DRAIN_RETRY_MILLIS: (u32, u32) = (1_000, 5_000);

/// An event on its way to all who subscribe to one of its topics.
#[derive(Debug, Clone)]
pub struct Dispatch {
    /// Its id. An ephemeral event bears no id, is never kept, and is dropped for a browser that is behind. The
    /// browser's last id stays that of the last kept event.
    pub id: Option<Id>,
    /// The topics it was published to.
    pub topics: Arc<[Topic]>,
    /// Its bytes, never none. An event is encoded once; all its receivers share the bytes.
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
    topics: Arc<[Topic]>,
    outlet: Arc<Outlet>,
    live_after: Arc<LiveAfter>,
}

/// Where a client waits for the id up to which it has to read the history. A channel would do, but what is freed on a
/// stream's thread stays with that thread, and a channel is large.
#[derive(Default)]
struct LiveAfter {
    id: Mutex<Option<Id>>,
    is_set: Condvar,
}

impl LiveAfter {
    fn set(&self, id: Id) {
        *self.id.lock() = Some(id);
        self.is_set.notify_one();
    }

    /// None if the hub's thread ends without having set it.
    fn wait(&self, ended: &Receiver<()>) -> Option<Id> {
        let mut id = self.id.lock();
        while id.is_none() && ended.try_recv() != Err(TryRecvError::Disconnected) {
            self.is_set.wait_for(&mut id, ENDED_LOOK);
        }
        *id
    }
}

/// How many clients there are, and how many are behind, at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Survey {
    /// Clients that are registered.
    pub clients: usize,
    /// Those of them that are behind: written to by their own threads.
    pub behind: usize,
}

/// The handle to the hub's thread; clones lead to the same one. The thread ends with the last handle.
///
/// After a panic of that thread the server has failed and is about to end: events are no longer passed on, and no
/// client can register.
#[derive(Clone)]
pub struct Hub {
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
    pub fn start(threads: &Threads) -> io::Result<Hub> {
        let (inbox, messages) = bounded(INBOX_MESSAGES);
        let counters = Arc::new(Counters::default());
        let thread = HubThread {
            groups: Groups::default(),
            registering: Vec::new(),
            gathered_bytes: 0,
            last: Id::default(),
            draining: false,
            counters: counters.clone(),
        };
        let (running, ended) = bounded(0);
        threads.spawn_essential("hub", move || {
            let _running: Sender<()> = running;
            thread.run(messages);
        })?;
        Ok(Hub { inbox, ended, counters })
    }

    /// Sets the newest id there is. A history calls it once, before the first event: what comes is newer.
    pub fn begin_after(&self, last: Id) {
        self.counters.last.store(last.key(), Release);
        self.send(Message::BeginAfter(last));
    }

    /// Registers a client and waits until that is done. Events newer than [`Subscription::live_after`] reach its
    /// outlet from now on, older ones do not. Dropping the subscription unregisters it. [`Error::Unavailable`]
    /// where the hub has ended.
    pub fn register(
        &self,
        id: ClientId,
        topics: Arc<[Topic]>,
        outlet: Arc<Outlet>,
    ) -> Result<Subscription, Error> {
        let live_after = Arc::new(LiveAfter::default());
        self.send(Message::Register(Registration { id, topics, outlet, live_after: live_after.clone() }));
        let stopped = || Error::Unavailable("the hub has stopped".into());
        let live_after = live_after.wait(&self.ended).ok_or_else(stopped)?;
        Ok(Subscription { id, live_after, hub: self.clone() })
    }

    /// Passes an event on. Waits while the inbox is full, never for a browser. The history makes sure that ids come in
    /// growing order; in a debug build a smaller one panics the hub.
    pub fn broadcast(&self, dispatch: Dispatch) {
        self.send(Message::Broadcast(dispatch));
    }

    /// Counts the clients, looking at each once. Blocks until the hub has done so.
    pub fn survey(&self) -> Survey {
        let (answer, answers) = bounded(1);
        self.send(Message::Survey(answer));
        // A hub that has ended has no clients.
        answer_of(&answers, &self.ended).unwrap_or_default()
    }

    /// Ends all streams, present and future, each with its own retry delay.
    pub fn drain(&self) {
        self.send(Message::Drain);
    }

    /// Everything up to this id has been passed on to those who subscribed.
    pub fn last(&self) -> Id {
        // Acquire pairs with the release in `flush`: whoever sees an id sees that it was passed on.
        Id::from_key(self.counters.last.load(Acquire))
    }

    /// What the hub has counted.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Sums up the browsers that an event was passed on to. Blocks until the hub is done with the event.
    pub fn count(&self, counts: &Receiver<usize>) -> usize {
        std::iter::from_fn(|| answer_of(counts, &self.ended).ok()).sum()
    }

    fn send(&self, message: Message) {
        // Sending fails only after the hub's thread has panicked. Then the server ends, and a caller that waits for
        // an answer waits no longer.
        let _ = self.inbox.send(message);
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

/// Only the hub thread touches the list of clients, so there is no lock around it.
struct HubThread {
    groups: Groups,
    /// Clients that are registered at the end of the batch that is being gathered.
    registering: Vec<Registration>,
    gathered_bytes: usize,
    last: Id,
    draining: bool,
    counters: Arc<Counters>,
}

impl HubThread {
    fn run(mut self, inbox: Receiver<Message>) {
        while let Some(message) = next(&inbox) {
            self.handle(message);
            // Batching without delay: give publishers that are about to send a chance, take what is there, and do
            // not wait for more.
            std::thread::yield_now();
            while self.gathered_bytes < BATCH_BYTES
                && let Ok(message) = inbox.try_recv()
            {
                self.handle(message);
            }
            self.flush();
        }
    }

    fn handle(&mut self, message: Message) {
        match message {
            Message::Register(registration) => self.register(registration),
            Message::Unregister(id) => self.unregister(id),
            Message::Broadcast(dispatch) => self.broadcast(dispatch),
            Message::Survey(answer) => self.survey(&answer),
            Message::BeginAfter(last) => self.last = last,
            Message::Drain => self.drain(),
        }
    }

    /// A client that registers during a batch is registered at its end. Flushing for each would make many small
    /// batches of a flood.
    fn register(&mut self, registration: Registration) {
        self.registering.push(registration);
    }

    fn unregister(&mut self, id: ClientId) {
        self.groups.remove(id);
        self.counters.clients.store(self.groups.len(), Relaxed);
    }

    fn broadcast(&mut self, dispatch: Dispatch) {
        // An empty chunk would end every stream.
        if dispatch.frame.is_empty() {
            return log::error!("an event without bytes was not passed on");
        }
        if let Some(id) = dispatch.id {
            debug_assert!(id > self.last, "the history gives growing ids");
            self.last = id;
        }
        self.gathered_bytes += dispatch.frame.len();
        self.counters.published.fetch_add(1, Relaxed);
        self.groups.gather(dispatch);
    }

    fn survey(&self, answer: &Sender<Survey>) {
        let behind = self.groups.outlets().filter(|outlet| outlet.is_behind()).count();
        // The caller may have gone.
        let _ = answer.send(Survey { clients: self.groups.len(), behind });
    }

    fn drain(&mut self) {
        self.flush();
        self.draining = true;
        let streams = self.groups.len();
        self.groups.outlets().for_each(|outlet| outlet.drain(drain_retry_millis(streams)));
    }

    /// Sends what was gathered: one batch per group, one write per client. Then registers those who asked for it.
    fn flush(&mut self) {
        let now = Instant::now();
        let delivered = self.groups.flush(|batch, outlet| outlet.send(batch, now));
        self.gathered_bytes = 0;
        self.counters.delivered.fetch_add(delivered, Relaxed);
        self.counters.last.store(self.last.key(), Release);
        for Registration { id, topics, outlet, live_after } in self.registering.drain(..) {
            if self.draining {
                outlet.drain(drain_retry_millis(self.groups.len()));
            }
            self.groups.insert(id, topics, outlet);
            live_after.set(self.last);
        }
        self.counters.clients.store(self.groups.len(), Relaxed);
    }
}

/// The next message, or none when all handles are gone.
fn next(inbox: &Receiver<Message>) -> Option<Message> {
    for _ in 0..LINGER_TURNS {
        match inbox.try_recv() {
            Ok(message) => return Some(message),
            Err(_) => std::thread::yield_now(),
        }
    }
    inbox.recv().ok()
}

/// A random retry delay, so that drained browsers do not all come back at once.
fn drain_retry_millis(streams: usize) -> u32 {
    let (shortest, longest) = DRAIN_RETRY_MILLIS;
    let spread_millis = u32::try_from(streams * 1_000 / DRAIN_RECONNECTS_PER_SEC).unwrap_or(u32::MAX);
    fastrand::u32(shortest..=longest.max(shortest.saturating_add(spread_millis)))
}
