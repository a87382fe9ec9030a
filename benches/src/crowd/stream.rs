//! One stream: its socket, its state, and the tally of what it received.
//!
//! Reading costs one system call as long as the buffer is larger than what has arrived, and copies
//! only messages that a read cut in two.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use mio::event::Event;
use mio::net::TcpStream;
use nix::errno::Errno;
use socket2::{Domain, Socket, Type};

use crate::crowd::tally::Tally;
use crate::wire::chunked::Chunked;
use crate::wire::head::{Framing, Head};
use crate::wire::message::Message;
use crate::wire::scanner::Scanner;

/// Streams that share a source address. An address has some 28,000 ports, and the port of a stream
/// that the server ended is not free for a minute.
const STREAMS_PER_ADDRESS: usize = 1000;

pub struct Stream {
    socket: TcpStream,
    state: State,
    scanner: Scanner,
    tally: Tally,
}

enum State {
    /// It is not connected yet, and will send this request.
    Connecting(Vec<u8>),
    /// The request is sent; this much of the response's head has arrived.
    Requested(Vec<u8>),
    /// `chunked` is `None` where the body ends with the connection.
    Open {
        chunked: Option<Chunked>,
    },
    Closed,
}

impl Stream {
    /// Begins to connect, from a loopback address chosen by the stream's index.
    pub fn connect(server: SocketAddr, index: usize, request: Vec<u8>) -> Result<Stream> {
        Ok(Stream {
            socket: connect(server, index)?,
            state: State::Connecting(request),
            scanner: Scanner::new(),
            tally: Tally::new(),
        })
    }

    /// Begins to connect again, and goes on with the tally.
    pub fn reconnect(&mut self, server: SocketAddr, index: usize, request: Vec<u8>) -> Result<()> {
        self.socket = connect(server, index)?;
        self.state = State::Connecting(request);
        self.scanner = Scanner::new();
        Ok(())
    }

    pub fn socket(&mut self) -> &mut TcpStream {
        &mut self.socket
    }

    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Open { .. })
    }

    pub fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    /// Does what the event allows, and calls `received` with every message that arrived. An error says
    /// why the stream cannot open; a stream that was open just closes.
    pub fn ready(
        &mut self,
        event: &Event,
        buffer: &mut [u8],
        received: &mut impl FnMut(&Message),
    ) -> Result<()> {
        let outcome = self.progress(event, buffer, received);
        if outcome.is_err() {
            self.state = State::Closed;
        }
        outcome
    }

    fn progress(
        &mut self,
        event: &Event,
        buffer: &mut [u8],
        received: &mut impl FnMut(&Message),
    ) -> Result<()> {
        if let State::Connecting(request) = &mut self.state {
            if !event.is_writable() {
                return Ok(());
            }
            let request = std::mem::take(request);
            self.send(&request)?;
        }
        if event.is_readable() || event.is_read_closed() {
            self.read(event.is_read_closed(), buffer, received)?;
        }
        Ok(())
    }

    fn send(&mut self, request: &[u8]) -> Result<()> {
        if let Some(cause) = self.socket.take_error()? {
            return Err(cause).context("failed to connect a stream");
        }
        // The buffer of a new socket has room for the whole request.
        self.socket.write_all(request).context("failed to request a stream")?;
        self.state = State::Requested(Vec::new());
        Ok(())
    }

    fn read(
        &mut self,
        to_the_end: bool,
        buffer: &mut [u8],
        received: &mut impl FnMut(&Message),
    ) -> Result<()> {
        loop {
            match self.socket.read(buffer) {
                Ok(0) => return self.close("the server hung up"),
                Ok(read_bytes) => {
                    self.take(&buffer[..read_bytes], received)?;
                    // A read that leaves room in the buffer has emptied the socket; see epoll(7).
                    // Only the end of the stream does not show that way; the event reports it.
                    if read_bytes < buffer.len() && !to_the_end {
                        return Ok(());
                    }
                }
                Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                Err(cause) => return self.close(&cause.to_string()),
            }
        }
    }

    fn close(&mut self, cause: &str) -> Result<()> {
        if !self.is_open() {
            bail!("failed to open a stream: {cause}");
        }
        self.state = State::Closed;
        Ok(())
    }

    fn take(&mut self, bytes: &[u8], received: &mut impl FnMut(&Message)) -> Result<()> {
        let State::Requested(head_so_far) = &mut self.state else {
            self.take_body(bytes, received);
            return Ok(());
        };
        head_so_far.extend_from_slice(bytes);
        let Some(head) = Head::decode(head_so_far)? else {
            return Ok(());
        };
        if head.status != 200 || !head.is_event_stream {
            bail!(
                "failed to open a stream: the server answered {} ({})",
                head.status,
                if head.is_event_stream { "a stream" } else { "no stream" }
            );
        }
        let body_so_far = head_so_far.split_off(head.head_bytes);
        let chunked = (head.framing == Framing::Chunked).then(Chunked::new);
        self.state = State::Open { chunked };
        self.take_body(&body_so_far, received);
        Ok(())
    }

    fn take_body(&mut self, mut bytes: &[u8], received: &mut impl FnMut(&Message)) {
        let tally = &mut self.tally;
        let mut each = |bytes: &_| match Message::decode(bytes) {
            Some(message) => {
                tally.note(&message);
                received(&message);
            }
            None => tally.note_torn(),
        };
        match &mut self.state {
            State::Open { chunked: Some(chunked) } => {
                while let Some(piece) = chunked.next(&mut bytes) {
                    self.scanner.scan(piece, &mut each);
                }
                if chunked.is_done() {
                    self.state = State::Closed;
                }
            }
            _ => self.scanner.scan(bytes, each),
        }
    }
}

/// Begins to connect, from a loopback address chosen by the stream's index.
fn connect(server: SocketAddr, index: usize) -> Result<TcpStream> {
    let host = u8::try_from(2 + index / STREAMS_PER_ADDRESS)
        .context("failed to open a stream: more streams than loopback addresses have room for")?;
    let source = SocketAddr::from((Ipv4Addr::new(127, 0, 0, host), 0));
    let socket =
        Socket::new(Domain::IPV4, Type::STREAM, None).context("failed to make a socket for a stream")?;
    socket.set_nonblocking(true)?;
    // Closed, the socket is gone at once. Thousands that linger for a minute would be found in the
    // memory of the next server's streams.
    socket.set_linger(Some(Duration::ZERO))?;
    socket.bind(&source.into()).with_context(|| format!("failed to bind a stream to `{source}`"))?;
    match socket.connect(&server.into()) {
        Err(cause) if cause.raw_os_error() != Some(Errno::EINPROGRESS as i32) => {
            return Err(cause).with_context(|| format!("failed to connect to `{server}`"));
        }
        _ => {}
    }
    Ok(TcpStream::from_std(socket.into()))
}
