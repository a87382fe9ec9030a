//! Named threads, and those without which a server would look alive and be dead.

use crossbeam_channel::{Receiver, Sender, bounded};
use parking_lot::Mutex;
use std::io;
use std::sync::{Arc, OnceLock};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

/// How often a server that ends looks whether its threads have ended.
const JOIN_LOOK: Duration = Duration::from_millis(2);

/// Starts a named thread. Fails where the system has none left.
pub(crate) fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    Builder::new().name(name.to_owned()).spawn(body)
}

/// The long-lived threads of one server. Clones share them.
#[derive(Clone)]
pub struct Threads {
    shared: Arc<Shared>,
}

struct Shared {
    running: Mutex<Vec<JoinHandle<()>>>,
    /// One reference for each thread that comes and goes, which the reference count counts, and one more.
    passing: Arc<()>,
    /// Gets the name of the first essential thread that panicked.
    failed: Sender<&'static str>,
    failure: Receiver<&'static str>,
    on_failure: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

impl Default for Threads {
    fn default() -> Threads {
        // One name is enough: a server fails once.
        let (failed, failure) = bounded(1);
        let (running, passing, on_failure) = (Mutex::default(), Arc::default(), OnceLock::new());
        Threads { shared: Arc::new(Shared { running, passing, failed, failure, on_failure }) }
    }
}

impl Threads {
    /// Starts a thread without which the server cannot go on, like the hub's. If it panics, the server has
    /// failed: [`Threads::failure`] says so, and what was given to [`Threads::on_failure`] is called.
    pub(crate) fn spawn_essential(
        &self,
        name: &'static str,
        body: impl FnOnce() + Send + 'static,
    ) -> io::Result<()> {
        // Weak, or a thread that ends with the last handle to something would hold on to itself.
        let alarm = Alarm { name, shared: Arc::downgrade(&self.shared) };
        self.spawn(name, move || {
            let _alarm = alarm;
            body();
        })
    }

    /// Starts a thread whose end [`Threads::join`] waits for.
    pub(crate) fn spawn(&self, name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let thread = spawn(name, body)?;
        let mut running = self.shared.running.lock();
        // Threads that come and go, like the activity's, must not add up here.
        running.retain(|thread| !thread.is_finished());
        running.push(thread);
        Ok(())
    }

    /// Starts one of many threads that come and go, like those of connections, with a stack of this size, of
    /// which only what is touched takes memory. [`Threads::join`] waits for its end too, but keeps no handle,
    /// because the handle of a thread that has ended keeps its stack.
    pub(crate) fn spawn_passing(
        &self,
        name: &str,
        stack_bytes: usize,
        body: impl FnOnce() + Send + 'static,
    ) -> io::Result<()> {
        let counted = self.shared.passing.clone();
        let thread = Builder::new().name(name.to_owned()).stack_size(stack_bytes);
        thread.spawn(move || {
            let _counted = counted;
            body();
        })?;
        Ok(())
    }

    /// Sets what is done at once, on the failing thread, when an essential thread panics. Once.
    pub(crate) fn on_failure(&self, act: impl Fn() + Send + Sync + 'static) {
        // A second call would be a second server; there is one.
        let _ = self.shared.on_failure.set(Box::new(act));
    }

    /// Gets the name of an essential thread when it has panicked.
    pub(crate) fn failure(&self) -> Receiver<&'static str> {
        self.shared.failure.clone()
    }

    /// Waits until all threads have ended, but not longer than the deadline. Says whether they have. What makes
    /// them end is that their handles are dropped.
    pub(crate) fn join(&self, deadline: Duration) -> bool {
        let until = Instant::now() + deadline;
        loop {
            let mut running = self.shared.running.lock();
            // The last handle may be dropped on one of these threads, which cannot wait for itself.
            let own = std::thread::current().id();
            running.retain(|thread| !thread.is_finished() && thread.thread().id() != own);
            let have_ended = running.is_empty() && Arc::strong_count(&self.shared.passing) == 1;
            if have_ended || Instant::now() >= until {
                return have_ended;
            }
            drop(running);
            std::thread::sleep(JOIN_LOOK);
        }
    }
}

/// Raises the alarm when the thread that holds it panics.
struct Alarm {
    name: &'static str,
    shared: std::sync::Weak<Shared>,
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        log::error!("the {} thread panicked, so the server ends", self.name);
        let Some(shared) = self.shared.upgrade() else { return };
        // Full means that another essential thread has panicked before.
        let _ = shared.failed.try_send(self.name);
        if let Some(act) = shared.on_failure.get() {
            act();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_essential_thread_that_panics_is_reported_and_one_that_ends_is_not() {
        let threads = Threads::default();
        let (called, calls) = bounded(1);
        threads.on_failure(move || called.send(()).unwrap());
        threads.spawn_essential("quiet", || {}).unwrap();
        assert!(threads.join(Duration::from_secs(10)));
        assert!(threads.failure().is_empty());
        threads.spawn_essential("loud", || panic!("a fault")).unwrap();
        assert_eq!(threads.failure().recv_timeout(Duration::from_secs(10)), Ok("loud"));
        assert_eq!(calls.recv_timeout(Duration::from_secs(10)), Ok(()));
        assert!(threads.join(Duration::from_secs(10)));
    }

    #[test]
    fn joining_gives_up_at_its_deadline() {
        let threads = Threads::default();
        let (end, ends) = bounded::<()>(0);
        threads.spawn("waiting", move || _ = ends.recv()).unwrap();
        assert!(!threads.join(Duration::ZERO));
        drop(end);
        assert!(threads.join(Duration::from_secs(10)));
        let (end, ends) = bounded::<()>(0);
        threads.spawn_passing("passing", 64 * 1024, move || _ = ends.recv()).unwrap();
        assert!(!threads.join(Duration::ZERO));
        drop(end);
        assert!(threads.join(Duration::from_secs(10)));
    }
}
