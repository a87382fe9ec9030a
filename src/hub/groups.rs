//! Who subscribes to what: clients with the same topics form a group, and a topic leads to its groups.
//!
//! So an event is looked at once per group, not once per client, and the members of a group share the
//! bytes of a batch.

use super::outlet::{Batch, Outlet};
use super::{ClientId, Dispatch};
use crate::event::{Count, Frame};
use crate::topic::Topic;
use slab::Slab;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// All groups, and the ways to find one: by its topics, by one of its topics, by one of its members.
#[derive(Default)]
pub(super) struct Groups {
    groups: Slab<Group>,
    by_topics: HashMap<Arc<[Topic]>, usize>,
    by_topic: HashMap<Topic, BTreeSet<usize>>,
    positions: HashMap<ClientId, Position>,
    /// Groups that have gathered something since the last flush.
    touched: Vec<usize>,
}

struct Group {
    topics: Arc<[Topic]>,
    members: Vec<(ClientId, Arc<Outlet>)>,
    gathered: Vec<Dispatch>,
}

/// Where a client is: its group, and its index among the members.
struct Position {
    group: usize,
    index: usize,
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
        // Two of an event's topics may lead to one group. The group's newest frame shows whether it has this event
        // already, since all others are older.
        for topic in dispatch.topics.iter() {
            for &group in self.by_topic.get(topic).into_iter().flatten() {
                let gathered = &mut self.groups[group].gathered;
                match gathered.last() {
                    Some(newest) if Arc::ptr_eq(&newest.frame, &dispatch.frame) => continue,
                    Some(_) => {}
                    None => self.touched.push(group),
                }
                gathered.push(dispatch.clone());
            }
        }
    }

    /// Passes each group's batch, with its number of events, to each of the group's outlets, and empties the groups.
    /// `send` says whether an outlet took the batch.
    pub(super) fn flush(&mut self, mut send: impl FnMut(&Batch, u64, &Outlet) -> bool) {
        for group in self.touched.drain(..) {
            // A group may have closed since it was touched.
            let Some(group) = self.groups.get_mut(group) else { continue };
            let batch = batch(&group.gathered);
            let events = group.gathered.len() as u64;
            let counts: Vec<Count> = group.gathered.drain(..).filter_map(|dispatch| dispatch.count).collect();
            let mut reached = 0;
            for (_, outlet) in &group.members {
                // A browser that closed a moment ago is not reached, though its socket may take the bytes.
                let listens = counts.is_empty() || !outlet.has_hung_up();
                reached += usize::from(send(&batch, events, outlet) && listens);
            }
            // The publisher may have gone.
            counts.iter().for_each(|count| count.send(reached).unwrap_or_default());
        }
    }

    fn open(&mut self, topics: Arc<[Topic]>) -> usize {
        let members = Vec::new();
        let group = self.groups.insert(Group { topics: topics.clone(), members, gathered: Vec::new() });
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

fn batch(gathered: &[Dispatch]) -> Batch {
    if let [single] = gathered {
        return Batch { all: single.frame.clone(), kept: single.id.map(|_| single.frame.clone()) };
    }
    let all = concat(gathered.iter());
    let kept_events = gathered.iter().filter(|dispatch| dispatch.id.is_some());
    let kept = match kept_events.clone().count() {
        0 => None,
        count if count == gathered.len() => Some(all.clone()),
        _ => Some(concat(kept_events)),
    };
    Batch { all, kept }
}

fn concat<'a>(dispatches: impl Iterator<Item = &'a Dispatch>) -> Frame {
    let mut bytes = Vec::new();
    dispatches.for_each(|dispatch| bytes.extend_from_slice(&dispatch.frame));
    bytes.into()
}
