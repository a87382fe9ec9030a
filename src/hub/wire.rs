//! The wire to one browser: bytes out, either all of them with a deadline or what fits right now.

use socket2::SockRef;
use std::io::{self, ErrorKind, Write};
use std::mem::MaybeUninit;
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a connection's own thread writes to. The listener decides which kind it is.
pub enum Wire {
    /// The socket itself, with a send timeout set; other threads may hold it too.
    Socket(Arc<TcpStream>),
    /// A writer of another library (tiny_http). Its socket is not known.
    Writer(Box<dyn Write + Send>),
}

impl Wire {
    /// Writes everything or fails. Blocks; on a socket for `deadline` at most, then fails with `TimedOut`, even if
    /// the other side takes a byte now and then.
    pub fn write(&mut self, bytes: &[u8], deadline: Duration) -> io::Result<()> {
        match self {
            Wire::Socket(socket) => write_socket(socket, bytes, deadline),
            Wire::Writer(writer) => {
                writer.write_all(bytes)?;
                writer.flush()
            }
        }
    }

    /// Makes closing discard what the kernel still holds for a browser that does not read.
    pub fn abort(&mut self) {
        if let Wire::Socket(socket) = self {
            // Where it cannot be set, the kernel goes on trying for a while.
            let _ = SockRef::from(&**socket).set_linger(Some(Duration::ZERO));
        }
    }

    /// Closes the sending half, so that the browser sees a clean end.
    pub fn finish(&mut self) {
        if let Wire::Socket(socket) = self {
            // The browser may have hung up first.
            let _ = socket.shutdown(Shutdown::Write);
        }
    }
}

/// Sends what the socket has room for at this moment and says how much that was. Never blocks.
pub(crate) fn send_now(socket: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    match SockRef::from(socket).send_with_flags(bytes, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) {
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(0),
        sent => sent,
    }
}

/// Whether the other side has closed, or the connection is broken, as far as the kernel knows at this
/// moment. Takes nothing from the socket and never blocks.
pub(crate) fn has_hung_up(socket: &TcpStream) -> bool {
    let mut byte = [MaybeUninit::uninit()];
    match SockRef::from(socket).recv_with_flags(&mut byte, libc::MSG_PEEK | libc::MSG_DONTWAIT) {
        Ok(bytes) => bytes == 0,
        Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
    }
}

/// The socket's send timeout bounds one write that moves nothing; the clock here bounds them all.
fn write_socket(mut socket: &TcpStream, mut bytes: &[u8], deadline: Duration) -> io::Result<()> {
    let start = Instant::now();
    while !bytes.is_empty() {
        match socket.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(sent) => bytes = &bytes[sent..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Err(ErrorKind::TimedOut.into()),
            Err(error) => return Err(error),
        }
        if !bytes.is_empty() && start.elapsed() >= deadline {
            return Err(ErrorKind::TimedOut.into());
        }
    }
    Ok(())
}
