//! The edges of what is kept: up to which id each topic has lost events.
//!
//! A browser whose topics have lost nothing since it was there gets no `reset`, however much other topics have
//! lost; and the edge of a topic reveals nothing about other topics.

use crate::event::Id;
use crate::topic::Topic;
use std::collections::HashMap;

/// Topics whose edge is known by itself. When there are more, all topics share one edge again, and a browser on
/// a quiet topic may get a `reset` that was not needed.
pub(super) const EDGES_MAX: usize = 10_000;

pub(super) struct Edges {
    /// Every topic may have lost events up to here.
    floor: Id,
    lost: HashMap<Topic, Id>,
}

impl Edges {
    pub(super) fn new(floor: Id) -> Edges {
        Edges { floor, lost: HashMap::new() }
    }

    /// A topic has lost the event with this id, which is newer than all that was lost before.
    pub(super) fn note(&mut self, topic: &Topic, id: Id) {
        if self.lost.len() >= EDGES_MAX && !self.lost.contains_key(topic) {
            self.floor = id;
            self.lost.clear();
        }
        self.lost.insert(topic.clone(), id);
    }

    /// These topics have lost no event that is newer than this.
    pub(super) fn of(&self, topics: &[Topic]) -> Id {
        let lost = topics.iter().filter_map(|topic| self.lost.get(topic)).copied();
        lost.max().unwrap_or_default().max(self.floor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_has_lost_what_it_lost_and_nothing_else() {
        let topic = |name: &str| Topic::new(name).unwrap();
        let id = Id::from_key;
        let mut edges = Edges::new(id(1));
        edges.note(&topic("a"), id(5));
        assert_eq!((edges.of(&[topic("a")]), edges.of(&[topic("b")])), (id(5), id(1)));
        assert_eq!(edges.of(&[topic("a"), topic("b")]), id(5));
        (0..EDGES_MAX as u64).for_each(|n| edges.note(&topic(&format!("t{n}")), id(10 + n)));
        assert!(edges.of(&[topic("a")]) >= id(5) && edges.of(&[topic("b")]) > id(1));
    }
}
