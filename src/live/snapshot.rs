//! Streams of state: the present state of a topic, sent whole, at once to whoever joins and to everyone when it
//! has changed.
//!
//! A thousand subscribers cost one read and one encoding per change, and a topic that nobody subscribes to costs nothing.
//! A change goes out at once; changes that follow within a pause go out together, as the newest state. A state is
//! ephemeral: no id, never kept, dropped for a browser that is behind, which is sent the present state when it
//! has caught up.
//!
//! A newcomer registers with the hub first and is then sent the present state, so it misses no change; it may be
//! sent one state twice.

use crate::access::Grant;
use crate::error::Error;
use crate::event::{Draft, Event, Frame};
use crate::os::threads::Threads;
use crate::publisher::Publisher;
use crate::topic::Topic;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{
    AtomicBool, AtomicU64, AtomicUsize,
    Ordering::{Relaxed, SeqCst},
};
use std::time::{Duration, Instant};

/// The least time between two states of a topic, and what each of its subscribers adds to it.
const PAUSE: Duration = Duration::from_millis(10);
const PAUSE_PER_SUBSCRIBER: Duration = Duration::from_micros(40);

/// How long it takes until a state is read again that could not be read.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// Reads the present state as JSON; none if what it was the state of is gone, which does not come back.
type Read = Box<dyn Fn() -> Result<Option<String>, Error> + Send + Sync>;

/// The states that somebody subscribes to. Clones share them.
#[derive(Clone)]
pub struct Snapshots {
    states: Arc<Mutex<HashMap<Topic, Arc<State>>>>,
    /// Holds each state once at most, so it is bounded by the number of streams.
    changed: Sender<Arc<State>>,
}

/// The state of one topic, for as long as somebody subscribes to it.
struct State {
    topic: Topic,
    read: Read,
    subscribers: AtomicUsize,
    /// Counts the changes.
    changes: AtomicU64,
    /// The thread has been sent the state and has not looked at it yet.
    is_pending: AtomicBool,
    latest: Mutex<Latest>,
}

/// What was read last.
struct Latest {
    frame: Option<Frame>,
    /// The last change before it was read; none if it was not read.
    change: Option<u64>,
    /// What all subscribers have been sent, or something newer.
    sent: Option<Frame>,
    /// Somebody was sent something else, or nothing.
    is_uneven: bool,
    /// When the next state may go out.
    next_at: Instant,
}

impl Snapshots {
    /// Nobody subscribes yet. Starts the thread that broadcasts to the subscribers; it ends with the last clone.
    pub fn start(publisher: Publisher, threads: &Threads) -> io::Result<Snapshots> {
        let (changed, changes) = unbounded();
        threads.spawn_essential("snapshots", move || run(&publisher, &changes))?;
        Ok(Snapshots { states: Arc::default(), changed })
    }

    /// Subscribes to the state of a topic until the guard is dropped. `read` gives its state as JSON; it is called by whichever
    /// thread needs it, and by one at a time. If it panics, the state cannot be read at that moment.
    pub fn subscribe(
        &self,
        topic: Topic,
        read: impl Fn() -> Result<Option<String>, Error> + Send + Sync + 'static,
    ) -> Subscriber {
        let mut states = self.states.lock();
        let state = states.entry(topic.clone()).or_insert_with(|| {
            let latest =
                Latest { frame: None, change: None, sent: None, is_uneven: false, next_at: Instant::now() };
            Arc::new(State {
                topic,
                read: Box::new(read),
                subscribers: AtomicUsize::new(0),
                changes: AtomicU64::new(0),
                is_pending: AtomicBool::new(false),
                latest: Mutex::new(latest),
            })
        });
        state.subscribers.fetch_add(1, Relaxed);
        Subscriber { snapshots: self.clone(), state: state.clone() }
    }

    /// Something has changed that the state of this topic shows. To be called after the change can be read; does
    /// not wait.
    pub fn note_change(&self, topic: &Topic) {
        let Some(state) = self.states.lock().get(topic).cloned() else { return };
        state.changes.fetch_add(1, SeqCst);
        if !state.is_pending.swap(true, SeqCst) {
            // The thread ends with the last sender, which this is not.
            let _ = self.changed.send(state);
        }
    }
}

/// A subscriber to the state of a topic, for as long as it lives.
pub struct Subscriber {
    snapshots: Snapshots,
    state: Arc<State>,
}

impl Subscriber {
    /// The present state as an event `data`, or an event `end` if what it was the state of is gone. None if it
    /// cannot be read now; then it is sent when it can. May block.
    pub fn frame(&self) -> Option<Frame> {
        let mut latest = self.state.latest.lock();
        if let Err(error) = self.state.refresh(&mut latest) {
            log::debug!("failed to read the state of `{}`: {error:?}", self.state.topic);
            latest.is_uneven = true;
            self.snapshots.note_change(&self.state.topic);
        }
        if latest.sent.is_none() {
            latest.sent = latest.frame.clone();
        }
        latest.is_uneven |= latest.sent != latest.frame;
        latest.frame.clone()
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        // Not while the state is broadcast: one that nobody subscribes to any more must not come after that of its
        // successor.
        let _latest = self.state.latest.lock();
        // Under the lock, so that whoever comes now finds the state or makes another.
        let mut states = self.snapshots.states.lock();
        if self.state.subscribers.fetch_sub(1, Relaxed) == 1 {
            states.remove(&self.state.topic);
        }
    }
}

impl State {
    /// Reads the state, if it may have changed since it was read.
    fn refresh(&self, latest: &mut Latest) -> Result<(), Error> {
        // Before reading: what changes while it is read is read again.
        let change = Some(self.changes.load(SeqCst));
        if latest.change == change {
            return Ok(());
        }
        let json = catch_unwind(AssertUnwindSafe(&self.read))
            .unwrap_or_else(|_| Err(Error::internal(format!("reading `{}` panicked", self.topic))))?;
        let topics = vec![self.topic.clone()];
        let draft = |data| Draft { topics, name: Some("data".into()), data, ..Draft::default() };
        let event = json.map_or_else(Event::end, |data| Event::new(draft(data)).expect("its name is valid"));
        let frame = Some(event.encode(None));
        if frame != latest.frame {
            latest.frame = frame;
        }
        latest.change = change;
        Ok(())
    }

    /// Sends everyone the present state, if somebody was not sent it, and sets when the next one may go out.
    fn broadcast(&self, publisher: &Publisher) -> Result<(), Error> {
        self.is_pending.store(false, SeqCst);
        let mut latest = self.latest.lock();
        let subscribers = self.subscribers.load(Relaxed);
        if subscribers == 0 {
            return Ok(());
        }
        self.refresh(&mut latest)?;
        if latest.frame == latest.sent && !latest.is_uneven {
            return Ok(());
        }
        latest.sent = latest.frame.clone();
        latest.is_uneven = false;
        let pause = PAUSE_PER_SUBSCRIBER.saturating_mul(u32::try_from(subscribers).unwrap_or(u32::MAX));
        latest.next_at = Instant::now() + PAUSE + pause;
        if let Some(frame) = latest.frame.clone() {
            // Under the lock, so that the hub is given states in the order in which they were read. Everyone may
            // wait for the hub.
            publisher.broadcast_frame(&Grant::of_program(std::slice::from_ref(&self.topic)), frame);
        }
        Ok(())
    }
}

/// Broadcasts states that have changed, each when its pause is over.
fn run(publisher: &Publisher, changes: &Receiver<Arc<State>>) {
    let mut waiting: Vec<Arc<State>> = Vec::new();
    loop {
        let next = waiting.iter().map(|state| state.latest.lock().next_at).min();
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
            if state.latest.lock().next_at > now {
                return true;
            }
            let Err(error) = state.broadcast(publisher) else { return false };
            log::debug!("failed to read the state of `{}`: {error:?}", state.topic);
            state.latest.lock().next_at = now + TRY_AGAIN;
            // A change that was noted meanwhile has sent the state again.
            !state.is_pending.swap(true, SeqCst)
        });
    }
}
