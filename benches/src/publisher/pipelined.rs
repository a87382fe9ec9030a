//! A publisher that sends requests without waiting for answers, on one keep-alive connection.
//!
//! It never blocks, so that one thread can publish and read streams. Bytes that the connection does
//! not take at once wait here for the next `progress`.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use anyhow::{Context, Result, bail};

use crate::wire::head::{answer_bytes, event_id};
use crate::wire::message::Message;
use crate::wire::request::PublishRequest;
use crate::wire::target::Target;

/// Room for the answers to a few hundred requests.
const BUFFER_BYTES: usize = 64 * 1024;

pub struct PipelinedPublisher {
    socket: TcpStream,
    index: usize,
    request: PublishRequest,
    published: u64,
    answered: u64,
    unsent: Vec<u8>,
    /// Answers read and not yet taken, at the front of the buffer.
    answers: Box<[u8]>,
    answers_bytes: usize,
    /// The id of each event, where they are kept.
    ids: Option<Vec<String>>,
}

impl PipelinedPublisher {
    /// `index` tells its messages from those of other publishers.
    pub fn connect(server: Target, index: usize) -> Result<PipelinedPublisher> {
        PipelinedPublisher::connect_with(server, index, PublishRequest::new(server))
    }

    /// As `connect`, with another request than `PublishRequest::new`.
    pub fn connect_with(server: Target, index: usize, request: PublishRequest) -> Result<PipelinedPublisher> {
        let socket = TcpStream::connect(server.addr)
            .with_context(|| format!("failed to connect a publisher to `{}`", server.addr))?;
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        Ok(PipelinedPublisher {
            socket,
            index,
            request,
            published: 0,
            answered: 0,
            unsent: Vec::new(),
            answers: vec![0; BUFFER_BYTES].into_boxed_slice(),
            answers_bytes: 0,
            ids: None,
        })
    }

    /// From now on keeps the ids that callout gives the events.
    pub fn keep_ids(&mut self) {
        self.ids = Some(Vec::new());
    }

    /// The ids of the events that are answered, by the numbers of their messages.
    pub fn ids(&self) -> &[String] {
        self.ids.as_deref().unwrap_or_default()
    }

    /// Adds one request, which the next `progress` sends.
    pub fn publish(&mut self, now_nanos: u64) {
        let message = Message { publisher: self.index, number: self.published, sent_nanos: now_nanos };
        self.unsent.extend_from_slice(self.request.carry(&message));
        self.published += self.request.messages();
    }

    pub fn published(&self) -> u64 {
        self.published
    }

    pub fn unanswered(&self) -> u64 {
        self.published - self.answered
    }

    /// Sends what the connection takes now, and reads the answers that are there.
    pub fn progress(&mut self) -> Result<()> {
        self.send()?;
        self.receive()
    }

    fn send(&mut self) -> Result<()> {
        while !self.unsent.is_empty() {
            match self.socket.write(&self.unsent) {
                Ok(sent_bytes) => drop(self.unsent.drain(..sent_bytes)),
                Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => break,
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                Err(cause) => return Err(cause).context("failed to publish"),
            }
        }
        Ok(())
    }

    fn receive(&mut self) -> Result<()> {
        loop {
            match self.socket.read(&mut self.answers[self.answers_bytes..]) {
                Ok(0) => bail!("failed to publish: the server hung up"),
                Ok(read_bytes) => self.answers_bytes += read_bytes,
                Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                Err(cause) => return Err(cause).context("failed to read an answer"),
            }
            self.take_answers()?;
        }
    }

    /// Counts every complete answer, and moves the rest to the front.
    fn take_answers(&mut self) -> Result<()> {
        let mut taken_bytes = 0;
        while let Some(answer_bytes) = answer_bytes(&self.answers[taken_bytes..self.answers_bytes])? {
            if let Some(ids) = &mut self.ids {
                ids.push(event_id(&self.answers[taken_bytes..][..answer_bytes])?);
            }
            taken_bytes += answer_bytes;
            self.answered += self.request.messages();
        }
        self.answers.copy_within(taken_bytes..self.answers_bytes, 0);
        self.answers_bytes -= taken_bytes;
        Ok(())
    }
}
