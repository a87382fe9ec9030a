//! One connection: requests in, answers out, until one of them is a stream.
//!
//! Then the connection's thread becomes the stream's own thread: a stream is one thread and one
//! descriptor.

use super::body::{self, Failure};
use super::head::{Framing, Head};
use super::open::{Connections, Slot};
use super::source::Source;
use super::watch::Watch;
use crate::client::{Client, Stream};
use crate::error::Error;
use crate::http::busy::{Busy, BusyGuard};
use crate::http::proxies::Proxies;
use crate::http::{Answer, Answered, Limits, Request, Response, Site, answer, log_request, printable};
use crate::hub::wire::Wire;
use crate::os::threads::Threads;
use http::header::CONNECTION;
use http::{Method, Version};
use socket2::SockRef;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What the kernel holds for a browser that reads slowly, before that browser counts as behind. Linux
/// doubles the figure and limits it to `net.core.wmem_max`.
const SEND_BUFFER_BYTES: usize = 256 * 1024;

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
        Ok(Shared { site, limits, proxies, watch, busy: Busy::new(), connections, threads })
    }
}

/// A connection with all that belongs to it. Nothing in it is borrowed, so it may be moved to another
/// thread.
pub(super) struct Connection {
    socket: Arc<TcpStream>,
    peer: SocketAddr,
    source: Source,
    wire: Wire,
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
        let (source, wire) = (Source::new(socket.clone()), Wire::Socket(socket.clone()));
        Connection { socket, peer, source, wire, shared, slot }
    }

    /// Serves the connection until it ends. Blocks.
    pub(super) fn serve(mut self) {
        let mut first_head_until = Some(Instant::now() + self.shared.limits.head_deadline);
        loop {
            let (mut request, busy) = match self.read(first_head_until.take()) {
                Ok(read) => read,
                Err(Unread::Refused(error, request)) => return self.refuse(&error, request.as_deref()),
                Err(Unread::Closed) => return,
            };
            let began = Instant::now();
            match answer(&*self.shared.site, &mut request) {
                Answer::Full(response) => {
                    if !self.respond(&request, &response, began) {
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
    fn read(&mut self, first_head_until: Option<Instant>) -> Result<(Request, BusyGuard), Unread> {
        let head = self.read_head(first_head_until)?;
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
        let until = Instant::now() + limits.body_deadline;
        match body::read(&mut self.source, head.framing, limits.body_bytes_max, until) {
            Ok(body) => request.body = body,
            Err(Failure::Refused(error)) => return Err(Unread::Refused(error, Some(Box::new(request)))),
            Err(Failure::Closed) => return Err(Unread::Closed),
        }
        Ok((request, busy))
    }

    /// Reads up to the end of a head. The first head of a connection has one deadline from the start; a
    /// later one may stay away for the idle deadline, and its own begins with its first byte.
    fn read_head(&mut self, first_head_until: Option<Instant>) -> Result<Head, Unread> {
        let limits = &self.shared.limits;
        if self.source.buffered().is_empty() {
            let until = first_head_until.unwrap_or_else(|| Instant::now() + limits.idle_deadline);
            // Nothing has come, so there is nothing to answer.
            self.source.fill(until).map_err(|_| Unread::Closed)?;
        }
        let until = first_head_until.unwrap_or_else(|| Instant::now() + limits.head_deadline);
        loop {
            if let Some(head) = Head::parse(self.source.buffered(), self.peer)? {
                return Ok(head);
            }
            self.source.fill(until).map_err(|error| match error.kind() {
                ErrorKind::TimedOut => Error::Timeout("request's head").into(),
                _ => Unread::Closed,
            })?;
        }
    }

    /// Writes a whole response, and says whether the connection may stay for another request.
    fn respond(&mut self, request: &Request, response: &Response, began: Instant) -> bool {
        let with_body = request.method != Method::HEAD;
        let close =
            (response.is_open && with_body) || wants_close(request) || self.shared.connections.wants_room();
        let bytes = response.encode(close, with_body);
        let written = self.wire.write(&bytes, self.shared.limits.pace.write_deadline);
        let answered = Answered {
            client: request.client,
            method: request.method.as_str(),
            path: request.path(),
            status: response.status.as_u16(),
            took: began.elapsed(),
        };
        log_request(&answered, bytes.len() as u64);
        self.shared.site.answered(&answered);
        !close && written.is_ok()
    }

    /// Writes a stream until it ends.
    fn follow(self, request: Request, response: &Response, stream: Stream, busy: BusyGuard, began: Instant) {
        let (client, path) = (request.client, request.path().to_owned());
        let coding = request.stream_coding();
        // What is declared first is dropped last: the slot, and before that what the connection shares.
        let Connection { slot: _slot, shared, socket, wire, source, .. } = self;
        let _busy = busy;
        // A stream may stay for days, and keeps nothing of the request for so long.
        drop((request, source));
        let status = response.status.as_u16();
        let answered = Answered { client, method: "GET", path: &path, status, took: began.elapsed() };
        shared.site.answered(&answered);
        // Without a size of its own the buffer grows up to 4 MB; where setting one fails, it may.
        let _ = SockRef::from(&*socket).set_send_buffer_size(SEND_BUFFER_BYTES);
        let client = Client::new(wire, coding, shared.limits.pace);
        let hang_up_guard = shared.watch.add(&socket, client.gone());
        let visit = shared.site.follow(client, response.encode_open(coding), stream);
        drop(hang_up_guard);
        log::debug!("GET {}: the stream ended: {:?}", printable(&path), visit.end);
        log_request(&Answered { took: began.elapsed(), ..answered }, visit.bytes);
    }

    /// Answers what cannot be read any further, and ends the connection in a way that lets the answer
    /// arrive.
    fn refuse(mut self, error: &Error, request: Option<&Request>) {
        let began = Instant::now();
        let bytes = self.shared.site.refuse(error, request).encode(true, true);
        // A peer that does not take the answer goes without.
        let _ = self.wire.write(&bytes, self.shared.limits.pace.write_deadline);
        let (method, path) = request.map_or(("-", "-"), |request| (request.method.as_str(), request.path()));
        let client = request.map_or(self.peer.ip(), |request| request.client);
        let status = error.status().as_u16();
        log_request(&Answered { client, method, path, status, took: began.elapsed() }, bytes.len() as u64);
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
