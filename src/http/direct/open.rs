//! The connections that are open: how many there may be, how room is made for another, where they rest while they wait,
//! and how all of them are hung up on.

use crate::hub::outlet::{End, Outlet, Wake};
use crate::os::pool::{Lane, Pool, Work};
use crate::os::rest::Resting;
use crate::os::sync::{Condvar, Mutex};
use std::collections::HashMap;
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, LazyLock, OnceLock, Weak};
use std::time::{Duration, Instant};

/// A connection that has said nothing for so long may be closed to make room for another.
const SILENCE_MIN: Duration = Duration::from_millis(100);

/// How often the accept thread looks for such a connection while somebody waits for room.
const ROOM_LOOK: Duration = Duration::from_millis(20);

/// All open connections of a listener.
pub(super) struct Connections<W: Work> {
    max: usize,
    open: Mutex<Open<W>>,
    /// A slot became free, or the listener closes. Only the accept thread waits for it.
    room: Condvar,
    /// No connection is taken any more.
    is_closed: AtomicBool,
}

struct Open<W: Work> {
    slots: HashMap<usize, Arc<Slot<W>>>,
    /// The key of the next connection. None is used twice.
    next: usize,
    /// All connections were hung up on, and any that is still added is hung up on at once.
    is_hung_up: bool,
}

impl<W: Work> Connections<W> {
    /// No connections yet, and never more than `max`.
    pub(super) fn new(max: usize) -> Connections<W> {
        let open = Mutex::new(Open { slots: HashMap::new(), next: 0, is_hung_up: false });
        Connections { max, open, room: Condvar::new(), is_closed: AtomicBool::new(false) }
    }

    /// Waits until there is room for one more connection. The one that has been silent longest makes room, if one has
    /// for a while. False if there will never be room, because the listener closes.
    pub(super) fn make_room(&self) -> bool {
        let mut open = self.open.lock();
        while !self.is_closed() && open.slots.len() >= self.max {
            open.close_most_silent();
            // Others may have been silent for long enough by then.
            self.room.wait_for(&mut open, ROOM_LOOK);
        }
        !self.is_closed()
    }

    /// Adds a connection, which keeps its slot until the guard is dropped.
    pub(super) fn add(self: &Arc<Self>, socket: &Arc<TcpStream>, pool: &Arc<Pool<W>>) -> SlotGuard<W> {
        let mut open = self.open.lock();
        let key = open.next;
        open.next += 1;
        let slot = Arc::new(Slot {
            key,
            socket: Arc::downgrade(socket),
            silence: Silence::new(),
            due: AtomicU64::new(NEVER),
            outlet: OnceLock::new(),
            resting: Resting::new(),
            pool: Arc::downgrade(pool),
        });
        open.slots.insert(key, slot.clone());
        if open.is_hung_up {
            hang_up(socket);
        }
        SlotGuard { slot, connections: self.clone() }
    }

    /// The slots of these keys, as far as they are still open.
    pub(super) fn find(&self, keys: impl Iterator<Item = usize>) -> Vec<Option<Arc<Slot<W>>>> {
        let open = self.open.lock();
        keys.map(|key| open.slots.get(&key).cloned()).collect()
    }

    /// The slots of all connections.
    pub(super) fn all(&self) -> Vec<Arc<Slot<W>>> {
        self.open.lock().slots.values().cloned().collect()
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

    /// Hangs up on all connections, which ends what they wait for.
    pub(super) fn hang_up(&self) {
        let mut open = self.open.lock();
        open.is_hung_up = true;
        open.slots.values().for_each(|slot| slot.hang_up());
    }
}

impl<W: Work> Open<W> {
    /// Hangs up on the connection that has been silent longest, unless all have spoken a moment ago.
    fn close_most_silent(&self) {
        let silent = self.slots.values().filter_map(|slot| Some((slot.silence.since()?, slot)));
        let Some((since, slot)) = silent.min_by_key(|(since, _)| *since) else { return };
        let is_long = micros().saturating_sub(since) >= SILENCE_MIN.as_micros() as u64;
        if is_long && slot.silence.close(since) {
            slot.hang_up();
        }
    }
}

/// Since when a connection waits for its peer, if it does: in microseconds, or one of the words below. A request that
/// is being answered is never cut off, so the two sides agree by this word alone who was first.
pub(super) struct Silence(AtomicU64);

/// A request is being answered.
const BUSY: u64 = u64::MAX;
/// The connection was closed to make room.
const CLOSED: u64 = u64::MAX - 1;
/// Something has come and waits for a thread.
const WAITING: u64 = u64::MAX - 2;

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

    /// Something has come, and a thread will look at it: the connection is not silent, however long that takes.
    fn note_waiting(&self) {
        let _ = self.0.fetch_update(Relaxed, Relaxed, |since| (since < WAITING).then_some(WAITING));
    }

    /// The thread has looked, and the peer is waited for again.
    pub(super) fn rest(&self) {
        let _ = self.0.fetch_update(Relaxed, Relaxed, |since| (since == WAITING).then(micros));
    }

    fn since(&self) -> Option<u64> {
        Some(self.0.load(Relaxed)).filter(|since| *since < WAITING)
    }

    /// Closes the connection, if it still waits as it did then.
    fn close(&self, since: u64) -> bool {
        self.0.compare_exchange(since, CLOSED, Relaxed, Relaxed).is_ok()
    }
}

/// A moment that does not come.
const NEVER: u64 = u64::MAX;

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// A clock whose moments are numbers.
fn micros() -> u64 {
    START.elapsed().as_micros() as u64
}

fn hang_up(socket: &TcpStream) {
    // It fails only where the connection has ended already.
    let _ = socket.shutdown(Shutdown::Both);
}

/// What others may do with a connection, whether a thread runs it or it rests here.
///
/// A lock of an outlet and that of a resting place are never held together.
pub(super) struct Slot<W: Work> {
    /// Its name for the kernel's readiness.
    pub(super) key: usize,
    /// Weak, so that a connection closes its socket itself, before its slot is free again: there are never
    /// more descriptors than slots.
    socket: Weak<TcpStream>,
    pub(super) silence: Silence,
    /// When the connection has to run although nothing has come, by [`micros`].
    due: AtomicU64,
    /// The way to the browser, once the connection is a stream.
    pub(super) outlet: OnceLock<Arc<Outlet>>,
    /// Where the connection rests while it has no thread.
    pub(super) resting: Resting<W>,
    pool: Weak<Pool<W>>,
}

impl<W: Work> Slot<W> {
    /// The kernel says that something has come, or that the other side has closed.
    pub(super) fn note_readable(&self, is_closed: bool) {
        match self.outlet.get() {
            // What a browser sends after its request is left where it is.
            Some(outlet) if is_closed => outlet.end(End::HungUp),
            Some(_) => {}
            None => {
                self.silence.note_waiting();
                self.wake();
            }
        }
    }

    /// The kernel says that there is room. A stream that is not behind needs none.
    pub(super) fn note_writable(&self) {
        if self.outlet.get().is_none_or(|outlet| outlet.is_behind()) {
            self.wake();
        }
    }

    /// Puts the connection to rest until it is woken, or until this moment. It is given back if it was woken since it
    /// looked last.
    pub(super) fn rest(&self, connection: Box<W>, until: Option<Instant>) -> Option<Box<W>> {
        let due = until.map_or(NEVER, |until| {
            let left = until.saturating_duration_since(Instant::now());
            micros().saturating_add(u64::try_from(left.as_micros()).unwrap_or(NEVER))
        });
        self.due.store(due, Relaxed);
        self.resting.rest(connection)
    }

    /// Does what is due: wakes a connection whose time has come, and sends a heartbeat where nothing was sent for this
    /// pause. A stream with a thread of its own sees to that itself. Says whether there will be more to do.
    pub(super) fn tend(&self, heartbeat: Duration) -> bool {
        let due = self.due.load(Relaxed);
        let outlet = self.outlet.get().filter(|outlet| !outlet.has_thread());
        // A stream that fell behind while it rested hears of room only when its browser reads: its deadline has to begin.
        let is_unnoticed = || due == NEVER && outlet.is_some_and(|outlet| outlet.is_behind());
        if due <= micros() || is_unnoticed() {
            self.due.store(NEVER, Relaxed);
            self.wake();
        }
        if let Some(outlet) = outlet {
            outlet.heartbeat(heartbeat);
        }
        outlet.is_some() || due != NEVER
    }

    /// Gives a connection that rested a thread. Streams take the slow lane.
    pub(super) fn run(&self, connection: Box<W>) {
        let lane = if self.outlet.get().is_some() { Lane::Slow } else { Lane::Fast };
        if let Some(pool) = self.pool.upgrade() {
            pool.push(lane, connection);
        }
    }

    fn hang_up(&self) {
        if let Some(socket) = self.socket.upgrade() {
            hang_up(&socket);
        }
        if let Some(outlet) = self.outlet.get() {
            outlet.end(End::HungUp);
        }
        self.wake();
    }
}

impl<W: Work> Wake for Slot<W> {
    fn wake(&self) {
        if let Some(connection) = self.resting.wake() {
            self.run(connection);
        }
    }
}

/// The slot of one connection. It may be dropped on any thread.
pub(super) struct SlotGuard<W: Work> {
    pub(super) slot: Arc<Slot<W>>,
    connections: Arc<Connections<W>>,
}

impl<W: Work> Drop for SlotGuard<W> {
    fn drop(&mut self) {
        self.connections.open.lock().slots.remove(&self.slot.key);
        self.connections.room.notify_one();
    }
}
