//! One connection: requests in, answers out, until one of them is a stream.
//!
//! A connection runs on a thread of the pool for as long as it has something to do. Then it [rests](super::open), and the
//! thread goes home: only a complete request takes a thread. While threads are plentiful it keeps its thread and waits on
//! it, which is quicker: for the next bytes, and, as a stream, for events.

use super::body::Body;
use super::head::{Framing, Head};
use super::open::{Connections, SlotGuard};
use super::quota::{Quota, Share};
use super::readiness::{Interests, Readiness};
use super::source::Source;
use super::sweeper::Sweeper;
use crate::client::{Client, Permit, Permits, Step, Stream};
use crate::error::Error;
use crate::http::busy::{Busy, BusyGuard};
use crate::http::proxies::Proxies;
use crate::http::unread::Waiting;
use crate::http::{Answer, Answered, HEAD_BYTES_MAX, LONG_HEADS_MAX, Limits, Request, Response, STACK_BYTES};
use crate::http::{Site, answer, log_request, log_stream};
use crate::hub::outlet::{End, Wake};
use crate::hub::wire::{Look, Progress, Wire, send_now};
use crate::os::deadline::Deadline;
use crate::os::pool::{Lane, Pool, Work};
use crate::os::threads::Threads;
use crate::os::usage::threads_max;
use http::header::CONNECTION;
use http::{Method, StatusCode, Version};
use socket2::SockRef;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Once, Weak};
use std::time::{Duration, Instant};

/// How long, and how much, a refused peer may go on sending before its connection is cut. Cutting at once
/// would destroy the answer on its way (RFC 9112, section 9.6).
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 1024 * 1024;

/// A connection keeps its thread while it waits for bytes as long as at most half of the threads are at work, and a stream
/// while it waits for events up to a quarter. So however many streams there are, a quarter is left for publishers that
/// send one request after the other; those are served more quickly by a thread that waits for them.
const CONNECTIONS_SHARE: usize = 2;
const STREAMS_SHARE: usize = 4;

/// The threads that serve streams which are behind: they write what is queued and read what is replayed. More of them
/// would only take the processors from the hub.
const SLOW_THREADS_MAX: usize = 8;

/// What all connections of a listener share.
pub(super) struct Shared {
    pub(super) site: Arc<dyn Site>,
    pub(super) limits: Limits,
    pub(super) proxies: Proxies,
    pub(super) busy: Busy,
    pub(super) connections: Arc<Connections<Connection>>,
    pub(super) pool: Arc<Pool<Connection>>,
    readiness: Readiness,
    sweeper: Sweeper,
    long_heads: Arc<Permits>,
    /// What peers have sent of requests that are not complete.
    incoming: Arc<Quota>,
}

impl Shared {
    /// No connections yet. Starts the threads.
    pub(super) fn new(
        site: Arc<dyn Site>,
        limits: Limits,
        proxies: Proxies,
        threads: &Threads,
    ) -> io::Result<Shared> {
        let connections = Arc::new(Connections::new(limits.connections_max));
        let threads_bound = threads_max(STACK_BYTES);
        if threads_bound < limits.threads_max {
            log::info!("the system allows {threads_bound} threads for requests and streams");
        }
        let threads_bound = threads_bound.min(limits.threads_max);
        Ok(Shared {
            readiness: Readiness::start(&connections, threads)?,
            sweeper: Sweeper::start(&connections, &limits, threads)?,
            pool: Arc::new(Pool::start("connection", STACK_BYTES, threads_bound, SLOW_THREADS_MAX, threads)?),
            site,
            limits,
            proxies,
            busy: Busy::new(),
            connections,
            long_heads: Permits::new(LONG_HEADS_MAX),
            incoming: Quota::of_memory(),
        })
    }
}

/// A connection with all that belongs to it. Nothing in it is borrowed, so it may be moved to another thread.
pub(super) struct Connection {
    socket: Arc<TcpStream>,
    peer: SocketAddr,
    source: Source,
    state: State,
    /// What the kernel was asked to tell of this socket.
    asked: Option<Interests>,
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

struct Incoming {
    request: Request,
    body: Body,
    deadline: Deadline,
    busy: BusyGuard,
}

struct Outgoing {
    bytes: Vec<u8>,
    sent: usize,
    progress: Progress,
    answered: Told,
    then: Then,
    _waiting: Option<Waiting>,
    _busy: BusyGuard,
}

struct Streaming {
    client: Client,
    answered: Told,
    _busy: BusyGuard,
}

/// What comes after an answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    Next,
    Close,
    Linger,
}

/// What the log tells of a request when it is answered.
struct Told {
    client: IpAddr,
    method: Method,
    path: String,
    status: StatusCode,
    began: Instant,
}

/// Why there is no request.
enum Unread {
    /// More has to come first, until this moment.
    Wait(Instant),
    /// The peer is told why. The request is what was understood of it, if its head was.
    Refused(Error, Option<Box<Request>>),
    /// The connection has ended, or nothing has come in time: there is nobody to tell, or nothing to answer.
    Closed,
}

impl From<Error> for Unread {
    fn from(error: Error) -> Unread {
        Unread::Refused(error, None)
    }
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
    /// Takes a slot for this socket. An IPv4 peer of an IPv6 listener gets its IPv4 address back.
    pub(super) fn new(socket: Arc<TcpStream>, mut peer: SocketAddr, shared: Arc<Shared>) -> Connection {
        peer.set_ip(peer.ip().to_canonical());
        let slot = shared.connections.add(&socket, &shared.pool);
        let deadline = Some(Deadline::new(shared.limits.head_deadline));
        Connection {
            source: Source::new(socket.clone()),
            socket,
            peer,
            state: State::Head { deadline, idle_until: Instant::now() },
            asked: None,
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

    /// What is held of a request that is not complete counts.
    fn wait_for_bytes(&mut self, until: Instant) -> Option<Wait> {
        let held = self.source.buffered().len()
            + match &self.state {
                State::Body(incoming) => incoming.body.held_bytes(),
                _ => 0,
            };
        self.share = None;
        match self.shared.incoming.take(held) {
            Some(share) => {
                self.share = Some(share);
                Some(Wait::Bytes(until))
            }
            None => {
                let full = "too much comes in slowly at this moment; send it again, or quicker";
                self.refuse(&Error::Unavailable(full.into()), None);
                None
            }
        }
    }

    /// Reads one request with its body. It counts as busy from the moment when its head is complete.
    fn read(&mut self, lane: Lane) -> Result<(Request, BusyGuard), Unread> {
        if let State::Head { .. } = &self.state {
            let head = self.read_head(lane)?;
            let busy = self.shared.busy.guard();
            self.source.skip(head.bytes);
            let mut request = head.request;
            request.client = self.shared.proxies.client(self.peer.ip(), &request.headers);
            if head.framing == Framing::Length(0) {
                return Ok((request, busy));
            }
            let limits = &self.shared.limits;
            let body = match Body::new(head.framing, limits.body_bytes_max) {
                Ok(body) => body,
                Err(error) => return Err(Unread::Refused(error, Some(Box::new(request)))),
            };
            if head.expects_continue && self.source.buffered().is_empty() {
                const GO_ON: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
                // A socket that has no room for it is full of answers that nobody reads.
                if !matches!(send_now(&self.socket, GO_ON), Ok(sent) if sent == GO_ON.len()) {
                    return Err(Unread::Closed);
                }
            }
            let deadline = Deadline::new(limits.body_deadline);
            self.state = State::Body(Box::new(Incoming { request, body, deadline, busy }));
        }
        self.read_body(lane)
    }

    /// Reads up to the end of a head. The first head of a connection has one deadline from the start; a
    /// later one may stay away for the idle deadline, and its own begins with its first byte.
    fn read_head(&mut self, lane: Lane) -> Result<Head, Unread> {
        loop {
            let may_wait = self.may_wait(lane, CONNECTIONS_SHARE);
            let State::Head { deadline, idle_until } = &mut self.state else {
                return Err(Unread::Closed);
            };
            if !self.source.buffered().is_empty() {
                deadline.get_or_insert_with(|| Deadline::new(self.shared.limits.head_deadline));
                if let Some(head) = Head::parse(self.source.buffered(), self.peer)? {
                    return Ok(head);
                }
                if self.source.buffered().len() > HEAD_BYTES_MAX && self.long_head.is_none() {
                    let full = "too many long requests come at this moment; topics can be named in the body of `QUERY /topics`";
                    let permit = self.shared.long_heads.take();
                    self.long_head = Some(permit.map_err(|_| Error::Unavailable(full.into()))?);
                }
            }
            let until = deadline.map_or(*idle_until, |deadline| deadline.at());
            match self.source.fill(until, may_wait) {
                Ok(bytes) => {
                    self.slot.slot.silence.begin();
                    if let Some(deadline) = deadline {
                        deadline.note(bytes);
                    }
                }
                Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(Unread::Closed),
                Err(_) if Instant::now() < until => return Err(Unread::Wait(until)),
                // Nothing has come, so there is nothing to answer.
                Err(_) if self.source.buffered().is_empty() => return Err(Unread::Closed),
                Err(_) => return Err(Error::Timeout("request's head").into()),
            }
        }
    }

    fn read_body(&mut self, lane: Lane) -> Result<(Request, BusyGuard), Unread> {
        loop {
            let may_wait = self.may_wait(lane, CONNECTIONS_SHARE);
            let State::Body(incoming) = &mut self.state else { return Err(Unread::Closed) };
            let error = match incoming.body.read(&mut self.source) {
                Ok(Some(body)) => {
                    incoming.request.body = body;
                    return self.take_request().ok_or(Unread::Closed);
                }
                Ok(None) => {
                    let until = incoming.deadline.at();
                    match self.source.fill(until, may_wait) {
                        Ok(bytes) => {
                            self.slot.slot.silence.begin();
                            incoming.deadline.note(bytes);
                            continue;
                        }
                        Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(Unread::Closed),
                        Err(_) if Instant::now() < until => return Err(Unread::Wait(until)),
                        Err(_) => Error::Timeout("body"),
                    }
                }
                Err(error) => error,
            };
            let request = self.take_request().map(|(request, _)| Box::new(request));
            return Err(Unread::Refused(error, request));
        }
    }

    /// The request whose body was read, and from now on the next one is read.
    fn take_request(&mut self) -> Option<(Request, BusyGuard)> {
        match self.take_state() {
            State::Body(incoming) => Some((incoming.request, incoming.busy)),
            _ => None,
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

    /// Answers with a whole response, as far as the peer takes it now.
    fn respond(
        &mut self,
        request: Request,
        response: &Response,
        busy: BusyGuard,
        began: Instant,
    ) -> Option<Wait> {
        let with_body = request.method != Method::HEAD;
        // What follows a request of unknown length may be its body or the next request.
        let is_lost = response.status == StatusCode::LENGTH_REQUIRED;
        let is_open = response.is_open && with_body;
        let close = is_open || is_lost || wants_close(&request) || self.shared.connections.is_closed();
        let then = match (is_lost, close) {
            (true, _) => Then::Linger,
            (false, true) => Then::Close,
            (false, false) => Then::Next,
        };
        let (mut bytes, mut status) = (response.encode(close, with_body), response.status);
        // What nobody reads is held within a bound for all.
        let waiting = Waiting::hold(bytes.len()).map_err(|error| {
            let full = Response::error(&error);
            (bytes, status) = (full.encode(close, with_body), full.status);
        });
        let sent = send_now(&self.socket, &bytes);
        if matches!(sent, Ok(sent) if sent < bytes.len()) {
            let sent = sent.unwrap_or_default();
            self.state = State::Answer(Box::new(Outgoing {
                bytes,
                sent,
                progress: Progress::new(self.shared.limits.pace.write_deadline),
                answered: Told::of(&request, status, began),
                then,
                _waiting: waiting.ok(),
                _busy: busy,
            }));
            return None;
        }
        let answered = Answered {
            client: request.client,
            method: request.method.as_str(),
            path: request.path(),
            status: status.as_u16(),
            took: began.elapsed(),
        };
        log_request(&answered, bytes.len() as u64);
        self.shared.site.answered(&answered);
        self.go_on(if sent.is_ok() { then } else { Then::Close })
    }

    /// What comes after an answer.
    fn go_on(&mut self, then: Then) -> Option<Wait> {
        self.long_head = None;
        match then {
            Then::Next => {
                self.slot.slot.silence.begin();
                self.state = self.next_head();
                // One that always has its next request ready must not keep others from theirs.
                let is_ready = !self.source.buffered().is_empty();
                (is_ready && !self.shared.pool.has_spare(CONNECTIONS_SHARE)).then_some(Wait::Turn(Lane::Fast))
            }
            Then::Close => Some(Wait::End),
            Then::Linger => {
                self.begin_linger();
                None
            }
        }
    }

    /// Writes more of an answer, as far as the peer takes it.
    fn go_on_answering(&mut self) -> Option<Wait> {
        let State::Answer(outgoing) = &mut self.state else { return Some(Wait::End) };
        let wait = loop {
            match send_now(&self.socket, &outgoing.bytes[outgoing.sent..]) {
                Ok(0) => match outgoing.progress.look(&self.socket, outgoing.sent as isize) {
                    Ok(Look::Room(until)) => return Some(Wait::Room(until)),
                    Ok(Look::NoMemory(until)) => return Some(Wait::Moment(until)),
                    Err(_) => break Some(self.abort()),
                },
                Ok(sent) => outgoing.sent += sent,
                Err(_) => break Some(Wait::End),
            }
            if outgoing.sent == outgoing.bytes.len() {
                break None;
            }
        };
        let State::Answer(outgoing) = self.take_state() else { return Some(Wait::End) };
        let answered = outgoing.answered.answered();
        log_request(&answered, outgoing.bytes.len() as u64);
        self.shared.site.answered(&answered);
        wait.or_else(|| self.go_on(outgoing.then))
    }

    /// Ends the connection, and with it what the kernel holds for a peer that does not read.
    fn abort(&self) -> Wait {
        // Where it cannot be set, the kernel goes on trying for a while.
        let _ = SockRef::from(&*self.socket).set_linger(Some(Duration::ZERO));
        Wait::End
    }

    /// From now on the connection is a stream, which keeps nothing of the request.
    fn begin_stream(
        &mut self,
        request: Request,
        response: &Response,
        stream: Stream,
        busy: BusyGuard,
        began: Instant,
    ) {
        let coding = request.stream_coding();
        let answered = Told::of(&request, response.status, began);
        (self.source, self.long_head) = (Source::new(self.socket.clone()), None);
        self.shared.site.answered(&answered.answered());
        let slot: Weak<dyn Wake> = Arc::downgrade(&self.slot.slot) as Weak<dyn Wake>;
        let wire = Wire::Socket(self.socket.clone());
        let head = response.encode_open(coding);
        let client = Client::new(wire, coding, self.shared.limits.pace, head, stream, Some(slot));
        // It is set once: a connection that is a stream stays one.
        let _ = self.slot.slot.outlet.set(client.outlet().clone());
        self.state = State::Stream(Box::new(Streaming { client, answered, _busy: busy }));
    }

    /// The stream, as far as it comes without waiting for its browser. In the fast lane it waits for events on its thread,
    /// if threads are plentiful.
    fn stream(&mut self, lane: Lane) -> Option<Wait> {
        let may_wait = self.may_wait(lane, STREAMS_SHARE);
        let State::Stream(streaming) = &mut self.state else { return Some(Wait::End) };
        let end = match self.shared.site.advance(&mut streaming.client, lane == Lane::Slow) {
            Step::Quiet if may_wait => {
                if self.asked != Some(Interests::Both)
                    && let Err(error) = self.ask(Interests::Both)
                {
                    not_watched(&error);
                    self.end_stream(End::HungUp);
                    return Some(Wait::End);
                }
                if let State::Stream(streaming) = &self.state {
                    streaming.client.wait();
                }
                return None;
            }
            Step::Quiet => return Some(Wait::Hub),
            Step::Room(until) => return Some(Wait::Room(until)),
            Step::Pause(until) => return Some(Wait::Moment(until)),
            Step::Turn => return Some(Wait::Turn(Lane::Slow)),
            Step::Snapshot => {
                let State::Stream(streaming) = &mut self.state else { return Some(Wait::End) };
                self.shared.pool.block(lane, || streaming.client.write_snapshot());
                return None;
            }
            Step::End(end) => end,
        };
        let shared = self.shared.clone();
        shared.pool.block(lane, || self.end_stream(end));
        Some(Wait::End)
    }

    fn is_stream(&self) -> bool {
        matches!(self.state, State::Stream(_))
    }

    fn end_stream(&mut self, end: End) {
        let State::Stream(streaming) = self.take_state() else { return };
        let Streaming { client, answered, .. } = *streaming;
        log_stream(&answered.answered(), &self.shared.site.finish(client, end));
    }

    /// Answers what cannot be read any further, and ends the connection.
    fn refuse(&mut self, error: &Error, request: Option<&Request>) {
        let began = Instant::now();
        let bytes = self.shared.site.refuse(error, request).encode(true, true);
        // A peer that does not take the answer goes without.
        let _ = send_now(&self.socket, &bytes);
        let (method, path) = request.map_or(("-", "-"), |request| (request.method.as_str(), request.path()));
        let client = request.map_or(self.peer.ip(), |request| request.client);
        let status = error.status().as_u16();
        log_request(&Answered { client, method, path, status, took: began.elapsed() }, bytes.len() as u64);
        self.begin_linger();
    }

    /// Ends the connection in a way that lets the answer arrive, whatever the peer still sends.
    fn begin_linger(&mut self) {
        // The peer may have hung up first.
        let _ = self.socket.shutdown(Shutdown::Write);
        self.source.skip(self.source.buffered().len());
        self.share = None;
        self.state = State::Linger { until: Instant::now() + LINGER, bytes: 0 };
    }

    fn linger(&mut self) -> Option<Wait> {
        let State::Linger { until, bytes } = &mut self.state else { return Some(Wait::End) };
        loop {
            match self.source.fill(*until, false) {
                Ok(more) => *bytes += more,
                Err(error) if error.kind() == ErrorKind::WouldBlock && Instant::now() < *until => {
                    return Some(Wait::Bytes(*until));
                }
                Err(_) => return Some(Wait::End),
            }
            self.source.skip(self.source.buffered().len());
            if *bytes >= LINGER_BYTES {
                return Some(Wait::End);
            }
        }
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

/// Whether the client wants the connection to end after the answer. One of HTTP/1.0 always does.
fn wants_close(request: &Request) -> bool {
    request.version == Version::HTTP_10 || request.header_has(CONNECTION, "close")
}
