//! One thread that learns from the kernel which sockets have something to read, have room, or were hung up on, and wakes
//! their connections.
//!
//! Closing half of the connection (`shutdown(SHUT_WR)`) counts as hanging up where the connection is a stream: no browser
//! does it, and from here it looks the same as a browser that is gone.

use super::open::Connections;
use crate::os::pool::Work;
use crate::os::threads::Threads;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Registry, Token, Waker};
use std::io;
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::sync::Arc;

/// Sockets learned of in one system call. More are learned of in the next one.
const EVENTS: usize = 256;

/// Wakes the thread for its end. The keys of connections count up from zero and never come so far.
const END: Token = Token(usize::MAX);

/// The handle to the thread, which ends when the handle is dropped.
pub(super) struct Readiness {
    registry: Registry,
    /// The thread has it too: closed before the thread has looked, it would have woken nobody.
    waker: Arc<Waker>,
}

/// What a connection waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Interests {
    /// Bytes, or the end.
    Bytes,
    /// Room, or that the connection is broken.
    Room,
    Both,
}

impl Readiness {
    /// Starts the thread.
    pub(super) fn start<W: Work>(
        connections: &Arc<Connections<W>>,
        threads: &Threads,
    ) -> io::Result<Readiness> {
        let poll = Poll::new()?;
        let readiness = Readiness {
            registry: poll.registry().try_clone()?,
            waker: Arc::new(Waker::new(poll.registry(), END)?),
        };
        let (connections, waker) = (connections.clone(), readiness.waker.clone());
        threads.spawn_essential("readiness", move || {
            let _waker = waker;
            run(poll, &connections);
        })?;
        Ok(readiness)
    }

    /// Wakes the connection of this key when its socket is ready from now on, or is ready already. What was asked for this
    /// socket before, if anything was, no longer counts. It ends when the socket is closed.
    pub(super) fn ask(
        &self,
        socket: &TcpStream,
        key: usize,
        interests: Interests,
        is_known: bool,
    ) -> io::Result<()> {
        let interest = match interests {
            Interests::Bytes => Interest::READABLE,
            Interests::Room => Interest::WRITABLE,
            Interests::Both => Interest::READABLE | Interest::WRITABLE,
        };
        let source = socket.as_raw_fd();
        let (mut source, token) = (SourceFd(&source), Token(key));
        // Events are edge-triggered: each tells of a change, and asking again tells how it is.
        match is_known {
            true => self.registry.reregister(&mut source, token, interest),
            false => self.registry.register(&mut source, token, interest),
        }
    }
}

impl Drop for Readiness {
    fn drop(&mut self) {
        // It fails only where the thread has ended before.
        let _ = self.waker.wake();
    }
}

fn run<W: Work>(mut poll: Poll, connections: &Connections<W>) {
    let mut events = Events::with_capacity(EVENTS);
    loop {
        match poll.poll(&mut events, None) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            // It would be without readiness for good, and look alive.
            Err(error) => panic!("failed to wait for sockets: {error}"),
        }
        let slots = connections.find(events.iter().map(|event| event.token().0));
        for (event, slot) in events.iter().zip(slots) {
            if event.token() == END {
                return;
            }
            // It may have ended since.
            let Some(slot) = slot else { continue };
            let is_closed = event.is_read_closed() || event.is_error();
            if event.is_readable() || is_closed {
                slot.note_readable(is_closed);
            }
            if event.is_writable() {
                slot.note_writable();
            }
        }
    }
}
