//! The thread of one connection: requests in, answers out, until one of them is a stream.
//!
//! Then the connection's thread becomes the stream's own thread: a stream is one thread and one
//! descriptor.

use super::Shared;
use super::body::{self, Failure};
use crate::client::{Client, Stream, Visit};
use crate::error::Error;
use crate::http::request::{Framing, HEAD_BYTES_MAX, Head};
use crate::http::{Answer, Answered, Request, Response, answer, log_request};
use crate::hub::wire::Wire;
use crate::os::kernel::receive_now;
use http::header::CONNECTION;
use http::{Method, Version};
use socket2::SockRef;
use std::io::{self, ErrorKind, Read};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// Read at once while a head is expected; most heads and small bodies fit.
const READ_BYTES: usize = 2 * 1024;

/// What the kernel holds for a browser that reads slowly, before it counts as behind. Linux doubles it,
/// and holds it to `net.core.wmem_max`.
const SEND_BUFFER_BYTES: usize = 256 * 1024;

/// How long, and how much, a refused connection may go on sending before it is cut. Cutting at once
/// would destroy the answer on its way (RFC 9112, section 9.6).
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 1024 * 1024;

/// How often a connection looks again for what comes next, giving way to others in between, before it
/// sleeps: some µs. It does so only where the last bytes came [quickly](QUICK), as from a publisher on
/// this machine; there the way into sleep and out of it takes longer than a request.
const QUICK_LOOKS: usize = 8;

/// What comes within this time came quickly.
const QUICK: Duration = Duration::from_micros(50);

/// Serves a connection until it ends.
pub(super) fn serve(socket: Arc<TcpStream>, shared: &Shared) {
    let mut source = Source::new(socket.clone());
    let mut wire = Wire::Socket(socket.clone());
    let mut first_head_until = Some(Instant::now() + shared.limits.head_deadline);
    loop {
        let (mut request, _busy) = match read(&mut source, &mut wire, first_head_until.take(), shared) {
            Ok(read) => read,
            Err(Failure::Closed) => return,
            Err(Failure::Refused(error, request)) => {
                return refuse(&error, request.as_deref(), &mut wire, source, shared);
            }
        };
        let began = Instant::now();
        match answer(&*shared.site, &mut request) {
            Answer::Full(response) => {
                let with_body = request.method != Method::HEAD;
                let close = (response.is_open && with_body) || wants_close(&request) || shared.wants_room();
                let bytes = response.encode(close, with_body);
                let written = wire.write(&bytes, shared.limits.pace.write_deadline);
                let (method, path) = (request.method.as_str(), request.path());
                let status = response.status.as_u16();
                let answered = Answered { method, path, status, took: began.elapsed() };
                log_request(&answered, bytes.len() as u64);
                shared.site.answered(&answered);
                if close || written.is_err() {
                    return;
                }
            }
            Answer::Stream(response, stream) => {
                let path = request.path().to_owned();
                // A stream may stay for days: it keeps nothing of the request.
                drop((request, source));
                let status = response.status.as_u16();
                let answered = Answered { method: "GET", path: &path, status, took: began.elapsed() };
                shared.site.answered(&answered);
                let visit = follow(wire, &socket, &response, stream, shared);
                log::debug!("GET {path}: the stream ended: {:?}", visit.end);
                return log_request(&Answered { took: began.elapsed(), ..answered }, visit.bytes);
            }
        }
    }
}

/// Reads one request with its body. It counts as busy from the moment that its head is complete.
fn read<'a>(
    source: &mut Source,
    wire: &mut Wire,
    first_head_until: Option<Instant>,
    shared: &'a Shared,
) -> Result<(Request, Busy<'a>), Failure> {
    let limits = &shared.limits;
    if source.buffered().is_empty() {
        // Nothing has come, so nothing is answered when nothing comes.
        let until = first_head_until.unwrap_or_else(|| Instant::now() + limits.idle_deadline);
        source.fill(until).map_err(|_| Failure::Closed)?;
    }
    let until = first_head_until.unwrap_or_else(|| Instant::now() + limits.head_deadline);
    let head = loop {
        if let Some(head) = Head::parse(source.buffered())? {
            break head;
        }
        source.fill(until).map_err(|error| match error.kind() {
            ErrorKind::TimedOut => Failure::Refused(Error::Timeout("request's head"), None),
            _ => Failure::Closed,
        })?;
    };
    let busy = shared.busy();
    source.skip(head.bytes);
    let mut request = head.request;
    if head.framing == Framing::Length(0) {
        return Ok((request, busy));
    }
    let fits = !matches!(head.framing, Framing::Length(bytes) if bytes > limits.body_bytes_max);
    if head.expects_continue && fits && source.buffered().is_empty() {
        let go_on = wire.write(b"HTTP/1.1 100 Continue\r\n\r\n", limits.pace.write_deadline);
        go_on.map_err(|_| Failure::Closed)?;
    }
    let until = Instant::now() + limits.body_deadline;
    match body::read(source, head.framing, limits.body_bytes_max, until) {
        Ok(body) => request.body = body,
        Err(Failure::Refused(error, _)) => return Err(Failure::Refused(error, Some(Box::new(request)))),
        Err(closed) => return Err(closed),
    }
    Ok((request, busy))
}

/// Answers what cannot be read on, and ends the connection so that the answer arrives.
fn refuse(error: &Error, request: Option<&Request>, wire: &mut Wire, mut source: Source, shared: &Shared) {
    let began = Instant::now();
    let bytes = shared.site.refuse(error, request).encode(true, true);
    // If it does not take the answer, it goes without.
    let _ = wire.write(&bytes, shared.limits.pace.write_deadline);
    let (method, path) = request.map_or(("-", "-"), |request| (request.method.as_str(), request.path()));
    let status = error.status().as_u16();
    log_request(&Answered { method, path, status, took: began.elapsed() }, bytes.len() as u64);
    wire.finish();
    let until = Instant::now() + LINGER;
    let mut discarded_bytes = 0;
    while discarded_bytes < LINGER_BYTES && source.fill(until).is_ok() {
        discarded_bytes += source.buffered().len();
        source.skip(source.buffered().len());
    }
}

fn follow(
    wire: Wire,
    socket: &Arc<TcpStream>,
    response: &Response,
    stream: Stream,
    shared: &Shared,
) -> Visit {
    // Without room of its own choosing the kernel goes up to 4 MB; where setting it fails, it may.
    let _ = SockRef::from(&**socket).set_send_buffer_size(SEND_BUFFER_BYTES);
    let client = Client::new(wire, shared.limits.pace);
    let _watched = shared.watch.add(socket, client.gone());
    shared.site.follow(client, response.encode(true, true), stream)
}

/// HTTP/1.0 is always delimited by the end of the connection.
fn wants_close(request: &Request) -> bool {
    request.version == Version::HTTP_10 || request.header_has(CONNECTION, "close")
}

/// What comes in: a socket, and what was read from it but not yet used.
pub(super) struct Source {
    socket: Arc<TcpStream>,
    buffer: Vec<u8>,
    /// Whether the last bytes came quickly.
    is_quick: bool,
    /// The receive timeout that the socket has now, so that it is set only when it changes.
    timeout: Duration,
}

impl Source {
    fn new(socket: Arc<TcpStream>) -> Source {
        Source { socket, buffer: Vec::new(), is_quick: false, timeout: Duration::ZERO }
    }

    pub(super) fn buffered(&self) -> &[u8] {
        &self.buffer
    }

    fn skip(&mut self, bytes: usize) {
        self.buffer.drain(..bytes);
    }

    /// Takes exactly so many bytes, reading what is missing. Errors as [`Source::fill`].
    pub(super) fn take(&mut self, bytes: usize, until: Instant) -> io::Result<Vec<u8>> {
        while self.buffer.len() < bytes {
            self.fill(until)?;
        }
        let taken = self.buffer[..bytes].to_vec();
        self.skip(bytes);
        Ok(taken)
    }

    /// Reads what is there, at least one byte. `TimedOut` when none came in time, `UnexpectedEof` when
    /// none will come.
    pub(super) fn fill(&mut self, until: Instant) -> io::Result<()> {
        self.set_timeout(until)?;
        let filled = self.buffer.len();
        self.buffer.resize(filled + READ_BYTES.max(filled.min(HEAD_BYTES_MAX)), 0);
        let read = self.look(filled).unwrap_or_else(|| self.wait(filled));
        self.buffer.truncate(filled + *read.as_ref().unwrap_or(&0));
        match read {
            Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
            Ok(_) => Ok(()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Err(ErrorKind::TimedOut.into()),
            Err(error) => Err(error),
        }
    }

    /// Looks for the next bytes for a moment, if the last ones came quickly.
    fn look(&mut self, filled: usize) -> Option<io::Result<usize>> {
        let looks = if self.is_quick { QUICK_LOOKS } else { 0 };
        for _ in 0..looks {
            match receive_now(&self.socket, &mut self.buffer[filled..]) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::yield_now(),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => return Some(read),
            }
        }
        None
    }

    fn wait(&mut self, filled: usize) -> io::Result<usize> {
        let began = Instant::now();
        loop {
            match (&*self.socket).read(&mut self.buffer[filled..]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => {
                    self.is_quick = began.elapsed() < QUICK;
                    return read;
                }
            }
        }
    }

    /// A little longer than asked, so that one setting serves the many waits of a busy connection.
    fn set_timeout(&mut self, until: Instant) -> io::Result<()> {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        if self.timeout < left || self.timeout > left + left / 8 {
            self.timeout = left + left / 16;
            self.socket.set_read_timeout(Some(self.timeout))?;
        }
        Ok(())
    }
}

/// Counts as busy for as long as it lives.
pub(super) struct Busy<'a>(pub(super) &'a Shared);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Relaxed);
    }
}
