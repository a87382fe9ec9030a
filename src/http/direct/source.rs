//! What comes in on a connection: a socket, and the bytes that were read from it and not used yet.

use crate::http::HEAD_BYTES_MAX;
use crate::os::kernel::receive_now;
use std::io::{self, ErrorKind, Read};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Read at once while a head is expected; most heads and small bodies fit.
const READ_BYTES: usize = 2 * 1024;

/// How often a connection looks for its next bytes, yielding to other threads in between, before it
/// sleeps: some microseconds in all. It does so only where the last bytes came [quickly](QUICK), as from a
/// publisher on the same machine; there, falling asleep and waking up take longer than a request.
const QUICK_LOOKS: usize = 8;

/// Bytes that come within this time came quickly.
const QUICK: Duration = Duration::from_micros(50);

/// The incoming side of a connection.
pub(super) struct Source {
    socket: Arc<TcpStream>,
    buffer: Vec<u8>,
    /// Whether the last bytes came quickly.
    is_quick: bool,
    /// The receive timeout that the socket has now, so that it is set only when it has to change.
    timeout: Duration,
}

impl Source {
    pub(super) fn new(socket: Arc<TcpStream>) -> Source {
        Source { socket, buffer: Vec::new(), is_quick: false, timeout: Duration::ZERO }
    }

    /// The bytes that were read and not used yet.
    pub(super) fn buffered(&self) -> &[u8] {
        &self.buffer
    }

    /// Forgets so many of the buffered bytes, which have been used.
    pub(super) fn skip(&mut self, bytes: usize) {
        self.buffer.drain(..bytes);
        if self.buffer.is_empty() && self.buffer.capacity() > 2 * HEAD_BYTES_MAX {
            // A large body or head leaves nothing behind.
            self.buffer = Vec::new();
        }
    }

    /// Reads what has arrived and says how many bytes came. Where nothing has, it waits until something does, or for the
    /// timeout, if it may; else it fails with `WouldBlock`. `UnexpectedEof` when nothing more will come.
    pub(super) fn fill(&mut self, until: Instant, may_wait: bool) -> io::Result<usize> {
        let filled = self.buffer.len();
        self.buffer.resize(filled + READ_BYTES.max(filled.min(HEAD_BYTES_MAX)), 0);
        let read = match self.look(filled) {
            Some(read) => read,
            None if may_wait => self.set_timeout(until).and_then(|()| self.wait(filled)),
            None => receive_now(&self.socket, &mut self.buffer[filled..]),
        };
        self.buffer.truncate(filled + *read.as_ref().unwrap_or(&0));
        match read {
            Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
            Err(error) if error.kind() == ErrorKind::Interrupted => Err(ErrorKind::WouldBlock.into()),
            read => read,
        }
    }

    /// Lets go of what the buffer has beyond what is in it: who waits for long holds nothing.
    pub(super) fn shrink(&mut self) {
        self.buffer.shrink_to_fit();
    }

    /// Sets a timeout that is a little longer than asked, so that one setting serves the many waits of a
    /// busy connection.
    fn set_timeout(&mut self, until: Instant) -> io::Result<()> {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::WouldBlock.into());
        }
        if self.timeout < left || self.timeout > left + left / 8 {
            self.timeout = left + left / 16;
            self.socket.set_read_timeout(Some(self.timeout))?;
        }
        Ok(())
    }

    /// Looks for the next bytes for a moment without sleeping, if the last ones came quickly.
    fn look(&mut self, filled: usize) -> Option<io::Result<usize>> {
        let looks = if self.is_quick { QUICK_LOOKS } else { 0 };
        for _ in 0..looks {
            match receive_now(&self.socket, &mut self.buffer[filled..]) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::yield_now(),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => return Some(read),
            }
        }
        None
    }

    /// Sleeps until the next bytes come, or until the timeout.
    fn wait(&mut self, filled: usize) -> io::Result<usize> {
        let began = Instant::now();
        loop {
            match (&*self.socket).read(&mut self.buffer[filled..]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => {
                    self.is_quick = began.elapsed() < QUICK;
                    return read;
                }
            }
        }
    }
}
