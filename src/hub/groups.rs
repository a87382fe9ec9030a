//! Who subscribes to what: clients with the same selectors and the same form are a group, and a topic leads to its groups.
//!
//! An event is looked at once per group, not once per client. The members of a group share the bytes of a batch, and
//! so do groups that gathered the same events.

use super::batches::{Encodings, Gathered, SHARED_BYTES, SharedBatch};
use super::outlet::{Batch, Outlet, Sent};
use super::prefixes::Prefixes;
use super::{ClientId, Dispatch};
use crate::event::Form;
use crate::selector::Selector;
use crate::topic::Topic;
use slab::Slab;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// All groups, and the ways to find one: by its selectors, by a topic or a prefix among them, by one of its members.
#[derive(Default)]
pub(super) struct Groups {
    groups: Slab<Group>,
    by_key: HashMap<Key, usize>,
    by_topic: HashMap<Topic, BTreeSet<usize>>,
    by_prefix: Prefixes,
    positions: HashMap<ClientId, Position>,
    /// The events since the last flush that somebody subscribes to.
    events: Vec<Dispatch>,
    /// Groups that have gathered something since the last flush.
    touched: Vec<usize>,
}

/// What the members of a group have in common.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    /// Sorted and without doubles.
    selectors: Arc<[Selector]>,
    form: Form,
}

struct Group {
    key: Key,
    members: Vec<(ClientId, Arc<Outlet>)>,
    gathered: Gathered,
}

/// Where a client is: its group, and its index among the members. Small, since there is one for each client.
struct Position {
    group: u32,
    index: u32,
}

impl Position {
    fn new(group: usize, index: usize) -> Position {
        let small = |number| u32::try_from(number).expect("there are fewer clients than descriptors");
        Position { group: small(group), index: small(index) }
    }
}

impl Groups {
    pub(super) fn len(&self) -> usize {
        self.positions.len()
    }

    pub(super) fn outlets(&self) -> impl Iterator<Item = &Outlet> {
        self.groups.iter().flat_map(|(_, group)| group.members.iter().map(|(_, outlet)| &**outlet))
    }

    /// `selectors` has to be sorted and without doubles, so that equal sets are one group. Gives them back as the group has
    /// them.
    pub(super) fn insert(
        &mut self,
        id: ClientId,
        selectors: Arc<[Selector]>,
        form: Form,
        outlet: Arc<Outlet>,
    ) -> Arc<[Selector]> {
        let key = Key { selectors, form };
        let group = match self.by_key.get(&key) {
            Some(&group) => group,
            None => self.open(key),
        };
        let Group { key, members, .. } = &mut self.groups[group];
        self.positions.insert(id, Position::new(group, members.len()));
        members.push((id, outlet));
        key.selectors.clone()
    }

    pub(super) fn remove(&mut self, id: ClientId) {
        let Some(Position { group, index }) = self.positions.remove(&id) else { return };
        let (group, index) = (group as usize, index as usize);
        let members = &mut self.groups[group].members;
        members.swap_remove(index);
        if let Some((moved, _)) = members.get(index) {
            self.positions.insert(*moved, Position::new(group, index));
        }
        if members.is_empty() {
            self.close(group);
        }
    }

    /// Adds an event to each group that subscribes to one of its topics, once. Looks at those groups and no others,
    /// however many there are.
    pub(super) fn gather(&mut self, dispatch: Dispatch) {
        let index = u32::try_from(self.events.len()).expect("a batch is bounded by its bytes");
        let mut is_gathered = false;
        for (topic, position) in dispatch.topics.iter().zip(0..) {
            // No wildcard reaches the topics of callout's own pages.
            let by_prefix = (!topic.is_reserved()).then(|| self.by_prefix.of(topic.as_str()));
            let by_topic = self.by_topic.get(topic).into_iter().flatten().copied();
            for group in by_topic.chain(by_prefix.into_iter().flatten()) {
                let Group { key, gathered, .. } = &mut self.groups[group];
                match gathered.events.last() {
                    // Several of an event's topics, and of a group's selectors, may lead to one group. It is told the
                    // first of the topics.
                    Some(&newest) if newest == index => continue,
                    Some(_) => {}
                    None => self.touched.push(group),
                }
                gathered.push(index, position, key.form);
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
        let mut found: HashMap<(Form, u64), SharedBatch> = HashMap::new();
        let mut found_bytes = 0;
        let mut encodings = Encodings::default();
        let mut deliveries = 0;
        for group in self.touched.drain(..) {
            // A group may have closed since it was touched.
            let Some(group) = self.groups.get_mut(group) else { continue };
            // Taken and not only cleared: what a flood needed is given back after it.
            let gathered = std::mem::take(&mut group.gathered);
            let form = group.key.form;
            let found_by = (form, gathered.hash);
            // The form belongs to the group. This also holds for a batch: groups that gathered the same events share
            // one batch.
            let own = match found.get(&found_by) {
                Some(shared) if shared.gathered.is_same(&gathered) => None,
                _ => Some(SharedBatch::new(gathered, form, &self.events, &mut encodings)),
            };
            let SharedBatch { gathered, batch, kept_events, counted } =
                own.as_ref().or_else(|| found.get(&found_by)).expect("it is one or the other");
            let events = gathered.events.len() as u64;
            let mut reached = Reached::default();
            for (_, outlet) in &group.members {
                let sent = send(batch, outlet);
                deliveries += match sent {
                    Sent::Straight | Sent::Queued => events,
                    Sent::QueuedKept => *kept_events,
                    Sent::Dropped | Sent::Closed => 0,
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
                found.entry(found_by).or_insert(own);
            }
        }
        self.events.clear();
        deliveries
    }

    fn open(&mut self, key: Key) -> usize {
        let (members, gathered) = (Vec::new(), Gathered::default());
        let group = self.groups.insert(Group { key: key.clone(), members, gathered });
        for selector in key.selectors.iter() {
            match selector.topic() {
                Some(topic) => _ = self.by_topic.entry(topic.clone()).or_default().insert(group),
                None => self.by_prefix.insert(selector.prefix().unwrap_or_default(), group),
            }
        }
        self.by_key.insert(key, group);
        group
    }

    fn close(&mut self, group: usize) {
        let key = self.groups.remove(group).key;
        self.by_key.remove(&key);
        for selector in key.selectors.iter() {
            let Some(topic) = selector.topic() else {
                self.by_prefix.remove(selector.prefix().unwrap_or_default(), group);
                continue;
            };
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Draft, Event, Frame};
    use crate::hub::chunk::Coding;

    fn topics(names: &[&str]) -> Vec<Topic> {
        names.iter().map(|name| Topic::new(name).unwrap()).collect()
    }

    fn selectors(names: &[&str]) -> Arc<[Selector]> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    fn dispatch(names: &[&str], data: &str) -> Dispatch {
        let draft = Draft { topics: topics(names), data: data.into(), ..Draft::default() };
        Dispatch::ephemeral(&Event::new(draft).unwrap())
    }

    /// What each client is sent, in the order in which they came.
    fn flush(groups: &mut Groups, clients: &[Arc<Outlet>]) -> Vec<Option<Frame>> {
        let mut sent = vec![None; clients.len()];
        groups.flush(|batch, outlet| {
            let client = clients.iter().position(|client| std::ptr::eq(&**client, outlet)).unwrap();
            sent[client] = Some(batch.all.frame().clone());
            Sent::Straight
        });
        sent
    }

    fn is_shared(one: &Option<Frame>, other: &Option<Frame>) -> bool {
        matches!((one, other), (Some(one), Some(other)) if Arc::ptr_eq(one, other))
    }

    /// Which clients are sent an event on these topics.
    fn reached(groups: &mut Groups, clients: &[Arc<Outlet>], names: &[&str]) -> Vec<usize> {
        groups.gather(dispatch(names, ""));
        let sent = flush(groups, clients);
        sent.iter().enumerate().filter(|(_, frame)| frame.is_some()).map(|(client, _)| client).collect()
    }

    #[test]
    fn an_event_reaches_its_own_of_ten_thousand_prefixes_and_ten_thousand_topics_and_each_of_them_once() {
        const EACH: usize = 10_000;
        let (mut groups, mut outlets) = (Groups::default(), Vec::new());
        let names =
            (0..EACH).map(|n| format!("rooms/{n}/*")).chain((0..EACH).map(|n| format!("rooms/{n}/x")));
        for (name, id) in names.zip(0..) {
            let outlet = Arc::new(Outlet::new(None, Coding::Identity, None));
            groups.insert(ClientId(id), selectors(&[&name]), Form::Plain, outlet.clone());
            outlets.push(outlet);
        }
        assert_eq!(reached(&mut groups, &outlets, &["rooms/77/x"]), [77, EACH + 77]);
        assert_eq!(reached(&mut groups, &outlets, &["rooms/77/y", "rooms/77/z"]), [77]);
        assert!(reached(&mut groups, &outlets, &["rooms/77"]).is_empty());
        groups.insert(ClientId(1 << 32), selectors(&["rooms/7*", "*"]), Form::Plain, outlets[0].clone());
        groups.remove(ClientId(77));
        assert_eq!(reached(&mut groups, &outlets, &["rooms/77/x"]), [0, EACH + 77]);
        (0..2 * EACH as u64).for_each(|id| groups.remove(ClientId(id)));
        assert!(reached(&mut groups, &outlets, &["$rooms/77/x"]).is_empty());
        groups.remove(ClientId(1 << 32));
        assert!(reached(&mut groups, &outlets, &["rooms/77/x"]).is_empty());
    }

    /// What an event costs until its groups have gathered it. Prints figures; `--ignored --nocapture`, in a release build.
    #[test]
    #[ignore = "measures"]
    fn what_it_costs_to_find_the_groups_of_an_event() {
        const EACH: usize = 10_000;
        const EVENTS: usize = 400_000;
        for (what, selector) in [
            ("exact", (|n| format!("rooms/{n}/messages")) as fn(usize) -> String),
            ("prefix", |n| format!("rooms/{n}/*")),
            ("one in another", |n| format!("rooms/{n}*")),
        ] {
            let mut groups = Groups::default();
            for n in 0..EACH {
                let outlet = Arc::new(Outlet::new(None, Coding::Identity, None));
                groups.insert(ClientId(n as u64), selectors(&[&selector(n)]), Form::Plain, outlet);
            }
            let dispatches: Vec<Dispatch> =
                (0..EACH).map(|n| dispatch(&[&format!("rooms/{n}/messages")], "x")).collect();
            let (mut gathering, mut deliveries) = (std::time::Duration::ZERO, 0);
            let began = std::time::Instant::now();
            for batch in dispatches.chunks(100).cycle().take(EVENTS / 100) {
                let batch = batch.to_vec();
                let begun = std::time::Instant::now();
                batch.into_iter().for_each(|dispatch| groups.gather(dispatch));
                gathering += begun.elapsed();
                deliveries += groups.flush(|_, _| Sent::Straight);
            }
            let all = began.elapsed();
            println!(
                "{what}: {} ns to gather an event, {} ns in all without sockets, {deliveries} deliveries",
                gathering.as_nanos() / EVENTS as u128,
                all.as_nanos() / EVENTS as u128
            );
        }
    }

    #[test]
    fn groups_share_a_batch_where_form_and_events_are_the_same_and_so_are_the_topics_that_are_told() {
        let mut groups = Groups::default();
        let clients = [
            (&["a", "x"][..], Form::Plain),
            (&["b", "x"], Form::Plain),
            (&["a", "x"], Form::WithTopic),
            (&["a", "y"], Form::WithTopic),
            (&["b", "x"], Form::WithTopic),
            (&["a", "b"], Form::WithTopic),
            (&["b", "*"], Form::WithTopic),
        ];
        let mut outlets = Vec::new();
        for ((names, form), id) in clients.into_iter().zip(0..) {
            let outlet = Arc::new(Outlet::new(None, Coding::Identity, None));
            groups.insert(ClientId(id), selectors(names), form, outlet.clone());
            outlets.push(outlet);
        }
        groups.gather(dispatch(&["a", "b"], "1"));
        let sent = flush(&mut groups, &outlets);
        assert!(is_shared(&sent[0], &sent[1]), "two groups of the plain form");
        assert!(is_shared(&sent[2], &sent[3]), "two that are told `a`");
        assert!(is_shared(&sent[2], &sent[5]), "one of them of both topics: it is told the first");
        assert!(is_shared(&sent[2], &sent[6]), "and one by a prefix");
        let texts: Vec<String> =
            sent.iter().map(|frame| String::from_utf8(frame.as_ref().unwrap().to_vec()).unwrap()).collect();
        assert_eq!(texts[0], "9\r\ndata: 1\n\n\r\n");
        assert_eq!(texts[2], "12\r\ntopic: a\ndata: 1\n\n\r\n");
        assert_eq!(texts[4], "12\r\ntopic: b\ndata: 1\n\n\r\n");
        // What they gathered differs now.
        groups.gather(dispatch(&["a"], "2"));
        groups.gather(dispatch(&["b"], "3"));
        let sent = flush(&mut groups, &outlets);
        assert!(is_shared(&sent[2], &sent[3]) && !is_shared(&sent[0], &sent[1]));
        assert!((0..5).all(|client| !is_shared(&sent[5], &sent[client])));
    }
}
