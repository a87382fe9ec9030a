//! The replay of a stream: parts of the history, each written when the socket has room for it.
//!
//! A browser that reads slowly, or not at all, holds little while it is waited for. A part is read when the kernel has
//! sent on what it was given before, is written as far as the socket takes it, and let go. What the socket did not
//! take is read again. So what many replays hold together does not grow with their number or with what they ask for:
//! in the process [`Turns`] parts, in the kernel [`UNSENT_BYTES`] and one part for each. In a crowd a browser is given
//! more only when it has read most of what it has ([`Window`]), so that thousands do not have their buffers filled.

use super::blocks::reset;
use super::{Client, Phase, Step};
use crate::event::{Form, Frame, Id};
use crate::history::{History, PART_BYTES, Part};
use crate::hub::Hub;
use crate::hub::chunk::Chunk;
use crate::hub::wire::Wire;
use crate::os::kernel::{has_room, limit_unsent, unacknowledged, window};
use crate::os::usage::memory_max;
use parking_lot::{Condvar, Mutex};
use socket2::{SockRef, TcpKeepalive};
use std::io::{self, ErrorKind};
use std::net::TcpStream;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// A replay waits while the kernel holds more than this of a stream that was not sent yet.
const UNSENT_BYTES: u32 = 16 * 1024;

/// The most parts that are in memory at one moment, over all replays of the process. The others wait; a part is there
/// only while it is read and given to the kernel, which waits for no browser. One part may hold one event of any size
/// that the server takes.
const TURNS_MAX: usize = 16;

/// All parts together take at most this share of the memory that the process may have; one is always allowed.
const MEMORY_SHARE: u64 = 64;

/// What a part takes while it is read and encoded, in bytes.
const TURN_BYTES: u64 = 4 * PART_BYTES as u64;

/// From so many replays at once on, each waits for its browser to read ([`Window`]).
const CROWD: usize = 256;

/// In a crowd a replay goes on while it can write so much and the browser then still has room for half of the most that
/// it ever had. TCP obliges it to say so when it has read half of its buffer (RFC 9293, section 3.8.6.2.2).
const CROWD_WRITE_BYTES: usize = 4 * 1024;

/// The pauses between two looks at a window. Nothing announces that it has grown.
const WINDOW_PAUSES: (Duration, Duration) = (Duration::from_millis(4), Duration::from_millis(256));

/// After this time the browser is asked by a probe, for not each says at once that its window has grown.
const WINDOW_PROBE: Duration = Duration::from_secs(1);

/// Parts that one stream writes before others that wait have their turn.
const PARTS_IN_TURN: usize = 4;

/// How far a replay has come.
pub(super) struct Replay {
    /// The browser has everything up to here.
    position: Id,
    /// Up to where to read; up to what the hub has passed on while the stream is not registered.
    through: Option<Id>,
    begun: Option<Begun>,
    window: Window,
    crowd: Crowd,
}

impl Replay {
    /// A replay of what came after this id.
    pub(super) fn new(position: Id) -> Replay {
        Replay { position, through: None, begun: None, window: Window::default(), crowd: Crowd::enter() }
    }

    /// The stream is registered: what came after this id is queued.
    pub(super) fn read_up_to(&mut self, through: Id) {
        self.through = Some(through);
    }

    /// How many bytes may be written, or how long to wait for the browser to read.
    fn room(&mut self, socket: &TcpStream) -> Result<usize, Duration> {
        let room = if self.crowd.is_large() { self.window.room(socket) } else { usize::MAX };
        if room >= CROWD_WRITE_BYTES {
            if self.window.pause.take().is_some() {
                probe(socket, false);
            }
            return Ok(room);
        }
        let pause = self.window.pause.map_or(WINDOW_PAUSES.0, |pause| (pause * 2).min(WINDOW_PAUSES.1));
        if self.window.pause.replace(pause).is_none() {
            probe(socket, true);
        }
        Err(pause)
    }

    /// Whether the browser was sent the beginning of a part, and not the rest.
    pub(super) fn is_within_part(&self) -> bool {
        self.begun.is_some()
    }

    /// What the browser has been sent and has not read.
    pub(super) fn unread_bytes(&self) -> usize {
        self.window.unread_bytes()
    }

    /// Whether something is left to read.
    pub(super) fn needs_turn(&self, hub: &Hub) -> bool {
        self.position < self.through.unwrap_or_else(|| hub.last())
    }
}

impl Client {
    /// Writes parts of what came before the stream is live, until its turn is over, or until it has to wait, and says for
    /// what.
    pub(super) fn replay(&mut self, hub: &Hub, history: &dyn History) -> io::Result<Option<Step>> {
        for _ in 0..PARTS_IN_TURN {
            let Phase::Replay(replay) = &mut self.phase else { return Ok(None) };
            if !replay.needs_turn(hub) {
                return Ok(None);
            }
            let mut room = usize::MAX;
            if let Some(socket) = self.wire.socket() {
                if !has_room(socket, UNSENT_BYTES)? {
                    return self.wait_for_room().map(Some);
                }
                match replay.room(socket) {
                    Ok(bytes) => room = bytes,
                    Err(pause) => {
                        // Fails when the browser reads nothing for too long.
                        self.wait_for_room()?;
                        return Ok(Some(Step::Pause(Instant::now() + pause)));
                    }
                }
            }
            if let Some(step) = self.write_part(room, hub, history)? {
                return Ok(Some(step));
            }
        }
        Ok(Some(Step::Turn))
    }

    /// Writes a part, or the rest of one, as far as there is room.
    fn write_part(&mut self, room: usize, hub: &Hub, history: &dyn History) -> io::Result<Option<Step>> {
        let turn = TURNS.take();
        let stream = self.stream.as_ref().expect("it is taken only at the end");
        let Phase::Replay(replay) = &mut self.phase else { return Ok(None) };
        // A part that was begun is read again as it was: up to where it went.
        let begun_end = replay.begun.as_ref().map(|begun| begun.end);
        let through = begun_end.or(replay.through).unwrap_or_else(|| hub.last());
        let part = match (history.read(replay.position, through, stream.selectors()), &replay.begun) {
            (Ok(part), _) => part,
            (Err(error), None) => {
                self.postpone(Vec::new(), &error);
                return Ok(None);
            }
            (Err(_), Some(_)) => return Err(ErrorKind::BrokenPipe.into()),
        };
        let end = part.through;
        let Some(chunk) = chunk(part, replay.position, stream.form) else {
            replay.position = end;
            return Ok(None);
        };
        let sent = match &replay.begun {
            // Something of the part was let go or retracted since its beginning was sent. The browser drops
            // what is not whole, comes back, and is told.
            Some(begun) if (begun.data_bytes, begun.end) != (chunk.data_bytes(), end) => {
                return Err(ErrorKind::BrokenPipe.into());
            }
            Some(begun) => begun.sent,
            None => 0,
        };
        let bytes = &chunk.frame()[chunk.range(self.coding)][sent..];
        // A listener that does not give its socket away lets the part wait with it.
        let turn = Some(turn).filter(|_| matches!(self.wire, Wire::Socket(_)));
        let taken = self.wire.write(&bytes[..bytes.len().min(room)])?;
        self.bytes += taken as u64;
        if taken > 0 {
            (self.has_written, self.progress) = (true, None);
        }
        if taken == bytes.len() {
            (replay.position, replay.begun) = (end, None);
            return Ok(None);
        }
        replay.begun = Some(Begun { sent: sent + taken, data_bytes: chunk.data_bytes(), end });
        drop((turn, chunk));
        if room < usize::MAX && taken > 0 {
            // The next look is at the window.
            return Ok(None);
        }
        if let Some(socket) = self.wire.socket() {
            // The next look is for room for more than a little.
            limit_unsent(socket, UNSENT_BYTES);
        }
        // The next look tells a socket that is full from a kernel without memory.
        self.wait_for_room().map(Some)
    }
}

/// What a browser has room for, by its own account.
#[derive(Debug, Default)]
struct Window {
    bytes: usize,
    /// The most that it ever had.
    most_bytes: usize,
    /// How long to wait before the next look, while it is too small.
    pause: Option<Duration>,
}

impl Window {
    /// How many bytes may be written so that half of its buffer stays free. No bound for the first part, where the
    /// kernel does not say, and where the browser's whole buffer is no larger than a part.
    fn room(&mut self, socket: &TcpStream) -> usize {
        let is_first = self.most_bytes == 0;
        self.bytes = window(socket).unwrap_or(0);
        self.most_bytes = self.most_bytes.max(self.bytes);
        if is_first || self.most_bytes <= PART_BYTES {
            return usize::MAX;
        }
        self.bytes.saturating_sub(unacknowledged(socket)).saturating_sub(self.most_bytes / 2)
    }

    fn unread_bytes(&self) -> usize {
        self.most_bytes - self.bytes
    }
}

/// Has the kernel ask the browser again and again while nothing is on its way (TCP's keep-alive). Each answer names the
/// window. Best effort.
fn probe(socket: &TcpStream, on: bool) {
    let socket = SockRef::from(socket);
    if on {
        let _ = socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(WINDOW_PROBE));
    }
    let _ = socket.set_keepalive(on);
}

/// Held by each replay that is under way.
struct Crowd;

static REPLAYS: AtomicUsize = AtomicUsize::new(0);

impl Crowd {
    fn enter() -> Crowd {
        REPLAYS.fetch_add(1, Relaxed);
        Crowd
    }

    fn is_large(&self) -> bool {
        REPLAYS.load(Relaxed) > CROWD
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        REPLAYS.fetch_sub(1, Relaxed);
    }
}

/// A part of which the socket took the beginning.
struct Begun {
    sent: usize,
    data_bytes: usize,
    /// Up to where it went.
    end: Id,
}

/// A part as it is written; none where there is nothing to write.
fn chunk(part: Part, after: Id, form: Form) -> Option<Chunk> {
    let gap = part.gap.map(|edge| reset(&after.to_string(), &edge.to_string()));
    let events = part.events.iter().map(|kept| form.encode(&kept.frame, &kept.topic));
    let frames: Vec<Frame> = gap.into_iter().chain(events).collect();
    (!frames.is_empty()).then(|| Chunk::new(frames.iter().map(|frame| &**frame)))
}

/// Who may have a part in memory.
static TURNS: Turns = Turns { taken: Mutex::new(0), given_back: Condvar::new(), max: OnceLock::new() };

struct Turns {
    taken: Mutex<usize>,
    given_back: Condvar,
    max: OnceLock<usize>,
}

/// Given back when it is dropped.
struct Turn;

impl Turns {
    fn take(&self) -> Turn {
        let max = *self.max.get_or_init(|| {
            let turns = memory_max() / MEMORY_SHARE / TURN_BYTES;
            usize::try_from(turns).unwrap_or(TURNS_MAX).clamp(1, TURNS_MAX)
        });
        let mut taken = self.taken.lock();
        self.given_back.wait_while(&mut taken, |taken| *taken >= max);
        *taken += 1;
        Turn
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *TURNS.taken.lock() -= 1;
        TURNS.given_back.notify_one();
    }
}
