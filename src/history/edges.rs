//! The edges of what is kept: up to which id each topic has lost events.
//!
//! A browser whose topics have lost nothing since it was there gets no `reset`, however much other topics have
//! lost; and the edge of a topic reveals nothing about other topics. The edge of a prefix is the newest of those of all
//! topics that it names, those among them of which nothing is kept any more.

use crate::event::Id;
use crate::selector::Selector;
use crate::topic::Topic;
use std::collections::BTreeMap;
use std::ops::Bound::{Included, Unbounded};

/// Topics whose edge is known by itself. When there are more, those that lost nothing for longest share one edge, and a
/// browser on a topic of which nothing is kept may get a `reset` that was not needed.
pub(super) const EDGES_MAX: usize = 10_000;

#[derive(Clone)]
pub(super) struct Edges {
    /// A topic that is not known by itself may have lost events up to here.
    pub(super) floor: Id,
    /// In the order of the topics, so that those of a prefix are found together.
    lost: BTreeMap<Topic, Id>,
    /// The newest of all edges.
    newest: Id,
}

impl Edges {
    pub(super) fn new(floor: Id) -> Edges {
        Edges { floor, lost: BTreeMap::new(), newest: floor }
    }

    /// A topic has lost the event with this id, which is newer than all that it lost before.
    pub(super) fn note(&mut self, topic: &Topic, id: Id) {
        if self.lost.len() >= EDGES_MAX && !self.lost.contains_key(topic) {
            self.join_oldest();
        }
        self.lost.insert(topic.clone(), id);
        self.newest = self.newest.max(id);
    }

    /// Half of the topics share one edge from now on.
    fn join_oldest(&mut self) {
        let mut ids: Vec<Id> = self.lost.values().copied().collect();
        let (_, middle, _) = ids.select_nth_unstable(EDGES_MAX / 2);
        self.floor = self.floor.max(*middle);
        self.lost.retain(|_, id| *id > self.floor);
    }

    /// A topic has lost no event that is newer than this. `oldest` is the oldest event that it lists: what a topic lists
    /// it has not lost, since it loses its oldest events first.
    pub(super) fn of(&self, topic: &Topic, oldest: Option<Id>) -> Id {
        let edge = self.lost.get(topic).copied().unwrap_or_default().max(self.floor);
        match oldest {
            Some(oldest) if oldest <= edge => Id::from_key(oldest.key() - 1),
            _ => edge,
        }
    }

    /// The topics that a prefix names have lost no event that is newer than this. A topic that nobody knows may be one of
    /// them, so it is never older than what such topics share.
    pub(super) fn of_prefix(&self, selector: &Selector) -> Id {
        let Some(prefix) = selector.prefix() else { return self.floor };
        let named = self
            .lost
            .range::<str, _>((Included(prefix), Unbounded))
            .take_while(|(topic, _)| topic.as_str().starts_with(prefix));
        let lost = named.filter(|(topic, _)| selector.matches(topic)).map(|(_, id)| *id);
        lost.fold(self.floor, Id::max)
    }

    /// No topic has lost an event that is newer than this.
    pub(super) fn newest(&self) -> Id {
        self.newest
    }

    /// What a topic has lost for certain, where it is known by itself.
    pub(super) fn known(&self, topic: &Topic) -> Option<Id> {
        self.lost.get(topic).copied()
    }

    /// The topics whose edge is known by itself.
    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = (&Topic, Id)> {
        self.lost.iter().map(|(topic, id)| (topic, *id))
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
        assert_eq!((edges.of(&topic("a"), None), edges.of(&topic("b"), None)), (id(5), id(1)));
        (0..EDGES_MAX as u64).for_each(|n| edges.note(&topic(&format!("t{n}")), id(10 + n)));
        assert!(edges.of(&topic("a"), None) >= id(5) && edges.of(&topic("b"), None) > id(1));
        assert_eq!(edges.of(&topic("b"), Some(id(3))), id(2), "what it lists is not lost");
        assert_eq!(edges.of(&topic("t9999"), None), id(10_009), "what was lost last is known best");
        assert!(edges.iter().len() <= EDGES_MAX);
    }

    #[test]
    fn a_prefix_has_lost_what_any_of_its_topics_lost_and_what_nobody_knows() {
        let topic = |name: &str| Topic::new(name).unwrap();
        let id = Id::from_key;
        let mut edges = Edges::new(id(1));
        for (name, lost) in [("rooms/1", 5), ("rooms/2", 7), ("rooms", 9), ("roomy", 9), ("$rooms/3", 11)] {
            edges.note(&topic(name), id(lost));
        }
        let of = |edges: &Edges, selector: &str| edges.of_prefix(&selector.parse().unwrap());
        for (selector, edge) in [("rooms/*", 7), ("rooms/2*", 7), ("rooms/1*", 5), ("rooms/3*", 1), ("*", 9)]
        {
            assert_eq!(of(&edges, selector), id(edge), "{selector}");
        }
        assert_eq!(edges.newest(), id(11));
        (0..EDGES_MAX as u64).for_each(|n| edges.note(&topic(&format!("t{n}")), id(20 + n)));
        assert!(of(&edges, "rooms/*") > id(20), "they are not known any more");
    }
}
