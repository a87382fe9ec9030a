//! A publisher that waits for each answer before the next request, on one keep-alive connection.
//!
//! It blocks, with one write and one read a request, so that it costs as little as a client can.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::wire::head::{answer_bytes, event_id};
use crate::wire::message::Message;
use crate::wire::request::PublishRequest;
use crate::wire::target::Target;

/// How long a server may take to read one request, and to answer it.
const ANSWER_DEADLINE: Duration = Duration::from_secs(10);

/// Larger than any answer of the servers here.
const ANSWER_BYTES_MAX: usize = 32 * 1024;

pub struct WaitingPublisher {
    socket: TcpStream,
    index: usize,
    request: PublishRequest,
    published: u64,
    /// The last answer is in the first `answer_bytes`.
    answer: Box<[u8]>,
    answer_bytes: usize,
}

impl WaitingPublisher {
    /// `index` tells its messages from those of other publishers.
    pub fn connect(server: Target, index: usize) -> Result<WaitingPublisher> {
        WaitingPublisher::connect_with(server, index, PublishRequest::new(server))
    }

    /// As `connect`, with another request than `PublishRequest::new`.
    pub fn connect_with(server: Target, index: usize, request: PublishRequest) -> Result<WaitingPublisher> {
        let socket = TcpStream::connect(server.addr)
            .with_context(|| format!("failed to connect a publisher to `{}`", server.addr))?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(ANSWER_DEADLINE))?;
        socket.set_write_timeout(Some(ANSWER_DEADLINE))?;
        Ok(WaitingPublisher {
            socket,
            index,
            request,
            published: 0,
            answer: vec![0; ANSWER_BYTES_MAX].into_boxed_slice(),
            answer_bytes: 0,
        })
    }

    /// Blocks until the server has answered.
    pub fn publish(&mut self, now_nanos: u64) -> Result<()> {
        let message = Message { publisher: self.index, number: self.published, sent_nanos: now_nanos };
        self.socket.write_all(self.request.carry(&message)).context("failed to publish")?;
        self.published += self.request.messages();
        self.read_answer()
    }

    pub fn published(&self) -> u64 {
        self.published
    }

    /// The id that callout gave the last event.
    pub fn last_id(&self) -> Result<String> {
        event_id(&self.answer[..self.answer_bytes])
    }

    fn read_answer(&mut self) -> Result<()> {
        self.answer_bytes = 0;
        loop {
            let room = &mut self.answer[self.answer_bytes..];
            let read_bytes = self.socket.read(room).context("failed to read an answer")?;
            if read_bytes == 0 {
                bail!("failed to read an answer: the server hung up");
            }
            self.answer_bytes += read_bytes;
            if answer_bytes(&self.answer[..self.answer_bytes])?.is_some() {
                return Ok(());
            }
        }
    }
}
