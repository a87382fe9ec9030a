//! How many of something each client has at this moment.

use super::Key;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

/// The counts of all clients. A client that has nothing takes no room, so there are never more counts than there are
/// streams, or connections, of which the server has a bound.
pub(super) struct Counts {
    max: usize,
    /// Keyed by hashes of which nobody outside knows the seed, so that a name of any length takes the same room.
    held: Mutex<HashMap<u64, usize>>,
    hasher: RandomState,
}

/// One of what a client may have, given back when it is dropped.
pub struct Held {
    counts: Arc<Counts>,
    hash: u64,
}

impl Counts {
    /// So many for each client.
    pub(super) fn new(max: usize) -> Arc<Counts> {
        Arc::new(Counts { max, held: Mutex::default(), hasher: RandomState::new() })
    }

    pub(super) fn max(&self) -> usize {
        self.max
    }

    /// Takes one more for this client; none if it has as many as it may.
    pub(super) fn take(self: &Arc<Counts>, key: &Key) -> Option<Held> {
        let hash = self.hasher.hash_one(key);
        let mut held = self.held.lock();
        let count = held.entry(hash).or_default();
        // A limit is at least 1, so what was just made for this client is never left behind.
        if *count >= self.max {
            return None;
        }
        *count += 1;
        Some(Held { counts: self.clone(), hash })
    }

    #[cfg(test)]
    fn clients(&self) -> usize {
        self.held.lock().len()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut held = self.counts.held.lock();
        match held.get_mut(&self.hash) {
            Some(count) if *count > 1 => *count -= 1,
            _ => _ = held.remove(&self.hash),
        }
        // A crowd that has left leaves no room behind.
        if held.capacity() > 64 && held.len() < held.capacity() / 8 {
            held.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(number: u8) -> Key {
        Key::address([192, 0, 2, number].into())
    }

    #[test]
    fn each_client_has_a_count_of_its_own_and_gets_back_what_it_gave() {
        let counts = Counts::new(2);
        let first = counts.take(&key(1)).expect("the first");
        let _second = counts.take(&key(1)).expect("the second");
        assert!(counts.take(&key(1)).is_none());
        let other = counts.take(&key(2)).expect("of another client");
        drop(first);
        assert!(counts.take(&key(1)).is_some());
        assert_eq!(counts.clients(), 2);
        drop(other);
        assert_eq!(counts.clients(), 1);
    }

    proptest! {
        #[test]
        fn a_client_never_has_more_than_it_may_and_who_has_nothing_takes_no_room(
            steps in proptest::collection::vec((0_u8..4, any::<bool>()), 0..200)
        ) {
            let counts = Counts::new(3);
            let mut all: [Vec<Held>; 4] = Default::default();
            for (client, takes) in steps {
                let held = &mut all[usize::from(client)];
                if takes {
                    let had = held.len();
                    held.extend(counts.take(&key(client)));
                    prop_assert_eq!(held.len(), 3.min(had + 1));
                } else {
                    held.pop();
                }
                prop_assert_eq!(counts.clients(), all.iter().filter(|held| !held.is_empty()).count());
            }
        }
    }
}
