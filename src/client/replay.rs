//! The replay of a stream: parts of the history, each written when the socket has room for it.
//!
//! A browser that reads slowly, or not at all, holds little while it is waited for. A part is read when the kernel has
//! sent on what it was given before, is written as far as the socket takes it, and let go. What the socket did not
//! take is read again. So what many replays hold together does not grow with their number or with what they ask for:
//! in the process [`Turns`] parts, in the kernel [`UNSENT_BYTES`] and one part for each. In a crowd a browser is given
//! more only when it has read most of what it has ([`Window`]), so that thousands do not have their buffers filled.

use super::{Client, reset};
use crate::error::Error;
use crate::event::{Frame, Id};
use crate::history::{History, PART_BYTES, Part};
use crate::hub::chunk::Chunk;
use crate::hub::wire::{Wire, send_now};
use crate::os::deadline::Deadline;
use crate::os::kernel::{unacknowledged, wait_for_break, wait_for_room, window};
use crate::os::usage::memory_max;
use crate::topic::Topic;
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
const WINDOW_PAUSES: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(256));

/// After this time the browser is asked by a probe, for not each says at once that its window has grown.
const WINDOW_PROBE: Duration = Duration::from_secs(1);

/// How often, within the deadline, a replay that waits for room looks whether anything moves.
const ROOM_LOOKS: u32 = 8;

/// The pause after a socket took nothing although it has room: the kernel has no memory for it now.
const NO_MEMORY_PAUSE: Duration = Duration::from_millis(10);

impl Client {
    /// Writes the next part of what came after `after`, up to `through`, and says up to where the browser now has
    /// everything. The inner error is the history's: nothing was written.
    pub(super) fn replay(
        &mut self,
        history: &dyn History,
        topics: &[Topic],
        after: Id,
        through: Id,
    ) -> io::Result<Result<Id, Error>> {
        let crowd = Crowd::enter();
        let mut begun: Option<Begun> = None;
        let mut moved_at = Instant::now();
        loop {
            let (turn, room) = self.wait_for_turn(&crowd, moved_at)?;
            let part = match (history.read(after, through, topics), &begun) {
                (Ok(part), _) => part,
                (Err(error), None) => return Ok(Err(error)),
                (Err(_), Some(_)) => return Err(ErrorKind::BrokenPipe.into()),
            };
            let end = part.through;
            let Some(chunk) = chunk(part, after) else { return Ok(Ok(end)) };
            let sent = match begun {
                Some(Begun { sent, data_bytes, end: wanted }) => {
                    // Something of the part was let go or retracted since its beginning was sent. The browser drops
                    // what is not whole, comes back, and is told.
                    if (data_bytes, wanted) != (chunk.data_bytes(), end) {
                        return Err(ErrorKind::BrokenPipe.into());
                    }
                    sent
                }
                None => 0,
            };
            let bytes = &chunk.frame()[chunk.range(self.coding)][sent..];
            let Wire::Socket(socket) = &self.wire else {
                // This listener does not give its socket away, so the part waits with it.
                drop(turn);
                self.write_encoded(bytes)?;
                return Ok(Ok(end));
            };
            let taken = send_now(socket, &bytes[..bytes.len().min(room)])?;
            self.bytes += taken as u64;
            if taken == bytes.len() {
                return Ok(Ok(end));
            }
            begun = Some(Begun { sent: sent + taken, data_bytes: chunk.data_bytes(), end });
            drop((turn, chunk));
            if taken > 0 {
                moved_at = Instant::now();
            } else {
                std::thread::sleep(NO_MEMORY_PAUSE);
            }
        }
    }

    /// Waits until the socket has room, and in a crowd the browser too, then for a turn. Fails with `TimedOut` when
    /// nothing moves for as long as a write may take, or when the kernel has taken nothing since `moved_at` although
    /// there was room. Says how many bytes may be written.
    fn wait_for_turn(&mut self, crowd: &Crowd, moved_at: Instant) -> io::Result<(Turn, usize)> {
        let Wire::Socket(socket) = &self.wire else { return Ok((TURNS.take(), usize::MAX)) };
        if moved_at.elapsed() >= self.pace.write_deadline {
            return Err(ErrorKind::TimedOut.into());
        }
        let mut deadline = Deadline::new(self.pace.write_deadline);
        let mut held = unacknowledged(socket) + self.window.unread_bytes();
        let mut pause = WINDOW_PAUSES.0;
        loop {
            let look = self.pace.write_deadline / ROOM_LOOKS;
            if wait_for_room(socket, UNSENT_BYTES, look)? {
                let room = if crowd.is_large() { self.window.room(socket) } else { usize::MAX };
                let is_probed = pause > WINDOW_PAUSES.0;
                if room >= CROWD_WRITE_BYTES {
                    if is_probed {
                        probe(socket, false);
                    }
                    return Ok((TURNS.take(), room));
                }
                if !is_probed {
                    probe(socket, true);
                }
                if wait_for_break(socket, pause.min(look))? {
                    return Err(ErrorKind::BrokenPipe.into());
                }
                pause = (pause * 2).min(WINDOW_PAUSES.1);
            }
            // What counts is what the other side has acknowledged or read: a slow reader that goes on is waited for.
            let now = unacknowledged(socket) + self.window.unread_bytes();
            deadline.note(held.saturating_sub(now));
            held = now;
            if deadline.has_passed() {
                return Err(ErrorKind::TimedOut.into());
            }
        }
    }
}

/// What a browser has room for, by its own account.
#[derive(Debug, Default)]
pub(super) struct Window {
    bytes: usize,
    /// The most that it ever had.
    most_bytes: usize,
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
    end: Id,
}

/// A part as it is written; none where there is nothing to write.
fn chunk(part: Part, after: Id) -> Option<Chunk> {
    let gap = part.gap.map(|edge| reset(&after.to_string(), &edge.to_string()));
    let frames: Vec<Frame> = gap.into_iter().chain(part.events.into_iter().map(|kept| kept.frame)).collect();
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
