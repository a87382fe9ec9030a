//! Threads: how they start, how they end together, and those without which a server would look alive and
//! be dead.

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use std::convert::Infallible;
use std::io;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

/// Starts a thread of this name, with a stack of the standard library's default size. Fails where the
/// system has no thread left.
pub(crate) fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    Builder::new().name(name.into()).spawn(body)
}

/// The same with a stack of this size, of which only what is touched takes memory.
pub(crate) fn spawn_sized(
    name: &str,
    stack_bytes: usize,
    body: impl FnOnce() + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    Builder::new().name(name.into()).stack_size(stack_bytes).spawn(body)
}

/// Threads whose end can be waited for together, with a deadline, which a `JoinHandle` does not have.
#[derive(Clone)]
pub(crate) struct ThreadGroup {
    /// Disconnected once the last membership is dropped.
    ended: Receiver<Infallible>,
}

/// Makes the thread that holds it one of its group. It is the first thing in a thread's body, so that it
/// is dropped last.
#[derive(Clone)]
pub(crate) struct Membership {
    _alive: Sender<Infallible>,
}

impl ThreadGroup {
    /// A group, and the membership of its first thread, of which clones are given to the others.
    pub(crate) fn new() -> (ThreadGroup, Membership) {
        // Nothing is ever sent: the channel is only there to be disconnected.
        let (alive, ended) = bounded(0);
        (ThreadGroup { ended }, Membership { _alive: alive })
    }

    /// Waits until all threads of the group have ended, but not longer than this, and says whether they
    /// have.
    pub(crate) fn wait(&self, deadline: Duration) -> bool {
        self.ended.recv_timeout(deadline) == Err(RecvTimeoutError::Disconnected)
    }
}

/// Ends the process, with a message and code 70, if the thread that holds it panics.
pub(crate) struct Vital(pub(crate) &'static str);

impl Drop for Vital {
    fn drop(&mut self) {
        if std::thread::panicking() {
            log::error!("the {} thread panicked, so the process ends", self.0);
            log::logger().flush();
            std::process::exit(70);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_has_ended_when_its_last_thread_has() {
        let (group, member) = ThreadGroup::new();
        let (go, wait) = bounded::<()>(0);
        let other = member.clone();
        spawn("member", move || {
            let _member = member;
            // The end of the channel is what the thread waits for.
            let _ = wait.recv();
        })
        .unwrap();
        drop(other);
        assert!(!group.wait(Duration::ZERO), "one thread still waits");
        drop(go);
        assert!(group.wait(Duration::from_secs(20)));
    }
}
