//! Positions in the lists of several topics, each of which has the ids of its events in their order.
//!
//! A stream has one position for all of its topics, and begins behind the edge of what any of them has lost. What a quiet
//! topic keeps from before that edge would never be sent to a stream that has a busy topic too. So a stream that asks
//! for old events begins with a *request* where there are such: a position that stands before every id. Its first part
//! holds the newest of those events, as many as fit into one part, and goes on at the edge.

use super::PART_EVENTS;
use crate::event::Id;
use std::collections::VecDeque;

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
    let mut newest: Vec<Id> = lists
        .flat_map(|list| {
            let end = list.partition_point(|id| *id <= through);
            list.range(..end).rev().take(count)
        })
        .copied()
        .collect();
    newest.sort_unstable_by(|a, b| b.cmp(a));
    newest.dedup();
    newest.truncate(count);
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
