//! The connections that are open: how many there may be, and how all of them are hung up on.

use parking_lot::{Condvar, Mutex};
use std::collections::HashMap;
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Weak};

/// All open connections of a listener.
pub(super) struct Connections {
    max: usize,
    open: Mutex<Open>,
    /// A slot became free, or the listener closes. Only the accept thread waits for it.
    room: Condvar,
}

#[derive(Default)]
struct Open {
    /// Weak, so that a connection closes its socket itself, before its slot is free again: there are never
    /// more descriptors than slots.
    sockets: HashMap<u64, Weak<TcpStream>>,
    /// The key of the next connection. None is used twice.
    next: u64,
    /// No connection is taken any more.
    is_closed: bool,
    /// All connections were hung up on, and any that is still added is hung up on at once.
    is_hung_up: bool,
}

impl Connections {
    /// No connections yet, and never more than `max`.
    pub(super) fn new(max: usize) -> Connections {
        Connections { max, open: Mutex::default(), room: Condvar::new() }
    }

    /// Waits until there is room for one more connection. False if there will never be, because the
    /// listener closes.
    pub(super) fn wait_for_room(&self) -> bool {
        let mut open = self.open.lock();
        self.room.wait_while(&mut open, |open| !open.is_closed && open.sockets.len() >= self.max);
        !open.is_closed
    }

    /// Adds a connection, which keeps its slot until the guard is dropped.
    pub(super) fn add(self: &Arc<Self>, socket: &Arc<TcpStream>) -> Slot {
        let mut open = self.open.lock();
        let key = open.next;
        open.next += 1;
        open.sockets.insert(key, Arc::downgrade(socket));
        if open.is_hung_up {
            hang_up(socket);
        }
        Slot { key, connections: self.clone() }
    }

    /// Whether a connection should end after its answer, although it could stay for another request: nine
    /// of ten slots are taken, or the listener closes.
    pub(super) fn wants_room(&self) -> bool {
        let open = self.open.lock();
        open.is_closed || open.sockets.len() * 10 >= self.max * 9
    }

    /// Takes no more connections.
    pub(super) fn close(&self) {
        self.open.lock().is_closed = true;
        self.room.notify_all();
    }

    /// Whether [`Connections::close`] was called.
    pub(super) fn is_closed(&self) -> bool {
        self.open.lock().is_closed
    }

    /// Hangs up on all connections, which ends what their threads wait for.
    pub(super) fn hang_up(&self) {
        let mut open = self.open.lock();
        open.is_hung_up = true;
        open.sockets.values().filter_map(Weak::upgrade).for_each(|socket| hang_up(&socket));
    }
}

fn hang_up(socket: &TcpStream) {
    // It fails only where the connection has ended already.
    let _ = socket.shutdown(Shutdown::Both);
}

/// The slot of one connection. It may be dropped on any thread.
pub(super) struct Slot {
    key: u64,
    connections: Arc<Connections>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.connections.open.lock().sockets.remove(&self.key);
        self.connections.room.notify_one();
    }
}
