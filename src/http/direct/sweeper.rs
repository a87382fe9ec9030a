//! One thread that looks after all connections that have no thread: heartbeats of streams, and deadlines.

use super::open::Connections;
use crate::http::Limits;
use crate::os::pool::Work;
use crate::os::threads::Threads;
use parking_lot::{Condvar, Mutex};
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// The sweeper looks so many times within the shortest deadline, so that none is kept much too late.
const LOOKS: u32 = 8;

/// The pause between two looks is within these.
const PAUSE_MIN: Duration = Duration::from_millis(5);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// The handle to the thread, which ends when the handle is dropped.
pub(super) struct Sweeper {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Something may rest. The thread sleeps while nothing does.
    is_needed: bool,
    is_closed: bool,
}

impl Sweeper {
    /// Starts the thread.
    pub(super) fn start<W: Work>(
        connections: &Arc<Connections<W>>,
        limits: &Limits,
        threads: &Threads,
    ) -> io::Result<Sweeper> {
        let sweeper = Sweeper { shared: Arc::default() };
        let (shared, connections) = (sweeper.shared.clone(), connections.clone());
        let pace = limits.pace;
        let deadlines = [limits.head_deadline, limits.body_deadline, limits.idle_deadline];
        let shortest = deadlines.into_iter().fold(pace.heartbeat.min(pace.write_deadline), Duration::min);
        let pause = (shortest / LOOKS).clamp(PAUSE_MIN, PAUSE_MAX);
        threads.spawn_essential("sweeper", move || {
            while shared.wait(pause) {
                // All of them, not only up to the first that rests.
                if connections.all().iter().filter(|slot| slot.tend(pace.heartbeat)).count() > 0 {
                    shared.need();
                }
            }
        })?;
        Ok(sweeper)
    }

    /// A connection is about to rest.
    pub(super) fn need(&self) {
        self.shared.need();
    }
}

impl Shared {
    fn need(&self) {
        let mut state = self.state.lock();
        if !state.is_needed {
            state.is_needed = true;
            self.changed.notify_one();
        }
    }

    /// Waits until something rests, and then for the pause. False if the sweeper is to end.
    fn wait(&self, pause: Duration) -> bool {
        let mut state = self.state.lock();
        self.changed.wait_while(&mut state, |state| !state.is_needed && !state.is_closed);
        self.changed.wait_while_for(&mut state, |state| !state.is_closed, pause);
        state.is_needed = false;
        !state.is_closed
    }
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        self.shared.state.lock().is_closed = true;
        self.shared.changed.notify_one();
    }
}
