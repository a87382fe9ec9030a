//! The way to one browser: straight into its socket, or through its own thread when it is behind.
//!
//! The hub and the client's thread share an [`Outlet`]. Whoever may write to a socket is decided under
//! the outlet's lock, and nobody blocks while holding it:
//!
//! - Nothing is queued: whoever has a frame sends it straight, without blocking, under the lock.
//! - The socket did not take all of it: the rest goes into the queue, a channel. From then on only the client's
//!   thread writes, blocking and without the lock, until nothing is queued any more.
//!
//! So a browser with room in its socket costs no thread switch, and the two ways never mix.

use super::chunk::{Chunk, Coding};
use super::queued::{self, Queued};
use super::wire::{has_hung_up, send_now};
use crate::event::Frame;
use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use parking_lot::Mutex;
use std::net::{Shutdown, TcpStream};
use std::ops::Range;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

/// Frames waiting for one browser that reads too slowly or is still in its replay. When the queue is full, the hub
/// hangs up; the browser comes back with its `Last-Event-ID` and is replayed what it missed.
pub const QUEUE_FRAMES: usize = 1024;
/// The same in bytes. One frame may be larger. What all queues hold together has a bound too ([`queued`]).
pub const QUEUE_BYTES: usize = 1024 * 1024;

/// Why a visit is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The browser closed the connection or half of it, or the connection broke.
    HungUp,
    /// Its queue was full or a write reached its deadline.
    TooSlow,
    /// The server drains: write what is queued, then the retry delay, and end cleanly.
    Drain {
        /// The browser's retry delay in milliseconds.
        retry_millis: u32,
    },
}

/// A batch, or the rest of one whose beginning the socket took.
pub struct Piece {
    frame: Frame,
    range: Range<usize>,
    _queued: (Arc<OnceLock<Queued>>, Queued),
}

impl Piece {
    /// The bytes that are still to be written.
    pub fn bytes(&self) -> &[u8] {
        &self.frame[self.range.clone()]
    }
}

/// The events of one write to all members of a group.
pub struct Batch {
    /// All events, in their order.
    pub all: Chunk,
    /// The kept ones among them, for a browser that is behind; `None` if there are none.
    pub kept: Option<Chunk>,
}

/// What became of a frame, for the hub's counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// It is in the socket.
    Straight,
    /// It waits for the client's thread.
    Queued,
    /// Only its kept events wait for the client's thread: the browser is behind, and the others are ephemeral.
    QueuedKept,
    /// It was dropped: the browser is behind, and all of its events are ephemeral.
    Dropped,
    /// The visit is over, perhaps just now because the queue was full.
    Closed,
}

/// What the client's thread has to do after it has written a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// More is queued.
    Behind,
    /// All is written, but an ephemeral event was dropped meanwhile: write the snapshot, and then report
    /// again.
    Missed,
    /// All is written; the hub may send straight.
    Straight,
}

/// The way to one browser. Made by [`Outlet::new`], shared by the hub and the client's thread.
pub struct Outlet {
    /// `None` where the listener does not give its socket away; then every frame is queued.
    socket: Option<Arc<TcpStream>>,
    /// What delimits the stream.
    coding: Coding,
    queue: Sender<Piece>,
    gone: Sender<End>,
    state: Mutex<State>,
}

struct State {
    /// Pieces in the queue, plus the one that the client's thread is writing. While it is not
    /// zero, only that thread writes. It starts at one, for the replay.
    queued: usize,
    /// Bytes of the frames in the queue.
    queued_bytes: usize,
    /// An ephemeral event was dropped since the client's thread last wrote the snapshot.
    missed: bool,
    /// False once the visit is over. Nothing is sent after that.
    open: bool,
    /// When bytes last went out, for the heartbeat.
    sent_at: Instant,
    /// Bytes sent straight.
    straight_bytes: u64,
}

impl Outlet {
    /// An outlet on which the client's thread still has the replay to write, the queue that it reads, and the
    /// channel that says when the visit is over.
    pub fn new(socket: Option<Arc<TcpStream>>, coding: Coding) -> (Outlet, Receiver<Piece>, Receiver<End>) {
        // The counts in the state bound it. A bounded channel would allocate all its room at once, for each of
        // thousands of browsers that are hardly ever behind.
        let (queue, pieces) = unbounded();
        // One message is enough: a visit ends once.
        let (gone, ends) = bounded(1);
        let state = State {
            queued: 1,
            queued_bytes: 0,
            missed: true,
            open: true,
            sent_at: Instant::now(),
            straight_bytes: 0,
        };
        (Outlet { socket, coding, queue, gone, state: Mutex::new(state) }, pieces, ends)
    }

    /// Passes a batch on: straight if the browser is not behind, else through the queue. Never
    /// blocks.
    pub fn send(&self, batch: &Batch, now: Instant) -> Sent {
        // Whoever may write to a socket is decided under the outlet's lock, and nobody blocks while holding it.
        let mut state = self.state.lock();
        if !state.open {
            return Sent::Closed;
        }
        let all = batch.all.range(self.coding);
        let sent = match &self.socket {
            Some(socket) if state.queued == 0 => match send_now(socket, &batch.all.frame()[all.clone()]) {
                Ok(sent) => sent,
                Err(_) => return self.close(&mut state, End::HungUp),
            },
            _ => 0,
        };
        if sent > 0 {
            state.sent_at = now;
            state.straight_bytes += sent as u64;
        }
        if sent == all.len() {
            return Sent::Straight;
        }
        // A frame whose beginning was sent has to be finished, and the first one that does not fit makes
        // the client's thread wait for room, with its deadline. An ephemeral event is dropped only for a
        // browser that is behind already.
        let (chunk, taken) = match &batch.kept {
            _ if sent > 0 || state.queued == 0 => (&batch.all, Sent::Queued),
            Some(kept) if kept.data_bytes() == batch.all.data_bytes() => (kept, Sent::Queued),
            Some(kept) => {
                state.missed = true;
                (kept, Sent::QueuedKept)
            }
            None => {
                state.missed = true;
                return Sent::Dropped;
            }
        };
        let Range { start, end } = chunk.range(self.coding);
        let range = start + sent..end;
        let bytes = range.len();
        let fits = state.queued_bytes == 0 || state.queued_bytes + bytes <= QUEUE_BYTES;
        if state.queued >= QUEUE_FRAMES || !fits || !queued::have_room() {
            // Full means gone, and gone is safe: the browser comes back with its last id.
            return self.close(&mut state, End::TooSlow);
        }
        let _queued = (chunk.queue(), Queued::entry());
        match self.queue.send(Piece { frame: chunk.frame().clone(), range, _queued }) {
            Ok(()) => {
                state.queued += 1;
                state.queued_bytes += bytes;
                taken
            }
            // The client's thread is gone.
            Err(_) => self.close(&mut state, End::HungUp),
        }
    }

    /// To be called by the client's thread when it has written a piece of so many bytes (0 for the replay and the
    /// snapshot, which are not queued). Says what to do next.
    pub fn written(&self, piece_bytes: usize) -> Next {
        let mut state = self.state.lock();
        state.sent_at = Instant::now();
        state.queued_bytes -= piece_bytes;
        if state.queued == 1 && state.missed {
            // The count stays at one, so the hub does not send straight while the thread writes the snapshot.
            state.missed = false;
            return Next::Missed;
        }
        state.queued -= 1;
        if state.queued == 0 { Next::Straight } else { Next::Behind }
    }

    /// The channel that ends the visit.
    pub fn gone(&self) -> Sender<End> {
        self.gone.clone()
    }

    /// When bytes last went out.
    pub fn sent_at(&self) -> Instant {
        self.state.lock().sent_at
    }

    /// Bytes that were sent straight, without the client's thread.
    pub fn straight_bytes(&self) -> u64 {
        self.state.lock().straight_bytes
    }

    /// Whether frames wait for the client's thread.
    pub fn is_behind(&self) -> bool {
        self.state.lock().queued > 0
    }

    /// Whether the browser has closed its end by now. Never blocks. False where the socket is not known.
    pub fn has_hung_up(&self) -> bool {
        self.socket.as_ref().is_some_and(|socket| has_hung_up(socket))
    }

    /// Ends the visit for the server's drain: the hub sends nothing more, and the client's thread finishes.
    pub fn drain(&self, retry_millis: u32) {
        let mut state = self.state.lock();
        state.open = false;
        // Full means that the client knows of another end already.
        let _ = self.gone.try_send(End::Drain { retry_millis });
    }

    /// Hangs up: nothing more is sent, and a write that blocks in the client's thread ends.
    fn close(&self, state: &mut State, end: End) -> Sent {
        state.open = false;
        // Full means that the client knows of another end already.
        let _ = self.gone.try_send(end);
        if let Some(socket) = &self.socket {
            // The socket may be closed already.
            let _ = socket.shutdown(Shutdown::Both);
        }
        Sent::Closed
    }
}
