//! One thread that looks after all connections that have no thread: heartbeats of streams, and deadlines.

use super::open::{Connections, Due};
use crate::http::Limits;
use crate::os::pool::Work;
use crate::os::threads::Threads;
use parking_lot::{Condvar, Mutex};
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
    /// When to look next. None while nothing rests; then the thread sleeps.
    next: Option<Instant>,
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
            while shared.wait() {
                let at_any_time = Instant::now() + pause;
                let next = |due: Due| match due {
                    Due::At(due) => due.min(at_any_time),
                    Due::AtAnyTime => at_any_time,
                };
                let slots = connections.all();
                if let Some(next) = slots.iter().filter_map(|slot| slot.tend(pace.heartbeat)).map(next).min()
                {
                    shared.need(next);
                }
            }
        })?;
        Ok(sweeper)
    }

    /// A connection rests, and has to be looked at then, if not earlier.
    pub(super) fn need(&self, until: Option<Instant>) {
        let next = Instant::now() + self.pause;
        self.shared.need(until.map_or(next, |until| until.min(next)));
    }
}

impl Shared {
    fn need(&self, at: Instant) {
        let mut state = self.state.lock();
        if state.next.is_none_or(|next| at < next) {
            state.next = Some(at);
            self.changed.notify_one();
        }
    }

    /// Waits until it is time to look, but for the shortest pause at least. False if the sweeper is to end.
    fn wait(&self) -> bool {
        let earliest = Instant::now() + PAUSE_MIN;
        let mut state = self.state.lock();
        while !state.is_closed {
            match state.next.map(|next| next.max(earliest)) {
                Some(next) if Instant::now() >= next => break,
                Some(next) => _ = self.changed.wait_until(&mut state, next),
                None => self.changed.wait(&mut state),
            }
        }
        state.next = None;
        !state.is_closed
    }
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        self.shared.state.lock().is_closed = true;
        self.shared.changed.notify_one();
    }
}
