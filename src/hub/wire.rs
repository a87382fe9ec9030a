//! The wire to one browser: bytes out, either all of them with a deadline or what fits right now.

use crate::os::deadline::Deadline;
use crate::os::kernel::unacknowledged;
use socket2::SockRef;
use std::io::{self, ErrorKind, Write};
use std::mem::MaybeUninit;
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;

/// How often, within its deadline, a write that waits looks whether anything moves.
const LOOKS: u32 = 8;

/// What a connection's own thread writes to. The listener decides which kind it is.
pub enum Wire {
    /// The socket itself, with a short send timeout; other threads may hold it too.
    Socket(Arc<TcpStream>),
    /// A writer of another library (tiny_http). Its socket is not known.
    Writer(Box<dyn Write + Send>),
}

impl Wire {
    /// Writes everything or fails. Blocks for as long as the other side goes on taking bytes; on a socket it fails with
    /// `TimedOut` when it takes none, or hardly any, for the time of `deadline`.
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

/// Prepares a socket for writes with this deadline. It fails only where the other side is gone already, which the first
/// read will notice.
pub(crate) fn set_send_timeout(socket: &TcpStream, deadline: Duration) {
    let _ = socket.set_write_timeout(Some((deadline / LOOKS).max(Duration::from_millis(1))));
}

/// What the kernel takes from here has not moved yet: it may wait for the other side. So what counts is what the other
/// side has acknowledged.
fn write_socket(mut socket: &TcpStream, bytes: &[u8], deadline: Duration) -> io::Result<()> {
    let mut deadline = Deadline::new(deadline);
    let mut sent = 0;
    // What had been sent and acknowledged at the last look; bytes from before may count too.
    let mut taken: Option<isize> = None;
    while sent < bytes.len() {
        match socket.write(&bytes[sent..]) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(now) => sent += now,
            Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => {}
            Err(error) => return Err(error),
        }
        if sent == bytes.len() {
            break;
        }
        let now = sent as isize - unacknowledged(socket) as isize;
        let before = taken.replace(now).unwrap_or(now);
        deadline.note(usize::try_from(now - before).unwrap_or(0));
        if deadline.has_passed() {
            return Err(ErrorKind::TimedOut.into());
        }
    }
    Ok(())
}
