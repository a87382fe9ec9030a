//! The edges of what is kept: up to which id each topic has lost events.
//!
//! A topic that lost nothing since a browser was there gives it no `reset`, however much other topics
//! have lost; and the edge of a topic tells nothing about others.

use crate::event::Id;
use crate::topic::Topic;
use std::collections::HashMap;

/// Topics whose edge is known by itself. With more, all share one edge again, and a quiet topic may
/// give a browser a `reset` that was not needed.
pub(super) const EDGES_MAX: usize = 10_000;

pub(super) struct Edges {
    /// What every topic may have lost: all up to here.
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

    /// Of what is newer than this, nothing on these topics was lost.
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
        let mut edges = Edges::new(Id(1));
        edges.note(&topic("a"), Id(5));
        assert_eq!((edges.of(&[topic("a")]), edges.of(&[topic("b")])), (Id(5), Id(1)));
        assert_eq!(edges.of(&[topic("a"), topic("b")]), Id(5));
        (0..EDGES_MAX as u64).for_each(|n| edges.note(&topic(&format!("t{n}")), Id(10 + n)));
        assert!(edges.of(&[topic("a")]) >= Id(5) && edges.of(&[topic("b")]) > Id(1));
    }
}
