//! The hub's thread: what the inbox brings, gathered and sent.

use super::groups::Groups;
use super::outlet::End;
use super::{ClientId, Counters, Dispatch, Message, Registration, Survey};
use crate::event::Id;
use crossbeam_channel::{Receiver, Sender};
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, Release};
use std::time::{Duration, Instant};

/// Bytes gathered before a batch is sent although more is waiting, so that one write stays within what
/// a socket takes at once. One event may still be larger.
const BATCH_BYTES: usize = 64 * 1024;

/// How often the hub looks for another message before it sleeps, yielding the processor in between: about 25 µs. It does
/// so only where the last message came [quickly](QUICK): waking the hub costs the publisher a system call, and on a small
/// machine more than the event itself.
const LINGER_TURNS: usize = 60;

/// A message that comes within this time after the hub was done with the one before came quickly.
const QUICK: Duration = Duration::from_micros(100);

/// Reconnections per second that a drain aims at: the more streams, the longer the spread.
const DRAIN_RECONNECTS_PER_SEC: usize = 500;

/// The shortest retry delay of a drained stream, and the longest where few are drained, in milliseconds.
const DRAIN_RETRY_MILLIS: (u32, u32) = (1_000, 5_000);

/// Only the hub thread touches the list of clients, so there is no lock around it.
pub(super) struct HubThread {
    groups: Groups,
    /// Clients that are registered at the end of the batch that is being gathered.
    registering: Vec<Registration>,
    gathered_bytes: usize,
    last: Id,
    draining: bool,
    counters: Arc<Counters>,
}

impl HubThread {
    pub(super) fn new(counters: Arc<Counters>) -> HubThread {
        HubThread {
            groups: Groups::default(),
            registering: Vec::new(),
            gathered_bytes: 0,
            last: Id::default(),
            draining: false,
            counters,
        }
    }

    pub(super) fn run(mut self, inbox: Receiver<Message>) {
        let mut is_quick = false;
        while let Some(message) = next(&inbox, &mut is_quick) {
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
        let end = || End::Drain { retry_millis: drain_retry_millis(streams) };
        self.groups.outlets().for_each(|outlet| outlet.end(end()));
    }

    /// Sends what was gathered: one batch per group, one write per client. Then registers those who asked for it.
    fn flush(&mut self) {
        let now = Instant::now();
        let delivered = self.groups.flush(|batch, outlet| outlet.send(batch, now));
        self.gathered_bytes = 0;
        self.counters.delivered.fetch_add(delivered, Relaxed);
        self.counters.last.store(self.last.key(), Release);
        for Registration { id, selectors, form, outlet, registered } in self.registering.drain(..) {
            if self.draining {
                outlet.end(End::Drain { retry_millis: drain_retry_millis(self.groups.len()) });
            }
            let selectors = self.groups.insert(id, selectors, form, outlet);
            // The caller may have gone.
            let _ = registered.send((self.last, selectors));
        }
        self.counters.clients.store(self.groups.len(), Relaxed);
    }
}

/// The next message, or none when all handles are gone. Where the last one came quickly, this one is looked for before
/// the hub sleeps.
fn next(inbox: &Receiver<Message>, is_quick: &mut bool) -> Option<Message> {
    let turns = if *is_quick { LINGER_TURNS } else { 0 };
    for _ in 0..turns {
        match inbox.try_recv() {
            Ok(message) => return Some(message),
            Err(_) => std::thread::yield_now(),
        }
    }
    let began = Instant::now();
    let message = inbox.recv().ok();
    *is_quick = began.elapsed() < QUICK;
    message
}

/// A random retry delay, so that drained browsers do not all come back at once.
fn drain_retry_millis(streams: usize) -> u32 {
    let (shortest, longest) = DRAIN_RETRY_MILLIS;
    let spread_millis = u32::try_from(streams * 1_000 / DRAIN_RECONNECTS_PER_SEC).unwrap_or(u32::MAX);
    fastrand::u32(shortest..=longest.max(shortest.saturating_add(spread_millis)))
}
