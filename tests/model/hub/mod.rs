//! A hub as small as possible around the program's outlets: an inbox, and one thread that gathers what is in it, sends it,
//! and then registers newcomers.

#[path = "../../../src/hub/chunk.rs"]
pub mod chunk;
#[path = "../../../src/hub/outlet.rs"]
pub mod outlet;
#[path = "../../../src/hub/queued.rs"]
mod queued;
#[path = "../../../src/hub/wire.rs"]
pub mod wire;

use crate::error::Error;
use crate::event::{Form, Frame, Id};
use crate::os::sync::{Condvar, Mutex};
use crate::selector::Selector;
use chunk::Chunk;
use outlet::{Batch, End, Outlet};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientId(pub u64);

enum Message {
    Register(ClientId, Arc<Outlet>, Arc<LiveAfter>),
    Unregister(ClientId),
    Broadcast(Option<Id>, Frame),
    Drain,
    End,
}

#[derive(Default)]
struct LiveAfter {
    id: Mutex<Option<Id>>,
    is_set: Condvar,
}

#[derive(Default)]
pub struct Counters {
    pub too_slow: AtomicU64,
}

/// The handle.
#[derive(Clone, Default)]
pub struct Hub {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    inbox: Mutex<VecDeque<Message>>,
    arrived: Condvar,
    last: AtomicU64,
    counters: Counters,
}

impl Hub {
    pub fn last(&self) -> Id {
        Id::from_key(self.shared.last.load(Relaxed))
    }

    pub fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    pub fn register(
        &self,
        id: ClientId,
        selectors: Arc<[Selector]>,
        _: Form,
        outlet: Arc<Outlet>,
    ) -> Result<(Subscription, Arc<[Selector]>), Error> {
        let live_after = Arc::new(LiveAfter::default());
        self.send(Message::Register(id, outlet, live_after.clone()));
        let mut set = live_after.id.lock();
        loop {
            if let Some(live_after) = *set {
                return Ok((Subscription { id, live_after, hub: self.clone() }, selectors));
            }
            live_after.is_set.wait(&mut set);
        }
    }

    pub fn broadcast(&self, id: Option<Id>, frame: Frame) {
        self.send(Message::Broadcast(id, frame));
    }

    pub fn drain(&self) {
        self.send(Message::Drain);
    }

    pub fn end(&self) {
        self.send(Message::End);
    }

    fn send(&self, message: Message) {
        self.shared.inbox.lock().push_back(message);
        self.shared.arrived.notify_one();
    }

    /// The hub's thread.
    pub fn run(self) {
        let mut clients: Vec<(ClientId, Arc<Outlet>)> = Vec::new();
        let mut is_draining = false;
        let drained = || End::Drain { retry_millis: 1_000 };
        loop {
            let mut inbox = self.shared.inbox.lock();
            while inbox.is_empty() {
                self.shared.arrived.wait(&mut inbox);
            }
            let messages = std::mem::take(&mut *inbox);
            drop(inbox);
            let (mut gathered, mut registering) = (Vec::new(), Vec::new());
            for message in messages {
                match message {
                    Message::Register(id, outlet, live_after) => registering.push((id, outlet, live_after)),
                    Message::Unregister(id) => clients.retain(|(client, _)| *client != id),
                    Message::Broadcast(id, frame) => gathered.push((id, frame)),
                    Message::Drain => {
                        self.flush(&mut gathered, &clients);
                        is_draining = true;
                        clients.iter().for_each(|(_, outlet)| outlet.end(drained()));
                    }
                    Message::End => return,
                }
            }
            self.flush(&mut gathered, &clients);
            for (id, outlet, live_after) in registering {
                if is_draining {
                    outlet.end(drained());
                }
                clients.push((id, outlet));
                *live_after.id.lock() = Some(self.last());
                live_after.is_set.notify_one();
            }
        }
    }

    fn flush(&self, gathered: &mut Vec<(Option<Id>, Frame)>, clients: &[(ClientId, Arc<Outlet>)]) {
        if gathered.is_empty() {
            return;
        }
        let kept = || gathered.iter().filter(|(id, _)| id.is_some());
        let chunk = Chunk::new(gathered.iter().map(|(_, frame)| &**frame));
        let batch = Batch {
            all: chunk,
            kept: (kept().count() > 0).then(|| Chunk::new(kept().map(|(_, frame)| &**frame))),
        };
        for (_, outlet) in clients {
            outlet.send(&batch, Instant::now());
        }
        if let Some(last) = kept().filter_map(|(id, _)| *id).next_back() {
            self.shared.last.store(last.key(), Relaxed);
        }
        gathered.clear();
    }
}

pub struct Subscription {
    id: ClientId,
    pub live_after: Id,
    hub: Hub,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.hub.send(Message::Unregister(self.id));
    }
}
