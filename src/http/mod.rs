//! HTTP/1.0 and 1.1: two listeners behind one small interface.
//!
//! A listener turns bytes into a [`Request`], asks its [`Site`] for an [`Answer`], and either writes the
//! [`Response`] or lets the site drive a stream on the request's own thread.

mod body;
mod connection;
mod connections;
pub mod direct;
pub mod files;
pub mod path;
pub mod request;
pub mod response;
mod template;
pub mod tiny;
pub mod watch;

pub use path::Captures;
pub use request::Request;
pub use response::Response;

use crate::client::{Client, Pace, Stream, Visit};
use crate::error::Error;
use http::StatusCode;
use serde::Serialize;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// What a request is answered with.
pub enum Answer {
    /// A whole response.
    Full(Response),
    /// A response whose body is a stream of events.
    Stream(Response, Stream),
}

impl Answer {
    /// 200, with this as JSON.
    pub fn json(value: &impl Serialize) -> Answer {
        Answer::Full(Response::json(StatusCode::OK, value))
    }

    /// 200, with this stream.
    pub fn stream(stream: Stream) -> Answer {
        Answer::Stream(Response::stream(), stream)
    }
}

/// A request, after its answer is written.
#[derive(Debug, Clone, Copy)]
pub struct Answered<'a> {
    /// Its method.
    pub method: &'a str,
    /// Its path, percent-encoded as it came.
    pub path: &'a str,
    /// What it was answered.
    pub status: u16,
    /// How long that took.
    pub took: Duration,
}

/// What a listener serves.
pub trait Site: Send + Sync + 'static {
    /// Answers a request. Runs on the request's thread and may block.
    fn answer(&self, request: &Request) -> Answer;

    /// Answers what could not be taken as a request. `request` has what was understood of it, without
    /// its body, if its head was.
    fn refuse(&self, error: &Error, request: Option<&Request>) -> Response;

    /// Is told of a request that was answered; of a stream, when it begins. Does not wait for anything.
    fn answered(&self, answered: &Answered);

    /// Drives a stream until it ends: `head` is written first. Blocks.
    fn follow(&self, client: Client, head: Vec<u8>, stream: Stream) -> Visit;
}

/// A listener that runs.
pub trait Listener: Send + Sync {
    /// Where it listens; the port that was chosen if 0 was asked for.
    fn address(&self) -> SocketAddr;

    /// Takes no more connections. Those that are open may finish their request. Does not wait.
    fn stop(&self);

    /// Requests that are being answered, streams among them.
    fn busy(&self) -> usize;

    /// Hangs up on every connection that is still open.
    fn hang_up(&self);
}

/// What a listener holds its connections to. Every queue, body, header, history and count has a named
/// limit and a stated consequence; these are the ones that an operator may want to change.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// A head that is not complete after this time is answered 408 and the connection closed.
    pub head_deadline: Duration,
    /// The same for a body.
    pub body_deadline: Duration,
    /// A connection that stays silent for so long after a request is closed.
    pub idle_deadline: Duration,
    /// A longer body is answered 413 and not read.
    pub body_bytes_max: usize,
    /// More connections than this wait, unaccepted, until one ends.
    pub connections_max: usize,
    /// Heartbeats and the write deadline.
    pub pace: Pace,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            head_deadline: Duration::from_secs(10),
            body_deadline: Duration::from_secs(10),
            idle_deadline: Duration::from_secs(60),
            body_bytes_max: 64 * 1024,
            connections_max: 1_000,
            pace: Pace { heartbeat: Duration::from_secs(15), write_deadline: Duration::from_secs(30) },
        }
    }
}

/// Asks the site. A panic in one request is answered 500 and ends nothing else.
fn answer(site: &dyn Site, request: &Request) -> Answer {
    catch_unwind(AssertUnwindSafe(|| site.answer(request))).unwrap_or_else(|_| {
        let what = format!("{} {} panicked", request.method, request.path());
        log::error!("{what}");
        Answer::Full(Response::error(&Error::Internal(what)))
    })
}

/// The access log: one line per request. The query is left out, for it may hold a secret.
fn log_request(answered: &Answered, bytes: u64) {
    let Answered { method, path, status, took } = answered;
    let millis = took.as_secs_f64() * 1_000.0;
    log::info!("{method} {path} {status} {bytes}B {millis:.1}ms");
}
