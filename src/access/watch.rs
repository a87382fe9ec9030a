//! Streams that are open: what access has said is said again to them when it changes. Whose credential ends, was taken back
//! or has lost its rule is told so and ends, within a second; nobody else notices anything.
//!
//! One thread asks, for all that has changed since it asked last. It is started with the first stream that can lose
//! something.

use super::moment::Moment;
use super::{Access, Grant};
use crate::error::Error;
use crate::os::threads::Threads;
use parking_lot::{Condvar, Mutex};
use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{Ordering::SeqCst, fence};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

/// The thread looks at the clock this often while something is to end: the clock may have been set forward.
const LOOK: Duration = Duration::from_secs(1);

/// A stream that can be ended. It must not block.
pub trait Lose: Send + Sync {
    /// It has lost its right, which [`Watch::lost`] says from now on.
    fn lose(&self);
}

/// A stream's entry among those that are watched, for as long as it lives.
pub struct Watch(Arc<Entry>);

struct Entry {
    grant: Grant,
    number: u64,
    expires: Option<Moment>,
    lost: OnceLock<Error>,
    stream: OnceLock<Weak<dyn Lose>>,
    watches: Weak<Shared>,
}

impl Watch {
    /// Whom to tell. Told at once if the right was lost meanwhile.
    pub fn bind(&self, stream: Weak<dyn Lose>) {
        // It is bound once.
        let _ = self.0.stream.set(stream);
        // Either this thread sees that the right was lost, or the one that takes it sees the stream.
        fence(SeqCst);
        if self.0.lost.get().is_some() {
            self.0.tell();
        }
    }

    /// Why the right was lost, if it was.
    pub fn lost(&self) -> Option<&Error> {
        self.0.lost.get()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(watches) = self.0.watches.upgrade() {
            watches.state.lock().remove(&self.0);
        }
    }
}

impl Entry {
    fn lose(&self, error: Error) {
        // The first reason counts.
        if self.lost.set(error).is_ok() {
            fence(SeqCst);
            self.tell();
        }
    }

    fn tell(&self) {
        if let Some(stream) = self.stream.get().and_then(Weak::upgrade) {
            stream.lose();
        }
    }
}

/// All that are watched. The thread ends when this is dropped.
#[derive(Default)]
pub(super) struct Watches(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    entries: HashMap<u64, Weak<Entry>>,
    /// When credentials end, and whose.
    ends: BTreeSet<(Moment, u64)>,
    next_number: u64,
    has_thread: bool,
    /// All have to be asked again.
    is_stale: bool,
    is_closed: bool,
}

impl State {
    fn remove(&mut self, entry: &Entry) {
        self.entries.remove(&entry.number);
        entry.expires.into_iter().for_each(|at| _ = self.ends.remove(&(at, entry.number)));
    }
}

impl Watches {
    /// Watches a stream with this grant. Fails where there is no thread left for it.
    pub(super) fn add(&self, access: &Arc<Access>, grant: &Grant, threads: &Threads) -> Result<Watch, Error> {
        let mut state = self.0.state.lock();
        if !state.has_thread {
            let (shared, access) = (self.0.clone(), Arc::downgrade(access));
            let started = threads.spawn_essential("watch", move || shared.run(&access));
            started.map_err(|error| Error::unavailable(format!("no thread is left: {error}")))?;
            state.has_thread = true;
        }
        let number = state.next_number;
        state.next_number += 1;
        let expires = grant.caller.claims().and_then(|claims| claims.expires);
        let watches = Arc::downgrade(&self.0);
        let (lost, stream) = (OnceLock::new(), OnceLock::new());
        let entry = Arc::new(Entry { grant: grant.clone(), number, expires, lost, stream, watches });
        state.entries.insert(number, Arc::downgrade(&entry));
        if let Some(at) = expires {
            state.ends.insert((at, number));
            if state.ends.first() == Some(&(at, number)) {
                self.0.changed.notify_one();
            }
        }
        Ok(Watch(entry))
    }

    /// Something has changed that may take a right from somebody.
    pub(super) fn ask_again(&self) {
        self.0.state.lock().is_stale = true;
        self.0.changed.notify_one();
    }
}

impl Drop for Watches {
    fn drop(&mut self) {
        self.0.state.lock().is_closed = true;
        self.0.changed.notify_one();
    }
}

impl Shared {
    fn run(&self, access: &Weak<Access>) {
        while let Some(entries) = self.wait() {
            let Some(access) = access.upgrade() else { return };
            for entry in entries.iter().filter_map(Weak::upgrade) {
                if let Err(error) = access.confirm(&entry.grant) {
                    entry.lose(error);
                }
            }
        }
    }

    /// Waits until there are some to ask again. None when the thread is to end.
    fn wait(&self) -> Option<Vec<Weak<Entry>>> {
        let mut state = self.state.lock();
        while !state.is_closed {
            if std::mem::take(&mut state.is_stale) {
                return Some(state.entries.values().cloned().collect());
            }
            let now = Moment::now();
            let mut ended = Vec::new();
            while let Some(&(at, number)) = state.ends.first()
                && at <= now
            {
                state.ends.pop_first();
                ended.extend(state.entries.get(&number).cloned());
            }
            if !ended.is_empty() {
                return Some(ended);
            }
            match state.ends.first() {
                Some((at, _)) => {
                    let pause = at.since(now).min(LOOK);
                    self.changed.wait_for(&mut state, pause);
                }
                None => self.changed.wait(&mut state),
            }
        }
        None
    }
}
