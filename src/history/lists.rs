//! Positions in the lists of several topics, each of which has the ids of its events in their order.
//!
//! A stream has one position for all of its topics, and begins behind the edge of what any of them has lost. What a quiet
//! topic keeps from before that edge would never be sent to a stream that has a busy topic too. So a stream that asks
//! for old events begins with a *request* where there are such: a position that stands before every id. Its first part
//! holds the newest of those events, as many as fit into one part, and goes on at the edge.
//!
//! A prefix may name more topics than can be looked at for each part ([`MERGED_MAX`]). Then the events of all topics are
//! read in their order, and those that are not named are passed over ([`WALKED_MAX`]). In the whole of a replay that is
//! one look at each event, and never more than a part's events are held.

use super::PART_EVENTS;
use crate::event::Id;
use crate::selector::Selector;
use crate::topic::Topic;
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound::{Included, Unbounded};

/// The most topics whose lists are merged for a part of a replay: looking at each of them takes about as long as reading
/// the part.
pub(super) const MERGED_MAX: usize = 1_000;

/// The most events that one part of a replay passes over or takes, where more topics are named.
pub(super) const WALKED_MAX: usize = 1_000;

/// The topics that a selector names among these, in order. Where `topics` holds those that list something, each has an
/// event.
pub(super) fn named<'a, T>(
    topics: &'a BTreeMap<Topic, T>,
    selector: &'a Selector,
) -> impl Iterator<Item = (&'a Topic, &'a T)> {
    let from = selector.topic().map_or(selector.prefix(), |topic| Some(topic.as_str())).unwrap_or_default();
    let rest = topics.range::<str, _>((Included(from), Unbounded));
    let may_follow = move |topic: &Topic| match selector.prefix() {
        Some(prefix) => topic.as_str().starts_with(prefix),
        None => selector.matches(topic),
    };
    rest.take_while(move |(topic, _)| may_follow(topic)).filter(|(topic, _)| selector.matches(topic))
}

/// The oldest so many of these lists that are newer than `after` and not newer than `through`, in order.
pub(super) fn oldest<'a>(
    lists: impl Iterator<Item = &'a VecDeque<Id>>,
    count: usize,
    (after, mut through): (Id, Id),
) -> Vec<Id> {
    let mut oldest: Vec<Id> = Vec::new();
    for list in lists {
        if list.back().is_none_or(|newest| *newest <= after) {
            continue;
        }
        let from = list.partition_point(|id| *id <= after);
        oldest.extend(list.range(from..).take_while(|id| **id <= through).take(count));
        // So that what is held does not grow with the number of lists.
        if oldest.len() >= 4 * count {
            settle(&mut oldest, count, Id::cmp);
            through = oldest.last().map_or(through, |last| *last);
        }
    }
    settle(&mut oldest, count, Id::cmp);
    oldest
}

/// The newest of these lists that is not newer than this.
pub(super) fn newest_through<'a>(lists: impl Iterator<Item = &'a VecDeque<Id>>, through: Id) -> Option<Id> {
    let mut newest = None;
    for list in lists {
        if list.back().is_some_and(|last| newest.is_none_or(|newest| newest < *last)) {
            let end = list.partition_point(|id| *id <= through);
            newest = newest.max(end.checked_sub(1).map(|index| list[index]));
        }
    }
    newest
}

/// Sorts, and leaves the first so many, each once.
fn settle(ids: &mut Vec<Id>, count: usize, order: impl Fn(&Id, &Id) -> std::cmp::Ordering) {
    ids.sort_unstable_by(order);
    ids.dedup();
    ids.truncate(count);
}

/// Requests are keys below this: no id is, since ids begin with the time in nanoseconds.
const REQUESTS: u64 = 1 << 20;

/// The request for all that is kept. The others are for so many events of the time before the edge.
const ALL: u64 = 0;

/// The position from which the last so many events of these lists come, none of which is newer than `last`. `edge` is
/// that of the topics.
pub(super) fn before_latest<'a>(
    lists: impl Iterator<Item = &'a VecDeque<Id>>,
    count: usize,
    last: Id,
    edge: Id,
) -> Id {
    if count == 0 {
        return last;
    }
    let newest = newest(lists, count, last);
    let older = newest.iter().filter(|id| **id <= edge).count() as u64;
    match newest.last() {
        Some(oldest) if older == 0 && newest.len() == count => before(*oldest),
        Some(_) if (1..REQUESTS).contains(&older) => Id::from_key(older),
        _ => edge,
    }
}

/// The position from which all that is kept comes.
pub(super) fn earliest<'a>(lists: impl Iterator<Item = &'a VecDeque<Id>>, edge: Id) -> Id {
    let mut oldest = lists.filter_map(|list| list.front());
    if oldest.any(|oldest| *oldest <= edge) { Id::from_key(ALL) } else { edge }
}

/// What a request asks for that is older than the edge, the newest first; none for a position that is no request, and
/// for one behind which nothing so old is kept.
pub(super) fn requested<'a>(
    lists: impl Iterator<Item = &'a VecDeque<Id>>,
    position: Id,
    through: Id,
    edge: Id,
) -> Option<Vec<Id>> {
    let count = match position.key() {
        REQUESTS.. => return None,
        ALL => PART_EVENTS,
        count => PART_EVENTS.min(count as usize),
    };
    let older = newest(lists, count, through.min(edge));
    (!older.is_empty()).then_some(older)
}

/// The newest so many of these lists up to this id, the newest first.
fn newest<'a>(lists: impl Iterator<Item = &'a VecDeque<Id>>, count: usize, through: Id) -> Vec<Id> {
    let (mut newest, mut after) = (Vec::new(), Id::default());
    for list in lists {
        if list.back().is_none_or(|last| *last <= after) {
            continue;
        }
        let end = list.partition_point(|id| *id <= through);
        newest.extend(list.range(..end).rev().take_while(|id| **id > after).take(count));
        if newest.len() >= 4 * count {
            settle(&mut newest, count, |a, b| b.cmp(a));
            after = newest.last().map_or(after, |last| *last);
        }
    }
    settle(&mut newest, count, |a, b| b.cmp(a));
    newest
}

/// One less than an id is before it and not before any other.
fn before(id: Id) -> Id {
    Id::from_key(id.key() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_merged_as_if_all_were_sorted_however_many_there_are() {
        let mut random = fastrand::Rng::with_seed(3);
        for lists in [1, 3, 300] {
            let lists: Vec<VecDeque<Id>> = (0..lists)
                .map(|_| {
                    let mut ids: Vec<u64> = (0..random.usize(1..40)).map(|_| random.u64(1..900)).collect();
                    ids.sort_unstable();
                    ids.dedup();
                    ids.into_iter().map(Id::from_key).collect()
                })
                .collect();
            let mut all: Vec<Id> = lists.iter().flatten().copied().collect();
            all.sort_unstable();
            all.dedup();
            for count in [1, 5, 2_000] {
                let (after, through) = (Id::from_key(random.u64(0..900)), Id::from_key(random.u64(0..1_000)));
                let wanted = all.iter().filter(|id| **id > after && **id <= through).take(count);
                assert!(oldest(lists.iter(), count, (after, through)).iter().eq(wanted));
                let wanted = || all.iter().rev().filter(|id| **id <= through);
                assert!(newest(lists.iter(), count, through).iter().eq(wanted().take(count)));
                assert_eq!(newest_through(lists.iter(), through), wanted().next().copied());
            }
        }
    }

    #[test]
    fn the_topics_of_a_selector_are_found_among_others_without_those_of_pages() {
        let names = ["$rooms/1", "!", "room", "rooms", "rooms/", "rooms/1", "rooms/1/2", "rooms/2", "roomt"];
        let topics: BTreeMap<Topic, ()> = names.iter().map(|name| (Topic::new(name).unwrap(), ())).collect();
        for (selector, wanted) in [
            ("rooms/*", &["rooms/", "rooms/1", "rooms/1/2", "rooms/2"][..]),
            ("rooms/1", &["rooms/1"]),
            ("$rooms/1", &["$rooms/1"]),
            ("rooms/3", &[]),
            ("roomt*", &["roomt"]),
            ("s*", &[]),
            ("*", &["!", "room", "rooms", "rooms/", "rooms/1", "rooms/1/2", "rooms/2", "roomt"]),
        ] {
            let selector = selector.parse().unwrap();
            let found: Vec<&str> = named(&topics, &selector).map(|(topic, _)| topic.as_str()).collect();
            assert_eq!(found, wanted, "{selector}");
        }
    }

    #[test]
    fn a_request_gives_what_is_older_than_the_edge_and_anything_else_begins_at_it() {
        let id = |n: u64| Id::from_key(REQUESTS + n);
        let list = |ids: &[u64]| ids.iter().map(|n| id(*n)).collect::<VecDeque<Id>>();
        // The busy topic has lost all up to 50.
        let (quiet, busy, edge) = (list(&[10, 20]), list(&[51, 52, 53]), id(50));
        let lists = || [&quiet, &busy].into_iter();
        let ask = |position| requested(lists(), position, id(99), edge);
        assert_eq!(ask(earliest(lists(), edge)), Some(vec![id(20), id(10)]));
        assert_eq!(ask(before_latest(lists(), 4, id(99), edge)), Some(vec![id(20)]));
        assert_eq!(before_latest(lists(), 2, id(99), edge), id(51));
        assert_eq!(before_latest(lists(), 0, id(99), edge), id(99));
        assert_eq!((earliest([&busy].into_iter(), edge), ask(edge)), (edge, None));
        assert_eq!(before_latest([&busy].into_iter(), 9, id(99), edge), edge);
    }
}
