//! HTTP/1.0 and 1.1: two listeners behind one small interface.
//!
//! A listener turns bytes into a [`Request`] and asks its [`Site`] for an [`Answer`]. Then it writes the
//! [`Response`], or has the site carry a stream on.

mod busy;
mod unread;
mod media;
pub mod path;
pub mod request;
pub mod response;
mod template;
pub mod files;
mod network;
mod proxies;
pub mod direct;
pub mod tiny;

pub use network::Network;
pub use path::{Captures, Target};
pub use proxies::Proxies;
pub use request::Request;
pub use response::Response;

use crate::client::{Client, EndedStream, Pace, Step, Stream};
use crate::error::Error;
use crate::hub::outlet::End;
use crate::os::refusals;
use http::StatusCode;
use log::Level;
use percent_encoding::{CONTROLS, utf8_percent_encode};
use serde::Serialize;
use socket2::{Domain, Socket, Type};
use std::borrow::Cow;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// The longest head, in bytes, not counting its query. A longer one is answered 431 and the connection closed.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// How many bytes of a query do not count: a hundred topics fit.
pub(crate) const QUERY_BYTES_MAX: usize = 80 * 1024;

/// Requests whose head is longer than [`HEAD_BYTES_MAX`], at one moment: together some 12 MB. A further one is answered
/// 503 and the connection closed.
const LONG_HEADS_MAX: usize = 64;

/// Connections open at once, unless set otherwise.
pub(crate) const CONNECTIONS_MAX: usize = 1_000;

/// Threads for requests and streams, unless set.
pub(crate) const THREADS_MAX: usize = 256;

/// The most header fields. More are answered 431 and the connection closed.
const HEADERS_MAX: usize = 100;

/// The stack of a thread that serves a connection or a stream. A request needs far less, and only what is
/// touched takes memory.
pub(crate) const STACK_BYTES: usize = 256 * 1024;

/// What a request is answered with.
///
/// ```
/// use callout::{Answer, App, Error, Request, Response, Start};
/// use http::StatusCode;
///
/// /// A stream for clients that take one; for others a hint.
/// fn news(app: &App, request: &Request) -> Result<Answer, Error> {
///     if request.wants_events() {
///         return Ok(Answer::stream(app.stream(request, Start::Live)?));
///     }
///     Ok(Answer::Full(Response::json(StatusCode::NOT_ACCEPTABLE, &"ask with `Accept: text/event-stream`")))
/// }
/// ```
#[non_exhaustive]
pub enum Answer {
    /// A whole response.
    Full(Response),
    /// A response whose body is a stream of events.
    Stream(Response, Stream),
}

impl Answer {
    /// 200, with this value as JSON.
    pub fn json(value: &impl Serialize) -> Answer {
        Answer::Full(Response::json(StatusCode::OK, value))
    }

    /// 200, with this stream.
    pub fn stream(stream: Stream) -> Answer {
        Answer::Stream(Response::stream(), stream)
    }
}

/// What is known of a request after its answer is written.
#[derive(Debug, Clone, Copy)]
pub struct Answered<'a> {
    /// The client's address; the peer's where the head was not understood.
    pub client: IpAddr,
    /// The request's method.
    pub method: &'a str,
    /// The request's path, percent-encoded as it came.
    pub path: &'a str,
    /// The status that it was answered with.
    pub status: u16,
    /// How long the answer took.
    pub took: Duration,
}

/// What a listener serves.
pub trait Site: Send + Sync + 'static {
    /// Answers a request. Runs on the request's thread and may block.
    fn answer(&self, request: &mut Request) -> Answer;

    /// Answers bytes that are not a request that can be served. `request` is what was understood, without
    /// its body; none if not even the head was understood.
    fn refuse(&self, error: &Error, request: Option<&Request>) -> Response;

    /// Is called after a request was answered, and after a stream has begun. Must not block.
    fn answered(&self, answered: &Answered);

    /// Does for a stream what can be done without waiting for its browser; see [`Client::advance`].
    fn advance(&self, client: &mut Client, has_turn: bool) -> Step;

    /// Ends a stream; see [`Client::finish`].
    fn finish(&self, client: Client, end: End) -> EndedStream;

    /// Serves a stream until it ends. Blocks; see [`Client::run`].
    fn run(&self, client: Client) -> EndedStream;
}

/// A listener that runs. Dropping it stops it and hangs up on every connection. Then its threads end, which the
/// [`Threads`](crate::os::threads::Threads) that it was started with can wait for, and its descriptors are closed.
pub trait Listener: Send + Sync {
    /// The address that it listens on, with the port that was chosen if 0 was asked for.
    fn address(&self) -> SocketAddr;

    /// Takes no more connections. The open ones may finish their requests. Does not block.
    fn stop(&self);

    /// How many requests are being answered, streams among them.
    fn busy(&self) -> usize;

    /// Hangs up on every connection that is still open, now and from now on. Does not block. A handler that
    /// is at work is not interrupted, but its answer reaches nobody.
    fn hang_up(&self);
}

/// The limits of a listener's connections that an operator may want to change. What is out of its range is a
/// [`StartError::Setting`](crate::StartError::Setting).
///
/// ```
/// let mut limits = callout::Limits::default();
/// limits.body_bytes_max = 1024 * 1024;
/// limits.connections_max = 10_000; // each takes a file descriptor
/// let mut config = callout::Config::default();
/// (config.limits, config.streams_max) = (limits, 9_000);
/// ```
///
/// Every queue, body, header, history, thread and count has a named limit and a stated consequence, each alone and all of
/// them together: what N clients can make the server hold has a bound that does not grow with what they ask for.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Limits {
    /// A head of which nothing, or less than a kilobyte a second, has come for this time is answered 408, and the
    /// connection closed. From 100 ms to a day; 10 s.
    pub head_deadline: Duration,
    /// The same for a body. From 100 ms to a day; 10 s.
    pub body_deadline: Duration,
    /// A connection that stays silent for this time after a request is closed. From a second to a day; a minute.
    pub idle_deadline: Duration,
    /// A body of more bytes is answered 413 and not read. At least 1; 64 KB.
    pub body_bytes_max: usize,
    /// Once so many connections are open, the one that has been silent longest makes room for another. Where all have
    /// streams or requests that are being answered, others wait until one of them ends. At least 1; 1,000.
    pub connections_max: usize,
    /// Threads for requests and streams. While at most half of them are at work, a connection keeps its thread while it
    /// waits; beyond that it waits without one. When all are at work, complete requests wait for one. At least 4; 256.
    pub threads_max: usize,
    /// The heartbeat, and the deadline of a write.
    pub pace: Pace,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            head_deadline: Duration::from_secs(10),
            body_deadline: Duration::from_secs(10),
            idle_deadline: Duration::from_secs(60),
            body_bytes_max: 64 * 1024,
            connections_max: CONNECTIONS_MAX,
            threads_max: THREADS_MAX,
            pace: Pace::default(),
        }
    }
}

/// Connections that the kernel completes before they are accepted, so that a burst of thousands is not
/// refused. (The kernel takes its own maximum, `net.core.somaxconn`, where that is less.)
const BACKLOG: i32 = 4096;

/// Opens a socket that listens on this address.
pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    listen_on(Socket::new(Domain::for_address(address), Type::STREAM, None)?, address)
}

/// The same beside another listener: one of IPv6 leaves IPv4 to that. None if this machine does not have the address.
pub(crate) fn listen_beside(address: SocketAddr) -> io::Result<Option<TcpListener>> {
    let open = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        listen_on(socket, address)
    };
    match open() {
        Ok(listener) => Ok(Some(listener)),
        // A system without IPv6 says so in one of these ways.
        Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => Ok(None),
        Err(error) if error.raw_os_error() == Some(libc::EAFNOSUPPORT) => Ok(None),
        Err(error) => Err(error),
    }
}

fn listen_on(socket: Socket, address: SocketAddr) -> io::Result<TcpListener> {
    // A server that was just killed can be started again on the same port.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Asks the site for its answer. A panic in one request is answered 500 and ends nothing else.
fn answer(site: &dyn Site, request: &mut Request) -> Answer {
    catch_unwind(AssertUnwindSafe(|| site.answer(request))).unwrap_or_else(|_| {
        let what = format!("{} {} panicked", printable(request.method.as_str()), printable(request.path()));
        log::error!("{what}");
        Answer::Full(Response::error(&Error::internal(what)))
    })
}

/// Writes the access log: a line for each request, with the client's address first. The query is left out,
/// because it may contain a secret. Of refusals there is one line a second for each status.
fn log_request(answered: &Answered, bytes: u64, is_refusal: bool) {
    if !is_refusal {
        return log::info!("{}", access_line(answered, bytes));
    }
    let reason = StatusCode::from_u16(answered.status).ok().filter(|status| !status.is_success());
    let reason = reason.and_then(|status| status.canonical_reason()).unwrap_or("told to come back later");
    refusals::log(Level::Info, reason, || access_line(answered, bytes));
}

/// The same for a stream that has ended, and why.
fn log_stream(answered: &Answered, ended: &EndedStream) {
    let why = match ended.end {
        End::Drain { .. } => "drained",
        End::HungUp => "hung-up",
        End::Unauthorized => "unauthorized",
        End::TooSlow => "too-slow",
    };
    log::info!("{} {why}", access_line(answered, ended.bytes));
}

fn access_line(answered: &Answered, bytes: u64) -> String {
    let Answered { client, method, path, status, took } = answered;
    let (method, path, millis) = (printable(method), printable(path), took.as_secs_f64() * 1_000.0);
    format!("{client} {method} {path} {status} {bytes}B {millis:.1}ms")
}

/// The longest path in the log and on the activity page, in bytes. A longer one is cut.
const SHOWN_BYTES_MAX: usize = 256;

/// What stands for the rest of what is cut.
const CUT: &str = "...";

/// A path or a method as it may be shown to others. What a client sent outside visible ASCII is percent-encoded: as it is,
/// it could end the line, turn its direction, or command the terminal that shows it.
pub(crate) fn printable(path: &str) -> Cow<'_, str> {
    let mut shown = Cow::from(utf8_percent_encode(path, CONTROLS));
    if shown.len() > SHOWN_BYTES_MAX {
        let shown = shown.to_mut();
        shown.truncate(SHOWN_BYTES_MAX - CUT.len());
        shown.push_str(CUT);
    }
    shown
}
