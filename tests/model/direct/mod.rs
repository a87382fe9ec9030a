//! The program's slots, with connections that are streams from their beginning, and the threads that look after them.

mod connection;
#[path = "../../../src/http/direct/open.rs"]
mod open;

pub use connection::{Connection, HAS_PANICKED, HEAD};

use crate::os::pool::Pool;
use mio::{Events, Poll, Registry};
use open::Connections;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

/// What all connections share.
pub struct Listener {
    connections: Arc<Connections<Connection>>,
    pool: Arc<Pool<Connection>>,
    registry: Registry,
    /// Whether readiness and the sweeper are to end.
    pub is_over: AtomicBool,
}

impl Listener {
    /// A listener, and what its readiness is learned from.
    pub fn new(threads_max: usize, slow_max: usize) -> (Listener, Poll) {
        let poll = Poll::new().unwrap();
        let pool = Pool::start("connection", 0, threads_max, slow_max, &Default::default()).unwrap();
        let listener = Listener {
            connections: Arc::new(Connections::new(usize::MAX)),
            pool: Arc::new(pool),
            registry: poll.registry().try_clone().unwrap(),
            is_over: AtomicBool::new(false),
        };
        (listener, poll)
    }

    /// The thread of `readiness`, which asks the kernel again and again instead of waiting for it.
    pub fn learn(&self, mut poll: Poll) {
        // Few, so that some are learned of later than others.
        let mut events = Events::with_capacity(2);
        while !self.is_over.load(Relaxed) {
            let _ = poll.poll(&mut events, Some(Duration::ZERO));
            let slots = self.connections.find(events.iter().map(|event| event.token().0));
            for (event, slot) in events.iter().zip(slots) {
                let Some(slot) = slot else { continue };
                let is_closed = event.is_read_closed() || event.is_error();
                if event.is_readable() || is_closed {
                    slot.note_readable(is_closed);
                }
                if event.is_writable() {
                    slot.note_writable();
                }
            }
            shuttle::thread::yield_now();
        }
    }

    /// The thread of `sweeper`, which looks again and again, and sends a heartbeat each time.
    pub fn sweep(&self) {
        while !self.is_over.load(Relaxed) {
            for slot in self.connections.all() {
                slot.tend(Duration::ZERO);
            }
            shuttle::thread::yield_now();
        }
    }

    pub fn hang_up(&self) {
        self.connections.hang_up();
    }

    pub fn is_empty(&self) -> bool {
        self.connections.all().is_empty()
    }
}
