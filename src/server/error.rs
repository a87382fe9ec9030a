//! Why a server did not start, and why it ended.

use std::fmt;
use std::io;
use std::net::SocketAddr;

/// Why a server did not start. The text is for the operator.
///
/// ```
/// use callout::{Server, StartError};
///
/// let first = Server::builder().listen(([127, 0, 0, 1], 0).into()).start()?;
/// let second = Server::builder().listen(first.address()).start();
/// assert!(matches!(second, Err(StartError::Listen { address, .. }) if address == first.address()));
/// # Ok::<(), StartError>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// A setting has a value that it cannot have. Nothing was opened or started.
    Setting {
        /// The path of its field in [`Config`](crate::Config), such as `limits.pace.heartbeat`; or `route`.
        name: &'static str,
        /// The value, and what the setting takes.
        why: String,
    },
    /// The address cannot be listened on, or the socket that was given.
    Listen {
        /// The address that was asked for; the given socket's own.
        address: SocketAddr,
        /// What the system said.
        cause: io::Error,
    },
    /// The history cannot be opened.
    History(String),
    /// The posts cannot be opened.
    Posts(String),
    /// What was taken back cannot be read, so it is not known which tickets are void.
    Access(String),
    /// The system has no thread left.
    Threads(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Setting { name, why } => write!(f, "the setting `{name}` {why}"),
            StartError::Listen { address, cause } => write!(f, "failed to listen on {address}: {cause}"),
            StartError::History(why) | StartError::Posts(why) | StartError::Access(why) => f.write_str(why),
            StartError::Threads(cause) => write!(f, "failed to start a thread: {cause}"),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            StartError::Listen { cause, .. } | StartError::Threads(cause) => Some(cause),
            StartError::Setting { .. }
            | StartError::History(_)
            | StartError::Posts(_)
            | StartError::Access(_) => None,
        }
    }
}

/// A thread of the server without which it cannot go on has panicked; its message is in the log. All connections
/// are closed. With [`Durability::Strict`](crate::Durability) what was acknowledged is kept.
///
/// ```
/// /// Waits until the server was stopped. A supervisor starts the program again if this fails.
/// fn run(server: callout::Server) -> Result<(), callout::Failure> {
///     server.wait().inspect_err(|failure| eprintln!("callout has failed: {failure}"))
/// }
/// # let server = callout::Server::builder().listen(([127, 0, 0, 1], 0).into()).start().unwrap();
/// # server.stop(std::time::Duration::ZERO);
/// # run(server).unwrap();
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub(super) thread: &'static str,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the {} thread panicked", self.thread)
    }
}

impl std::error::Error for Failure {}
