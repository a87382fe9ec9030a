//! The connections that are open: how many there may be, how room is made for another, and how all of them are hung up on.

use parking_lot::{Condvar, Mutex};
use std::collections::HashMap;
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, LazyLock, Weak};
use std::time::{Duration, Instant};

/// A connection that has said nothing for so long may be closed to make room for another.
const SILENCE_MIN: Duration = Duration::from_millis(100);

/// How often the accept thread looks for such a connection while somebody waits for room.
const ROOM_LOOK: Duration = Duration::from_millis(20);

/// All open connections of a listener.
pub(super) struct Connections {
    max: usize,
    open: Mutex<Open>,
    /// A slot became free, or the listener closes. Only the accept thread waits for it.
    room: Condvar,
    /// No connection is taken any more.
    is_closed: AtomicBool,
}

#[derive(Default)]
struct Open {
    /// Weak, so that a connection closes its socket itself, before its slot is free again: there are never
    /// more descriptors than slots.
    sockets: HashMap<u64, (Weak<TcpStream>, Arc<Silence>)>,
    /// The key of the next connection. None is used twice.
    next: u64,
    /// All connections were hung up on, and any that is still added is hung up on at once.
    is_hung_up: bool,
}

impl Connections {
    /// No connections yet, and never more than `max`.
    pub(super) fn new(max: usize) -> Connections {
        Connections { max, open: Mutex::default(), room: Condvar::new(), is_closed: AtomicBool::new(false) }
    }

    /// Waits until there is room for one more connection. The one that has been silent longest makes room, if one has
    /// for a while. False if there will never be room, because the listener closes.
    pub(super) fn make_room(&self) -> bool {
        let mut open = self.open.lock();
        while !self.is_closed() && open.sockets.len() >= self.max {
            open.close_most_silent();
            // Others may have been silent for long enough by then.
            self.room.wait_for(&mut open, ROOM_LOOK);
        }
        !self.is_closed()
    }

    /// Adds a connection, which keeps its slot until the guard is dropped.
    pub(super) fn add(self: &Arc<Self>, socket: &Arc<TcpStream>) -> Slot {
        let mut open = self.open.lock();
        let key = open.next;
        open.next += 1;
        let silence = Arc::new(Silence::new());
        open.sockets.insert(key, (Arc::downgrade(socket), silence.clone()));
        if open.is_hung_up {
            hang_up(socket);
        }
        Slot { key, silence, connections: self.clone() }
    }

    /// Takes no more connections.
    pub(super) fn close(&self) {
        self.is_closed.store(true, Relaxed);
        self.room.notify_all();
    }

    /// Whether [`Connections::close`] was called. Then a connection ends after its answer, although it could stay for
    /// another request.
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Relaxed)
    }

    /// Hangs up on all connections, which ends what their threads wait for.
    pub(super) fn hang_up(&self) {
        let mut open = self.open.lock();
        open.is_hung_up = true;
        open.sockets.values().filter_map(|(socket, _)| socket.upgrade()).for_each(|socket| hang_up(&socket));
    }
}

impl Open {
    /// Hangs up on the connection that has been silent longest, unless all have spoken a moment ago.
    fn close_most_silent(&self) {
        let silent = self.sockets.values().filter_map(|entry| Some((entry.1.since()?, entry)));
        let Some((since, (socket, silence))) = silent.min_by_key(|(since, _)| *since) else { return };
        let is_long = micros().saturating_sub(since) >= SILENCE_MIN.as_micros() as u64;
        if is_long
            && silence.close(since)
            && let Some(socket) = socket.upgrade()
        {
            hang_up(&socket);
        }
    }
}

/// Since when a connection waits for its peer, if it does: in microseconds, or one of the two words below. A request that
/// is being answered is never cut off, so the two sides agree by this word alone who was first.
pub(super) struct Silence(AtomicU64);

/// A request is being answered.
const BUSY: u64 = u64::MAX;
/// The connection was closed to make room.
const CLOSED: u64 = u64::MAX - 1;

impl Silence {
    fn new() -> Silence {
        Silence(AtomicU64::new(micros()))
    }

    /// From now on the peer is waited for.
    pub(super) fn begin(&self) {
        // It fails only where the connection was closed, which its next read will notice.
        let _ = self.0.fetch_update(Relaxed, Relaxed, |since| (since != CLOSED).then(micros));
    }

    /// A request is complete. False if the connection was closed before: then the request is not to be answered.
    pub(super) fn end(&self) -> bool {
        self.0.swap(BUSY, Relaxed) != CLOSED
    }

    fn since(&self) -> Option<u64> {
        Some(self.0.load(Relaxed)).filter(|since| *since < CLOSED)
    }

    /// Closes the connection, if it still waits as it did then.
    fn close(&self, since: u64) -> bool {
        self.0.compare_exchange(since, CLOSED, Relaxed, Relaxed).is_ok()
    }
}

/// A clock for [`Silence`].
fn micros() -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    START.elapsed().as_micros() as u64
}

fn hang_up(socket: &TcpStream) {
    // It fails only where the connection has ended already.
    let _ = socket.shutdown(Shutdown::Both);
}

/// The slot of one connection. It may be dropped on any thread.
pub(super) struct Slot {
    key: u64,
    silence: Arc<Silence>,
    connections: Arc<Connections>,
}

impl Slot {
    /// Since when the connection waits for its peer.
    pub(super) fn silence(&self) -> Arc<Silence> {
        self.silence.clone()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.connections.open.lock().sockets.remove(&self.key);
        self.connections.room.notify_one();
    }
}
