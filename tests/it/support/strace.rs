//! The program under `strace`, which lets system calls fail or writes them down.

use super::{Program, until};
use std::fs;
use std::process::{Command, Stdio};

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

/// Lets a program that runs feel strace from now on. It ends with the program. False where this user may not.
pub fn attach_strace(program: &Program, options: &[&str]) -> bool {
    let pid = program.child.id().to_string();
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o", "/dev/null", "-p", &pid]).args(options);
    let mut strace = command.stderr(Stdio::null()).spawn().expect("it is installed");
    let tasks = || fs::read_dir(format!("/proc/{pid}/task")).expect("the program runs");
    let is_traced = |task: fs::DirEntry| {
        let status = fs::read_to_string(task.path().join("status")).unwrap_or_default();
        !status.contains("TracerPid:\t0\n")
    };
    until("strace is there, or gives up", || {
        let gave_up = strace.try_wait().expect("it is ours").is_some();
        gave_up || tasks().all(|task| task.is_ok_and(is_traced))
    });
    let is_attached = strace.try_wait().expect("it is ours").is_none();
    // It is waited for when the program, whose end it notices, is gone.
    std::thread::spawn(move || strace.wait());
    assert!(is_attached || std::env::var("CI").as_deref() != Ok("true"), "strace may not attach");
    is_attached
}
