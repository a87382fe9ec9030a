//! A connection that is a stream from its beginning. It runs and rests as the program's does.

use super::Listener;
use super::open::{Slot, SlotGuard};
use crate::client::{Client, Pace, Step, Stream};
use crate::history::Memory;
use crate::hub::Hub;
use crate::hub::chunk::Coding;
use crate::hub::outlet::{End, Signals, Wake};
use crate::hub::wire::Wire;
use crate::os::pool::{Lane, Work};
use mio::unix::SourceFd;
use mio::{Interest, Token};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::time::Instant;

/// What the client writes first.
pub const HEAD: &[u8] = b"head\r\n\r\n";

/// Set by whatever panics on a thread of the pool, which goes on.
pub static HAS_PANICKED: AtomicBool = AtomicBool::new(false);

pub struct Connection {
    socket: Arc<TcpStream>,
    client: Option<Client>,
    is_known: bool,
    hub: Hub,
    history: Arc<Memory>,
    pace: Pace,
    listener: Arc<Listener>,
    slot: SlotGuard<Connection>,
}

impl Connection {
    pub fn begin(
        socket: TcpStream,
        stream: Stream,
        hub: Hub,
        history: Arc<Memory>,
        pace: Pace,
        listener: &Arc<Listener>,
    ) {
        let socket = Arc::new(socket);
        let slot = listener.connections.add(&socket, &listener.pool);
        let caretaker: Weak<dyn Wake> = Arc::<Slot<Connection>>::downgrade(&slot.slot);
        let wire = Wire::Socket(socket.clone());
        let client = Client::new(wire, Coding::Chunked, pace, HEAD.to_vec(), stream, Some(caretaker));
        let _ = slot.slot.outlet.set(client.outlet().clone());
        let (client, listener) = (Some(client), listener.clone());
        let pool = listener.pool.clone();
        let connection = Connection { socket, client, is_known: false, hub, history, pace, listener, slot };
        pool.push(Lane::Fast, Box::new(connection));
    }

    fn ask(&mut self) {
        let source = self.socket.as_raw_fd();
        let (mut source, token) = (SourceFd(&source), Token(self.slot.slot.key));
        let (registry, interest) = (&self.listener.registry, Interest::READABLE | Interest::WRITABLE);
        match std::mem::replace(&mut self.is_known, true) {
            true => registry.reregister(&mut source, token, interest).unwrap(),
            false => registry.register(&mut source, token, interest).unwrap(),
        }
    }

    /// Whether a stream that is quiet keeps its thread is chosen at random, while the pool lets it.
    fn may_wait(&self, lane: Lane) -> bool {
        lane == Lane::Fast && self.listener.pool.has_spare(2) && fastrand::bool()
    }

    /// What [`Client::wait`] does, in turns.
    fn wait(&self, client: &Client) {
        let Some(Signals { queued, gone }) = client.outlet().attach() else { return };
        while queued.try_recv().is_err() && gone.try_recv().is_err() {
            client.outlet().heartbeat(self.pace.heartbeat);
            shuttle::thread::yield_now();
        }
        client.outlet().detach();
    }

    fn end(&mut self, end: End) {
        if let Some(client) = self.client.take() {
            client.finish(end, &self.hub);
        }
    }
}

impl Work for Connection {
    fn run(mut self: Box<Self>, lane: Lane) {
        struct Alarm;
        impl Drop for Alarm {
            fn drop(&mut self) {
                HAS_PANICKED.fetch_or(std::thread::panicking(), Relaxed);
            }
        }
        let _alarm = Alarm;
        loop {
            let Some(client) = &mut self.client else { return };
            let (until, asks): (Option<Instant>, bool) =
                match client.advance(&self.hub, &*self.history, lane == Lane::Slow) {
                    Step::Quiet if self.may_wait(lane) => {
                        if !self.is_known {
                            self.ask();
                        }
                        if let Some(client) = &self.client {
                            self.wait(client);
                        }
                        continue;
                    }
                    Step::Quiet => (None, !self.is_known),
                    Step::Room(until) => (Some(until), true),
                    Step::Pause(until) => (Some(until), false),
                    Step::Snapshot => {
                        let pool = self.listener.pool.clone();
                        if let Some(client) = &mut self.client {
                            pool.block(lane, || client.write_snapshot());
                        }
                        continue;
                    }
                    Step::Turn => {
                        let pool = self.listener.pool.clone();
                        return pool.push(Lane::Slow, self);
                    }
                    Step::End(end) => return self.end(end),
                };
            if asks {
                self.ask();
            }
            let slot = self.slot.slot.clone();
            match slot.rest(self, until) {
                Some(connection) => self = connection,
                None => return,
            }
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.end(End::HungUp);
    }
}
