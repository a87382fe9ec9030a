//! An answer as it goes out, as far as its peer takes it, and what comes after it.

use super::{CONNECTIONS_SHARE, Connection, State, Told, Wait};
use crate::error::Error;
use crate::http::busy::BusyGuard;
use crate::http::unread::Waiting;
use crate::http::{Answered, Request, Response, log_request};
use crate::hub::wire::{Look, Progress, send_now};
use crate::os::pool::Lane;
use http::header::CONNECTION;
use http::{Method, StatusCode, Version};
use socket2::SockRef;
use std::io::ErrorKind;
use std::net::Shutdown;
use std::time::{Duration, Instant};

/// How long, and how much, a refused peer may go on sending before its connection is cut. Cutting at once
/// would destroy the answer on its way (RFC 9112, section 9.6).
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 1024 * 1024;

/// An answer of which the peer has not taken all.
pub(super) struct Outgoing {
    bytes: Vec<u8>,
    sent: usize,
    progress: Progress,
    answered: Told,
    then: Then,
    _waiting: Option<Waiting>,
    _busy: BusyGuard,
}

/// What comes after an answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    Next,
    Close,
    Linger,
}

impl Connection {
    /// Answers with a whole response, as far as the peer takes it now.
    pub(super) fn respond(
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
        log_request(&answered, bytes.len() as u64, response.is_refusal);
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
    pub(super) fn go_on_answering(&mut self) -> Option<Wait> {
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
        log_request(&answered, outgoing.bytes.len() as u64, false);
        self.shared.site.answered(&answered);
        wait.or_else(|| self.go_on(outgoing.then))
    }

    /// Ends the connection, and with it what the kernel holds for a peer that does not read.
    fn abort(&self) -> Wait {
        // Where it cannot be set, the kernel goes on trying for a while.
        let _ = SockRef::from(&*self.socket).set_linger(Some(Duration::ZERO));
        Wait::End
    }

    /// Answers what cannot be read any further, and ends the connection.
    pub(super) fn refuse(&mut self, error: &Error, request: Option<&Request>) {
        let began = Instant::now();
        let with_body = request.is_none_or(|request| request.method != Method::HEAD);
        let bytes = self.shared.site.refuse(error, request).encode(true, with_body);
        // A peer that does not take the answer goes without.
        let _ = send_now(&self.socket, &bytes);
        let (method, path) = request.map_or(("-", "-"), |request| (request.method.as_str(), request.path()));
        let client = request.map_or(self.announced.unwrap_or(self.peer.ip()), |request| request.client);
        let status = error.status().as_u16();
        let answered = Answered { client, method, path, status, took: began.elapsed() };
        log_request(&answered, bytes.len() as u64, true);
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

    pub(super) fn linger(&mut self) -> Option<Wait> {
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

/// Whether the client wants the connection to end after the answer. One of HTTP/1.0 always does.
fn wants_close(request: &Request) -> bool {
    request.version == Version::HTTP_10 || request.header_has(CONNECTION, "close")
}
