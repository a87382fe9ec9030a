//! nchan: nginx with its push module, run from a folder of its own.
//!
//! Two workers, as many as the machine the bench was made for has cores. The topic is one channel
//! that both accepts events and streams them.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;

use crate::server::{Folder, Server, free_addr};
use crate::wire::request::PATH;
use crate::wire::target::{Api, Target};

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
    let addr = free_addr()?;
    fs::write(folder.path().join("nginx.conf"), configuration(&nginx, addr))
        .context("failed to write nginx's configuration")?;

    let mut command = Command::new(nginx.program);
    command.arg("-p").arg(folder.path());
    // Until it has read its configuration, nginx would write to the system's log.
    command.args(["-e", "error.log", "-c", "nginx.conf"]);
    // On SIGTERM nginx ends its workers too; killed, it would leave them behind.
    let target = Target { addr, api: Api::Topics };
    Server::silent(&command, target, Signal::SIGTERM, Stdio::inherit(), Some(folder))
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
