//! Who subscribes to what: clients with the same topics form a group, and a topic leads to its groups.
//!
//! An event is looked at once per group, not once per client. The members of a group share the bytes of a batch, and
//! so do groups that gathered the same events.

use super::chunk::Chunk;
use super::outlet::{Batch, Outlet};
use super::{ClientId, Dispatch};
use crate::topic::Topic;
use slab::Slab;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Constants of the hash over the indexes that a group gathered. Groups with the same hash are compared, so a bad hash
/// costs time and nothing else.
const HASH_FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
const HASH_TURN: u32 = 29;

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

    /// Passes each group's batch, with its number of events, to each of the group's outlets, and empties the groups.
    /// `send` says whether an outlet took the batch.
    pub(super) fn flush(&mut self, mut send: impl FnMut(&Batch, u64, &Outlet) -> bool) {
        let mut found: HashMap<u64, Shared> = HashMap::new();
        for group in self.touched.drain(..) {
            // A group may have closed since it was touched.
            let Some(group) = self.groups.get_mut(group) else { continue };
            // Taken and not only cleared: what a flood needed is given back after it.
            let gathered = std::mem::take(&mut group.gathered);
            let hash = std::mem::take(&mut group.hash);
            // This also holds for a batch: groups that gathered the same events share one batch.
            let shared = found.entry(hash).or_insert_with(|| Shared::new(gathered.clone(), &self.events));
            let other = (shared.gathered != gathered).then(|| Shared::new(gathered, &self.events));
            let Shared { gathered, batch, counted } = other.as_ref().unwrap_or(shared);
            let mut reached = 0;
            for (_, outlet) in &group.members {
                // A browser that closed a moment ago is not reached, though its socket may take the bytes.
                let is_there = counted.is_empty() || !outlet.has_hung_up();
                reached += usize::from(send(batch, gathered.len() as u64, outlet) && is_there);
            }
            for count in counted.iter().filter_map(|&index| self.events[index as usize].count.as_ref()) {
                // The publisher may have gone.
                let _ = count.send(reached);
            }
        }
        self.events.clear();
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

impl Shared {
    fn new(gathered: Vec<u32>, events: &[Dispatch]) -> Shared {
        let own: Vec<&Dispatch> = gathered.iter().map(|&index| &events[index as usize]).collect();
        let batch = batch(&own);
        let counted = gathered.iter().copied().filter(|&index| events[index as usize].count.is_some());
        Shared { counted: counted.collect(), batch, gathered }
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
