//! The default listener: `std::net::TcpListener`, one OS thread per connection.
//!
//! It has what a server on the open network needs: deadlines, limits, backoff when descriptors or
//! threads run out, and the socket itself, which hang-ups and straight sends are about.

use connection::Busy;
use open::Connections;
use watch::Watch;
mod body;
mod connection;
mod open;
mod watch;

use super::{Limits, Listener, Response, Site};
use crate::error::Error;
use crate::hub::wire::send_now;
use socket2::{Domain, SockRef, Socket, Type};
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

/// A connection's stack. What a request needs is far less; only what is touched takes memory.
const STACK_BYTES: usize = 256 * 1024;

/// Connections that the kernel completes before they are accepted: a burst of thousands gets no
/// refusals. (The kernel takes its own maximum if that is less.)
const BACKLOG: i32 = 4096;

/// How long a peer may leave bytes unacknowledged (a cable was pulled) before the kernel gives up.
const USER_TIMEOUT: Duration = Duration::from_secs(20);

/// The pause after accepting failed for want of descriptors or memory, and the least time between two
/// lines in the log about it.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
const ACCEPT_LOG_PAUSE: Duration = Duration::from_secs(1);

/// What all connections of a listener share.
pub(super) struct Shared {
    site: Arc<dyn Site>,
    limits: Limits,
    watch: Watch,
    busy: AtomicUsize,
    connections: Arc<Connections>,
    stopping: AtomicBool,
}

impl Shared {
    /// Counts a request until the guard is dropped.
    fn busy(&self) -> Busy<'_> {
        self.busy.fetch_add(1, Relaxed);
        Busy(self)
    }

    /// Whether a connection should end after its answer although it could stay.
    pub(super) fn wants_room(&self) -> bool {
        self.stopping.load(Relaxed) || self.connections.is_crowded()
    }
}

/// The handle of the listener's thread.
pub struct Direct {
    address: SocketAddr,
    listener: Arc<TcpListener>,
    shared: Arc<Shared>,
}

impl Direct {
    /// Binds and serves from then on. Fails if the address cannot be had.
    pub fn start(address: SocketAddr, site: Arc<dyn Site>, limits: Limits) -> io::Result<Direct> {
        Direct::over(bind(address)?, site, limits)
    }

    /// Serves a socket that listens already. Fails if the system has no thread left.
    pub fn over(listener: TcpListener, site: Arc<dyn Site>, limits: Limits) -> io::Result<Direct> {
        let listener = Arc::new(listener);
        let shared = Arc::new(Shared {
            site,
            limits,
            watch: Watch::start()?,
            busy: AtomicUsize::new(0),
            connections: Arc::new(Connections::new(limits.connections_max)),
            stopping: AtomicBool::new(false),
        });
        let direct = Direct { address: listener.local_addr()?, listener, shared };
        let (listener, shared) = (direct.listener.clone(), direct.shared.clone());
        thread::Builder::new().name("accept".into()).spawn(move || accept(&listener, &shared))?;
        Ok(direct)
    }
}

impl Listener for Direct {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn stop(&self) {
        self.shared.stopping.store(true, Relaxed);
        self.shared.connections.close();
        // On Linux this wakes the thread that waits in accept. Elsewhere it may do nothing, and the
        // thread ends with the next connection or with the process.
        let _ = SockRef::from(&*self.listener).shutdown(Shutdown::Both);
    }

    fn busy(&self) -> usize {
        self.shared.busy.load(Relaxed)
    }

    fn hang_up(&self) {
        self.shared.connections.hang_up();
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

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut logged_at: Option<Instant> = None;
    while shared.connections.wait_for_room() {
        let error = match listener.accept() {
            Ok((socket, _)) => match admit(socket, shared) {
                Ok(()) => continue,
                Err(error) => error,
            },
            Err(_) if shared.stopping.load(Relaxed) => return,
            // It hung up while it waited to be accepted.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
            Err(error) => error,
        };
        if logged_at.is_none_or(|at| at.elapsed() >= ACCEPT_LOG_PAUSE) {
            log::warn!("failed to accept a connection, going on: {error}");
            logged_at = Some(Instant::now());
        }
        // Out of descriptors, memory or threads: others have to end first, and asking again at once
        // would only take the processor from them.
        thread::sleep(ACCEPT_PAUSE);
    }
}

/// Gives the connection its thread. Where there can be none, it is refused politely.
fn admit(socket: TcpStream, shared: &Arc<Shared>) -> io::Result<()> {
    prepare(&socket, shared.limits);
    let socket = Arc::new(socket);
    let slot = shared.connections.add(socket.clone());
    let (own_socket, own_shared) = (socket.clone(), shared.clone());
    let thread = thread::Builder::new().name("connection".into()).stack_size(STACK_BYTES);
    let spawned = thread.spawn(move || {
        let _slot = slot;
        connection::serve(own_socket, &own_shared);
    });
    spawned.map(drop).inspect_err(|_| {
        let response =
            Response::error(&Error::Unavailable("the server has no thread left, come back".into()));
        // There is no thread that could wait for it to take the answer.
        let _ = send_now(&socket, &response.encode(true, true));
    })
}

/// Fails only where the peer is gone already; then reading fails as well, which is where it is noticed.
fn prepare(socket: &TcpStream, limits: Limits) {
    let _ = socket.set_nodelay(true);
    let _ = socket.set_write_timeout(Some(limits.pace.write_deadline));
    #[cfg(target_os = "linux")]
    let _ = SockRef::from(socket).set_tcp_user_timeout(Some(USER_TIMEOUT));
}
