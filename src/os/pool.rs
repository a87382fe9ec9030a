//! A bounded number of threads for work that comes and goes.
//!
//! There is always one thread more than there is work, until the bound is reached; then work waits. A thread that finds
//! nothing to do for a while ends. Work that waits for somebody keeps its thread only while there are
//! [many left](Pool::has_spare).
//!
//! There are two lanes. Work of the fast lane goes first, but one thread is always for the slow lane. Slow work that only
//! takes the processor is done by a few threads, so that the processors are there for others; what may
//! [block](Pool::block) is done by half of the threads at most.

use super::sync::{Condvar, Mutex};
use super::threads::Threads;
use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Threads that stay although there is nothing to do.
const SPARE: usize = 1;

/// How long another thread stays without work. Not long: those that wait take turns, and each holds some 50 KB with the
/// kernel's part of it.
const IDLE: Duration = Duration::from_millis(250);

/// How long no thread is started after the system had none.
const NO_THREAD_PAUSE: Duration = Duration::from_secs(1);

/// A piece of work.
pub(crate) trait Work: Send + 'static {
    /// Does it. It may block for what it does; while it only waits for somebody, as long as [`Pool::has_spare`] says yes.
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
    threads_max: usize,
    slow_max: usize,
    /// Threads that are at work, and how many there may be now.
    working: AtomicUsize,
    available: AtomicUsize,
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
    /// Threads that do slow work, and those of them that may be blocked.
    slow_working: usize,
    slow_blocked: usize,
    /// Until then the system is not asked for a thread.
    no_thread_until: Option<Instant>,
    is_closed: bool,
}

impl<W: Work> Pool<W> {
    /// A pool of at most so many threads, of which the slow lane has at most `slow_max`, and at most half. Fails if the
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
            slow_blocked: 0,
            no_thread_until: None,
            is_closed: false,
        };
        let inner = Inner {
            name,
            stack_bytes,
            slow_max: slow_max.min(threads_max / 2).max(1),
            threads_max,
            working: AtomicUsize::new(0),
            available: AtomicUsize::new(threads_max),
            state: Mutex::new(state),
            ready: Condvar::new(),
            threads: threads.clone(),
        };
        let pool = Pool { inner: Arc::new(inner) };
        // Two, so that slow work never has the only thread.
        for _ in 0..SPARE + 1 {
            pool.inner.state.lock().threads += 1;
            pool.inner.start_thread()?;
        }
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

    /// Whether at most this share of the threads is at work, so that whoever only waits may do so on its thread.
    pub(crate) fn has_spare(&self, share: usize) -> bool {
        self.inner.working.load(Relaxed) <= self.inner.available.load(Relaxed) / share
    }

    /// Does a part of the work that may block. In the slow lane others may go on meanwhile, as long as less than half of
    /// the threads are blocked.
    pub(crate) fn block<R>(&self, lane: Lane, part: impl FnOnce() -> R) -> R {
        let _blocked = (lane == Lane::Slow).then(|| Blocked::new(&self.inner));
        part()
    }
}

/// A thread of the slow lane that may be blocked, until this is dropped.
struct Blocked<'a, W: Work>(&'a Inner<W>);

impl<'a, W: Work> Blocked<'a, W> {
    fn new(inner: &'a Inner<W>) -> Blocked<'a, W> {
        let mut state = inner.state.lock();
        state.slow_blocked += 1;
        if state.idle > 0 && !state.slow.is_empty() {
            inner.ready.notify_one();
        }
        Blocked(inner)
    }
}

impl<W: Work> Drop for Blocked<'_, W> {
    fn drop(&mut self) {
        self.0.state.lock().slow_blocked -= 1;
    }
}

impl<W: Work> Drop for Pool<W> {
    fn drop(&mut self) {
        self.inner.state.lock().is_closed = true;
        self.inner.ready.notify_all();
    }
}

impl<W: Work> Inner<W> {
    /// Starts a thread that is counted already.
    fn start_thread(self: &Arc<Self>) -> io::Result<()> {
        let inner = self.clone();
        let started = self.threads.spawn_short_lived(self.name, self.stack_bytes, move || inner.work());
        let mut state = self.state.lock();
        if started.is_err() {
            state.threads -= 1;
            state.no_thread_until = Some(Instant::now() + NO_THREAD_PAUSE);
            // What there is has to do, and nobody may keep it for waiting.
            self.available.store(state.threads, Relaxed);
        } else if state.no_thread_until.take().is_some() {
            self.available.store(self.threads_max, Relaxed);
        }
        started
    }

    /// One thread, until it finds nothing to do.
    fn work(self: Arc<Self>) {
        while let Some((lane, work, is_last)) = self.next() {
            self.working.fetch_add(1, Relaxed);
            if is_last && let Err(error) = self.start_thread() {
                log::warn!("the system has no thread left, going on with those that there are: {error}");
            }
            // A panic has been printed, and ends this piece of work only.
            let _ = catch_unwind(AssertUnwindSafe(|| work.run(lane)));
            self.working.fetch_sub(1, Relaxed);
            if lane == Lane::Slow {
                self.state.lock().slow_working -= 1;
            }
        }
    }

    /// Waits for the next piece of work, and says whether no other thread waits and one is to be started, which is then
    /// counted. None if there is nothing to do for a while, or never will be.
    fn next(&self) -> Option<(Lane, Box<W>, bool)> {
        let mut state = self.state.lock();
        loop {
            if let Some((lane, work)) = state.take(self.slow_max, self.threads_max) {
                state.slow_working += usize::from(lane == Lane::Slow);
                let may_start = state.no_thread_until.is_none_or(|until| Instant::now() >= until);
                let is_last = state.idle == 0 && state.threads < self.threads_max && may_start;
                state.threads += usize::from(is_last);
                return Some((lane, work, is_last));
            }
            if state.is_closed {
                state.threads -= 1;
                return None;
            }
            state.idle += 1;
            let timed_out = match state.idle > SPARE {
                true => self.ready.wait_for(&mut state, IDLE).timed_out(),
                false => {
                    self.ready.wait(&mut state);
                    false
                }
            };
            state.idle -= 1;
            if timed_out && state.idle >= SPARE && state.fast.is_empty() && state.slow.is_empty() {
                state.threads -= 1;
                return None;
            }
        }
    }
}

impl<W> State<W> {
    /// The next piece of work that may be done now.
    fn take(&mut self, slow_max: usize, threads_max: usize) -> Option<(Lane, Box<W>)> {
        let busy = self.slow_working - self.slow_blocked;
        let may_do_slow = busy < slow_max && self.slow_working < (threads_max / 2).max(1);
        let slow = |state: &mut State<W>| state.slow.pop_front().map(|work| (Lane::Slow, work));
        if self.slow_working == 0
            && let Some(next) = slow(self)
        {
            return Some(next);
        }
        let fast = self.fast.pop_front().map(|work| (Lane::Fast, work));
        fast.or_else(|| may_do_slow.then(|| slow(self)).flatten())
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
        assert!(pool.has_spare(2));
        (0..3).for_each(|_| push(Lane::Fast, "fast"));
        (0..2).for_each(|_| assert_eq!(has_begun.recv_timeout(PATIENCE), Ok("fast")));
        assert!(has_begun.recv_timeout(MOMENT).is_err(), "all four threads are at work");
        assert!(!pool.has_spare(2));
        drop(end);
        let mut rest = [has_begun.recv_timeout(PATIENCE).unwrap(), has_begun.recv_timeout(PATIENCE).unwrap()];
        rest.sort_unstable();
        assert_eq!(rest, ["fast", "slow"]);
        drop(pool);
        assert!(threads.join(PATIENCE), "all threads end");
    }

    /// Blocks, or waits until it is its turn.
    struct Blocking {
        pool: Arc<Pool<Blocking>>,
        begun: Sender<()>,
        end: Receiver<()>,
    }

    impl Work for Blocking {
        fn run(self: Box<Self>, lane: Lane) {
            self.pool.block(lane, || {
                self.begun.send(()).expect("the test waits");
                let _ = self.end.recv();
            });
        }
    }

    #[test]
    fn slow_work_that_is_blocked_leaves_its_place_to_others_up_to_half_of_the_threads() {
        let threads = Threads::default();
        let pool = Arc::new(Pool::start("pool", 64 * 1024, 8, 1, &threads).unwrap());
        let (begun, has_begun) = unbounded();
        let (end, ends) = bounded(0);
        for _ in 0..5 {
            let (pool_of_work, begun, end) = (pool.clone(), begun.clone(), ends.clone());
            pool.push(Lane::Slow, Box::new(Blocking { pool: pool_of_work, begun, end }));
        }
        (0..4).for_each(|_| has_begun.recv_timeout(PATIENCE).expect("half of the threads"));
        assert!(has_begun.recv_timeout(MOMENT).is_err(), "the fifth has to wait");
        drop(end);
        has_begun.recv_timeout(PATIENCE).expect("its turn comes");
        drop(pool);
        assert!(threads.join(PATIENCE));
    }

    #[test]
    fn slow_work_is_done_however_much_fast_work_there_is() {
        let threads = Threads::default();
        let pool = Pool::start("pool", 64 * 1024, 4, 2, &threads).unwrap();
        let (begun, has_begun) = unbounded();
        let (end, ends) = unbounded();
        let push = |lane, name| {
            pool.push(lane, Box::new(Held { begun: begun.clone(), name, end: ends.clone() }));
        };
        (0..50).for_each(|_| push(Lane::Fast, "fast"));
        (0..4).for_each(|_| assert_eq!(has_begun.recv_timeout(PATIENCE), Ok("fast")));
        push(Lane::Slow, "slow");
        end.send(()).unwrap();
        assert_eq!(has_begun.recv_timeout(PATIENCE), Ok("slow"), "before 46 others");
        drop(end);
        drop(pool);
        assert!(threads.join(PATIENCE));
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
