//! Positions in the lists of several topics, each of which has the ids of its events in their order.
//!
//! A stream has one position for all of its topics, and begins behind the edge of what any of them has lost. What a quiet
//! topic keeps from before that edge would never be sent to a stream that has a busy topic too. So a stream that asks
//! for old events begins with a *request* where there are such: a position that stands before every id. Its first part
//! holds the newest of those events, as many as fit into one part, and goes on at the edge.
//!
//! A prefix may name more topics than are worth looking at for each part ([`are_many`]). Then the events of all topics are
//! read in their order, and those that are not named are passed over ([`WALKED_MAX`]). In the whole of a replay that is
//! one look at each event, and never more than a part's events are held.

use super::PART_EVENTS;
use crate::event::Id;
use crate::selector::Selector;
use crate::topic::{TOPICS_MAX, Topic};
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound::{Included, Unbounded};

/// The most topics whose lists are merged for a part of a replay. For more all events are walked.
const MERGED_MAX: usize = 2_000;

/// So many looks at a list cost as much as passing over an event, for each event of a part.
const LOOKS: usize = 100;

/// The most events that one part of a replay passes over or takes, where more topics are named.
pub(super) const WALKED_MAX: usize = 1_000;

/// Whether it costs less to walk all events, of which so many are kept, than to merge these lists for each part. So few as
/// a stream may name one by one are merged in any case.
pub(super) fn are_many<'a>(mut lists: impl Iterator<Item = &'a VecDeque<Id>>, kept_events: usize) -> bool {
    let (mut topics, mut events) = (0, 0);
    lists.any(|list| {
        (topics, events) = (topics + 1, events + list.len());
        topics > MERGED_MAX || (topics > TOPICS_MAX && topics * events > LOOKS * kept_events)
    })
}

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
            through = oldest.get(count - 1).map_or(through, |last| *last);
        }
    }
    settle(&mut oldest, count, Id::cmp);
    oldest
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

/// The position from which the last so many events come, which are these, the newest first, or all that there are. `edge`
/// is that of their topics.
pub(super) fn before_latest(newest: &[Id], count: usize, edge: Id) -> Id {
    let older = newest.iter().filter(|id| **id <= edge).count() as u64;
    match newest.last() {
        Some(oldest) if older == 0 && newest.len() == count => before(*oldest),
        Some(_) if (1..REQUESTS).contains(&older) => Id::from_key(older),
        _ => edge,
    }
}

/// The position from which all that is kept comes. `first` is the oldest event of all topics.
pub(super) fn earliest<'a>(lists: impl Iterator<Item = &'a VecDeque<Id>>, first: Option<Id>, edge: Id) -> Id {
    if first.is_none_or(|first| first > edge) {
        return edge;
    }
    let mut oldest = lists.filter_map(|list| list.front());
    if oldest.any(|oldest| *oldest <= edge) { Id::from_key(ALL) } else { edge }
}

/// The id with which a browser that has seen nothing yet comes back to the position `after`. `newest` is the newest event of
/// its topics up to there, `edge` what they have lost.
pub(super) fn position(newest: Option<Id>, after: Id, edge: Id) -> Id {
    let known = newest.max(Some(edge).filter(|edge| *edge <= after));
    // What was lost behind it has to be told to whoever comes back, so it is not passed over.
    known.unwrap_or(if after.key() < REQUESTS { edge } else { after })
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
pub(super) fn newest<'a>(
    lists: impl Iterator<Item = &'a VecDeque<Id>>,
    count: usize,
    through: Id,
) -> Vec<Id> {
    let (mut newest, mut after) = (Vec::new(), Id::default());
    for list in lists {
        if list.back().is_none_or(|last| *last <= after) {
            continue;
        }
        let end = list.partition_point(|id| *id <= through);
        newest.extend(list.range(..end).rev().take_while(|id| **id > after).take(count));
        if newest.len() >= 4 * count {
            settle(&mut newest, count, |a, b| b.cmp(a));
            after = newest.get(count - 1).map_or(after, |last| *last);
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
        // Where there are few ids, many lists hold the same.
        let sizes = [(1, 900), (3, 900), (300, 900), (300, 30), (50, 12)];
        for (lists, ids) in sizes.into_iter().cycle().take(200) {
            let lists: Vec<VecDeque<Id>> = (0..lists)
                .map(|_| {
                    let from = random.u64(1..ids);
                    let to = random.u64(from..=ids);
                    let mut ids: Vec<u64> = (0..random.usize(1..40)).map(|_| random.u64(from..=to)).collect();
                    ids.sort_unstable();
                    ids.dedup();
                    ids.into_iter().map(Id::from_key).collect()
                })
                .collect();
            let mut all: Vec<Id> = lists.iter().flatten().copied().collect();
            all.sort_unstable();
            all.dedup();
            for count in [1, 5, 20, 2_000] {
                let (after, through) =
                    (Id::from_key(random.u64(0..ids)), Id::from_key(random.u64(0..ids + 100)));
                let wanted = all.iter().filter(|id| **id > after && **id <= through).take(count);
                assert!(oldest(lists.iter(), count, (after, through)).iter().eq(wanted));
                let wanted = all.iter().rev().filter(|id| **id <= through).take(count);
                assert!(newest(lists.iter(), count, through).iter().eq(wanted));
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
        let latest = |count| before_latest(&newest(lists(), count, id(99)), count, edge);
        assert_eq!(ask(earliest(lists(), Some(id(10)), edge)), Some(vec![id(20), id(10)]));
        assert_eq!(ask(latest(4)), Some(vec![id(20)]));
        assert_eq!(latest(2), id(51));
        assert_eq!(earliest([&busy].into_iter(), Some(id(10)), edge), edge);
        assert_eq!((earliest(lists(), Some(id(51)), edge), ask(edge)), (edge, None));
        for (known, after, wanted) in [(Some(51), 52, 51), (Some(20), 60, 50), (None, 50, 50), (None, 40, 40)]
        {
            assert_eq!(position(known.map(id), id(after), edge), id(wanted));
        }
        assert_eq!(position(None, Id::from_key(ALL), edge), edge);
        assert_eq!(before_latest(&newest([&busy].into_iter(), 9, id(99)), 9, edge), edge);
    }
}
