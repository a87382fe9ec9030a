//! A shell that runs the commands of one document, against a server on a free port.

use super::alike::is_alike;
use super::{ADDRESS, Block, ROOT};
use crate::support::{PATIENCE, Program, until};
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

/// Runs the commands of one document.
pub(super) struct Shell {
    /// The server that the commands talk to, unless they start one of their own.
    pub(super) server: Program,
    /// Where they run. It has a folder `callout-data` of a stopped server.
    pub(super) folder: Folder,
}

/// A folder that is removed when the test is over.
pub(super) struct Folder(pub(super) PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed stays in the system's folder for temporary files.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What a block's commands print. Dropping it ends the commands that go on for ever.
pub(super) struct Printed {
    whole: String,
    /// The commands that go on for ever. Where there are some, only what the first one prints is compared.
    endless: Vec<Endless>,
    /// The servers of its own, which run as long as the commands.
    servers: Vec<Program>,
}

/// A command that goes on for ever.
struct Endless {
    child: Child,
    printed: Arc<parking_lot::Mutex<String>>,
}

impl Drop for Endless {
    fn drop(&mut self) {
        // The command may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Shell {
    pub(super) fn new() -> Shell {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Relaxed);
        let folder = std::env::temp_dir().join(format!("callout-docs-{}-{number}", std::process::id()));
        fs::create_dir_all(folder.join("callout-data")).unwrap();
        for file in ["history.redb", "posts.redb"] {
            let from = Path::new(ROOT).join("tests/data/0.1.0/stopped").join(file);
            fs::copy(from, folder.join("callout-data").join(file)).unwrap();
        }
        Shell { server: Program::serve(&[]), folder: Folder(folder) }
    }

    /// Runs a block's commands, one after the other. One that starts a server is the server of those behind it.
    pub(super) fn run(&self, block: &Block) -> Printed {
        let mut printed = Printed { whole: String::new(), endless: Vec::new(), servers: Vec::new() };
        let mut address = self.server.address;
        let place = &block.place;
        for line in block.text.replace("\\\n", "").lines() {
            let words: Vec<&str> = line.split_whitespace().take_while(|word| *word != "#").collect();
            let is_help = words.iter().any(|word| matches!(*word, "--help" | "--version"));
            match words[..] {
                ["make", target, ..] => {
                    let makefile = fs::read_to_string(Path::new(ROOT).join("Makefile")).unwrap();
                    assert!(makefile.contains(&format!("\n{target}:")), "{place}: make {target}");
                }
                ["cargo", "run", "--example", name] => {
                    let examples = Path::new(ROOT).join("examples");
                    let files = [examples.join(format!("{name}.rs")), examples.join(name).join("main.rs")];
                    assert!(files.iter().any(|file| file.exists()), "{place}: example {name}");
                }
                _ if line.contains("callout serve") && !is_help => {
                    let server = self.serve(line);
                    address = server.address;
                    printed.servers.push(server);
                }
                ["curl", "-N", ..] | ["callout", "listen", ..] => {
                    printed.endless.push(self.start(line, address));
                }
                _ => {
                    let output = self.command(line, address).output().expect("a shell");
                    let errors = String::from_utf8_lossy(&output.stderr);
                    assert!(output.status.success(), "{place}: {line}\n{errors}");
                    printed.whole += &String::from_utf8_lossy(&output.stdout);
                    if !printed.whole.ends_with('\n') {
                        printed.whole.push('\n');
                    }
                }
            }
        }
        for endless in &mut printed.endless {
            assert_eq!(
                endless.child.try_wait().unwrap(),
                None,
                "{place}: it ended: {}",
                endless.printed.lock()
            );
        }
        printed
    }

    /// `sh -c` with this line, for the server at this address.
    pub(super) fn command(&self, line: &str, address: SocketAddr) -> Command {
        let program = Path::new(env!("CARGO_BIN_EXE_callout")).parent().expect("it is in a folder");
        let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap_or_default());
        let mut command = Command::new("sh");
        let variables = std::env::vars().map(|(name, _)| name).filter(|name| name.starts_with("CALLOUT_"));
        variables.for_each(|name| _ = command.env_remove(name));
        command.args(["-c", &line.replace(ADDRESS, &address.to_string())]);
        command.current_dir(&self.folder.0).env("PATH", path).stdin(Stdio::null());
        command.env("CALLOUT_URL", format!("http://{address}")).env("CALLOUT_DATA", "memory");
        command
    }

    /// Starts a server as this line says, but on a free port.
    fn serve(&self, line: &str) -> Program {
        let listen = line.split_whitespace().skip_while(|word| *word != "--listen").nth(1);
        let line = line.replace(listen.unwrap_or(ADDRESS), "127.0.0.1:0");
        // In place of the shell, so that the test ends the server and not the shell.
        let line = line.replace("callout serve", "exec callout serve");
        let mut command = self.command(&line, self.server.address);
        command.env("CALLOUT_LISTEN", "127.0.0.1:0");
        Program::start(command)
    }

    /// Starts a command that goes on for ever. A stream has been opened when this returns.
    fn start(&self, line: &str, address: SocketAddr) -> Endless {
        let mut command = self.command(&format!("exec {line}"), address);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("a shell");
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let printed = Arc::new(parking_lot::Mutex::new(String::new()));
        let endless = Endless { child, printed: printed.clone() };
        thread::spawn(move || {
            let mut line = String::new();
            while stdout.read_line(&mut line).is_ok_and(|bytes| bytes > 0) {
                printed.lock().push_str(&std::mem::take(&mut line));
            }
        });
        if line.starts_with("curl") {
            until("a stream opens", || !endless.printed.lock().is_empty());
        }
        endless
    }
}

impl Printed {
    /// What was printed up to now.
    pub(super) fn now(&self) -> String {
        self.endless.first().map_or_else(|| self.whole.clone(), |endless| endless.printed.lock().clone())
    }

    /// Waits until what was printed is what the document shows: all of it, or the beginning of a stream.
    pub(super) fn must_be(&self, shown: &Block) {
        let give_up = Instant::now() + PATIENCE;
        let is_stream = !self.endless.is_empty();
        assert!(!is_stream || !self.whole.contains(r#""error""#), "{}: {}", shown.place, self.whole);
        while !is_alike(&shown.text, &self.now(), is_stream) {
            let is_over = !is_stream || Instant::now() > give_up;
            assert!(!is_over, "{} shows\n{}\nbut this happened:\n{}", shown.place, shown.text, self.now());
            thread::sleep(Duration::from_millis(5)); // nothing would wake this thread
        }
    }
}
