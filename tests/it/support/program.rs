//! The program `callout serve`, as a process of its own.

use super::server::raise_descriptor_limit;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

/// A program that runs. It is killed when the test is over.
pub struct Program {
    pub child: Child,
    pub address: SocketAddr,
}

impl Program {
    /// `callout serve` on a free port with these further flags.
    pub fn serve(flags: &[&str]) -> Program {
        let mut command = Command::new(env!("CARGO_BIN_EXE_callout"));
        command.args(["serve", "--listen", "127.0.0.1:0"]).args(flags);
        Program::start(command)
    }

    /// Starts a command that ends up being `callout serve` (behind `strace`, or a shell with limits). It keeps
    /// its history in memory unless its flags name a folder.
    pub fn start(mut command: Command) -> Program {
        raise_descriptor_limit();
        command.env("CALLOUT_DATA", "memory");
        // None of the three is a terminal, so that it does not matter where the tests are run.
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let mut line = String::new();
        let stdout = child.stdout.as_mut().expect("it is piped");
        BufReader::new(stdout).read_line(&mut line).expect("a line that says where it listens");
        let address = line.trim().rsplit("http://").next().and_then(|address| address.parse().ok());
        Program { child, address: address.unwrap_or_else(|| panic!("no address: {line:?}")) }
    }

    /// Resident memory.
    pub fn resident_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("Linux");
        line.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
    }

    /// Sends a signal by name (`TERM`).
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &pid]).status().expect("kill").success());
    }

    /// Waits for the program's end, and gives its exit code and what it wrote to standard error.
    pub fn wait(mut self) -> (Option<i32>, String) {
        let mut log = String::new();
        let mut stderr = self.child.stderr.take().expect("it is piped");
        stderr.read_to_string(&mut log).expect("a log in UTF-8");
        (self.child.wait().expect("it ends").code(), log)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It fails only where the program has ended already, which is what was wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
