//! One thread that looks after all connections that have no thread: heartbeats of streams, and deadlines.

use super::open::Connections;
use crate::http::Limits;
use crate::hub::outlet::Wake;
use crate::os::pool::Work;
use crate::os::threads::Threads;
use parking_lot::{Condvar, Mutex};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The sweeper looks so many times within the shortest deadline, so that none is kept much too late.
const LOOKS: u32 = 8;

/// The pause between two looks is within these.
const PAUSE_MIN: Duration = Duration::from_millis(5);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// The handle to the thread, which ends when the handle is dropped.
pub(super) struct Sweeper {
    shared: Arc<Shared>,
    pause: Duration,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// When to look at all next. None while nothing rests; then the thread sleeps.
    next: Option<Instant>,
    /// Connections that are to be woken at a moment of their own, which comes soon: by key.
    moments: BinaryHeap<Reverse<(Instant, usize)>>,
    is_closed: bool,
}

impl Sweeper {
    /// Starts the thread.
    pub(super) fn start<W: Work>(
        connections: &Arc<Connections<W>>,
        limits: &Limits,
        threads: &Threads,
    ) -> io::Result<Sweeper> {
        let pace = limits.pace;
        let deadlines = [limits.head_deadline, limits.body_deadline, limits.idle_deadline];
        let shortest = deadlines.into_iter().fold(pace.heartbeat.min(pace.write_deadline), Duration::min);
        let pause = (shortest / LOOKS).clamp(PAUSE_MIN, PAUSE_MAX);
        let sweeper = Sweeper { shared: Arc::default(), pause };
        let (shared, connections) = (sweeper.shared.clone(), connections.clone());
        threads.spawn_essential("sweeper", move || {
            while let Some(keys) = shared.wait() {
                if !keys.is_empty() {
                    connections.find(keys.into_iter()).into_iter().flatten().for_each(|slot| slot.wake());
                    continue;
                }
                // All of them, not only up to the first that rests.
                if connections.all().iter().filter(|slot| slot.tend(pace.heartbeat)).count() > 0 {
                    shared.need(Instant::now() + pause);
                }
            }
        })?;
        Ok(sweeper)
    }

    /// A connection rests, and has to be looked at now and then.
    pub(super) fn need(&self) {
        self.shared.need(Instant::now() + self.pause);
    }

    /// A connection rests, and is to be woken at this moment, which comes soon.
    pub(super) fn wake_at(&self, at: Instant, key: usize) {
        self.shared.wake_at(at, key);
    }
}

impl Shared {
    fn wake_at(&self, at: Instant, key: usize) {
        let mut state = self.state.lock();
        let is_first = state.moments.peek().is_none_or(|Reverse((first, _))| at < *first);
        state.moments.push(Reverse((at, key)));
        if is_first {
            self.changed.notify_one();
        }
    }

    fn need(&self, at: Instant) {
        let mut state = self.state.lock();
        if state.next.is_none_or(|next| at < next) {
            state.next = Some(at);
            self.changed.notify_one();
        }
    }

    /// Waits until connections are to be woken, and gives their keys; none of them if it is time to look at all. `None` if
    /// the sweeper is to end.
    fn wait(&self) -> Option<Vec<usize>> {
        let mut state = self.state.lock();
        while !state.is_closed {
            let now = Instant::now();
            let mut keys = Vec::new();
            while let Some(Reverse((at, key))) = state.moments.peek().copied()
                && at <= now
            {
                state.moments.pop();
                keys.push(key);
            }
            if !keys.is_empty() {
                return Some(keys);
            }
            if state.next.is_some_and(|next| next <= now) {
                state.next = None;
                return Some(Vec::new());
            }
            let soonest = state.moments.peek().map(|Reverse((at, _))| *at);
            match soonest.into_iter().chain(state.next).min() {
                Some(at) => _ = self.changed.wait_until(&mut state, at),
                None => self.changed.wait(&mut state),
            }
        }
        None
    }
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        self.shared.state.lock().is_closed = true;
        self.shared.changed.notify_one();
    }
}
