//! One connection: requests in, answers out, until one of them is a stream.
//!
//! Then the connection's thread becomes the stream's own thread: a stream is one thread and one
//! descriptor.

use super::body::{self, Failure};
use super::head::{Framing, Head};
use super::open::{Connections, Silence, Slot};
use super::source::Source;
use super::watch::Watch;
use crate::client::{Client, Permit, Permits, Stream};
use crate::error::Error;
use crate::http::busy::{Busy, BusyGuard};
use crate::http::proxies::Proxies;
use crate::http::unread::Waiting;
use crate::http::{Answer, Answered, HEAD_BYTES_MAX, LONG_HEADS_MAX, Limits, Request, Response, Site};
use crate::http::{answer, log_request, printable};
use crate::hub::wire::Wire;
use crate::os::deadline::Deadline;
use crate::os::threads::Threads;
use http::header::CONNECTION;
use http::{Method, StatusCode, Version};
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long, and how much, a refused peer may go on sending before its connection is cut. Cutting at once
/// would destroy the answer on its way (RFC 9112, section 9.6).
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 1024 * 1024;

/// What all connections of a listener share.
pub(super) struct Shared {
    pub(super) site: Arc<dyn Site>,
    pub(super) limits: Limits,
    pub(super) proxies: Proxies,
    pub(super) watch: Arc<Watch>,
    pub(super) busy: Busy,
    pub(super) connections: Arc<Connections>,
    long_heads: Arc<Permits>,
    pub(super) threads: Threads,
}

impl Shared {
    /// No connections yet. Starts the watch thread.
    pub(super) fn new(
        site: Arc<dyn Site>,
        limits: Limits,
        proxies: Proxies,
        threads: &Threads,
    ) -> io::Result<Shared> {
        let (watch, threads) = (Watch::start(threads)?, threads.clone());
        let connections = Arc::new(Connections::new(limits.connections_max));
        let long_heads = Permits::new(LONG_HEADS_MAX);
        Ok(Shared { site, limits, proxies, watch, busy: Busy::new(), connections, long_heads, threads })
    }
}

/// A connection with all that belongs to it. Nothing in it is borrowed, so it may be moved to another
/// thread.
pub(super) struct Connection {
    socket: Arc<TcpStream>,
    peer: SocketAddr,
    source: Source,
    wire: Wire,
    silence: Arc<Silence>,
    /// Held while a long head is read and answered.
    long_head: Option<Permit>,
    shared: Arc<Shared>,
    /// Dropped after all else, so that a slot is free only when its descriptor is.
    slot: Slot,
}

/// Why there is no request.
enum Unread {
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

impl Connection {
    /// Takes a slot for this socket. An IPv4 peer of an IPv6 listener gets its IPv4 address back.
    pub(super) fn new(socket: Arc<TcpStream>, mut peer: SocketAddr, shared: Arc<Shared>) -> Connection {
        peer.set_ip(peer.ip().to_canonical());
        let slot = shared.connections.add(&socket);
        let silence = slot.silence();
        let (source, wire) = (Source::new(socket.clone(), silence.clone()), Wire::Socket(socket.clone()));
        Connection { socket, peer, source, wire, silence, long_head: None, shared, slot }
    }

    /// Serves the connection until it ends. Blocks.
    pub(super) fn serve(mut self) {
        let mut first_head = Some(Deadline::new(self.shared.limits.head_deadline));
        loop {
            let (mut request, busy) = match self.read(first_head.take()) {
                Ok(read) => read,
                Err(Unread::Refused(error, request)) => return self.refuse(&error, request.as_deref()),
                Err(Unread::Closed) => return,
            };
            let began = Instant::now();
            match answer(&*self.shared.site, &mut request) {
                Answer::Full(response) => {
                    if !self.respond(&request, &response, began) {
                        if response.status == StatusCode::LENGTH_REQUIRED {
                            self.linger();
                        }
                        return;
                    }
                }
                Answer::Stream(response, stream) => {
                    return self.follow(request, &response, stream, busy, began);
                }
            }
        }
    }

    /// Reads one request with its body. It counts as busy from the moment when its head is complete.
    fn read(&mut self, first_head: Option<Deadline>) -> Result<(Request, BusyGuard), Unread> {
        self.long_head = None;
        self.silence.begin();
        let read = self.read_request(first_head)?;
        if self.silence.end() { Ok(read) } else { Err(Unread::Closed) }
    }

    fn read_request(&mut self, first_head: Option<Deadline>) -> Result<(Request, BusyGuard), Unread> {
        let head = self.read_head(first_head)?;
        let limits = &self.shared.limits;
        let busy = self.shared.busy.guard();
        self.source.skip(head.bytes);
        let mut request = head.request;
        request.client = self.shared.proxies.client(self.peer.ip(), &request.headers);
        if head.framing == Framing::Length(0) {
            return Ok((request, busy));
        }
        let fits = !matches!(head.framing, Framing::Length(bytes) if bytes > limits.body_bytes_max);
        if head.expects_continue && fits && self.source.buffered().is_empty() {
            let go_on = self.wire.write(b"HTTP/1.1 100 Continue\r\n\r\n", limits.pace.write_deadline);
            go_on.map_err(|_| Unread::Closed)?;
        }
        let deadline = Deadline::new(limits.body_deadline);
        match body::read(&mut self.source, head.framing, limits.body_bytes_max, deadline) {
            Ok(body) => request.body = body,
            Err(Failure::Refused(error)) => return Err(Unread::Refused(error, Some(Box::new(request)))),
            Err(Failure::Closed) => return Err(Unread::Closed),
        }
        Ok((request, busy))
    }

    /// Reads up to the end of a head. The first head of a connection has one deadline from the start; a
    /// later one may stay away for the idle deadline, and its own begins with its first byte.
    fn read_head(&mut self, first_head: Option<Deadline>) -> Result<Head, Unread> {
        let limits = &self.shared.limits;
        if self.source.buffered().is_empty() {
            let idle = Instant::now() + limits.idle_deadline;
            let until = first_head.map_or(idle, |deadline| deadline.at());
            // Nothing has come, so there is nothing to answer.
            self.source.fill(until).map_err(|_| Unread::Closed)?;
        }
        let mut deadline = first_head.unwrap_or_else(|| Deadline::new(limits.head_deadline));
        loop {
            if let Some(head) = Head::parse(self.source.buffered(), self.peer)? {
                return Ok(head);
            }
            if self.source.buffered().len() > HEAD_BYTES_MAX && self.long_head.is_none() {
                let full = "too many long requests come at this moment; topics can be named in the body of `QUERY /topics`";
                let permit = self.shared.long_heads.take();
                self.long_head = Some(permit.map_err(|_| Error::Unavailable(full.into()))?);
            }
            self.source.fill_within(&mut deadline).map_err(|error| match error.kind() {
                ErrorKind::TimedOut => Error::Timeout("request's head").into(),
                _ => Unread::Closed,
            })?;
        }
    }

    /// Writes a whole response, and says whether the connection may stay for another request.
    fn respond(&mut self, request: &Request, response: &Response, began: Instant) -> bool {
        let with_body = request.method != Method::HEAD;
        // What follows a request of unknown length may be its body or the next request.
        let is_lost = response.status == StatusCode::LENGTH_REQUIRED;
        let is_open = response.is_open && with_body;
        let close = is_open || is_lost || wants_close(request) || self.shared.connections.is_closed();
        let mut bytes = response.encode(close, with_body);
        let mut status = response.status;
        let waiting = Waiting::hold(bytes.len()).map_err(|error| {
            let full = Response::error(&error);
            (bytes, status) = (full.encode(close, with_body), full.status);
        });
        let written = self.wire.write(&bytes, self.shared.limits.pace.write_deadline);
        drop(waiting);
        let answered = Answered {
            client: request.client,
            method: request.method.as_str(),
            path: request.path(),
            status: status.as_u16(),
            took: began.elapsed(),
        };
        log_request(&answered, bytes.len() as u64);
        self.shared.site.answered(&answered);
        !close && written.is_ok()
    }

    /// Writes a stream until it ends.
    fn follow(self, request: Request, response: &Response, stream: Stream, busy: BusyGuard, began: Instant) {
        let (client, method, path) = (request.client, request.method.clone(), request.path().to_owned());
        let coding = request.stream_coding();
        // What is declared first is dropped last: the slot, and before that what the connection shares.
        let Connection { slot: _slot, shared, socket, wire, source, long_head, .. } = self;
        let _busy = busy;
        // A stream may stay for days, and keeps nothing of the request for so long.
        drop((request, source, long_head));
        let status = response.status.as_u16();
        let method = method.as_str();
        let answered = Answered { client, method, path: &path, status, took: began.elapsed() };
        shared.site.answered(&answered);
        let client = Client::new(wire, coding, shared.limits.pace);
        let hang_up_guard = shared.watch.add(&socket, client.gone());
        let visit = shared.site.follow(client, response.encode_open(coding), stream);
        drop(hang_up_guard);
        log::debug!("{method} {}: the stream ended: {:?}", printable(&path), visit.end);
        log_request(&Answered { took: began.elapsed(), ..answered }, visit.bytes);
    }

    /// Answers what cannot be read any further, and ends the connection.
    fn refuse(mut self, error: &Error, request: Option<&Request>) {
        let began = Instant::now();
        let bytes = self.shared.site.refuse(error, request).encode(true, true);
        // A peer that does not take the answer goes without.
        let _ = self.wire.write(&bytes, self.shared.limits.pace.write_deadline);
        let (method, path) = request.map_or(("-", "-"), |request| (request.method.as_str(), request.path()));
        let client = request.map_or(self.peer.ip(), |request| request.client);
        let status = error.status().as_u16();
        log_request(&Answered { client, method, path, status, took: began.elapsed() }, bytes.len() as u64);
        self.linger();
    }

    /// Ends the connection in a way that lets the answer arrive, whatever the peer still sends.
    fn linger(&mut self) {
        self.wire.finish();
        let until = Instant::now() + LINGER;
        let mut discarded_bytes = 0;
        while discarded_bytes < LINGER_BYTES && self.source.fill(until).is_ok() {
            discarded_bytes += self.source.buffered().len();
            self.source.skip(self.source.buffered().len());
        }
    }
}

/// Whether the client wants the connection to end after the answer. One of HTTP/1.0 always does.
fn wants_close(request: &Request) -> bool {
    request.version == Version::HTTP_10 || request.header_has(CONNECTION, "close")
}
