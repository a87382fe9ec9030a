//! Named threads, and those without which a server would look alive and be dead.

use crossbeam_channel::{Receiver, RecvError, Sender, bounded, select};
use parking_lot::Mutex;
use std::io;
use std::sync::{Arc, OnceLock};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

/// How often a server that ends looks whether its threads have ended.
const JOIN_LOOK: Duration = Duration::from_millis(2);

/// Starts a named thread. Fails where the system has none left.
pub(crate) fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    start(Builder::new(), name, body)
}

fn start(thread: Builder, name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    thread.name(name.to_owned()).spawn(body)
}

/// Waits for an answer from a thread, or for the end of that thread, which disconnects `ended`: a message that was
/// sent at that moment stays in the thread's inbox for as long as there are handles, and so does the way for the
/// answer.
pub(crate) fn answer<T>(answers: &Receiver<T>, ended: &Receiver<()>) -> Result<T, RecvError> {
    select! {
        recv(answers) -> answer => answer,
        recv(ended) -> _ => answers.try_recv().map_err(|_| RecvError),
    }
}

/// The long-lived threads of one server. Clones share them.
#[derive(Clone)]
pub struct Threads {
    shared: Arc<Shared>,
}

struct Shared {
    running: Mutex<Vec<JoinHandle<()>>>,
    /// The strong count is the number of threads that come and go, plus one.
    short_lived: Arc<()>,
    /// The name of the first essential thread that panicked.
    failed: OnceLock<&'static str>,
    /// Dropped when an essential thread has panicked.
    well: Mutex<Option<Sender<()>>>,
    failure: Receiver<()>,
    on_failure: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

impl Default for Threads {
    fn default() -> Threads {
        let (well, failure) = bounded(0);
        let well = Mutex::new(Some(well));
        let (running, short_lived) = (Mutex::default(), Arc::default());
        let (failed, on_failure) = (OnceLock::new(), OnceLock::new());
        Threads { shared: Arc::new(Shared { running, short_lived, failed, well, failure, on_failure }) }
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
    pub(crate) fn spawn_short_lived(
        &self,
        name: &str,
        stack_bytes: usize,
        body: impl FnOnce() + Send + 'static,
    ) -> io::Result<()> {
        let counted = self.shared.short_lived.clone();
        let body = move || {
            let _counted = counted;
            body();
        };
        start(Builder::new().stack_size(stack_bytes), name, body).map(drop)
    }

    /// Sets what is done at once, on the failing thread, when an essential thread panics. Once.
    pub(crate) fn on_failure(&self, act: impl Fn() + Send + Sync + 'static) {
        // A second call would be a second server; there is one.
        let _ = self.shared.on_failure.set(Box::new(act));
    }

    /// Disconnected when an essential thread has panicked.
    pub(crate) fn failure(&self) -> Receiver<()> {
        self.shared.failure.clone()
    }

    /// The name of the essential thread that panicked first, if one has.
    pub(crate) fn failed(&self) -> Option<&'static str> {
        self.shared.failed.get().copied()
    }

    /// Waits until all threads have ended, but not longer than the deadline. Says whether they have. What makes
    /// them end is that their handles are dropped.
    pub(crate) fn join(&self, deadline: Duration) -> bool {
        // A deadline that no clock reaches is none.
        let until = Instant::now().checked_add(deadline);
        loop {
            let mut running = self.shared.running.lock();
            // The last handle may be dropped on one of these threads, which cannot wait for itself.
            let own = std::thread::current().id();
            running.retain(|thread| !thread.is_finished() && thread.thread().id() != own);
            let have_ended = running.is_empty() && Arc::strong_count(&self.shared.short_lived) == 1;
            if have_ended || until.is_some_and(|until| Instant::now() >= until) {
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
        // It may be set: another essential thread has panicked before.
        let _ = shared.failed.set(self.name);
        drop(shared.well.lock().take());
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
        assert_eq!(threads.failed(), None);
        threads.spawn_essential("loud", || panic!("a fault")).unwrap();
        assert!(
            threads
                .failure()
                .recv_timeout(Duration::from_secs(10))
                .is_err_and(|error| error.is_disconnected())
        );
        assert_eq!(threads.failed(), Some("loud"));
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
        threads.spawn_short_lived("short-lived", 64 * 1024, move || _ = ends.recv()).unwrap();
        assert!(!threads.join(Duration::ZERO));
        drop(end);
        assert!(threads.join(Duration::from_secs(10)));
    }
}
