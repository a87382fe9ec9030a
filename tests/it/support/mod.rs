//! What the tests talk with. Nothing in this folder is a test, and nothing sleeps to wait for an event: what
//! does not come within [`PATIENCE`] fails the test.

pub mod alone; // a test in a process of its own
pub mod disc; // a file that remembers, fails and loses its power
pub mod drive; // a folder that does
pub mod hostile; // bytes that no proper client sends
pub mod strace; // the program with system calls that fail
pub mod witness; // a browser that sees whether the server stays calm
mod browser; // an open stream
mod parser; // an event stream, read as a browser reads it
mod problem; // the form of all errors
mod program; // the program `callout serve`
mod raw; // a connection, and whole requests on it
mod server; // a server in this process

pub use browser::Browser;
pub use parser::{Parser, Seen};
pub use problem::{assert_problem, said};
pub use program::Program;
pub use raw::{Answer, Raw, get, header_names, narrow_socket, post, publish, request, status};
pub use server::{grant, joined, server, server_with};

use std::time::{Duration, Instant};

/// How long anything may take that has to happen.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for a state that no event announces, by asking again and again; fails the test if the state does not
/// come in time.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let give_up = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < give_up, "in vain: {what}");
        // Nothing would wake this thread, so it leaves the processor to others for a moment.
        std::thread::sleep(Duration::from_millis(2));
    }
}
