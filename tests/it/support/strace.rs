//! The program under `strace`, which lets system calls fail or writes them down.

use super::Program;
use std::process::Command;

/// Whether `strace` is installed. Where CI runs everything, it has to be.
pub fn has_strace() -> bool {
    let is_there = Command::new("strace").arg("-V").output().is_ok_and(|output| output.status.success());
    assert!(is_there || std::env::var("CI").as_deref() != Ok("true"), "strace is not installed");
    if !is_there {
        println!("skipped: strace is not installed");
    }
    is_there
}

/// `callout serve` on a free port with these flags, with these options of strace around it.
pub fn under_strace(options: &[&str], flags: &[&str]) -> Program {
    let mut command = Command::new("strace");
    // -D: callout is the child, strace beside it, so that ending the child ends both.
    command.args(["-D", "-f", "-qq"]).args(options).arg(env!("CARGO_BIN_EXE_callout"));
    command.args(["serve", "--listen", "127.0.0.1:0"]).args(flags);
    Program::start(command)
}
