//! One thread that learns from the kernel, at once, which browsers hung up, and tells their clients.
//!
//! Closing half of the connection (`shutdown(SHUT_WR)`) counts as hanging up: no browser does it, and
//! from here it looks the same as a browser that went.

use crate::hub::outlet::End;
use crossbeam_channel::Sender;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Registry, Token};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::io;
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Hang-ups learned of in one system call.
const EVENTS: usize = 256;

type Clients = Arc<Mutex<HashMap<usize, Sender<End>>>>;

/// The handle to the watching thread, which lives as long as the process.
pub(super) struct Watch {
    registry: Registry,
    clients: Clients,
    next: AtomicUsize,
}

impl Watch {
    pub(super) fn start() -> io::Result<Watch> {
        let poll = Poll::new()?;
        let watch = Watch {
            registry: poll.registry().try_clone()?,
            clients: Clients::default(),
            next: AtomicUsize::new(0),
        };
        let clients = watch.clients.clone();
        std::thread::Builder::new().name("watch".into()).spawn(move || run(poll, &clients))?;
        Ok(watch)
    }

    /// Tells `gone` when this socket's browser hangs up, until the guard is dropped.
    pub(super) fn add(&self, socket: &Arc<TcpStream>, gone: Sender<End>) -> HangUpGuard<'_> {
        // A key is never used again: a hang-up that was learned of too late must not end a newcomer.
        let key = self.next.fetch_add(1, Relaxed);
        self.clients.lock().insert(key, gone);
        // The socket is only asked whether it is still connected: nothing is read, and being
        // edge-triggered, what a browser sends after its request wakes the thread once a packet and
        // is left alone.
        let source = socket.as_raw_fd();
        if let Err(error) = self.registry.register(&mut SourceFd(&source), Token(key), Interest::READABLE) {
            log::warn!("failed to watch a browser, its heartbeat will tell when it is gone: {error}");
        }
        HangUpGuard { watch: self, key, socket: socket.clone() }
    }
}

/// A socket that is being watched.
pub(super) struct HangUpGuard<'a> {
    watch: &'a Watch,
    key: usize,
    socket: Arc<TcpStream>,
}

impl Drop for HangUpGuard<'_> {
    fn drop(&mut self) {
        // It fails only where registering failed.
        let _ = self.watch.registry.deregister(&mut SourceFd(&self.socket.as_raw_fd()));
        self.watch.clients.lock().remove(&self.key);
    }
}

fn run(mut poll: Poll, clients: &Clients) {
    let mut events = Events::with_capacity(EVENTS);
    loop {
        match poll.poll(&mut events, None) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return log::error!("failed to wait for hang-ups, heartbeats take over: {error}"),
        }
        let clients = clients.lock();
        for event in events.iter().filter(|event| event.is_read_closed() || event.is_error()) {
            if let Some(gone) = clients.get(&event.token().0) {
                // Full means that its client already knows of an end.
                let _ = gone.try_send(End::HungUp);
            }
        }
    }
}
