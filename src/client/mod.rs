//! One browser's stream: head, replay, then what the hub sends.
//!
//! [`Client::advance`] does all that can be done without waiting for the browser and says what the stream waits for. So
//! a stream needs a thread only while there is something to do. Where threads are plentiful it keeps one and drives
//! `select! { its queue · silence (heartbeat) · gone (disconnect) }`, see [`Client::wait`].
//!
//! A client sees each kept event at most once, in id order, with no gap between replay and live. If there is a
//! gap, it is told by an `event: reset` before anything later is sent. This holds on every error path too. How:
//!
//! 1. It reads parts of the history up to [`Hub::last`], which is never ahead of where it will register.
//! 2. It registers. The hub answers with the last id that it passed on before; newer events are queued.
//! 3. It reads the short rest up to that id. What is queued begins right behind it.

mod blocks;
mod permits;
mod replay;
mod stream;

pub use blocks::come_back;
pub use permits::{Permit, Permits};
pub use stream::{Snapshot, Stream};

use crate::access::Watch;
use crate::error::Error;
use crate::history::{History, Resume, Start};
use crate::hub::chunk::{self, Coding, LAST_CHUNK, OVERHEAD_BYTES};
use crate::hub::outlet::{End, Next, Outlet, Piece, Signals, Wake};
use crate::hub::wire::{Look, Progress, Wire};
use crate::hub::{ClientId, Hub, Subscription};
use crate::os::memory;
use blocks::{reset, unauthorized, write_hello};
use crossbeam_channel::{at, select};
use replay::Replay;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// Pieces of its queue that one stream writes before others that wait have their turn.
const PIECES_IN_TURN: usize = 64;

/// The same where the history cannot be read: it may take a while.
const POSTPONED_MILLIS: std::ops::RangeInclusive<u32> = 5_000..=15_000;

/// How often a silent stream is written to, and how long one write may take: by default 15 and 30 seconds.
///
/// ```
/// let mut pace = callout::Pace::default();
/// pace.heartbeat = std::time::Duration::from_secs(5); // for a proxy that cuts what is silent for 10 s
/// ```
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Pace {
    /// After this time of silence a comment is sent. From 10 ms to an hour.
    pub heartbeat: Duration,
    /// A browser that takes nothing, or less than a kilobyte a second, for this time is hung up on. From 100 ms to a
    /// day.
    pub write_deadline: Duration,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace { heartbeat: Duration::from_secs(15), write_deadline: Duration::from_secs(30) }
    }
}

/// A stream that has ended.
#[derive(Debug, Clone, Copy)]
pub struct EndedStream {
    /// Bytes written to the browser.
    pub bytes: u64,
    /// Why it ended.
    pub end: End,
}

/// What a stream waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Nothing: the hub sends straight, and says when that changes.
    Quiet,
    /// Room in its socket, or this moment.
    Room(Instant),
    /// This moment.
    Pause(Instant),
    /// Its turn to read a part of the history, or to write more of what is queued.
    Turn,
    /// A snapshot, see [`Client::write_snapshot`].
    Snapshot,
    /// The stream is over.
    End(End),
}

/// One browser's stream. It may be moved from thread to thread.
pub struct Client {
    id: ClientId,
    wire: Wire,
    coding: Coding,
    pace: Pace,
    outlet: Arc<Outlet>,
    /// None once the stream is over.
    stream: Option<Stream>,
    phase: Phase,
    /// What has to be written before anything else. In boxes, since most streams are not behind.
    unwritten: Option<Box<Piece>>,
    /// Whether something was written since the outlet was asked last.
    has_written: bool,
    /// Whether the browser takes what it is sent, while its socket is full.
    progress: Option<Box<Progress>>,
    bytes: u64,
    subscription: Option<Subscription>,
}

enum Phase {
    /// Nothing is written yet. The encoded HTTP head, which announces the coding.
    Opening(Vec<u8>),
    Replay(Box<Replay>),
    Live,
    /// The last bytes are being written.
    Ending(End),
}

impl Client {
    /// A client that writes `head` and then the stream to this wire, in this coding. The caretaker is woken when the
    /// stream is over while no thread waits for that.
    pub fn new(
        wire: Wire,
        coding: Coding,
        pace: Pace,
        head: Vec<u8>,
        stream: Stream,
        caretaker: Option<Weak<dyn Wake>>,
    ) -> Client {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let socket = match &wire {
            Wire::Socket(socket) => Some(socket.clone()),
            Wire::Writer(_) => None,
        };
        let outlet = Arc::new(Outlet::new(socket, coding, caretaker));
        if let Some(watch) = &stream.watch {
            let outlet: Weak<Outlet> = Arc::downgrade(&outlet);
            watch.bind(outlet);
        }
        Client {
            id: ClientId(NEXT.fetch_add(1, Relaxed)),
            wire,
            coding,
            pace,
            outlet,
            stream: Some(stream),
            phase: Phase::Opening(head),
            unwritten: None,
            has_written: false,
            progress: None,
            bytes: 0,
            subscription: None,
        }
    }

    /// The way to the browser, which says when the stream is over.
    pub fn outlet(&self) -> &Arc<Outlet> {
        &self.outlet
    }

    /// Does what can be done without waiting for the browser, and says what the stream waits for. Parts of the history are
    /// read only where it has its turn. May wait for the history, the hub and the snapshot.
    pub fn advance(&mut self, hub: &Hub, history: &dyn History, has_turn: bool) -> Step {
        self.try_advance(hub, history, has_turn).unwrap_or_else(|error| {
            // A closed socket is not an error: it is how a stream ends. Who closed it says why.
            let timed_out = error.kind() == io::ErrorKind::TimedOut;
            let end = if timed_out { End::TooSlow } else { End::HungUp };
            let ended = self.outlet.ended();
            // A drain that could not be told is none.
            Step::End(ended.filter(|end| !matches!(end, End::Drain { .. })).unwrap_or(end))
        })
    }

    fn try_advance(&mut self, hub: &Hub, history: &dyn History, has_turn: bool) -> io::Result<Step> {
        let mut pieces = 0;
        loop {
            let ended = self.outlet.ended();
            if let Some(end @ (End::HungUp | End::TooSlow)) = ended {
                return Ok(Step::End(end));
            }
            if let Some(step) = self.write_rest()? {
                // What has lost its right does not wait for room, though then nobody is told why.
                return Ok(if ended == Some(End::Unauthorized) {
                    Step::End(End::Unauthorized)
                } else {
                    step
                });
            }
            if ended == Some(End::Unauthorized) && !matches!(self.phase, Phase::Ending(_)) {
                // The rest of an event may not be written, and nothing else may stand in its place.
                if self.is_within_event() {
                    return Ok(Step::End(End::Unauthorized));
                }
                self.revoke();
                continue;
            }
            match &mut self.phase {
                Phase::Opening(head) => {
                    let head = std::mem::take(head);
                    self.open(head, history);
                }
                Phase::Replay(replay) => {
                    if !replay.needs_turn(hub) {
                        self.finish_replay(hub);
                    } else if !has_turn {
                        return Ok(Step::Turn);
                    } else if let Some(step) = self.replay(hub, history)? {
                        return Ok(step);
                    }
                }
                Phase::Live => match self.outlet.next(std::mem::take(&mut self.has_written)) {
                    Next::Write(piece) => {
                        self.unwritten = Some(Box::new(piece));
                        pieces += 1;
                        if pieces > PIECES_IN_TURN {
                            return Ok(Step::Turn);
                        }
                    }
                    Next::Missed => return Ok(Step::Snapshot),
                    Next::Straight => return Ok(Step::Quiet),
                    Next::End(End::Drain { retry_millis }) => self.end(Vec::new(), retry_millis),
                    // It was lost just now, and is told why.
                    Next::End(End::Unauthorized) => {}
                    Next::End(end) => return Ok(Step::End(end)),
                },
                Phase::Ending(end) => return Ok(Step::End(*end)),
            }
        }
    }

    /// The stream on a thread of its own: waits until there is something to do. Sends heartbeats meanwhile. To be called
    /// after [`Step::Quiet`].
    pub fn wait(&self) {
        let Some(Signals { queued, gone }) = self.outlet.attach() else { return };
        loop {
            let silence = at(self.outlet.sent_at() + self.pace.heartbeat);
            select! {
                recv(queued) -> _ => break,
                recv(silence) -> _ => self.outlet.heartbeat(self.pace.heartbeat),
                recv(gone) -> _ => break,
            }
        }
        self.outlet.detach();
    }

    /// The whole stream on a thread of its own, for a wire that takes everything. Blocks for as long as the browser stays.
    pub fn run(mut self, hub: &Hub, history: &dyn History) -> EndedStream {
        loop {
            match self.advance(hub, history, true) {
                Step::Quiet => self.wait(),
                Step::Turn => {}
                Step::Snapshot => self.write_snapshot(),
                Step::Room(_) | Step::Pause(_) => unreachable!("a writer takes everything"),
                Step::End(end) => return self.finish(end, hub),
            }
        }
    }

    /// Ends the stream after [`Step::End`]: lets go of what it holds, on the caller's thread.
    pub fn finish(mut self, end: End, hub: &Hub) -> EndedStream {
        match end {
            End::Drain { .. } | End::Unauthorized => self.wire.finish(),
            End::TooSlow => {
                hub.counters().too_slow.fetch_add(1, Relaxed);
                self.wire.abort();
            }
            End::HungUp => {}
        }
        let bytes = self.bytes + self.outlet.straight_bytes();
        // A stream leaves in one way (`Drop` of its subscription), whatever ended it.
        drop(self.subscription.take());
        drop(self.stream.take());
        if self.outlet.release() || end == End::TooSlow {
            memory::give_back_soon();
        }
        EndedStream { bytes, end }
    }

    fn stream(&self) -> &Stream {
        self.stream.as_ref().expect("it is taken only at the end")
    }

    /// The head, and what opens the stream.
    fn open(&mut self, mut bytes: Vec<u8>, history: &dyn History) {
        let stream = self.stream();
        let Resume { after, position, gap } = match history.resume(stream.start(), stream.selectors()) {
            Ok(resume) => resume,
            Err(error) => return self.postpone(bytes, &error),
        };
        chunk::append(&mut bytes, self.coding, |bytes| {
            write_hello(bytes, self.pace.heartbeat, stream, &position);
            if let (true, Start::After(asked)) = (gap, stream.start()) {
                bytes.extend_from_slice(&reset(asked, &position));
            }
        });
        self.write(bytes);
        self.phase = Phase::Replay(Box::new(Replay::new(after)));
        self.stream.as_mut().expect("it is taken only at the end").note_begun();
    }

    /// All that came before is written: registers with the hub, or begins with what the hub has sent since.
    fn finish_replay(&mut self, hub: &Hub) {
        let Phase::Replay(replay) = &mut self.phase else { return };
        if self.subscription.is_some() {
            self.phase = Phase::Live;
            self.stream.as_mut().expect("it is taken only at the end").replay = None;
            return;
        }
        let stream = self.stream.as_mut().expect("it is taken only at the end");
        // A client sees each kept event at most once, in id order, with no gap between replay and live.
        match hub.register(self.id, stream.selectors().clone(), stream.form, self.outlet.clone()) {
            Ok((subscription, selectors)) => {
                stream.share(selectors);
                replay.read_up_to(subscription.live_after);
                self.subscription = Some(subscription);
            }
            Err(error) => self.postpone(Vec::new(), &error),
        }
    }

    /// An ephemeral event was dropped, or none has come yet: what is true now. To be called after [`Step::Snapshot`]; may
    /// block.
    pub fn write_snapshot(&mut self) {
        if self.outlet.ended() == Some(End::Unauthorized) {
            return;
        }
        let stream = self.stream();
        let Some(frame) = stream.snapshot.as_ref().and_then(|snapshot| snapshot()) else { return };
        // Where there are several topics, nothing says which of them the snapshot belongs to.
        let topic = match &**stream.selectors() {
            [selector] => selector.topic(),
            _ => None,
        };
        let frame = topic.map_or_else(|| frame.clone(), |topic| stream.form.encode(&frame, topic));
        let mut bytes = Vec::with_capacity(frame.len() + OVERHEAD_BYTES);
        chunk::append(&mut bytes, self.coding, |bytes| bytes.extend_from_slice(&frame));
        self.write(bytes);
    }

    /// The history cannot be read now. An EventSource gives up for good on an error status, so the browser is
    /// told to come back instead. What is queued is left out: something before it was not read.
    fn postpone(&mut self, head: Vec<u8>, error: &Error) {
        // The history itself logs once what is wrong; thousands of browsers need not repeat it.
        log::debug!("a stream is told to come back: {error:?}");
        self.end(head, fastrand::u32(POSTPONED_MILLIS));
    }

    /// Whether the browser was sent the beginning of something of which the rest is not here.
    fn is_within_event(&self) -> bool {
        let is_in_replay = matches!(&self.phase, Phase::Replay(replay) if replay.is_within_part());
        is_in_replay || self.outlet.is_within_batch()
    }

    /// Says why the right was lost, and ends the body.
    fn revoke(&mut self) {
        let head = match &mut self.phase {
            Phase::Opening(head) => std::mem::take(head),
            _ => Vec::new(),
        };
        let lost = self.stream().watch.as_ref().and_then(Watch::lost).map(unauthorized);
        self.end_with(head, &lost.unwrap_or_default(), End::Unauthorized);
    }

    fn end(&mut self, bytes: Vec<u8>, retry_millis: u32) {
        self.end_with(bytes, come_back(retry_millis).as_bytes(), End::Drain { retry_millis });
    }

    /// Ends the body, so that the browser sees that nothing was cut off.
    fn end_with(&mut self, mut bytes: Vec<u8>, block: &[u8], end: End) {
        chunk::append(&mut bytes, self.coding, |bytes| bytes.extend_from_slice(block));
        if self.coding == Coding::Chunked {
            bytes.extend_from_slice(LAST_CHUNK);
        }
        self.write(bytes);
        self.phase = Phase::Ending(end);
    }

    /// To be written before anything else.
    fn write(&mut self, bytes: Vec<u8>) {
        let range = 0..bytes.len();
        self.unwritten = Some(Box::new(Piece::new(bytes.into(), range)));
    }

    /// Writes what is unwritten, as far as there is room. Says what to wait for if there is not enough; fails with
    /// `TimedOut` when the browser takes nothing, or hardly anything, for as long as a write may take.
    fn write_rest(&mut self) -> io::Result<Option<Step>> {
        while let Some(piece) = &mut self.unwritten {
            let written = self.wire.write(piece.bytes())?;
            piece.skip(written);
            self.bytes += written as u64;
            self.has_written |= written > 0;
            if piece.bytes().is_empty() {
                (self.unwritten, self.progress) = (None, None);
            } else if written == 0 {
                return self.wait_for_room().map(Some);
            }
        }
        Ok(None)
    }

    /// What to wait for when the socket took nothing.
    fn wait_for_room(&mut self) -> io::Result<Step> {
        let socket = self.wire.socket().expect("a writer takes everything");
        let unread = match &self.phase {
            Phase::Replay(replay) => replay.unread_bytes(),
            _ => 0,
        };
        let progress = self.progress.get_or_insert_with(|| Box::new(Progress::new(self.pace.write_deadline)));
        Ok(match progress.look(socket, self.bytes as isize - unread as isize)? {
            Look::Room(until) => Step::Room(until),
            Look::NoMemory(until) => Step::Pause(until),
        })
    }
}
