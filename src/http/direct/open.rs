//! The connections that are open: how many there may be, and which of them can be closed.

use parking_lot::{Condvar, Mutex};
use std::collections::HashMap;
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;

/// All open connections of a listener.
pub(super) struct Connections {
    max: usize,
    open: Mutex<Open>,
    room: Condvar,
}

#[derive(Default)]
struct Open {
    sockets: HashMap<u64, Arc<TcpStream>>,
    next: u64,
    closed: bool,
}

impl Connections {
    pub(super) fn new(max: usize) -> Connections {
        Connections { max, open: Mutex::default(), room: Condvar::new() }
    }

    /// Waits until there is room for one more, and says whether there ever will be.
    pub(super) fn wait_for_room(&self) -> bool {
        let mut open = self.open.lock();
        self.room.wait_while(&mut open, |open| !open.closed && open.sockets.len() >= self.max);
        !open.closed
    }

    /// Nine of ten slots are taken: a connection that could stay for another request should not.
    pub(super) fn is_crowded(&self) -> bool {
        self.open.lock().sockets.len() * 10 >= self.max * 9
    }

    /// Notes a connection; its slot is free again when the guard is dropped.
    pub(super) fn add(self: &Arc<Self>, socket: Arc<TcpStream>) -> Slot {
        let mut open = self.open.lock();
        let number = open.next;
        open.next += 1;
        open.sockets.insert(number, socket);
        Slot { number, connections: self.clone() }
    }

    /// Takes no more.
    pub(super) fn close(&self) {
        self.open.lock().closed = true;
        self.room.notify_all();
    }

    /// Hangs up on all that are open.
    pub(super) fn hang_up(&self) {
        for socket in self.open.lock().sockets.values() {
            // It may be gone already, which is what was wanted.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

/// One connection's slot.
pub(super) struct Slot {
    number: u64,
    connections: Arc<Connections>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.connections.open.lock().sockets.remove(&self.number);
        self.connections.room.notify_one();
    }
}
