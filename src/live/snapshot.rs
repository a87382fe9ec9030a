//! Streams of state: what is true now on a topic, sent whole, at once to a newcomer and to everyone when it
//! has changed.
//!
//! A thousand watchers cost one read and one encoding per change, and a topic that nobody watches costs
//! nothing. A change goes out at once; changes that follow within a pause go out together, as the newest
//! state. It is only true now: no id, never kept, dropped for a browser that is behind, which is shown the
//! present state when it has caught up.
//!
//! A newcomer joins the hub first and is then shown the present state, so it misses no change; it may be shown
//! one state twice.

use crate::error::Error;
use crate::event::{Draft, Event, Frame};
use crate::hub::{Dispatch, Hub};
use crate::os::threads::Vital;
use crate::topic::Topic;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{
    AtomicBool, AtomicU64, AtomicUsize,
    Ordering::{Relaxed, SeqCst},
};
use std::time::{Duration, Instant};

/// The least time between two states of a topic, and what each of its watchers adds to it.
const PAUSE: Duration = Duration::from_millis(10);
const PAUSE_PER_WATCHER: Duration = Duration::from_micros(40);

/// How long it takes until a state is read again that could not be read.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// Reads what is true now, as JSON; none if there is nothing any more, and never will be again.
type Read = Box<dyn Fn() -> Result<Option<String>, Error> + Send + Sync>;

/// The states that are watched. Clones share them.
#[derive(Clone)]
pub struct Snapshots {
    watched: Arc<Mutex<HashMap<Topic, Arc<State>>>>,
    /// Holds each state once at most. So it is bounded by the number of streams.
    changed: Sender<Arc<State>>,
}

/// What is true on one topic, for as long as somebody watches it.
struct State {
    topic: Topic,
    read: Read,
    watchers: AtomicUsize,
    /// Counts the changes.
    changes: AtomicU64,
    /// The thread knows that it has changed.
    is_told: AtomicBool,
    newest: Mutex<Newest>,
}

/// What was read last.
struct Newest {
    frame: Option<Frame>,
    /// Which change was the last before it was read; none if it was not read.
    change: Option<u64>,
    /// What everyone who watches has been shown, or something newer.
    shown: Option<Frame>,
    /// Somebody was shown something else, or nothing.
    is_uneven: bool,
    /// When the next one may go out.
    rested_at: Instant,
}

impl Snapshots {
    /// Nothing is watched yet. Starts the thread that tells the watchers; it ends with the last clone.
    pub fn start(hub: Hub) -> io::Result<Snapshots> {
        let (changed, changes) = unbounded();
        std::thread::Builder::new().name("states".into()).spawn(move || {
            let _vital = Vital("states");
            tell(&hub, &changes);
        })?;
        Ok(Snapshots { watched: Arc::default(), changed })
    }

    /// Watches a topic until the guard is dropped. `read` says what is true on it; it is called by whichever
    /// thread needs it, and by one at a time.
    pub fn watch(
        &self,
        topic: Topic,
        read: impl Fn() -> Result<Option<String>, Error> + Send + Sync + 'static,
    ) -> Watcher {
        let mut watched = self.watched.lock();
        let state = watched.entry(topic.clone()).or_insert_with(|| {
            let newest = Newest {
                frame: None,
                change: None,
                shown: None,
                is_uneven: false,
                rested_at: Instant::now(),
            };
            Arc::new(State {
                topic,
                read: Box::new(read),
                watchers: AtomicUsize::new(0),
                changes: AtomicU64::new(0),
                is_told: AtomicBool::new(false),
                newest: Mutex::new(newest),
            })
        });
        state.watchers.fetch_add(1, Relaxed);
        Watcher { snapshots: self.clone(), state: state.clone() }
    }

    /// Something has changed that the state of this topic shows. To be called after the change can be read;
    /// waits for nothing.
    pub fn note_change(&self, topic: &Topic) {
        let Some(state) = self.watched.lock().get(topic).cloned() else { return };
        state.changes.fetch_add(1, SeqCst);
        if !state.is_told.swap(true, SeqCst) {
            // The thread ends with the last sender, which this is not.
            let _ = self.changed.send(state);
        }
    }
}

/// Somebody watches a topic, for as long as it lives.
pub struct Watcher {
    snapshots: Snapshots,
    state: Arc<State>,
}

impl Watcher {
    /// What is true now, as an event `data`, or as an event `end` if there is nothing any more. None if it
    /// cannot be read now; it is broadcast when it can.
    pub fn frame(&self) -> Option<Frame> {
        let mut newest = self.state.newest.lock();
        if let Err(error) = self.state.refresh(&mut newest) {
            log::debug!("a state could not be read: {error}");
            newest.is_uneven = true;
            self.snapshots.note_change(&self.state.topic);
        }
        if newest.shown.is_none() {
            newest.shown = newest.frame.clone();
        }
        newest.is_uneven |= newest.shown != newest.frame;
        newest.frame.clone()
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        // Not while a state is told: one that nobody knows any more must not come after that of its successor.
        let _untold = self.state.newest.lock();
        // Under the lock, so that whoever comes now finds the state or makes another.
        let mut watched = self.snapshots.watched.lock();
        if self.state.watchers.fetch_sub(1, Relaxed) == 1 {
            watched.remove(&self.state.topic);
        }
    }
}

impl State {
    /// Reads what is true now, if it may have changed since it was read.
    fn refresh(&self, newest: &mut Newest) -> Result<(), Error> {
        // Before reading: what changes while it is read is read again.
        let change = Some(self.changes.load(SeqCst));
        if newest.change == change {
            return Ok(());
        }
        // Browsers drop an event without data, so `end` has an empty object.
        let (name, data) = (self.read)()?.map_or(("end", "{}".into()), |data| ("data", data));
        let topics = vec![self.topic.clone()];
        let draft = Draft { topics, name: Some(name.into()), data, ..Draft::default() };
        let frame = Some(Event::new(draft).expect("its name is valid").encode(None));
        if frame != newest.frame {
            newest.frame = frame;
        }
        newest.change = change;
        Ok(())
    }

    /// Tells everyone what is true now, if they were not shown it, and says when the state wants to be looked
    /// at again.
    fn tell(&self, hub: &Hub) -> Result<(), Error> {
        self.is_told.store(false, SeqCst);
        let mut newest = self.newest.lock();
        let watchers = self.watchers.load(Relaxed);
        if watchers == 0 {
            return Ok(());
        }
        self.refresh(&mut newest)?;
        if newest.frame == newest.shown && !newest.is_uneven {
            return Ok(());
        }
        newest.shown = newest.frame.clone();
        newest.is_uneven = false;
        let pause = PAUSE_PER_WATCHER.saturating_mul(u32::try_from(watchers).unwrap_or(u32::MAX));
        newest.rested_at = Instant::now() + PAUSE + pause;
        if let Some(frame) = newest.frame.clone() {
            // Handed over under the lock, so that the hub is given states in the order in which they were
            // read. Everyone may wait for the hub.
            hub.broadcast(Dispatch { id: None, topics: [self.topic.clone()].into(), frame, count: None });
        }
        Ok(())
    }
}

/// Tells states that have changed, each when it has rested.
fn tell(hub: &Hub, changes: &Receiver<Arc<State>>) {
    let mut waiting: Vec<Arc<State>> = Vec::new();
    loop {
        let next = waiting.iter().map(|state| state.newest.lock().rested_at).min();
        let changed = match next {
            Some(at) => changes.recv_deadline(at),
            None => changes.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match changed {
            Ok(state) => waiting.push(state),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let now = Instant::now();
        waiting.retain(|state| {
            if state.newest.lock().rested_at > now {
                return true;
            }
            let told = state.tell(hub);
            if let Err(error) = &told {
                log::debug!("a state could not be read: {error}");
                state.is_told.store(true, SeqCst);
                state.newest.lock().rested_at = now + TRY_AGAIN;
            }
            told.is_err()
        });
    }
}
