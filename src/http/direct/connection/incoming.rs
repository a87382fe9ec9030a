//! A request as it comes in: its head, then its body.

use super::{CONNECTIONS_SHARE, Connection, State, Wait};
use crate::error::Error;
use crate::http::busy::BusyGuard;
use crate::http::direct::announcement::{self, Announcement};
use crate::http::direct::body::Body;
use crate::http::direct::head::{Framing, Head};
use crate::http::{HEAD_BYTES_MAX, Request};
use crate::hub::wire::send_now;
use crate::os::deadline::Deadline;
use crate::os::pool::Lane;
use std::io::ErrorKind;
use std::time::Instant;

/// A request whose body is still coming. It counts as busy.
pub(super) struct Incoming {
    request: Request,
    body: Body,
    deadline: Deadline,
    busy: BusyGuard,
}

/// Why there is no request.
pub(super) enum Unread {
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

impl Connection {
    /// What is held of a request that is not complete counts.
    pub(super) fn wait_for_bytes(&mut self, until: Instant) -> Option<Wait> {
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
                let full = Error::unavailable("too many requests come in slowly at this moment");
                self.refuse(&full.hint("send it again later, or quicker"), None);
                None
            }
        }
    }

    /// Reads one request with its body. It counts as busy from the moment when its head is complete.
    pub(super) fn read(&mut self, lane: Lane) -> Result<(Request, BusyGuard), Unread> {
        if let State::Head { .. } = &self.state {
            let head = self.read_head(lane)?;
            let busy = self.shared.busy.guard();
            self.source.skip(head.bytes);
            let mut request = head.request;
            self.shared.proxies.identify(&mut request, self.announced);
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
                if self.is_new {
                    let is_trusted = self.shared.proxies.trusts(self.peer.ip());
                    match announcement::parse(self.source.buffered(), is_trusted)? {
                        // Too short to tell; a head that is as short is not complete either.
                        Announcement::Unfinished => {}
                        Announcement::None => self.is_new = false,
                        Announcement::Of { client, bytes } => {
                            (self.is_new, self.announced) = (false, client);
                            self.source.skip(bytes);
                            continue;
                        }
                    }
                }
                if self.is_new {
                    // More of the announcement has to come first.
                } else if let Some(head) = Head::parse(self.source.buffered(), self.peer)? {
                    return Ok(head);
                }
                if self.source.buffered().len() > HEAD_BYTES_MAX && self.long_head.is_none() {
                    let full = || {
                        let error = Error::unavailable("too many long requests come at this moment");
                        error.hint("try again later, or name the topics in the body of `QUERY /topics`")
                    };
                    let permit = self.shared.long_heads.take();
                    self.long_head = Some(permit.map_err(|_| full())?);
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
                Err(_) => return Err(Error::timeout("request's head").into()),
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
                        Err(_) => Error::timeout("body"),
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
}
