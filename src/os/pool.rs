//! A bounded number of threads for short pieces of work.
//!
//! A thread is for work: what waits for somebody else belongs elsewhere. There is always one thread more than there is
//! work, until the bound is reached; then work waits. A thread that finds nothing to do for a while ends.
//!
//! There are two lanes. Work of the fast lane goes first. Work of the slow lane is done by a few threads only, so that
//! the rest of them, and of the processors, is there for the fast lane.

use super::sync::{Condvar, Mutex};
use super::threads::Threads;
use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

/// Threads that stay although there is nothing to do.
const SPARE: usize = 1;

/// How long another thread stays without work.
const IDLE: Duration = Duration::from_secs(1);

/// A piece of work.
pub(crate) trait Work: Send + 'static {
    /// Does it. It may block while [`Pool::is_crowded`] says no.
    fn run(self: Box<Self>, lane: Lane);
}

/// Which work goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Somebody waits for an answer.
    Fast,
    /// Somebody is behind and will be for a while.
    Slow,
}

/// The handle to the threads, which end when it is dropped and nothing is left to do.
pub(crate) struct Pool<W: Work> {
    inner: Arc<Inner<W>>,
}

struct Inner<W> {
    name: &'static str,
    stack_bytes: usize,
    threads_max: AtomicUsize,
    slow_max: usize,
    /// Threads that are at work.
    working: AtomicUsize,
    state: Mutex<State<W>>,
    ready: Condvar,
    threads: Threads,
}

struct State<W> {
    fast: VecDeque<Box<W>>,
    slow: VecDeque<Box<W>>,
    /// Threads there are, and those of them that wait for work.
    threads: usize,
    idle: usize,
    /// Threads that do slow work.
    slow_working: usize,
    is_closed: bool,
}

impl<W: Work> Pool<W> {
    /// A pool of at most so many threads, of which the slow lane has at most `slow_max` and at most half. Fails if the
    /// system has no thread.
    pub(crate) fn start(
        name: &'static str,
        stack_bytes: usize,
        threads_max: usize,
        slow_max: usize,
        threads: &Threads,
    ) -> io::Result<Pool<W>> {
        let state = State {
            fast: VecDeque::new(),
            slow: VecDeque::new(),
            threads: 0,
            idle: 0,
            slow_working: 0,
            is_closed: false,
        };
        let inner = Inner {
            name,
            stack_bytes,
            slow_max: slow_max.min(threads_max / 2).max(1),
            threads_max: AtomicUsize::new(threads_max),
            working: AtomicUsize::new(0),
            state: Mutex::new(state),
            ready: Condvar::new(),
            threads: threads.clone(),
        };
        let pool = Pool { inner: Arc::new(inner) };
        // Two, so that slow work never has the only thread.
        (0..SPARE + 1).try_for_each(|_| pool.inner.start_thread())?;
        Ok(pool)
    }

    /// Adds a piece of work. Neither blocks nor starts a thread.
    pub(crate) fn push(&self, lane: Lane, work: Box<W>) {
        let mut state = self.inner.state.lock();
        match lane {
            Lane::Fast => state.fast.push_back(work),
            Lane::Slow => state.slow.push_back(work),
        }
        if state.idle > 0 {
            self.inner.ready.notify_one();
        }
    }

    /// Whether more than half of the threads are at work. Then nobody may keep one who only waits.
    pub(crate) fn is_crowded(&self) -> bool {
        self.inner.working.load(Relaxed) > self.inner.threads_max.load(Relaxed) / 2
    }
}

impl<W: Work> Drop for Pool<W> {
    fn drop(&mut self) {
        self.inner.state.lock().is_closed = true;
        self.inner.ready.notify_all();
    }
}

impl<W: Work> Inner<W> {
    fn start_thread(self: &Arc<Self>) -> io::Result<()> {
        self.state.lock().threads += 1;
        let inner = self.clone();
        let started = self.threads.spawn_short_lived(self.name, self.stack_bytes, move || inner.work());
        started.inspect_err(|_| self.state.lock().threads -= 1)
    }

    /// One thread, until it finds nothing to do.
    fn work(self: Arc<Self>) {
        while let Some((lane, work, is_last)) = self.next() {
            self.working.fetch_add(1, Relaxed);
            if is_last && let Err(error) = self.start_thread() {
                // What there is has to do.
                let threads = self.state.lock().threads;
                if self.threads_max.fetch_min(threads, Relaxed) > threads {
                    log::warn!("the system has no thread left, going on with {threads}: {error}");
                }
            }
            // A panic has been printed, and ends this piece of work only.
            let _ = catch_unwind(AssertUnwindSafe(|| work.run(lane)));
            self.working.fetch_sub(1, Relaxed);
            if lane == Lane::Slow {
                self.state.lock().slow_working -= 1;
            }
        }
    }

    /// Waits for the next piece of work, and says whether no other thread waits and one may be started. None if there is
    /// none for a while, or never will be.
    fn next(&self) -> Option<(Lane, Box<W>, bool)> {
        let mut state = self.state.lock();
        loop {
            let next = match state.fast.pop_front() {
                Some(work) => Some((Lane::Fast, work)),
                None if state.slow_working < self.slow_max => {
                    state.slow.pop_front().map(|work| (Lane::Slow, work))
                }
                None => None,
            };
            if let Some((lane, work)) = next {
                state.slow_working += usize::from(lane == Lane::Slow);
                let is_last = state.idle == 0 && state.threads < self.threads_max.load(Relaxed);
                return Some((lane, work, is_last));
            }
            if state.is_closed {
                state.threads -= 1;
                return None;
            }
            state.idle += 1;
            let timed_out = self.ready.wait_for(&mut state, IDLE).timed_out();
            state.idle -= 1;
            if timed_out && state.idle >= SPARE && state.fast.is_empty() {
                state.threads -= 1;
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

    /// Says that it has begun, and waits for its end.
    struct Held {
        begun: Sender<&'static str>,
        name: &'static str,
        end: Receiver<()>,
    }

    impl Work for Held {
        fn run(self: Box<Self>, _: Lane) {
            self.begun.send(self.name).expect("the test waits");
            let _ = self.end.recv();
        }
    }

    const PATIENCE: Duration = Duration::from_secs(20);
    const MOMENT: Duration = Duration::from_millis(50);

    #[test]
    fn threads_are_bounded_and_the_slow_lane_has_at_most_half_of_them() {
        let threads = Threads::default();
        let pool = Pool::start("pool", 64 * 1024, 4, 16, &threads).unwrap();
        let (begun, has_begun) = unbounded();
        let (end, ends) = bounded(0);
        let push = |lane, name| {
            pool.push(lane, Box::new(Held { begun: begun.clone(), name, end: ends.clone() }));
        };
        (0..3).for_each(|_| push(Lane::Slow, "slow"));
        (0..2).for_each(|_| assert_eq!(has_begun.recv_timeout(PATIENCE), Ok("slow")));
        assert!(has_begun.recv_timeout(MOMENT).is_err(), "the third has to wait");
        assert!(!pool.is_crowded());
        (0..3).for_each(|_| push(Lane::Fast, "fast"));
        (0..2).for_each(|_| assert_eq!(has_begun.recv_timeout(PATIENCE), Ok("fast")));
        assert!(has_begun.recv_timeout(MOMENT).is_err(), "all four threads are at work");
        assert!(pool.is_crowded());
        drop(end);
        let mut rest = [has_begun.recv_timeout(PATIENCE).unwrap(), has_begun.recv_timeout(PATIENCE).unwrap()];
        rest.sort_unstable();
        assert_eq!(rest, ["fast", "slow"]);
        drop(pool);
        assert!(threads.join(PATIENCE), "all threads end");
    }

    #[test]
    fn what_was_pushed_before_the_end_is_done() {
        let threads = Threads::default();
        let pool = Pool::start("pool", 64 * 1024, 2, 1, &threads).unwrap();
        let (begun, has_begun) = unbounded();
        for _ in 0..100 {
            let ends = bounded(0).1;
            pool.push(Lane::Slow, Box::new(Held { begun: begun.clone(), name: "work", end: ends }));
        }
        drop(pool);
        (0..100).for_each(|_| assert_eq!(has_begun.recv_timeout(PATIENCE), Ok("work")));
        assert!(threads.join(PATIENCE));
    }
}
