//! The wire to one browser: what fits goes out right now, and a browser that takes nothing is noticed.

use crate::os::deadline::Deadline;
use crate::os::kernel::unacknowledged;
use socket2::SockRef;
use std::io::{self, ErrorKind, Write};
use std::mem::MaybeUninit;
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often, within its deadline, whoever waits for room looks whether anything moves.
const LOOKS: u32 = 8;

/// What a stream is written to. The listener decides which kind it is.
pub enum Wire {
    /// The socket itself; other threads may hold it too.
    Socket(Arc<TcpStream>),
    /// A writer of another library (tiny_http). Its socket is not known.
    Writer(Box<dyn Write + Send>),
}

impl Wire {
    /// Writes what there is room for and says how much that was. On a socket it never blocks; a writer takes everything,
    /// and blocks for as long as that takes.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Wire::Socket(socket) => send_now(socket, bytes),
            Wire::Writer(writer) => {
                writer.write_all(bytes)?;
                writer.flush()?;
                Ok(bytes.len())
            }
        }
    }

    /// The socket, where it is known.
    pub fn socket(&self) -> Option<&TcpStream> {
        match self {
            Wire::Socket(socket) => Some(socket),
            Wire::Writer(_) => None,
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

/// Whether the other side takes what it is sent, while a socket has no room.
///
/// What the kernel takes from here has not moved yet: it may wait for the other side. So what counts is what the other
/// side has acknowledged.
pub(crate) struct Progress {
    deadline: Deadline,
    pause: Duration,
    /// What had been sent and acknowledged at the last look; bytes from before may count too.
    taken: Option<isize>,
    looked_at: Option<Instant>,
}

/// What to wait for when a socket took nothing.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Look {
    /// Room, or this moment.
    Room(Instant),
    /// This moment: the kernel says that there is room, and takes nothing.
    NoMemory(Instant),
}

/// The pause after the kernel said that there is room, and took nothing: it has no memory for the socket now.
const NO_MEMORY_PAUSE: Duration = Duration::from_millis(10);

impl Progress {
    /// The other side has this pause from now on.
    pub(crate) fn new(pause: Duration) -> Progress {
        Progress { deadline: Deadline::new(pause), pause, taken: None, looked_at: None }
    }

    /// Looks at the socket, into which so many bytes have been written in all (less those of which is known that they are
    /// unread), and says when to look again. Fails with `TimedOut` when the other side has taken nothing, or hardly
    /// anything, for the whole pause.
    pub(crate) fn look(&mut self, socket: &TcpStream, sent: isize) -> io::Result<Look> {
        let now = sent - unacknowledged(socket) as isize;
        let before = self.taken.replace(now).unwrap_or(now);
        self.deadline.note(usize::try_from(now - before).unwrap_or(0));
        if self.deadline.has_passed() {
            return Err(ErrorKind::TimedOut.into());
        }
        let now = Instant::now();
        // A socket that is full is not looked at again so soon, unless the kernel says that it has room.
        let is_short = self.looked_at.replace(now).is_some_and(|before| now - before < NO_MEMORY_PAUSE);
        Ok(match is_short {
            true => Look::NoMemory(now + NO_MEMORY_PAUSE),
            false => Look::Room(self.deadline.at().min(now + self.pause / LOOKS)),
        })
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
