//! A connection that has become a stream.

use super::{Connection, STREAMS_SHARE, State, Told, Wait, not_watched};
use crate::client::{Client, Step, Stream};
use crate::http::busy::BusyGuard;
use crate::http::direct::readiness::Interests;
use crate::http::direct::source::Source;
use crate::http::{Request, Response, log_stream};
use crate::hub::outlet::{End, Wake};
use crate::hub::wire::Wire;
use crate::os::pool::Lane;
use std::sync::{Arc, Weak};
use std::time::Instant;

/// The stream, and what the log tells of it when it ends.
pub(super) struct Streaming {
    client: Client,
    answered: Told,
    _busy: BusyGuard,
}

impl Connection {
    /// From now on the connection is a stream, which keeps nothing of the request.
    pub(super) fn begin_stream(
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
    pub(super) fn stream(&mut self, lane: Lane) -> Option<Wait> {
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

    pub(super) fn is_stream(&self) -> bool {
        matches!(self.state, State::Stream(_))
    }

    pub(super) fn end_stream(&mut self, end: End) {
        let State::Stream(streaming) = self.take_state() else { return };
        let Streaming { client, answered, .. } = *streaming;
        log_stream(&answered.answered(), &self.shared.site.finish(client, end));
    }
}
