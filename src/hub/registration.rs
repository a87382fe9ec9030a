//! A client's way into the hub: what it hands in, and the wait until it is registered.

use super::ClientId;
use super::outlet::Outlet;
use crate::event::{Form, Id};
use crate::topic::Topic;
use crossbeam_channel::{Receiver, TryRecvError};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How often a client that waits to be registered looks whether the hub's thread has ended.
const ENDED_LOOK: Duration = Duration::from_millis(100);

/// A client that wants to be registered.
pub(super) struct Registration {
    pub(super) id: ClientId,
    pub(super) topics: Arc<[Topic]>,
    pub(super) form: Form,
    pub(super) outlet: Arc<Outlet>,
    pub(super) live_after: Arc<LiveAfter>,
}

/// Where a client waits for the id up to which it has to read the history. A channel would do, but what is freed on a
/// stream's thread stays with that thread, and a channel is large. The lock is that of the standard library, because
/// `parking_lot` keeps some hundred bytes for each thread that ever waited.
#[derive(Default)]
pub(super) struct LiveAfter {
    id: Mutex<Option<Id>>,
    is_set: Condvar,
}

impl LiveAfter {
    pub(super) fn set(&self, id: Id) {
        *self.lock() = Some(id);
        self.is_set.notify_one();
    }

    /// None if the hub's thread ends without having set it.
    pub(super) fn wait(&self, ended: &Receiver<()>) -> Option<Id> {
        let mut id = self.lock();
        while id.is_none() && ended.try_recv() != Err(TryRecvError::Disconnected) {
            id = self.is_set.wait_timeout(id, ENDED_LOOK).unwrap_or_else(PoisonError::into_inner).0;
        }
        *id
    }

    fn lock(&self) -> MutexGuard<'_, Option<Id>> {
        // Nobody can panic while holding it.
        self.id.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
