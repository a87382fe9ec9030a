//! A publisher that waits for each answer before the next request, on one keep-alive connection.
//!
//! It blocks, with one write and one read a request, as cheap as a client can be.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::wire::head::answer_bytes;
use crate::wire::message::Message;
use crate::wire::request::PublishRequest;

/// How long a server may take to answer one request.
const ANSWER_DEADLINE: Duration = Duration::from_secs(10);

/// Larger than any answer of the servers here.
const ANSWER_BYTES_MAX: usize = 4096;

pub struct WaitingPublisher {
    socket: TcpStream,
    index: usize,
    request: PublishRequest,
    published: u64,
}

impl WaitingPublisher {
    /// `index` tells its messages from those of other publishers.
    pub fn connect(server: SocketAddr, index: usize) -> Result<WaitingPublisher> {
        let socket = TcpStream::connect(server)
            .with_context(|| format!("failed to connect a publisher to `{server}`"))?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(ANSWER_DEADLINE))?;
        Ok(WaitingPublisher { socket, index, request: PublishRequest::new(server), published: 0 })
    }

    /// Blocks until the server has answered.
    pub fn publish(&mut self, now_nanos: u64) -> Result<()> {
        let message = Message { publisher: self.index, number: self.published, sent_nanos: now_nanos };
        self.socket.write_all(self.request.carry(&message)).context("failed to publish")?;
        self.published += 1;
        self.read_answer()
    }

    pub fn published(&self) -> u64 {
        self.published
    }

    fn read_answer(&mut self) -> Result<()> {
        let mut answer = [0; ANSWER_BYTES_MAX];
        let mut come_bytes = 0;
        loop {
            let read_bytes =
                self.socket.read(&mut answer[come_bytes..]).context("failed to read an answer")?;
            if read_bytes == 0 {
                bail!("failed to read an answer: the server hung up");
            }
            come_bytes += read_bytes;
            if answer_bytes(&answer[..come_bytes])?.is_some() {
                return Ok(());
            }
        }
    }
}
