//! The hub: one thread that knows every client and what it listens to.
//!
//! Everyone may wait for the hub; the hub waits for no one. It only ever sends without blocking, so a
//! browser that stops reading cannot delay the others. It knows no HTTP, no page and no history.
//!
//! Clients that listen to the same topics form a group. What the inbox holds at one moment is gathered
//! into one batch per group, and each member gets the batch with one write: when it is quiet an event
//! goes at once, when it is busy the cost per event falls.

mod groups;
pub mod outlet;
pub mod wire;

use crate::event::{Count, Event, Frame, Id};
use crate::hub::outlet::{Outlet, Sent};
use crate::os::threads::Vital;
use crate::topic::Topic;
use crossbeam_channel::{Receiver, Sender, bounded};
use groups::Groups;
use std::sync::atomic::{
    AtomicU64, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

/// Messages waiting for the hub. When full, whoever has one more waits.
const INBOX_MESSAGES: usize = 512;

/// Bytes gathered before a batch is sent although more is waiting, so that one write stays within what
/// a socket takes at once. One event may still be larger.
const BATCH_BYTES: usize = 64 * 1024;

/// How often the hub looks again, giving way to others in between, before it sleeps: about 25 µs.
/// Waking it costs a publisher a system call, and a small machine more than the event itself.
const LINGER_TURNS: usize = 60;

/// Reconnections per second that a drain aims at: the more streams, the longer the spread.
const DRAIN_RECONNECTS_PER_SEC: usize = 500;

/// The shortest delay before a drained browser comes back, and the longest where few are drained, in
/// milliseconds.
const DRAIN_RETRY_MILLIS: (u32, u32) = (1_000, 5_000);

/// An event on its way to all who listen to one of its topics.
#[derive(Debug, Clone)]
pub struct Dispatch {
    /// Its id. An event that is only true now (statistics, activity, presence) bears no id, is never
    /// kept, and is dropped for a browser that is behind; the browser's last id stays that of the last
    /// kept event.
    pub id: Option<Id>,
    /// What it was published to.
    pub topics: Arc<[Topic]>,
    /// Its bytes. An event is encoded once; all its receivers share the bytes.
    pub frame: Frame,
    /// Where the browsers are counted that it is passed on to, if they are.
    pub count: Option<Count>,
}

impl Dispatch {
    /// An event that is kept, under the id that it was given.
    pub fn kept(event: &Event, id: Id, frame: Frame) -> Dispatch {
        Dispatch { id: Some(id), topics: event.topics().clone(), frame, count: event.count() }
    }

    /// An event that is only true now.
    pub fn ephemeral(event: &Event) -> Dispatch {
        Dispatch { id: None, topics: event.topics().clone(), frame: event.encode(None), count: event.count() }
    }
}

/// Tells one client from another, for as long as the process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientId(pub u64);

enum Message {
    Register { id: ClientId, topics: Arc<[Topic]>, outlet: Arc<Outlet>, live_after: Arc<OnceLock<Id>> },
    Unregister(ClientId),
    Broadcast(Dispatch),
    Survey(Sender<Survey>),
    Drain,
}

/// How the browsers are doing at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Survey {
    /// Clients that are registered.
    pub clients: usize,
    /// Those of them that are behind: written to by their own threads.
    pub behind: usize,
}

/// The handle to the hub's thread; clones lead to the same one. The thread ends with the last handle.
#[derive(Clone)]
pub struct Hub {
    inbox: Sender<Message>,
    counters: Arc<Counters>,
}

/// What the hub counts, for anyone to read.
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

impl Counters {
    /// See [`Hub::last`].
    fn last(&self) -> Id {
        // Acquire pairs with the release in `flush`: a thread that sees an id sees that it was passed on.
        Id::from_key(self.last.load(Acquire))
    }
}

impl Hub {
    /// Starts the hub's thread.
    pub fn start() -> std::io::Result<Hub> {
        let (inbox, messages) = bounded(INBOX_MESSAGES);
        let counters = Arc::new(Counters::default());
        let thread = HubThread {
            groups: Groups::default(),
            gathered_bytes: 0,
            last: Id::default(),
            draining: false,
            counters: counters.clone(),
        };
        std::thread::Builder::new().name("hub".into()).spawn(move || {
            let _vital = Vital("hub");
            thread.run(messages);
        })?;
        Ok(Hub { inbox, counters })
    }

    /// Sets the newest id that there is: events that are broadcast are newer, and a client reads from the history
    /// what it wants of those before. The history calls it once, before it broadcasts anything.
    pub fn begin_after(&self, id: Id) {
        self.counters.last.store(id.key(), Release);
    }

    /// Registers a client and waits until it is. Events newer than [`Subscription::live_after`] reach its
    /// outlet from now on, older ones do not. Dropping the subscription unregisters it.
    pub fn register(&self, id: ClientId, topics: Arc<[Topic]>, outlet: Arc<Outlet>) -> Subscription {
        let live_after = Arc::new(OnceLock::new());
        self.send(Message::Register { id, topics, outlet, live_after: live_after.clone() });
        let live_after = *live_after.wait();
        Subscription { id, live_after, hub: self.clone() }
    }

    /// Passes an event on. Waits while the inbox is full, never for a browser. Ids must come in growing
    /// order, which the history sees to.
    pub fn broadcast(&self, dispatch: Dispatch) {
        self.send(Message::Broadcast(dispatch));
    }

    /// Looks at every browser once. Blocks until the hub has done so.
    pub fn survey(&self) -> Survey {
        let (answer, answers) = bounded(1);
        self.send(Message::Survey(answer));
        answers.recv().expect("the process ends when the hub's thread does")
    }

    /// Ends every stream, now and from now on, with a time of its own at which to come back.
    pub fn drain(&self) {
        self.send(Message::Drain);
    }

    /// Everything up to this id has been passed on to those who listened.
    pub fn last(&self) -> Id {
        self.counters.last()
    }

    /// What the hub has counted.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    fn send(&self, message: Message) {
        self.inbox.send(message).expect("the process ends when the hub's thread does");
    }
}

/// A client's place with the hub. A stream leaves in one way (`Drop` of its subscription), whatever
/// ended it.
pub struct Subscription {
    id: ClientId,
    /// The last id that was passed on before this client was there.
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
    gathered_bytes: usize,
    /// The newest id that was gathered.
    last: Id,
    draining: bool,
    counters: Arc<Counters>,
}

impl HubThread {
    fn run(mut self, inbox: Receiver<Message>) {
        while let Some(message) = next(&inbox) {
            self.handle(message);
            // Batching without delay: let those who are about to publish do so, take what is there, and
            // wait for nothing.
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
            Message::Register { id, topics, outlet, live_after } => {
                self.register(id, topics, outlet, live_after)
            }
            Message::Unregister(id) => self.unregister(id),
            Message::Broadcast(dispatch) => self.broadcast(dispatch),
            Message::Survey(answer) => self.survey(&answer),
            Message::Drain => self.drain(),
        }
    }

    fn register(
        &mut self,
        id: ClientId,
        topics: Arc<[Topic]>,
        outlet: Arc<Outlet>,
        live_after: Arc<OnceLock<Id>>,
    ) {
        // What was gathered before belongs to those who were there before.
        self.flush();
        if self.draining {
            outlet.drain(drain_retry_millis(self.groups.len()));
        }
        self.groups.insert(id, topics, outlet);
        self.counters.clients.store(self.groups.len(), Relaxed);
        live_after.set(self.counters.last()).expect("each client joins once");
    }

    fn unregister(&mut self, id: ClientId) {
        self.groups.remove(id);
        self.counters.clients.store(self.groups.len(), Relaxed);
    }

    fn broadcast(&mut self, dispatch: Dispatch) {
        if let Some(id) = dispatch.id {
            debug_assert!(id > self.last.max(self.counters.last()), "the history gives growing ids");
            self.last = id;
        }
        self.gathered_bytes += dispatch.frame.len();
        self.counters.published.fetch_add(1, Relaxed);
        self.groups.gather(dispatch);
    }

    fn survey(&self, answer: &Sender<Survey>) {
        let behind = self.groups.outlets().filter(|outlet| outlet.is_behind()).count();
        // Whoever asked may have gone.
        let _ = answer.send(Survey { clients: self.groups.len(), behind });
    }

    fn drain(&mut self) {
        self.flush();
        self.draining = true;
        let streams = self.groups.len();
        self.groups.outlets().for_each(|outlet| outlet.drain(drain_retry_millis(streams)));
    }

    /// Sends what was gathered: one batch per group, one write per client.
    fn flush(&mut self) {
        let now = Instant::now();
        let mut delivered = 0;
        self.groups.flush(|batch, events, outlet| match outlet.send(batch, now) {
            Sent::Straight | Sent::Queued => {
                delivered += events;
                true
            }
            Sent::Dropped | Sent::Closed => false,
        });
        self.gathered_bytes = 0;
        self.counters.delivered.fetch_add(delivered, Relaxed);
        // The maximum, since nothing may have been gathered yet after `begin_after`.
        self.counters.last.fetch_max(self.last.key(), Release);
    }
}

/// The next message, or none when nobody is left who could send one.
fn next(inbox: &Receiver<Message>) -> Option<Message> {
    for _ in 0..LINGER_TURNS {
        match inbox.try_recv() {
            Ok(message) => return Some(message),
            Err(_) => std::thread::yield_now(),
        }
    }
    inbox.recv().ok()
}

/// A time of its own for each browser, so that they do not all come back at once.
fn drain_retry_millis(streams: usize) -> u32 {
    let (shortest, longest) = DRAIN_RETRY_MILLIS;
    let spread_millis = u32::try_from(streams * 1_000 / DRAIN_RECONNECTS_PER_SEC).unwrap_or(u32::MAX);
    fastrand::u32(shortest..=longest.max(shortest.saturating_add(spread_millis)))
}
