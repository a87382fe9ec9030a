//! nchan: nginx with its push module, run from a directory of its own.
//!
//! Two workers, as many as the machine the bench was made for has cores; the topic is one channel
//! that takes what is posted and streams it.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::wire::request::PATH;

/// Where distributions put nginx's modules.
const MODULES: [&str; 3] = [
    "/usr/lib/nginx/modules/ngx_nchan_module.so",
    "/usr/lib64/nginx/modules/ngx_nchan_module.so",
    "/usr/share/nginx/modules/ngx_nchan_module.so",
];

/// Not in every user's search path, though it may be run by all.
const PROGRAMS: [&str; 2] = ["/usr/sbin/nginx", "/usr/local/sbin/nginx"];

/// How long nginx may take to end its workers; then it is killed.
const STOP_DEADLINE: Duration = Duration::from_secs(5);

const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// nginx and its module, as installed.
pub struct Nginx {
    program: &'static str,
    module: &'static str,
}

impl Nginx {
    pub fn find() -> Result<Nginx> {
        let there = |path: &&str| Path::new(path).is_file();
        let Some(program) = PROGRAMS.into_iter().find(there) else {
            bail!("failed to find nginx: install nginx-light");
        };
        let Some(module) = MODULES.into_iter().find(there) else {
            bail!("failed to find nginx's nchan module: install libnginx-mod-nchan");
        };
        Ok(Nginx { program, module })
    }

    /// The version, as nginx says it.
    pub fn version(&self) -> Result<String> {
        let output =
            Command::new(self.program).arg("-v").output().context("failed to ask nginx for its version")?;
        let said = String::from_utf8_lossy(&output.stderr);
        Ok(said.trim().replace("nginx version: ", ""))
    }
}

/// One nginx with a directory to run in, which is removed with it.
pub struct Nchan {
    nginx: Nginx,
    dir: PathBuf,
}

impl Nchan {
    /// Writes the configuration, with a port that is free now.
    pub fn configure(nginx: Nginx) -> Result<(Nchan, SocketAddr)> {
        let dir = std::env::temp_dir().join(format!("callout-bench-nchan-{}", std::process::id()));
        let nchan = Nchan { nginx, dir };
        let addr = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .context("failed to find a free port")?;
        let module = nchan.nginx.module;
        // nginx closes a connection after 1,000 requests unless told otherwise, and keeps ten
        // messages; here it keeps more than the generator has outstanding.
        let configuration = format!(
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
        );
        fs::create_dir_all(&nchan.dir)
            .and_then(|()| fs::write(nchan.dir.join("nginx.conf"), configuration))
            .with_context(|| format!("failed to write into `{}`", nchan.dir.display()))?;
        Ok((nchan, addr))
    }

    pub fn command(&self) -> Command {
        let mut command = Command::new(self.nginx.program);
        command.arg("-p").arg(&self.dir);
        // Until it has read its configuration, nginx would write to the system's log.
        command.args(["-e", "error.log", "-c", "nginx.conf"]);
        command
    }

    /// Asks the master to end its workers, which a kill would leave behind.
    pub fn stop(&self, master: &mut Child) {
        let asked = self.command().args(["-s", "stop"]).status();
        let deadline = Instant::now() + STOP_DEADLINE;
        while asked.is_ok() && matches!(master.try_wait(), Ok(None)) && Instant::now() < deadline {
            thread::sleep(POLL_INTERVAL);
        }
    }
}

impl Drop for Nchan {
    fn drop(&mut self) {
        // A directory left over harms nothing.
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// nginx does not say when it listens, so it is tried.
pub fn wait_until_listening(addr: SocketAddr, patience: Duration) -> Result<()> {
    let deadline = Instant::now() + patience;
    while let Err(cause) = TcpStream::connect(addr) {
        if Instant::now() > deadline {
            return Err(cause).context("failed to reach nginx");
        }
        thread::sleep(POLL_INTERVAL);
    }
    Ok(())
}
