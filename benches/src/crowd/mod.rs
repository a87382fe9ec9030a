//! A crowd: thousands of streams on one thread.
//!
//! The crowd waits in one place, `turn`, which reads all that has arrived on any stream. Its sockets
//! are polled edge-triggered and read with a large buffer, so that a busy crowd costs little.

mod stream;
mod tally;

use std::io;
use std::time::{Duration, Instant};

use anyhow::{Context, Error, Result, bail};
use mio::{Events, Interest, Poll, Token};

use crate::clock::Clock;
use crate::publisher::PipelinedPublisher;
use crate::wire::message::Message;
use crate::wire::request::{resume_request, stream_request};
use crate::wire::target::Target;
use stream::Stream;
pub use tally::{Faults, PROBE_PUBLISHER};

/// Streams that connect at the same time, fewer than the backlog of every server here. Where the
/// backlog is full the kernel tries again a second later, which says nothing about the server.
const OPENING_MAX: usize = 1000;

/// How long the crowd waits for one more stream to open. Those that are not open then count as failed.
const OPEN_PATIENCE: Duration = Duration::from_secs(15);

/// How long one turn may wait for the next stream to open.
const OPEN_TURN: Duration = Duration::from_secs(1);

/// How long a probe may take, and how many are sent before the crowd gives up.
const PROBE_PATIENCE: Duration = Duration::from_secs(2);
const PROBES: u64 = 5;

/// Sockets that one poll can report.
const EVENTS_MAX: usize = 1024;

/// Larger than what usually waits on one stream, small enough to stay in the CPU's cache.
const BUFFER_BYTES: usize = 256 * 1024;

pub struct Crowd {
    server: Target,
    /// The request of each stream, by its index.
    request: Box<dyn Fn(usize) -> Vec<u8> + Send>,
    poll: Poll,
    events: Events,
    buffer: Box<[u8]>,
    /// The streams so far, of so many that are to be opened.
    streams: Vec<Stream>,
    wanted: usize,
    /// Streams that are neither open nor closed yet.
    opening: usize,
    failure: Option<Error>,
}

impl Crowd {
    /// Opens this many streams of the topic; fewer where the server does not answer them all.
    pub fn open(server: Target, streams: usize) -> Result<Crowd> {
        Crowd::open_path(server, streams, &server.api.stream_path())
    }

    /// As `open`, on another path.
    pub fn open_path(server: Target, streams: usize, path: &str) -> Result<Crowd> {
        let path = path.to_owned();
        Crowd::open_paths(server, streams, move |_| path.clone())
    }

    /// As `open`, each on the path of its index.
    pub fn open_paths(
        server: Target,
        streams: usize,
        path: impl Fn(usize) -> String + Send + 'static,
    ) -> Result<Crowd> {
        Crowd::open_requests(server, streams, move |index| stream_request(server.addr, &path(index)))
    }

    /// As `open`, each by the request of its index.
    pub fn open_requests(
        server: Target,
        streams: usize,
        request: impl Fn(usize) -> Vec<u8> + Send + 'static,
    ) -> Result<Crowd> {
        let mut crowd = Crowd::begin(server, streams, request)?;
        let mut opened = 0;
        let mut deadline = Instant::now() + OPEN_PATIENCE;
        while crowd.is_opening() && Instant::now() < deadline {
            crowd.turn(OPEN_TURN, |_| ())?;
            if crowd.open_count() > opened {
                opened = crowd.open_count();
                deadline = Instant::now() + OPEN_PATIENCE;
            }
        }
        Ok(crowd)
    }

    /// Begins to open this many streams, which already have all events up to this id. They open during
    /// the turns that follow.
    pub fn resume(server: Target, streams: usize, last_event_id: &str) -> Result<Crowd> {
        let request = resume_request(server.addr, last_event_id);
        Crowd::begin(server, streams, move |_| request.clone())
    }

    /// Opens this many streams and makes sure that each of them receives; an error otherwise.
    pub fn open_probed(server: Target, streams: usize, clock: Clock) -> Result<Crowd> {
        let mut crowd = Crowd::open(server, streams)?;
        if crowd.open_count() < streams {
            let cause = crowd.failure.take();
            let cause = cause.unwrap_or_else(|| Error::msg("the server does not answer"));
            return Err(
                cause.context(format!("failed to open {streams} streams: {} are open", crowd.open_count()))
            );
        }
        let mut prober = PipelinedPublisher::connect(server, PROBE_PUBLISHER)?;
        for _ in 0..PROBES {
            prober.publish(clock.nanos());
            let deadline = Instant::now() + PROBE_PATIENCE;
            while Instant::now() < deadline {
                prober.progress()?;
                crowd.turn(PROBE_PATIENCE, |_| ())?;
                if crowd.streams.iter().all(|stream| stream.tally().is_probed()) {
                    return Ok(crowd);
                }
            }
        }
        bail!("failed to reach all of {streams} streams with a probe");
    }

    /// Connects the streams that are still to be opened, waits until something arrives, at most for
    /// `timeout`, reads it all, and calls `received` with every message.
    pub fn turn(&mut self, timeout: Duration, mut received: impl FnMut(&Message)) -> Result<()> {
        while self.streams.len() < self.wanted && self.opening < OPENING_MAX {
            self.connect()?;
        }
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => return Ok(()),
            polled => polled.context("failed to poll the streams")?,
        }
        for event in &self.events {
            let stream = &mut self.streams[event.token().0];
            if stream.is_closed() {
                continue;
            }
            let was_open = stream.is_open();
            let outcome = stream.ready(event, &mut self.buffer, &mut received);
            if !was_open && (stream.is_open() || stream.is_closed()) {
                self.opening -= 1;
            }
            if let Err(cause) = outcome {
                self.failure.get_or_insert(cause);
            }
        }
        Ok(())
    }

    /// Leaves all streams unread from now on.
    pub fn pause(&mut self) -> Result<()> {
        for stream in &mut self.streams {
            self.poll.registry().deregister(stream.socket()).context("failed to pause a stream")?;
        }
        Ok(())
    }

    /// Reads all streams again, and first what has arrived meanwhile.
    pub fn read_again(&mut self) -> Result<()> {
        for (index, stream) in self.streams.iter_mut().enumerate() {
            let registered = self.poll.registry().register(stream.socket(), Token(index), Interest::READABLE);
            registered.context("failed to read a stream again")?;
        }
        Ok(())
    }

    /// Opens the streams again that the server has ended and for which it is time. Each names the last
    /// event that it has; `ids` are those of publisher 0's events. Gives the number of these streams.
    pub fn reopen(&mut self, ids: &[String], is_time: impl Fn(usize) -> bool) -> Result<usize> {
        let mut reopened = 0;
        for index in 0..self.streams.len() {
            let stream = &mut self.streams[index];
            if !stream.is_closed() || !is_time(index) || self.opening >= OPENING_MAX {
                continue;
            }
            let last = stream.tally().next_of(0).checked_sub(1);
            let Some(id) = last.and_then(|last| ids.get(last as usize)) else {
                continue;
            };
            stream.reconnect(self.server.addr, index, resume_request(self.server.addr, id))?;
            let interest = Interest::READABLE | Interest::WRITABLE;
            let registered = self.poll.registry().register(stream.socket(), Token(index), interest);
            registered.context("failed to poll a stream")?;
            self.opening += 1;
            reopened += 1;
        }
        Ok(reopened)
    }

    /// Why the first stream that failed could not open.
    pub fn failure(&self) -> Option<&Error> {
        self.failure.as_ref()
    }

    /// Whether some streams are neither open nor failed yet.
    pub fn is_opening(&self) -> bool {
        self.streams.len() < self.wanted || self.opening > 0
    }

    pub fn open_count(&self) -> usize {
        self.streams.iter().filter(|stream| stream.is_open()).count()
    }

    /// The streams that have received at least this many messages.
    pub fn count_with(&self, messages: u64) -> usize {
        let has_them = |stream: &&Stream| stream.tally().received() >= messages;
        self.streams.iter().filter(has_them).count()
    }

    /// Messages received, all streams together.
    pub fn received(&self) -> u64 {
        self.streams.iter().map(|stream| stream.tally().received()).sum()
    }

    /// Messages that the slowest open stream has passed: received or lost.
    pub fn slowest(&self) -> u64 {
        let open = self.streams.iter().filter(|stream| stream.is_open());
        open.map(|stream| stream.tally().passed()).min().unwrap_or(u64::MAX)
    }

    /// Reads on until every open stream has passed `published` messages, or until nothing arrives for
    /// `patience`. Gives the faults of all streams.
    pub fn settle(&mut self, published: u64, patience: Duration) -> Result<Faults> {
        let mut received = self.received();
        let mut deadline = Instant::now() + patience;
        while self.slowest() < published && Instant::now() < deadline {
            self.turn(patience, |_| ())?;
            if self.received() > received {
                received = self.received();
                deadline = Instant::now() + patience;
            }
        }
        let mut faults = Faults::default();
        for stream in &self.streams {
            stream.tally().add_to(&mut faults, published);
            faults.hung_up += u64::from(stream.is_closed());
        }
        Ok(faults)
    }

    fn begin(
        server: Target,
        streams: usize,
        request: impl Fn(usize) -> Vec<u8> + Send + 'static,
    ) -> Result<Crowd> {
        Ok(Crowd {
            server,
            request: Box::new(request),
            poll: Poll::new().context("failed to make a poll")?,
            events: Events::with_capacity(EVENTS_MAX),
            buffer: vec![0; BUFFER_BYTES].into_boxed_slice(),
            streams: Vec::with_capacity(streams),
            wanted: streams,
            opening: 0,
            failure: None,
        })
    }

    fn connect(&mut self) -> Result<()> {
        let index = self.streams.len();
        let mut stream = Stream::connect(self.server.addr, index, (self.request)(index))?;
        self.poll
            .registry()
            .register(stream.socket(), Token(index), Interest::READABLE | Interest::WRITABLE)
            .context("failed to poll a stream")?;
        self.streams.push(stream);
        self.opening += 1;
        Ok(())
    }
}
