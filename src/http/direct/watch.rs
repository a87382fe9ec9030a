//! One thread that learns from the kernel which browsers hung up, as soon as they do, and ends their
//! streams.
//!
//! Closing half of the connection (`shutdown(SHUT_WR)`) counts as hanging up: no browser does it, and from
//! here it looks the same as a browser that is gone.

use crate::hub::outlet::End;
use crate::os::threads::Threads;
use crossbeam_channel::Sender;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Registry, Token, Waker};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::io;
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Hang-ups learned of in one system call. More are learned of in the next one.
const EVENTS: usize = 256;

/// Wakes the thread for its end. The keys of streams count up from zero and never come so far.
const END: Token = Token(usize::MAX);

/// The streams that are watched, each with the channel that ends it.
type Streams = Arc<Mutex<HashMap<usize, Sender<End>>>>;

/// The handle to the watch thread, which ends when the handle and all guards are dropped.
pub(super) struct Watch {
    registry: Registry,
    streams: Streams,
    next: AtomicUsize,
    /// The thread has it too: closed before the thread has looked, it would have woken nobody.
    waker: Arc<Waker>,
}

impl Watch {
    /// Starts the thread.
    pub(super) fn start(threads: &Threads) -> io::Result<Arc<Watch>> {
        let poll = Poll::new()?;
        let watch = Watch {
            registry: poll.registry().try_clone()?,
            streams: Streams::default(),
            next: AtomicUsize::new(0),
            waker: Arc::new(Waker::new(poll.registry(), END)?),
        };
        let (streams, waker) = (watch.streams.clone(), watch.waker.clone());
        threads.spawn("watch", move || {
            let _waker = waker;
            run(poll, &streams);
        })?;
        Ok(Arc::new(watch))
    }

    /// Sends an end to `gone` when the browser at the other end of this socket hangs up, until the guard is
    /// dropped.
    pub(super) fn add(self: &Arc<Self>, socket: &Arc<TcpStream>, gone: Sender<End>) -> HangUpGuard {
        // No key is used twice: a hang-up that is learned of too late must not end another stream.
        let key = self.next.fetch_add(1, Relaxed);
        self.streams.lock().insert(key, gone);
        // The kernel is only asked whether the connection still stands: nothing is read from the socket.
        // Events are edge-triggered, so what a browser sends after its request wakes the thread once for
        // each packet and is left where it is.
        let source = socket.as_raw_fd();
        if let Err(error) = self.registry.register(&mut SourceFd(&source), Token(key), Interest::READABLE) {
            log::warn!("failed to watch a stream, its next heartbeat will notice a hang-up: {error}");
        }
        HangUpGuard { watch: self.clone(), key, socket: socket.clone() }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // It fails only where the thread has ended before.
        let _ = self.waker.wake();
    }
}

/// A stream that is being watched. The guard may be moved to, and dropped on, any thread.
pub(super) struct HangUpGuard {
    watch: Arc<Watch>,
    key: usize,
    /// Keeps the descriptor open, so that its number is not another's when it is deregistered.
    socket: Arc<TcpStream>,
}

impl Drop for HangUpGuard {
    fn drop(&mut self) {
        // It fails only where registering failed.
        let _ = self.watch.registry.deregister(&mut SourceFd(&self.socket.as_raw_fd()));
        self.watch.streams.lock().remove(&self.key);
    }
}

fn run(mut poll: Poll, streams: &Streams) {
    let mut events = Events::with_capacity(EVENTS);
    loop {
        match poll.poll(&mut events, None) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                return log::error!("failed to wait for hang-ups, heartbeats will notice them: {error}");
            }
        }
        let streams = streams.lock();
        for event in &events {
            if event.token() == END {
                return;
            }
            if (event.is_read_closed() || event.is_error())
                && let Some(gone) = streams.get(&event.token().0)
            {
                // A full channel means that the stream has been ended already.
                let _ = gone.try_send(End::HungUp);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_stream_that_ended_is_forgotten_and_one_that_is_watched_is_told_of_its_end() {
        let watch = Watch::start(&Threads::default()).unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let connect = || {
            let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            (Arc::new(listener.accept().unwrap().0), peer)
        };
        let (gone, ends) = crossbeam_channel::bounded(1);
        let (socket, peer) = connect();
        let guard = watch.add(&socket, gone);
        drop(peer);
        assert_eq!(ends.recv_timeout(std::time::Duration::from_secs(20)), Ok(End::HungUp));
        drop(guard);
        assert!(watch.streams.lock().is_empty());
        assert!(ends.recv().is_err(), "nothing of the stream is held any more");
        assert_eq!(Arc::strong_count(&socket), 1);
    }
}
