//! One connection: requests in, answers out, until one of them is a stream.
//!
//! A connection runs on a thread of the pool for as long as it has something to do. Then it [rests](super::open), and the
//! thread goes home: only a complete request takes a thread. While threads are plentiful it keeps its thread and waits on
//! it, which is quicker: for the next bytes, and, as a stream, for events.

mod answering;
mod incoming;
mod shared;
mod streaming;

pub(super) use shared::Shared;

use super::open::SlotGuard;
use super::quota::Share;
use super::readiness::Interests;
use super::source::Source;
use crate::access::Held;
use crate::client::Permit;
use crate::http::{Answer, Answered, Request, answer};
use crate::hub::outlet::End;
use crate::os::deadline::Deadline;
use crate::os::pool::{Lane, Work};
use answering::Outgoing;
use http::{Method, StatusCode};
use incoming::{Incoming, Unread};
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Once};
use std::time::Instant;
use streaming::Streaming;

/// A connection keeps its thread while it waits for bytes as long as at most half of the threads are at work, and a stream
/// while it waits for events up to a quarter. So however many streams there are, a quarter is left for publishers that
/// send one request after the other; those are served more quickly by a thread that waits for them.
const CONNECTIONS_SHARE: usize = 2;
const STREAMS_SHARE: usize = 4;

/// A connection with all that belongs to it. Nothing in it is borrowed, so it may be moved to another thread.
pub(super) struct Connection {
    socket: Arc<TcpStream>,
    peer: SocketAddr,
    source: Source,
    state: State,
    /// What the kernel was asked to tell of this socket.
    asked: Option<Interests>,
    /// Whether nothing was read yet, so that a proxy may still announce for whom it speaks.
    is_new: bool,
    /// The client whose connection this is, as a trusted proxy has announced.
    announced: Option<IpAddr>,
    /// One of the connections that its address may have.
    _counted: Option<Held>,
    /// Held while a long head is read and answered.
    long_head: Option<Permit>,
    /// Held while the peer is waited for in the middle of a request.
    share: Option<Share>,
    shared: Arc<Shared>,
    /// Dropped after all else, so that a slot is free only when its descriptor is.
    slot: SlotGuard<Connection>,
}

/// What the connection is at.
enum State {
    /// The head of a request. Until its first byte comes, the connection may be silent until `idle_until`; the deadline of
    /// the connection's first head begins at once.
    Head {
        deadline: Option<Deadline>,
        idle_until: Instant,
    },
    /// The body of a request, which counts as busy from now on.
    Body(Box<Incoming>),
    /// An answer that the peer has not taken yet.
    Answer(Box<Outgoing>),
    /// Nothing is read or written any more, but what still comes is taken.
    Linger {
        until: Instant,
        bytes: usize,
    },
    Stream(Box<Streaming>),
}

/// What the log tells of a request when it is answered.
struct Told {
    client: IpAddr,
    method: Method,
    path: String,
    status: StatusCode,
    began: Instant,
}

/// What the connection waits for.
enum Wait {
    /// Bytes, until this moment.
    Bytes(Instant),
    /// Room in its socket, or this moment.
    Room(Instant),
    /// This moment.
    Moment(Instant),
    /// The hub, which sends straight.
    Hub,
    /// Its turn in this lane.
    Turn(Lane),
    /// Nothing: the connection has ended.
    End,
}

impl Connection {
    /// Takes a slot for this socket, whose peer it is counted for.
    pub(super) fn new(
        socket: Arc<TcpStream>,
        peer: SocketAddr,
        counted: Option<Held>,
        shared: Arc<Shared>,
    ) -> Connection {
        let slot = shared.connections.add(&socket, &shared.pool);
        let deadline = Some(Deadline::new(shared.limits.head_deadline));
        Connection {
            source: Source::new(socket.clone()),
            socket,
            peer,
            state: State::Head { deadline, idle_until: Instant::now() },
            asked: None,
            is_new: true,
            announced: None,
            _counted: counted,
            long_head: None,
            share: None,
            shared,
            slot,
        }
    }

    /// Serves a connection that was just accepted. Does not block.
    pub(super) fn begin(self) {
        let pool = self.shared.pool.clone();
        if pool.has_spare(CONNECTIONS_SHARE) {
            return pool.push(Lane::Fast, Box::new(self));
        }
        // Its first bytes may take a while.
        let until = Instant::now() + self.shared.limits.head_deadline;
        if let Some(connection) = Box::new(self).rest(Wait::Bytes(until)) {
            pool.push(Lane::Fast, connection);
        }
    }

    /// Puts the connection to rest. It is given back if there is something to do already.
    fn rest(mut self: Box<Self>, wait: Wait) -> Option<Box<Self>> {
        let (interests, until) = match wait {
            Wait::Bytes(until) => (Interests::Bytes, Some(until)),
            Wait::Room(until) if self.is_stream() => (Interests::Both, Some(until)),
            // What still comes in is left where it is, and must not be told again and again.
            Wait::Room(until) => (Interests::Room, Some(until)),
            // Only its end is of interest.
            Wait::Moment(until) => (self.asked.unwrap_or(Interests::Bytes), Some(until)),
            Wait::Hub => (Interests::Both, None),
            Wait::Turn(_) | Wait::End => return Some(self),
        };
        // Room is asked for anew each time, since whether there is enough depends on what the socket was told last. The
        // hub finds out itself.
        let is_asked = self.asked == Some(interests) && !matches!(wait, Wait::Room(_));
        if !is_asked && let Err(error) = self.ask(interests) {
            not_watched(&error);
            return None;
        }
        self.source.shrink();
        self.slot.slot.silence.rest();
        let (slot, shared) = (self.slot.slot.clone(), self.shared.clone());
        let (key, is_short) = (slot.key, matches!(wait, Wait::Moment(_)));
        let given_back = slot.rest(self, until);
        // Afterwards, or the sweeper might look too early and go to sleep.
        match (until, is_short) {
            (Some(until), true) => shared.sweeper.wake_at(until, key),
            _ => shared.sweeper.need(),
        }
        given_back
    }

    fn ask(&mut self, interests: Interests) -> io::Result<()> {
        let key = self.slot.slot.key;
        self.shared.readiness.ask(&self.socket, key, interests, self.asked.is_some())?;
        self.asked = Some(interests);
        Ok(())
    }

    /// Does what can be done without waiting for the peer; in the fast lane it may wait for bytes, if threads are
    /// plentiful.
    fn advance(&mut self, lane: Lane) -> Wait {
        loop {
            let wait = match &mut self.state {
                State::Head { .. } | State::Body(_) => self.serve(lane),
                State::Answer(_) => self.go_on_answering(),
                State::Linger { .. } => self.linger(),
                State::Stream(_) => self.stream(lane),
            };
            if let Some(wait) = wait {
                return wait;
            }
        }
    }

    /// Whether the connection may wait on its thread, as long as at most this share of the threads is at work.
    fn may_wait(&self, lane: Lane, share: usize) -> bool {
        lane == Lane::Fast && self.shared.pool.has_spare(share)
    }

    /// Reads a request and answers it. Says what to wait for, if that is needed.
    fn serve(&mut self, lane: Lane) -> Option<Wait> {
        let (mut request, busy) = match self.read(lane) {
            Ok(read) => read,
            Err(Unread::Wait(until)) => return self.wait_for_bytes(until),
            Err(Unread::Refused(error, request)) => {
                self.refuse(&error, request.as_deref());
                return None;
            }
            Err(Unread::Closed) => return Some(Wait::End),
        };
        self.share = None;
        if !self.slot.slot.silence.end() {
            return Some(Wait::End);
        }
        let began = Instant::now();
        match answer(&*self.shared.site, &mut request) {
            Answer::Full(response) => self.respond(request, &response, busy, began),
            Answer::Stream(response, stream) => {
                self.begin_stream(request, &response, stream, busy, began);
                None
            }
        }
    }

    /// What the connection was at; from now on it is at the next head.
    fn take_state(&mut self) -> State {
        let next = self.next_head();
        std::mem::replace(&mut self.state, next)
    }

    fn next_head(&self) -> State {
        State::Head { deadline: None, idle_until: Instant::now() + self.shared.limits.idle_deadline }
    }
}

impl Work for Connection {
    fn run(mut self: Box<Self>, lane: Lane) {
        loop {
            match self.advance(lane) {
                Wait::End => return,
                Wait::Turn(lane) => {
                    let pool = self.shared.pool.clone();
                    return pool.push(lane, self);
                }
                wait => match self.rest(wait) {
                    Some(connection) => self = connection,
                    None => return,
                },
            }
        }
    }
}

impl Drop for Connection {
    /// A stream leaves in one way, whatever ended it.
    fn drop(&mut self) {
        // It may be dropped because something of the stream has panicked, and must not panic again then.
        let _ = catch_unwind(AssertUnwindSafe(|| self.end_stream(End::HungUp)));
    }
}

impl Told {
    fn of(request: &Request, status: StatusCode, began: Instant) -> Told {
        let (client, method, path) = (request.client, request.method.clone(), request.path().to_owned());
        Told { client, method, path, status, began }
    }

    fn answered(&self) -> Answered<'_> {
        let Told { client, method, path, status, began } = self;
        Answered {
            client: *client,
            method: method.as_str(),
            path,
            status: status.as_u16(),
            took: began.elapsed(),
        }
    }
}

/// The kernel does not take one more socket to watch. Said once: it would be said for each connection.
fn not_watched(error: &io::Error) {
    static SAID: Once = Once::new();
    SAID.call_once(|| log::error!("failed to watch a connection, closing it and each one like it: {error}"));
}
