//! A server under test: started on a port of its own, measured from outside, ended by its pid. One
//! file for each server there is.
//!
//! Whatever ends the bench ends its servers too: `Drop` ends them, and the kernel does where the
//! bench itself is killed.

mod axum;
pub mod callout;
mod centrifugo;
mod disk;
mod electric;
mod folder;
mod health;
mod lifetime;
mod nchan;
mod peers;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::process;
use crate::wire::target::{Api, Target};
pub use callout::Durability;
pub use disk::Disk;
pub use folder::Folder;
pub use health::Health;
use lifetime::Lifetime;

/// How long a server may take until it listens.
const START_DEADLINE: Duration = Duration::from_secs(10);

/// How long a server may take to end after a signal.
const STOP_DEADLINE: Duration = Duration::from_secs(10);

const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// The servers there are. Their order is that of the table's columns, and that in a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Callout,
    /// An earlier callout, to see what a change gained or lost.
    Before,
    Axum,
    Nchan,
    Centrifugo,
    /// Electric's server of Durable Streams.
    Electric,
}

impl Kind {
    pub const ALL: [Kind; 6] =
        [Kind::Callout, Kind::Before, Kind::Axum, Kind::Nchan, Kind::Centrifugo, Kind::Electric];

    pub fn name(self) -> &'static str {
        match self {
            Kind::Callout => "callout",
            Kind::Before => "before",
            Kind::Axum => "axum",
            Kind::Nchan => "nchan",
            Kind::Centrifugo => "centrifugo",
            Kind::Electric => "electric",
        }
    }

    pub fn is_callout(self) -> bool {
        matches!(self, Kind::Callout | Kind::Before)
    }

    /// Whether it has to be installed, or compiled here from what others publish.
    pub fn is_optional(self) -> bool {
        matches!(self, Kind::Nchan | Kind::Centrifugo | Kind::Electric)
    }

    /// Checks that the server can be started; may compile it. The error says what is missing.
    pub fn find(self, programs: &BTreeMap<Kind, PathBuf>) -> Result<()> {
        match self {
            Kind::Callout | Kind::Before => callout::find(&programs[&self]),
            Kind::Axum => axum::find().map(drop),
            Kind::Nchan => nchan::find().map(drop),
            Kind::Centrifugo => centrifugo::find().map(drop),
            Kind::Electric => electric::find().map(drop),
        }
    }

    /// The versions behind a peer's figures; `None` for callout, whose figures are the point.
    pub fn version(self) -> Result<Option<String>> {
        match self {
            Kind::Callout | Kind::Before => Ok(None),
            Kind::Axum => axum::version().map(Some),
            Kind::Nchan => nchan::version().map(Some),
            Kind::Centrifugo => Ok(Some(centrifugo::version())),
            Kind::Electric => Ok(Some(electric::version())),
        }
    }
}

pub struct Server {
    child: Child,
    target: Target,
    /// `None` once the server is being ended.
    lifetime: Option<Lifetime>,
    /// What ends the server with all its processes, when it is dropped.
    end_signal: Signal,
    /// Held open, so that the server may go on writing to it.
    _stdout: Option<BufReader<ChildStdout>>,
    /// A folder that the server runs in, removed after the server has ended.
    _folder: Option<Folder>,
}

impl Server {
    /// Starts a server that keeps nothing on disk, or as little as it can. Blocks until the server
    /// listens.
    pub fn start(kind: Kind, programs: &BTreeMap<Kind, PathBuf>) -> Result<Server> {
        match kind {
            Kind::Callout | Kind::Before => callout::start(&programs[&kind], callout::IN_MEMORY),
            Kind::Axum => axum::start(),
            Kind::Nchan => nchan::start(),
            Kind::Centrifugo => centrifugo::start(),
            Kind::Electric => electric::start(Durability::Relaxed),
        }
    }

    /// Starts Electric's server, in a folder of its own on the disk.
    pub fn electric(durability: Durability) -> Result<Server> {
        electric::start(durability)
    }

    /// Starts a server whose first line on standard output ends with its address. Blocks until it
    /// has been read.
    fn announced(command: &Command) -> Result<Server> {
        let target = Target { addr: SocketAddr::from(([127, 0, 0, 1], 0)), api: Api::Topics };
        let mut server = Server::begin(command, target, Signal::SIGKILL, Stdio::piped(), None)?;
        let stdout = server.child.stdout.take().expect("the command was given a pipe");
        let (stdout, first_line) = first_line(stdout)?;
        if first_line.is_empty() {
            bail!("it ended without an address on its standard output");
        }
        server._stdout = Some(stdout);
        server.target.addr = first_line
            .trim_end()
            .rsplit("http://")
            .next()
            .and_then(|addr| addr.parse().ok())
            .with_context(|| format!("failed to find an address in `{first_line}`"))?;
        Ok(server)
    }

    /// Starts a server that does not print where it listens, so that connecting is the only way to
    /// know. Blocks until it listens.
    fn silent(
        command: &Command,
        target: Target,
        end_signal: Signal,
        stdout: Stdio,
        folder: Option<Folder>,
    ) -> Result<Server> {
        let mut server = Server::begin(command, target, end_signal, stdout, folder)?;
        let deadline = Instant::now() + START_DEADLINE;
        while let Err(cause) = TcpStream::connect(target.addr) {
            if server.has_ended()? {
                bail!("it ended before it listened");
            }
            if Instant::now() > deadline {
                return Err(cause).context("it did not listen in time");
            }
            thread::sleep(POLL_INTERVAL);
        }
        Ok(server)
    }

    fn begin(
        command: &Command,
        target: Target,
        end_signal: Signal,
        stdout: Stdio,
        folder: Option<Folder>,
    ) -> Result<Server> {
        let child = spawn(command, stdout, end_signal)?;
        let lifetime = Some(Lifetime::begin(child.id(), end_signal));
        Ok(Server { child, target, lifetime, end_signal, _stdout: None, _folder: folder })
    }

    pub fn addr(&self) -> SocketAddr {
        self.target.addr
    }

    pub fn target(&self) -> Target {
        self.target
    }

    /// callout's own figures.
    pub fn health(&self) -> Result<Health> {
        Health::of(self.target.addr)
    }

    /// CPU time of the server so far, all its processes together.
    pub fn cpu_time(&self) -> Result<Duration> {
        self.pids()?.into_iter().map(process::cpu_time).sum()
    }

    /// Resident memory of the server, all its processes together. Pages that nginx's workers share
    /// are counted for each of them.
    pub fn resident_bytes(&self) -> Result<u64> {
        self.pids()?.into_iter().map(process::resident_bytes).sum()
    }

    /// The threads of the server, all its processes together.
    pub fn threads(&self) -> Result<u64> {
        self.pids()?.into_iter().map(process::threads).sum()
    }

    /// Page tables of the server, all its processes together.
    pub fn page_table_bytes(&self) -> Result<u64> {
        self.pids()?.into_iter().map(process::page_table_bytes).sum()
    }

    /// Resident memory of callout that is of no file.
    pub fn anonymous_bytes(&self) -> Result<u64> {
        process::anonymous_bytes(self.child.id())
    }

    /// What the server has given the kernel to write to a disk so far.
    pub fn written_bytes(&self) -> Result<u64> {
        process::written_bytes(self.child.id())
    }

    /// CPU time of callout's hub so far: one thread.
    pub fn hub_cpu_time(&self) -> Result<Duration> {
        process::thread_cpu_time(self.child.id(), "hub")
    }

    /// Ends the server cleanly, as an operator does.
    pub fn stop(mut self) -> Result<()> {
        self.end(Signal::SIGTERM)
    }

    /// Ends the server as a crash does.
    pub fn kill(mut self) -> Result<()> {
        self.end(Signal::SIGKILL)
    }

    /// Blocks until the server has ended.
    fn end(&mut self, signal: Signal) -> Result<()> {
        // From here on the deadline is the one below.
        self.lifetime = None;
        if self.has_ended()? {
            return Ok(());
        }
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).context("failed to signal the server")?;
        let deadline = Instant::now() + STOP_DEADLINE;
        while !self.has_ended()? {
            if Instant::now() > deadline {
                bail!("failed to end the server: it still runs after {signal}");
            }
            thread::sleep(POLL_INTERVAL);
        }
        Ok(())
    }

    fn has_ended(&mut self) -> Result<bool> {
        let status = self.child.try_wait().context("failed to wait for the server")?;
        Ok(status.is_some())
    }

    fn pids(&self) -> Result<Vec<u32>> {
        let mut pids = process::children(self.child.id())?;
        pids.push(self.child.id());
        Ok(pids)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nothing can be done about a server that outlives its signal but to kill it.
        let _ = self.end(self.end_signal);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A loopback address for a server that does not choose its own.
fn free_addr() -> Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .context("failed to find a free port")
}

fn require_program(path: &Path, hint: &str) -> Result<()> {
    if !path.is_file() {
        bail!("failed to find `{}`: {hint}", path.display());
    }
    Ok(())
}

/// Starts the command through setpriv(1), by which the kernel signals the server when the thread that
/// started it ends. So no server is left over when the bench is killed, where no `Drop` runs.
fn spawn(command: &Command, stdout: Stdio, end_signal: Signal) -> Result<Child> {
    Command::new("setpriv")
        .args(["--pdeathsig", end_signal.as_str().trim_start_matches("SIG")])
        .arg(command.get_program())
        .args(command.get_args())
        .stdin(Stdio::null())
        .stdout(stdout)
        .spawn()
        .with_context(|| format!("failed to start `{}` with setpriv", command.get_program().display()))
}

/// Reads on a thread of its own, since a read from a pipe has no deadline.
fn first_line(stdout: ChildStdout) -> Result<(BufReader<ChildStdout>, String)> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut stdout = BufReader::new(stdout);
        let mut line = String::new();
        let read = stdout.read_line(&mut line).map(|_| (stdout, line));
        // Past the deadline nobody receives it.
        let _ = sender.send(read);
    });
    receiver
        .recv_timeout(START_DEADLINE)
        .context("it did not print its address in time")?
        .context("failed to read its first line")
}
