//! Which groups subscribe to a prefix: a radix tree, in which a topic leads past all prefixes that it begins with.
//!
//! An event costs as many steps as its topic has places where prefixes part or end, and not more for more prefixes.

/// The groups of each prefix. A prefix without a group takes no room.
#[derive(Default)]
pub(super) struct Prefixes {
    root: Node,
}

/// A place in the tree: what leads there from the root is a prefix, or what several of them have in common.
#[derive(Default)]
struct Node {
    /// Groups that subscribe to this prefix, in order.
    groups: Vec<usize>,
    /// Where it goes on, in the order of the first bytes, of which no two are the same.
    branches: Vec<Branch>,
}

struct Branch {
    first: u8,
    /// All bytes up to the next place, the first among them.
    bytes: Box<[u8]>,
    node: Node,
}

impl Prefixes {
    pub(super) fn insert(&mut self, prefix: &str, group: usize) {
        let groups = &mut self.root.reach(prefix.as_bytes()).groups;
        if let Err(place) = groups.binary_search(&group) {
            groups.insert(place, group);
        }
    }

    pub(super) fn remove(&mut self, prefix: &str, group: usize) {
        self.root.remove(prefix.as_bytes(), group);
    }

    /// The groups of all prefixes that this topic begins with, the shortest prefix first.
    pub(super) fn of<'a>(&'a self, topic: &'a str) -> impl Iterator<Item = usize> + 'a {
        let mut rest = topic.as_bytes();
        let places = std::iter::successors(Some(&self.root), move |node| {
            let branch = &node.branches[node.find(*rest.first()?).ok()?];
            rest = rest.strip_prefix(&*branch.bytes)?;
            Some(&branch.node)
        });
        places.flat_map(|node| node.groups.iter().copied())
    }
}

impl Node {
    fn find(&self, first: u8) -> Result<usize, usize> {
        self.branches.binary_search_by_key(&first, |branch| branch.first)
    }

    /// The place where this leads, which is made where it is missing.
    fn reach(&mut self, rest: &[u8]) -> &mut Node {
        let Some(&first) = rest.first() else { return self };
        match self.find(first) {
            Ok(index) => {
                let branch = &mut self.branches[index];
                let common = common_bytes(rest, &branch.bytes);
                if common < branch.bytes.len() {
                    branch.part(common);
                }
                branch.node.reach(&rest[common..])
            }
            Err(index) => {
                self.branches.insert(index, Branch { first, bytes: rest.into(), node: Node::default() });
                &mut self.branches[index].node
            }
        }
    }

    fn remove(&mut self, rest: &[u8], group: usize) {
        let Some(&first) = rest.first() else {
            return self.groups.retain(|other| *other != group);
        };
        let Ok(index) = self.find(first) else { return };
        let branch = &mut self.branches[index];
        let Some(rest) = rest.strip_prefix(&*branch.bytes) else { return };
        branch.node.remove(rest, group);
        if !branch.node.groups.is_empty() {
            return;
        }
        match branch.node.branches.len() {
            0 => _ = self.branches.remove(index),
            1 => branch.join(),
            _ => {}
        }
    }
}

impl Branch {
    /// Makes a place after so many bytes.
    fn part(&mut self, bytes: usize) {
        let (first, behind) = (self.bytes[bytes], self.bytes[bytes..].into());
        let node = std::mem::take(&mut self.node);
        self.bytes = self.bytes[..bytes].into();
        self.node.branches.push(Branch { first, bytes: behind, node });
    }

    /// Takes away a place where nothing ends and nothing parts.
    fn join(&mut self) {
        if let Some(Branch { bytes, node, .. }) = self.node.branches.pop() {
            self.bytes = [&*self.bytes, &*bytes].concat().into();
            self.node = node;
        }
    }
}

/// How many bytes both begin with.
fn common_bytes(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_topic_leads_to_the_groups_of_all_prefixes_that_it_begins_with_whatever_came_and_went() {
        let mut random = fastrand::Rng::with_seed(7);
        let (mut tree, mut all) = (Prefixes::default(), BTreeSet::new());
        let text = |random: &mut fastrand::Rng| {
            let bytes = random.usize(0..7);
            (0..bytes).map(|_| random.choice(["a", "b", "/", "é"]).unwrap()).collect::<String>()
        };
        for _ in 0..20_000 {
            let (prefix, group) = (text(&mut random), random.usize(0..4));
            // First more come than go, then more go than come.
            if random.usize(0..10) < if all.len() < 60 { 7 } else { 3 } {
                tree.insert(&prefix, group);
                all.insert((prefix, group));
            } else {
                tree.remove(&prefix, group);
                all.remove(&(prefix, group));
            }
            let topic = text(&mut random);
            let mut found: Vec<usize> = tree.of(&topic).collect();
            let mut wanted: Vec<usize> =
                all.iter().filter(|(prefix, _)| topic.starts_with(prefix)).map(|(_, group)| *group).collect();
            found.sort_unstable();
            wanted.sort_unstable();
            assert_eq!(found, wanted, "{topic:?} of {all:?}");
        }
        for (prefix, group) in &all {
            tree.remove(prefix, *group);
        }
        assert!(tree.root.groups.is_empty() && tree.root.branches.is_empty());
    }
}
