//! The way to one browser: straight into its socket, or through a queue when it is behind.
//!
//! The hub and the client share an [`Outlet`]. Whoever may write to a socket is decided under the outlet's lock, and
//! nobody blocks while holding it:
//!
//! - The browser is not behind: whoever has a frame sends it straight, without blocking, under the lock.
//! - The socket did not take all of it: the rest goes into the queue. From then on only the client writes, without the
//!   lock, until nothing is queued any more.
//!
//! So a browser with room in its socket costs no thread switch, and the two ways never mix.

use super::chunk::{Chunk, Coding};
use super::queued::{self, Queued};
use super::wire::{has_hung_up, send_now};
use crate::access::Lose;
use crate::event::Frame;
use crate::os::sync::Mutex;
use crossbeam_channel::{Receiver, Sender, bounded};
use std::collections::VecDeque;
use std::net::TcpStream;
use std::ops::Range;
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

/// Frames waiting for one browser that reads too slowly or is still in its replay. When the queue is full, the hub
/// gives the browser up; it comes back with its `Last-Event-ID` and is replayed what it missed. Every queue, body, header,
/// history, thread and count has a named limit and a stated consequence.
pub const QUEUE_FRAMES: usize = 1024;
/// The same in bytes. One frame may be larger. What all queues hold together has a bound too.
pub const QUEUE_BYTES: usize = 1024 * 1024;

/// A comment for the times when there is nothing to say. No empty line ends it: some clients hand out a message at
/// each empty line, whatever stood before it.
const HEARTBEAT: &[u8] = b":\n";

/// Why a stream is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The browser closed the connection or half of it, or the connection broke.
    HungUp,
    /// Its queue was full or a write reached its deadline.
    TooSlow,
    /// Its right was lost: nothing that is queued is written any more, but why it ends.
    Unauthorized,
    /// The server drains: write what is queued, then the retry delay, and end cleanly.
    Drain {
        /// The browser's retry delay in milliseconds.
        retry_millis: u32,
    },
}

/// A batch, or the rest of one whose beginning the socket took.
#[derive(Debug)]
pub struct Piece {
    frame: Frame,
    range: Range<usize>,
    /// Where it comes from a queue, it counts among what all queues hold.
    _queued: Option<(Arc<OnceLock<Queued>>, Queued)>,
}

impl Piece {
    /// These bytes of a frame.
    pub fn new(frame: Frame, range: Range<usize>) -> Piece {
        Piece { frame, range, _queued: None }
    }

    /// The bytes that are still to be written.
    pub fn bytes(&self) -> &[u8] {
        &self.frame[self.range.clone()]
    }

    /// So many of them have been written.
    pub fn skip(&mut self, bytes: usize) {
        self.range.start += bytes;
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
    /// It is queued for the client.
    Queued,
    /// Only its kept events are queued for the client: the browser is behind, and the others are ephemeral.
    QueuedKept,
    /// It was dropped: the browser is behind, and all of its events are ephemeral.
    Dropped,
    /// The stream is over, perhaps just now because the queue was full.
    Closed,
}

/// What the client has to do next.
#[derive(Debug)]
pub enum Next {
    /// Write this piece.
    Write(Piece),
    /// All is written, but an ephemeral event was dropped meanwhile: write the snapshot, and then ask again.
    Missed,
    /// All is written; the hub sends straight.
    Straight,
    /// All is written and the stream is over. Only a drain leaves something to say.
    End(End),
}

/// Calls for whoever looks after a stream that has no thread. It must not block.
pub trait Wake: Send + Sync {
    /// The stream is over: whoever looks after it has to end it.
    fn wake(&self);
}

/// What a stream's own thread waits for.
pub struct Signals {
    /// Something is queued.
    pub queued: Receiver<()>,
    /// The stream is over.
    pub gone: Receiver<()>,
}

/// The way to one browser. Made by [`Outlet::new`], shared by the hub and the client.
pub struct Outlet {
    /// What delimits the stream.
    coding: Coding,
    /// Who looks after the stream while it has no thread; nobody where it always has one.
    caretaker: Option<Weak<dyn Wake>>,
    state: Mutex<State>,
}

struct State {
    /// `None` where the listener does not give its socket away; then every frame is queued. Also once the stream has
    /// ended.
    socket: Option<Arc<TcpStream>>,
    /// Only the client writes. It is so from the beginning, for the replay.
    is_behind: bool,
    /// What waits for the client. It is empty where the browser is not behind, and then it holds no memory.
    queue: VecDeque<Piece>,
    /// Bytes in the queue, and those of the piece that the client is writing.
    queued_bytes: usize,
    /// Those of the piece that the client is writing.
    writing_bytes: usize,
    /// The socket took the beginning of a batch, and the rest of it is the first in the queue.
    is_within_batch: bool,
    /// An ephemeral event was dropped since the client last wrote the snapshot.
    missed: bool,
    /// Set once the stream is over. Nothing is sent after that.
    end: Option<End>,
    /// When bytes last went out, for the heartbeat.
    sent_at: Instant,
    /// Bytes sent straight.
    straight_bytes: u64,
    /// The stream's own thread, while it has one that waits. In a box, since most streams have none.
    thread: Option<Box<Thread>>,
}

struct Thread {
    queued: Sender<()>,
    gone: Sender<()>,
}

impl Lose for Outlet {
    fn lose(&self) {
        self.end(End::Unauthorized);
    }
}

impl Outlet {
    /// An outlet on which the client still has the replay to write.
    pub fn new(socket: Option<Arc<TcpStream>>, coding: Coding, caretaker: Option<Weak<dyn Wake>>) -> Outlet {
        let state = State {
            socket,
            is_behind: true,
            queue: VecDeque::new(),
            queued_bytes: 0,
            writing_bytes: 0,
            is_within_batch: false,
            missed: true,
            end: None,
            sent_at: Instant::now(),
            straight_bytes: 0,
            thread: None,
        };
        Outlet { coding, caretaker, state: Mutex::new(state) }
    }

    /// Passes a batch on: straight if the browser is not behind, else through the queue. Never blocks.
    pub fn send(&self, batch: &Batch, now: Instant) -> Sent {
        // Whoever may write to a socket is decided under the outlet's lock, and nobody blocks while holding it.
        let mut state = self.state.lock();
        if state.end.is_some() {
            return Sent::Closed;
        }
        let all = batch.all.range(self.coding);
        let sent = match &state.socket {
            Some(socket) if !state.is_behind => match send_now(socket, &batch.all.frame()[all.clone()]) {
                Ok(sent) => sent,
                Err(_) => {
                    drop(state);
                    self.end(End::HungUp);
                    return Sent::Closed;
                }
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
        // the client wait for room, with its deadline. An ephemeral event is dropped only for a
        // browser that is behind already.
        let (chunk, taken) = match &batch.kept {
            _ if sent > 0 || !state.is_behind => (&batch.all, Sent::Queued),
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
        if state.queue.len() + 1 >= QUEUE_FRAMES || !fits || !queued::have_room() {
            // Full means gone, and gone is safe: the browser comes back with its last id.
            drop(state);
            self.end(End::TooSlow);
            return Sent::Closed;
        }
        state.is_behind = true;
        // Bytes are sent only while nothing is queued.
        state.is_within_batch |= sent > 0;
        let _queued = Some((chunk.queue(), Queued::entry()));
        state.queue.push_back(Piece { frame: chunk.frame().clone(), range, _queued });
        state.queued_bytes += bytes;
        if let Some(thread) = &state.thread {
            // Full means that the thread is about to look already.
            let _ = thread.queued.try_send(());
        }
        taken
    }

    /// To be called by the client when it has written all that it was given, if it was given something. Says what to do
    /// next.
    pub fn next(&self, has_written: bool) -> Next {
        let mut state = self.state.lock();
        if has_written {
            state.sent_at = Instant::now();
        }
        state.queued_bytes -= std::mem::take(&mut state.writing_bytes);
        if let Some(end @ (End::HungUp | End::TooSlow | End::Unauthorized)) = state.end {
            return Next::End(end);
        }
        if let Some(piece) = state.queue.pop_front() {
            state.writing_bytes = piece.bytes().len();
            state.is_within_batch = false;
            return Next::Write(piece);
        }
        if let Some(end) = state.end {
            // Whoever hears of room in the socket has to wake the client, which still has the end to write.
            state.is_behind = true;
            return Next::End(end);
        }
        if state.missed {
            // The browser stays behind, so the hub does not send straight while the client writes the snapshot.
            state.missed = false;
            return Next::Missed;
        }
        state.is_behind = false;
        state.queue = VecDeque::new();
        Next::Straight
    }

    /// From now on a thread waits for these signals. None if there is something to do already.
    pub fn attach(&self) -> Option<Signals> {
        let mut state = self.state.lock();
        if state.end.is_some() || !state.queue.is_empty() {
            return None;
        }
        // One message each is enough: whoever takes it looks at all there is.
        let ((queued, is_queued), (gone, is_gone)) = (bounded(1), bounded(1));
        state.thread = Some(Box::new(Thread { queued, gone }));
        Some(Signals { queued: is_queued, gone: is_gone })
    }

    /// No thread waits any more.
    pub fn detach(&self) {
        self.state.lock().thread = None;
    }

    /// Nothing was sent for a while: lets the other side, and all that is in between, see that the server is there. It is
    /// ephemeral, so a browser that is behind does without it; it has missed nothing by that.
    pub fn heartbeat(&self, pause: Duration) {
        let now = Instant::now();
        let is_due = {
            let state = self.state.lock();
            !state.is_behind && now.duration_since(state.sent_at) >= pause
        };
        if is_due {
            self.send(&Batch { all: Chunk::new([HEARTBEAT].into_iter()), kept: None }, now);
        }
    }

    /// When bytes last went out.
    pub fn sent_at(&self) -> Instant {
        self.state.lock().sent_at
    }

    /// Bytes that were sent straight, without the client.
    pub fn straight_bytes(&self) -> u64 {
        self.state.lock().straight_bytes
    }

    /// Whether the browser was sent the beginning of a batch whose rest the client has not taken yet.
    pub fn is_within_batch(&self) -> bool {
        self.state.lock().is_within_batch
    }

    /// Whether frames wait for the client, or the replay is not over.
    pub fn is_behind(&self) -> bool {
        self.state.lock().is_behind
    }

    /// Whether a thread of the stream's own waits.
    pub fn has_thread(&self) -> bool {
        self.state.lock().thread.is_some()
    }

    /// Why the stream is over, if it is.
    pub fn ended(&self) -> Option<End> {
        self.state.lock().end
    }

    /// Whether the browser has closed its end by now. Never blocks. False where the socket is not known.
    pub fn has_hung_up(&self) -> bool {
        self.state.lock().socket.as_ref().is_some_and(|socket| has_hung_up(socket))
    }

    /// Ends the stream, unless it is over already: the hub sends nothing more, and the client finishes. What is queued, and
    /// the socket, are the client's to let go: that takes long where there is much.
    pub fn end(&self, end: End) {
        let mut state = self.state.lock();
        match state.end {
            // A browser that is gone need not be told of a drain, and one without a right may not get what is queued.
            Some(End::Drain { .. }) if matches!(end, End::HungUp | End::Unauthorized) => {}
            Some(_) => return,
            None => {}
        }
        state.end = Some(end);
        if let Some(thread) = &state.thread {
            // Full means that the thread is about to look already.
            let _ = thread.gone.try_send(());
            return;
        }
        // Whoever looks after the stream has a lock of its own.
        drop(state);
        if let Some(caretaker) = self.caretaker.as_ref().and_then(Weak::upgrade) {
            caretaker.wake();
        }
    }

    /// Lets go of the queue and the socket, on the caller's thread: the hub may hold the outlet for a while yet. Says whether
    /// something was queued.
    pub fn release(&self) -> bool {
        let mut state = self.state.lock();
        state.end = state.end.or(Some(End::HungUp));
        let (queue, socket) = (std::mem::take(&mut state.queue), state.socket.take());
        state.queued_bytes = 0;
        drop(state);
        drop(socket);
        !queue.is_empty()
    }
}
