//! nchan: nginx with its push module, run from a folder of its own.
//!
//! Two workers, as many as the machine the bench was made for has cores. The topic is one channel
//! that both accepts events and streams them.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;

use crate::server::{Folder, POLL_INTERVAL, START_DEADLINE, Server, spawn};
use crate::wire::request::PATH;

/// Where distributions install nginx's modules.
const MODULES: [&str; 3] = [
    "/usr/lib/nginx/modules/ngx_nchan_module.so",
    "/usr/lib64/nginx/modules/ngx_nchan_module.so",
    "/usr/share/nginx/modules/ngx_nchan_module.so",
];

/// Not in every user's search path, though all users may run it.
const PROGRAMS: [&str; 2] = ["/usr/sbin/nginx", "/usr/local/sbin/nginx"];

/// nginx and its module, as installed.
pub struct Nginx {
    program: &'static str,
    module: &'static str,
}

pub fn find() -> Result<Nginx> {
    let exists = |path: &&str| Path::new(path).is_file();
    let Some(program) = PROGRAMS.into_iter().find(exists) else {
        bail!("failed to find nginx: install nginx-light");
    };
    let Some(module) = MODULES.into_iter().find(exists) else {
        bail!("failed to find nginx's nchan module: install libnginx-mod-nchan");
    };
    Ok(Nginx { program, module })
}

/// Blocks until nginx listens.
pub fn start() -> Result<Server> {
    let nginx = find()?;
    let folder = Folder::temporary()?;
    let addr = TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .context("failed to find a free port")?;
    fs::write(folder.path().join("nginx.conf"), configuration(&nginx, addr))
        .context("failed to write nginx's configuration")?;

    let mut command = Command::new(nginx.program);
    command.arg("-p").arg(folder.path());
    // Until it has read its configuration, nginx would write to the system's log.
    command.args(["-e", "error.log", "-c", "nginx.conf"]);
    // On SIGTERM nginx ends its workers too; killed, it would leave them behind.
    let end_signal = Signal::SIGTERM;
    let child = spawn(&command, Stdio::inherit(), end_signal)?;
    let server = Server { child, addr, end_signal, _stdout: None, _folder: Some(folder) };
    wait_until_listening(addr)?;
    Ok(server)
}

/// The version, as nginx prints it.
pub fn version() -> Result<String> {
    let output =
        Command::new(find()?.program).arg("-v").output().context("failed to ask nginx for its version")?;
    let printed = String::from_utf8_lossy(&output.stderr);
    Ok(format!("{} with nchan", printed.trim().replace("nginx version: ", "")))
}

/// nginx closes a connection after 1,000 requests and keeps ten messages, unless told otherwise. Here
/// it keeps more than the generator has outstanding.
fn configuration(nginx: &Nginx, addr: SocketAddr) -> String {
    let module = nginx.module;
    format!(
        "load_module {module};
daemon off;
worker_processes 2;
worker_rlimit_nofile 20000;
pid nginx.pid;
error_log error.log warn;
events {{ worker_connections 20000; }}
http {{
  access_log off;
  tcp_nodelay on;
  keepalive_requests 1000000000;
  nchan_shared_memory_size 256m;
  server {{
    listen {addr} reuseport backlog=4096;
    location = {PATH} {{
      nchan_pubsub;
      nchan_channel_id bench;
      nchan_message_buffer_length 4096;
      nchan_subscriber_first_message newest;
      nchan_eventsource_ping_interval 15;
    }}
  }}
}}
"
    )
}

/// nginx does not print when it listens, so that connecting is the only way to know.
fn wait_until_listening(addr: SocketAddr) -> Result<()> {
    let deadline = Instant::now() + START_DEADLINE;
    while let Err(cause) = TcpStream::connect(addr) {
        if Instant::now() > deadline {
            return Err(cause).context("failed to reach nginx");
        }
        thread::sleep(POLL_INTERVAL);
    }
    Ok(())
}
