//! The default listener: `std::net::TcpListener`, and a bounded number of threads for its connections.
//!
//! It has what a server on an open network needs: deadlines, limits, a pause when descriptors run out, and the sockets
//! themselves, through which hang-ups are noticed and the hub sends straight.
//!
//! A thread is for work. When threads are many, who has nothing to do rests, and who is slow waits without one.
//!
//! - An `accept` thread for each address takes connections in and gives each to the pool.
//! - A connection runs on a thread of the pool until it has to wait. Then it rests in its slot.
//! - The `readiness` thread wakes it when its socket has something to read or has room, the hub when its stream is over,
//!   and the `sweeper` thread when a deadline has come; the sweeper also sends the heartbeats.

mod head;
mod source;
mod body;
mod quota;
mod announcement;
mod open;
mod readiness;
mod sweeper;
mod connection;

use super::proxies::Proxies;
use super::{Limits, Listener, Site};
use crate::access::{Held, Rates};
use crate::os::threads::Threads;
use connection::{Connection, Shared};
use socket2::SockRef;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// How much longer than a write may take a peer may leave bytes unacknowledged (a cable was pulled) before the kernel gives
/// up on it. Linux counts a peer that is there and has no room among them, and that one has its write deadline.
#[cfg(target_os = "linux")]
const USER_TIMEOUT_EXTRA: Duration = Duration::from_secs(5);

/// What the kernel holds for a browser that reads slowly, before that browser counts as behind. Linux
/// doubles the figure and limits it to `net.core.wmem_max`.
const SEND_BUFFER_BYTES: usize = 256 * 1024;

/// The pause after accepting failed for want of descriptors or memory, and the least time between
/// two lines in the log about it.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
const ACCEPT_LOG_PAUSE: Duration = Duration::from_secs(1);

/// The handle of the listener. Its threads end when it is dropped.
pub struct Direct {
    address: SocketAddr,
    listeners: Vec<Arc<TcpListener>>,
    shared: Arc<Shared>,
}

impl Direct {
    /// Serves sockets that listen already, at least one. Fails if a thread cannot be started.
    pub fn start(
        listeners: Vec<TcpListener>,
        site: Arc<dyn Site>,
        limits: Limits,
        proxies: Proxies,
        rates: Arc<Rates>,
        threads: &Threads,
    ) -> io::Result<Direct> {
        listeners.iter().for_each(|listener| prepare(&SockRef::from(listener), &limits));
        let address = listeners.first().ok_or(io::ErrorKind::InvalidInput)?.local_addr()?;
        let shared = Arc::new(Shared::new(site, limits, proxies, rates, threads)?);
        let listeners = listeners.into_iter().map(Arc::new).collect();
        let direct = Direct { address, listeners, shared };
        for listener in &direct.listeners {
            let (listener, shared) = (listener.clone(), direct.shared.clone());
            threads.spawn_essential("accept", move || accept(&listener, &shared))?;
        }
        Ok(direct)
    }
}

impl Listener for Direct {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn stop(&self) {
        self.shared.connections.close();
        for listener in &self.listeners {
            // On Linux this wakes the thread that waits in accept. Elsewhere it may do nothing, and the thread
            // ends with the next connection or with the process.
            let _ = SockRef::from(&**listener).shutdown(Shutdown::Both);
        }
    }

    fn busy(&self) -> usize {
        self.shared.busy.count()
    }

    fn hang_up(&self) {
        self.shared.connections.hang_up();
    }
}

impl Drop for Direct {
    fn drop(&mut self) {
        self.stop();
        self.hang_up();
    }
}

/// A thread that accepts, which runs until the listener stops.
fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut logged_at: Option<Instant> = None;
    loop {
        let error = match listener.accept() {
            Ok((socket, mut peer)) => {
                // An IPv4 peer of an IPv6 listener gets its IPv4 address back.
                peer.set_ip(peer.ip().to_canonical());
                // Before others make room for it. A browser whose connection is closed at once comes back, and whatever it
                // could be answered would be more work than it is worth.
                let counted = shared.proxies.counted_peer(peer.ip());
                let counted = counted.map_or(Ok(None), |peer| shared.rates.hold_connection(peer));
                let Ok(counted) = counted else { continue };
                // Two who come at once on two addresses do not share the last room.
                let _admission = shared.admission.lock();
                // It is accepted first, because only for somebody who is there others have to make room.
                if !shared.connections.make_room() {
                    return;
                }
                admit(socket, peer, counted, shared);
                continue;
            }
            Err(_) if shared.connections.is_closed() => return,
            // The peer hung up while its connection waited to be accepted.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
            Err(error) => error,
        };
        if logged_at.is_none_or(|at| at.elapsed() >= ACCEPT_LOG_PAUSE) {
            log::warn!("failed to accept a connection, going on: {error}");
            logged_at = Some(Instant::now());
        }
        // Descriptors or memory have run out, and only the end of other connections gives some
        // back. Trying again at once would take the processor from them.
        thread::sleep(ACCEPT_PAUSE);
    }
}

/// Has the connection served.
fn admit(socket: TcpStream, peer: SocketAddr, counted: Option<Held>, shared: &Arc<Shared>) {
    #[cfg(not(target_os = "linux"))]
    prepare(&SockRef::from(&socket), &shared.limits);
    Connection::new(Arc::new(socket), peer, counted, shared.clone()).begin();
}

/// Sets what every connection needs. On Linux a listening socket passes it on to those that it accepts.
fn prepare(socket: &SockRef, limits: &Limits) {
    // It fails only on a connection whose peer is gone already, which the first read will notice.
    let _ = socket.set_tcp_nodelay(true);
    // Without a size of its own the buffer grows up to 4 MB; where setting one fails, it may.
    let _ = socket.set_send_buffer_size(SEND_BUFFER_BYTES);
    #[cfg(target_os = "linux")]
    let _ = socket.set_tcp_user_timeout(Some(limits.pace.write_deadline + USER_TIMEOUT_EXTRA));
    #[cfg(not(target_os = "linux"))]
    let _ = limits;
}
