//! The thread of one stream: head, replay, then
//! `select! { its queue · silence (heartbeat) · gone (disconnect) }`.
//!
//! A client sees each kept event at most once, in id order, with no gap between replay and live. If there is a
//! gap, it is told by an `event: reset` before anything later is sent. This holds on every error path too. How:
//!
//! 1. It reads parts of the history up to [`Hub::last`], which is never ahead of where it will register.
//! 2. It registers. The hub answers with the last id that it passed on before; newer events are queued.
//! 3. It reads the short rest up to that id. What is queued begins right behind it.

mod permits;
mod replay;
mod stream;

pub use permits::{Permit, Permits};
pub use stream::{Snapshot, Stream};

use crate::error::Error;
use crate::event::{Event, Frame, Id};
use crate::history::{History, Start};
use crate::hub::chunk::{Chunk, Coding, LAST_CHUNK};
use crate::hub::outlet::{Batch, End, Next, Outlet, Piece};
use crate::hub::wire::Wire;
use crate::hub::{ClientId, Hub};
use crate::os::memory;
use crossbeam_channel::{Receiver, Sender, at, select};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// A comment for the times when there is nothing to say. No empty line ends it: some clients hand out a message at
/// each empty line, whatever stood before it.
const HEARTBEAT: &[u8] = b":\n";

/// What a new stream's browser is told to wait before it comes back: a delay of its own for each, so that
/// they do not all come back at once.
const RETRY_MILLIS: std::ops::RangeInclusive<u32> = 2_000..=5_000;

/// The same where the history cannot be read: it may take a while.
const POSTPONED_MILLIS: std::ops::RangeInclusive<u32> = 5_000..=15_000;

/// How often a silent stream is written to, and how long one write may take.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// After this time of silence a comment is sent.
    pub heartbeat: Duration,
    /// A browser that has not taken a frame within this time is hung up on.
    pub write_deadline: Duration,
}

/// A stream that has ended.
#[derive(Debug, Clone, Copy)]
pub struct Visit {
    /// Bytes written to the browser.
    pub bytes: u64,
    /// Why it ended.
    pub end: End,
}

/// One browser's stream, on the thread of its connection.
pub struct Client {
    id: ClientId,
    wire: Wire,
    coding: Coding,
    pace: Pace,
    outlet: Arc<Outlet>,
    queue: Receiver<Piece>,
    gone: Receiver<End>,
    window: replay::Window,
    bytes: u64,
}

impl Client {
    /// A client that writes to this wire, in this coding.
    pub fn new(wire: Wire, coding: Coding, pace: Pace) -> Client {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let socket = match &wire {
            Wire::Socket(socket) => Some(socket.clone()),
            Wire::Writer(_) => None,
        };
        let (outlet, queue, gone) = Outlet::new(socket, coding);
        let id = ClientId(NEXT.fetch_add(1, Relaxed));
        Client {
            id,
            wire,
            coding,
            pace,
            outlet: Arc::new(outlet),
            queue,
            gone,
            window: Default::default(),
            bytes: 0,
        }
    }

    /// The channel through which the client learns that its browser hung up.
    pub fn gone(&self) -> Sender<End> {
        self.outlet.gone()
    }

    /// Writes `head` (the encoded HTTP head, which announces the coding) and then the stream, until it ends. Blocks for
    /// as long as the browser stays.
    pub fn run(mut self, head: Vec<u8>, stream: Stream, hub: &Hub, history: &dyn History) -> Visit {
        let end = self.visit(head, &stream, hub, history).unwrap_or_else(|error| {
            // A closed socket is not an error: it is how a visit ends. Who closed it says why.
            let timed_out = error.kind() == io::ErrorKind::TimedOut;
            self.gone.try_recv().unwrap_or(if timed_out { End::TooSlow } else { End::HungUp })
        });
        if matches!(end, End::TooSlow) || !self.queue.is_empty() {
            memory::give_back_soon();
        }
        match end {
            End::Drain { .. } => self.wire.finish(),
            End::TooSlow => {
                hub.counters().too_slow.fetch_add(1, Relaxed);
                self.wire.abort();
            }
            End::HungUp => {}
        }
        Visit { bytes: self.bytes + self.outlet.straight_bytes(), end }
    }

    fn visit(&mut self, head: Vec<u8>, stream: &Stream, hub: &Hub, history: &dyn History) -> io::Result<End> {
        let topics = stream.topics();
        let resume = match history.resume(stream.start(), topics) {
            Ok(resume) => resume,
            Err(error) => return self.postpone(head, &error),
        };
        let mut opening = hello(self.pace.heartbeat, stream, &resume.position).into_bytes();
        if let (true, Start::After(asked)) = (resume.gap, stream.start()) {
            opening.extend_from_slice(&reset(asked, &resume.position));
        }
        self.write_encoded(&[head, self.encode(&opening)].concat())?;
        drop(opening);

        let mut position = resume.after;
        while position < hub.last() {
            match self.replay(history, topics, position, hub.last())? {
                Ok(through) => position = through,
                Err(error) => return self.postpone(Vec::new(), &error),
            }
        }
        let subscription = match hub.register(self.id, topics.clone(), self.outlet.clone()) {
            Ok(subscription) => subscription,
            Err(error) => return self.postpone(Vec::new(), &error),
        };
        while position < subscription.live_after {
            match self.replay(history, topics, position, subscription.live_after)? {
                Ok(through) => position = through,
                Err(error) => return self.postpone(Vec::new(), &error),
            }
        }
        self.report(stream, 0)?;
        self.follow(stream)
    }

    /// The live part. The hub sends straight; this thread only wakes for what the socket did not take,
    /// for silence, and for the end.
    fn follow(&mut self, stream: &Stream) -> io::Result<End> {
        loop {
            let silence = at(self.outlet.sent_at() + self.pace.heartbeat);
            select! {
                recv(self.queue) -> piece => {
                    let piece = piece.expect("the outlet, which holds the other end, is ours too");
                    self.write_encoded(piece.bytes())?;
                    self.report(stream, piece.bytes().len())?;
                }
                recv(silence) -> _ => self.heartbeat(),
                recv(self.gone) -> end => match end.expect("the outlet, which holds the other end, is ours too") {
                    End::Drain { retry_millis } => return self.drain(retry_millis),
                    end => return Ok(end),
                },
            }
        }
    }

    /// Reports to the outlet that a piece is written, and writes the snapshot if an ephemeral event was dropped.
    fn report(&mut self, stream: &Stream, mut piece_bytes: usize) -> io::Result<()> {
        while self.outlet.written(piece_bytes) == Next::Missed {
            piece_bytes = 0;
            let snapshot = stream.snapshot.as_ref().and_then(|snapshot| snapshot());
            if let Some(frame) = snapshot {
                self.write(&frame)?;
            }
        }
        Ok(())
    }

    /// Nothing was sent for a while: lets the other side, and all that is in between, see that the server is
    /// there. It is ephemeral, so a browser that is behind does without it.
    fn heartbeat(&self) {
        let now = Instant::now();
        if now.duration_since(self.outlet.sent_at()) >= self.pace.heartbeat {
            self.outlet.send(&Batch { all: Chunk::new([HEARTBEAT].into_iter()), kept: None }, now);
        }
    }

    /// Writes what is queued, then the retry delay. The outlet takes nothing more.
    fn drain(&mut self, retry_millis: u32) -> io::Result<End> {
        while let Ok(piece) = self.queue.try_recv() {
            self.write_encoded(piece.bytes())?;
        }
        self.end(Vec::new(), retry_millis)
    }

    /// The history cannot be read now. An EventSource gives up for good on an error status, so the browser is
    /// told to come back instead. What is queued is left out: something before it was not read.
    fn postpone(&mut self, head: Vec<u8>, error: &Error) -> io::Result<End> {
        // The history itself logs once what is wrong; thousands of browsers need not repeat it.
        log::debug!("a stream is told to come back: {error:?}");
        self.end(head, fastrand::u32(POSTPONED_MILLIS))
    }

    /// Ends the body, so that the browser sees that nothing was cut off.
    fn end(&mut self, head: Vec<u8>, retry_millis: u32) -> io::Result<End> {
        let mut bytes = [head, self.encode(come_back(retry_millis).as_bytes())].concat();
        if self.coding == Coding::Chunked {
            bytes.extend_from_slice(LAST_CHUNK);
        }
        self.write_encoded(&bytes)?;
        Ok(End::Drain { retry_millis })
    }

    /// Data as it goes over the wire.
    fn encode(&self, data: &[u8]) -> Vec<u8> {
        let chunk = Chunk::new([data].into_iter());
        chunk.frame()[chunk.range(self.coding)].to_vec()
    }

    fn write(&mut self, data: &[u8]) -> io::Result<()> {
        self.write_encoded(&self.encode(data))
    }

    fn write_encoded(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.wire.write(bytes, self.pace.write_deadline)?;
        self.bytes += bytes.len() as u64;
        Ok(())
    }
}

/// What opens every stream. The comment fires `onopen`, pushes through buffers, keeps data that begins with
/// U+FEFF from being taken for a byte order mark, and says how many seconds of silence are usual, so that
/// a page can tell when a stream is dead, whether a snapshot will follow the replay, and where to say goodbye.
///
/// What is no message bears a name and no data. An EventSource takes the position from it and dispatches nothing; a
/// client that hands it to its program hands out an event `open`, which cannot be taken for a message.
fn hello(heartbeat: Duration, stream: &Stream, position: &str) -> String {
    let (heartbeat_secs, retry_millis) = (heartbeat.as_secs_f64(), fastrand::u32(RETRY_MILLIS));
    let snapshot = if stream.snapshot.is_some() { " snapshot" } else { "" };
    let goodbye = stream.goodbye.as_ref().map(|path| format!(" goodbye={path}")).unwrap_or_default();
    format!(
        ":ok heartbeat={heartbeat_secs}{snapshot}{goodbye}\nevent: open\nretry: {retry_millis}\nid: {position}\n\n"
    )
}

/// The last block of a stream whose browser is to come back after this delay. It bears a name and no
/// data, so no program takes it for a message.
pub fn come_back(retry_millis: u32) -> String {
    format!("event: drain\nretry: {retry_millis}\n\n")
}

/// The event that says: there is a gap. Its data names what was asked for and where the stream goes on.
fn reset(asked: &str, position: &str) -> Frame {
    let data = serde_json::json!({ "requested": asked, "continues_after": position }).to_string();
    Event::reset(data).encode(Id::parse(position))
}
