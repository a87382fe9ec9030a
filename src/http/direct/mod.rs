//! The default listener: `std::net::TcpListener`, and a thread for each connection.
//!
//! It has what a server on an open network needs: deadlines, limits, a pause when descriptors or threads
//! run out, and the sockets themselves, through which hang-ups are noticed and the hub sends straight.

mod head;
mod source;
mod body;
mod open;
mod watch;
mod connection;

use super::proxies::Proxies;
use super::{Limits, Listener, Response, STACK_BYTES, Site};
use crate::error::Error;
use crate::hub::wire::{send_now, set_send_timeout};
use crate::os::threads::Threads;
use connection::{Connection, Shared};
use socket2::{Domain, SockRef, Socket, Type};
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// Connections that the kernel completes before they are accepted, so that a burst of thousands is not
/// refused. (The kernel takes its own maximum, `net.core.somaxconn`, where that is less.)
const BACKLOG: i32 = 4096;

/// What the kernel holds for a client that reads slowly, before a stream's browser counts as behind. Linux
/// doubles the figure and limits it to `net.core.wmem_max`.
const SEND_BUFFER_BYTES: usize = 256 * 1024;

/// How long a peer may leave bytes unacknowledged (a cable was pulled) before the kernel gives up on it.
const USER_TIMEOUT: Duration = Duration::from_secs(20);

/// The pause after accepting failed for want of descriptors, memory or threads, and the least time between
/// two lines in the log about it.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
const ACCEPT_LOG_PAUSE: Duration = Duration::from_secs(1);

/// The handle of the listener. Its threads end when it is dropped.
pub struct Direct {
    address: SocketAddr,
    listener: Arc<TcpListener>,
    shared: Arc<Shared>,
}

impl Direct {
    /// Binds the address and serves from then on. Fails if the address cannot be bound, or a thread cannot
    /// be started.
    pub fn start(
        address: SocketAddr,
        site: Arc<dyn Site>,
        limits: Limits,
        proxies: Proxies,
        threads: &Threads,
    ) -> io::Result<Direct> {
        Direct::over(bind(address)?, site, limits, proxies, threads)
    }

    /// Serves a socket that listens already. Fails if a thread cannot be started.
    pub fn over(
        listener: TcpListener,
        site: Arc<dyn Site>,
        limits: Limits,
        proxies: Proxies,
        threads: &Threads,
    ) -> io::Result<Direct> {
        let listener = Arc::new(listener);
        let shared = Arc::new(Shared::new(site, limits, proxies, threads)?);
        let direct = Direct { address: listener.local_addr()?, listener, shared };
        let (listener, shared) = (direct.listener.clone(), direct.shared.clone());
        threads.spawn_essential("accept", move || accept(&listener, &shared))?;
        Ok(direct)
    }
}

impl Listener for Direct {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn stop(&self) {
        self.shared.connections.close();
        // On Linux this wakes the thread that waits in accept. Elsewhere it may do nothing, and the thread
        // ends with the next connection or with the process.
        let _ = SockRef::from(&*self.listener).shutdown(Shutdown::Both);
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

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // A server that was just killed can be started again on the same port.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// The accept thread, which runs until the listener stops.
fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut logged_at: Option<Instant> = None;
    loop {
        let error = match listener.accept() {
            // It is accepted first, because only for somebody who is there others have to make room.
            Ok(_) if !shared.connections.make_room() => return,
            Ok((socket, peer)) => match admit(socket, peer, shared) {
                Ok(()) => continue,
                Err(error) => error,
            },
            Err(_) if shared.connections.is_closed() => return,
            // The peer hung up while its connection waited to be accepted.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
            Err(error) => error,
        };
        if logged_at.is_none_or(|at| at.elapsed() >= ACCEPT_LOG_PAUSE) {
            log::warn!("failed to accept a connection, going on: {error}");
            logged_at = Some(Instant::now());
        }
        // Descriptors, memory or threads have run out, and only the end of other connections gives some
        // back. Trying again at once would take the processor from them.
        thread::sleep(ACCEPT_PAUSE);
    }
}

/// Gives the connection its thread. Where none can be started, the peer is told so.
fn admit(socket: TcpStream, peer: SocketAddr, shared: &Arc<Shared>) -> io::Result<()> {
    prepare(&socket, shared.limits);
    let socket = Arc::new(socket);
    let connection = Connection::new(socket.clone(), peer, shared.clone());
    let spawned = shared.threads.spawn_short_lived("connection", STACK_BYTES, move || connection.serve());
    spawned.inspect_err(|_| {
        let response =
            Response::error(&Error::Unavailable("the server has no thread left; come back later".into()));
        // There is no thread that could wait until the peer takes the answer.
        let _ = send_now(&socket, &response.encode(true, true));
    })
}

/// Sets what every connection needs. It fails only where the peer is gone already, which the first read
/// will notice.
fn prepare(socket: &TcpStream, limits: Limits) {
    let _ = socket.set_nodelay(true);
    // Without a size of its own the buffer grows up to 4 MB; where setting one fails, it may.
    let _ = SockRef::from(socket).set_send_buffer_size(SEND_BUFFER_BYTES);
    set_send_timeout(socket, limits.pace.write_deadline);
    #[cfg(target_os = "linux")]
    let _ = SockRef::from(socket).set_tcp_user_timeout(Some(USER_TIMEOUT));
}
