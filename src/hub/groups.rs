//! Who subscribes to what: clients with the same topics form a group, and a topic leads to its groups.
//!
//! An event is looked at once per group, not once per client. The members of a group share the bytes of a batch, and
//! so do groups that gathered the same events.

use super::chunk::Chunk;
use super::outlet::{Batch, Outlet, Sent};
use super::{ClientId, Dispatch};
use crate::topic::Topic;
use slab::Slab;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Constants of the hash over the indexes that a group gathered. Groups with the same hash are compared, so a bad hash
/// costs time and nothing else.
const HASH_FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
const HASH_TURN: u32 = 29;

/// The bytes of batches that are kept during a flush for groups to share. Past it a group makes its own batch and
/// drops it, so that many groups with different events do not hold a batch each.
const SHARED_BYTES: usize = 4 * 1024 * 1024;

/// All groups, and the ways to find one: by its topics, by one of its topics, by one of its members.
#[derive(Default)]
pub(super) struct Groups {
    groups: Slab<Group>,
    by_topics: HashMap<Arc<[Topic]>, usize>,
    by_topic: HashMap<Topic, BTreeSet<usize>>,
    positions: HashMap<ClientId, Position>,
    /// The events since the last flush that somebody subscribes to.
    events: Vec<Dispatch>,
    /// Groups that have gathered something since the last flush.
    touched: Vec<usize>,
}

struct Group {
    topics: Arc<[Topic]>,
    members: Vec<(ClientId, Arc<Outlet>)>,
    /// Its events since the last flush, as indexes of [`Groups::events`].
    gathered: Vec<u32>,
    /// A hash of `gathered`, by which groups that gathered the same find each other.
    hash: u64,
}

/// Where a client is: its group, and its index among the members.
struct Position {
    group: usize,
    index: usize,
}

/// What one or more groups gathered.
struct Shared {
    gathered: Vec<u32>,
    batch: Batch,
    /// How many events that is, and how many of them are kept.
    events: u64,
    kept_events: u64,
    /// Events whose publisher asked for a count.
    counted: Vec<u32>,
}

impl Groups {
    pub(super) fn len(&self) -> usize {
        self.positions.len()
    }

    pub(super) fn outlets(&self) -> impl Iterator<Item = &Outlet> {
        self.groups.iter().flat_map(|(_, group)| group.members.iter().map(|(_, outlet)| &**outlet))
    }

    /// `topics` has to be sorted and without doubles, so that equal sets are one group.
    pub(super) fn insert(&mut self, id: ClientId, topics: Arc<[Topic]>, outlet: Arc<Outlet>) {
        let group = match self.by_topics.get(&topics) {
            Some(&group) => group,
            None => self.open(topics),
        };
        let members = &mut self.groups[group].members;
        self.positions.insert(id, Position { group, index: members.len() });
        members.push((id, outlet));
    }

    pub(super) fn remove(&mut self, id: ClientId) {
        let Some(Position { group, index }) = self.positions.remove(&id) else { return };
        let members = &mut self.groups[group].members;
        members.swap_remove(index);
        if let Some((moved, _)) = members.get(index) {
            self.positions.insert(*moved, Position { group, index });
        }
        if members.is_empty() {
            self.close(group);
        }
    }

    /// Adds an event to each group that subscribes to one of its topics, once.
    pub(super) fn gather(&mut self, dispatch: Dispatch) {
        let index = u32::try_from(self.events.len()).expect("a batch is bounded by its bytes");
        let mut is_gathered = false;
        for topic in dispatch.topics.iter() {
            for &group in self.by_topic.get(topic).into_iter().flatten() {
                let Group { gathered, hash, .. } = &mut self.groups[group];
                match gathered.last() {
                    // Two of an event's topics may lead to one group.
                    Some(&newest) if newest == index => continue,
                    Some(_) => {}
                    None => self.touched.push(group),
                }
                gathered.push(index);
                *hash = (*hash ^ u64::from(index) ^ 1 << 32).wrapping_mul(HASH_FACTOR).rotate_left(HASH_TURN);
                is_gathered = true;
            }
        }
        if is_gathered {
            self.events.push(dispatch);
        }
    }

    /// Passes each group's batch to each of the group's outlets by `send`, and empties the groups. Gives the number of
    /// deliveries: events times the outlets that took them.
    pub(super) fn flush(&mut self, mut send: impl FnMut(&Batch, &Outlet) -> Sent) -> u64 {
        let mut found: HashMap<u64, Shared> = HashMap::new();
        let mut found_bytes = 0;
        let mut deliveries = 0;
        for group in self.touched.drain(..) {
            // A group may have closed since it was touched.
            let Some(group) = self.groups.get_mut(group) else { continue };
            // Taken and not only cleared: what a flood needed is given back after it.
            let gathered = std::mem::take(&mut group.gathered);
            let hash = std::mem::take(&mut group.hash);
            // This also holds for a batch: groups that gathered the same events share one batch.
            let own = match found.get(&hash) {
                Some(shared) if shared.gathered == gathered => None,
                _ => Some(Shared::new(gathered, &self.events)),
            };
            let Shared { batch, events, kept_events, counted, .. } =
                own.as_ref().or_else(|| found.get(&hash)).expect("it is one or the other");
            let mut reached = Reached::default();
            for (_, outlet) in &group.members {
                let sent = send(batch, outlet);
                deliveries += match sent {
                    Sent::Straight | Sent::Queued => events,
                    Sent::QueuedKept => kept_events,
                    Sent::Dropped | Sent::Closed => &0,
                };
                // A browser that closed a moment ago is not reached, though its socket may take the bytes.
                if !counted.is_empty() && !outlet.has_hung_up() {
                    reached.note(sent);
                }
            }
            for event in counted.iter().map(|&index| &self.events[index as usize]) {
                let outlets = if event.id.is_some() { reached.by_kept } else { reached.by_all };
                // The publisher may have gone.
                let _ = event.count.as_ref().map(|count| count.send(outlets));
            }
            if let Some(own) = own.filter(|_| found_bytes < SHARED_BYTES) {
                found_bytes += own.batch.all.frame().len();
                found.entry(hash).or_insert(own);
            }
        }
        self.events.clear();
        deliveries
    }

    fn open(&mut self, topics: Arc<[Topic]>) -> usize {
        let members = Vec::new();
        let (gathered, hash) = (Vec::new(), 0);
        let group = self.groups.insert(Group { topics: topics.clone(), members, gathered, hash });
        for topic in topics.iter() {
            self.by_topic.entry(topic.clone()).or_default().insert(group);
        }
        self.by_topics.insert(topics, group);
        group
    }

    fn close(&mut self, group: usize) {
        let topics = self.groups.remove(group).topics;
        self.by_topics.remove(&topics);
        for topic in topics.iter() {
            let Some(groups) = self.by_topic.get_mut(topic) else { continue };
            groups.remove(&group);
            if groups.is_empty() {
                self.by_topic.remove(topic);
            }
        }
    }
}

/// How many outlets took a batch.
#[derive(Default)]
struct Reached {
    /// Those that took all of it.
    by_all: usize,
    /// Those that took its kept events, or all of it.
    by_kept: usize,
}

impl Reached {
    fn note(&mut self, sent: Sent) {
        self.by_all += usize::from(matches!(sent, Sent::Straight | Sent::Queued));
        self.by_kept += usize::from(matches!(sent, Sent::Straight | Sent::Queued | Sent::QueuedKept));
    }
}

impl Shared {
    fn new(gathered: Vec<u32>, events: &[Dispatch]) -> Shared {
        let own: Vec<&Dispatch> = gathered.iter().map(|&index| &events[index as usize]).collect();
        let batch = batch(&own);
        let counted = gathered.iter().copied().filter(|&index| events[index as usize].count.is_some());
        let kept_events = own.iter().filter(|dispatch| dispatch.id.is_some()).count() as u64;
        Shared { counted: counted.collect(), events: own.len() as u64, kept_events, batch, gathered }
    }
}

fn batch(events: &[&Dispatch]) -> Batch {
    let all = concat(events.iter());
    let kept = events.iter().filter(|dispatch| dispatch.id.is_some());
    let kept = match kept.clone().count() {
        0 => None,
        count if count == events.len() => Some(all.clone()),
        _ => Some(concat(kept)),
    };
    Batch { all, kept }
}

fn concat<'a>(events: impl Iterator<Item = &'a &'a Dispatch> + Clone) -> Chunk {
    Chunk::new(events.map(|dispatch| &*dispatch.frame))
}
