//! A server under test: started on a port of its own, measured from outside, ended by its pid.
//!
//! Whatever ends the bench, its servers end with it: `Drop` takes them along, and the kernel does where
//! the bench itself is killed.

mod health;
mod nchan;
mod store;

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::process;
pub use health::Health;
use nchan::Nchan;
pub use nchan::Nginx;
pub use store::{Keep, Store};

/// How long a server may take to say where it listens.
const START_DEADLINE: Duration = Duration::from_secs(10);

/// How long callout may take to end in order.
const STOP_DEADLINE: Duration = Duration::from_secs(10);

const POLL_INTERVAL: Duration = Duration::from_millis(5);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Callout,
    Axum,
    Nchan,
}

impl Kind {
    pub const ALL: [Kind; 3] = [Kind::Callout, Kind::Axum, Kind::Nchan];

    pub fn name(self) -> &'static str {
        match self {
            Kind::Callout => "callout",
            Kind::Axum => "axum",
            Kind::Nchan => "nchan",
        }
    }

    /// Whether what it needs is there; if not, why.
    pub fn look(self, callout: &Path) -> Result<()> {
        match self {
            Kind::Callout => require_program(callout, "build it, or name it with --callout"),
            Kind::Axum => require_program(&axum_peer()?, "run cargo build --release first"),
            Kind::Nchan => Nginx::find().map(drop),
        }
    }
}

pub struct Server {
    child: Child,
    addr: SocketAddr,
    /// Held open, so that the server may go on writing to it.
    _stdout: Option<BufReader<ChildStdout>>,
    nchan: Option<Nchan>,
}

impl Server {
    /// Blocks until the server listens. None keeps anything on disk, as the peers cannot.
    pub fn start(kind: Kind, callout: &Path) -> Result<Server> {
        match kind {
            Kind::Callout => Server::callout(callout, ["--data", "memory"]),
            Kind::Axum => Server::announced(&Command::new(axum_peer()?)),
            Kind::Nchan => Server::nchan(),
        }
    }

    /// callout with these flags.
    pub fn callout(callout: &Path, flags: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Result<Server> {
        let mut command = Command::new(callout);
        command.args(["serve", "--listen", "127.0.0.1:0", "--log", "warn"]).args(flags);
        Server::announced(&command)
    }

    /// What callout says of itself.
    pub fn health(&self) -> Result<Health> {
        Health::of(self.addr)
    }

    /// Ends callout in order, as an operator does. Dropped, a server is killed.
    pub fn stop(mut self) -> Result<()> {
        let pid = self.child.id().to_string();
        let asked = Command::new("kill").args(["-s", "TERM", &pid]).status();
        asked.context("failed to run `kill`")?;
        let deadline = Instant::now() + STOP_DEADLINE;
        while self.child.try_wait().context("failed to wait for the server")?.is_none() {
            if Instant::now() > deadline {
                bail!("failed to stop the server: it goes on");
            }
            thread::sleep(POLL_INTERVAL);
        }
        Ok(())
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
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

    fn pids(&self) -> Result<Vec<u32>> {
        let mut pids = process::children(self.child.id())?;
        pids.push(self.child.id());
        Ok(pids)
    }

    /// A server that says on its first line where it listens.
    fn announced(command: &Command) -> Result<Server> {
        let mut server = Server {
            child: spawn(command, Stdio::piped(), "KILL")?,
            addr: SocketAddr::from(([127, 0, 0, 1], 0)),
            _stdout: None,
            nchan: None,
        };
        let stdout = server.child.stdout.take().expect("the command was given a pipe");
        let (stdout, first_line) = first_line(stdout)?;
        if first_line.is_empty() {
            bail!("it ended without saying where it listens");
        }
        server._stdout = Some(stdout);
        server.addr = first_line
            .trim_end()
            .rsplit("http://")
            .next()
            .and_then(|addr| addr.parse().ok())
            .with_context(|| format!("failed to find an address in `{first_line}`"))?;
        Ok(server)
    }

    fn nchan() -> Result<Server> {
        let (nchan, addr) = Nchan::configure(Nginx::find()?)?;
        // Told to end, nginx ends its workers too; killed, it would leave them behind.
        let child = spawn(&nchan.command(), Stdio::inherit(), "TERM")?;
        let server = Server { child, addr, _stdout: None, nchan: Some(nchan) };
        nchan::wait_until_listening(addr, START_DEADLINE)?;
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(nchan) = &self.nchan {
            nchan.stop(&mut self.child);
        }
        // It may have ended already; then there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The peer is built together with the bench and lies beside it.
fn axum_peer() -> Result<PathBuf> {
    let bench = std::env::current_exe().context("failed to find the bench's own program")?;
    Ok(bench.with_file_name("axum_peer"))
}

fn require_program(path: &Path, hint: &str) -> Result<()> {
    if !path.is_file() {
        bail!("failed to find `{}`: {hint}", path.display());
    }
    Ok(())
}

/// Starts the command through setpriv(1), which has the kernel send it `signal` when the thread that
/// started it ends. So no server is left over when the bench is killed, where no `Drop` runs.
fn spawn(command: &Command, stdout: Stdio, signal: &str) -> Result<Child> {
    Command::new("setpriv")
        .args(["--pdeathsig", signal])
        .arg(command.get_program())
        .args(command.get_args())
        .stdin(Stdio::null())
        .stdout(stdout)
        .spawn()
        .with_context(|| format!("failed to start `{}` with setpriv", command.get_program().display()))
}

/// Reads on a thread of its own, since reading a pipe knows no deadline.
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
        .context("it does not say where it listens")?
        .context("failed to read its first line")
}
