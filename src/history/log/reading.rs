//! How the log is read: positions and topics come from the index, texts from the segments, on the reader's own thread.

use super::Kept as Locked;
use super::entry::Condition;
use super::fault::Fault;
use super::index::{Index, Place};
use super::segment::Window;
use super::shelf::event_at;
use crate::event::{Frame, Id};
use crate::history::lists::{self, WALKED_MAX};
use crate::history::{Kept, PART_BYTES, PART_EVENTS, Part, Start, TOPICS_PART, TopicStatus, topic_of};
use crate::selector::Selector;
use crate::topic::Topic;
use parking_lot::RwLock;
use std::collections::VecDeque;
use std::time::SystemTime;

/// Records that stand so far from each other are read one by one.
const GAP_BYTES: u64 = 4 * 1024;

/// What is read behind the beginning of the last record that is wanted: most are shorter.
const RECORD_BYTES: u64 = 512;

/// The id after which a stream goes on; none if it asks for an id that is unknown or too old. `last` is the newest
/// event that was handed to the hub.
pub(super) fn find(index: &Index, start: &Start, selectors: &[Selector], last: Id) -> Option<Id> {
    match start {
        Start::Live => Some(last),
        Start::Earliest => Some(lists::earliest(index.lists(selectors), index.edge(selectors))),
        Start::Latest(count) => {
            Some(lists::before_latest(index.lists(selectors), *count, last, index.edge(selectors)))
        }
        // Nobody can have seen an event that is kept and was not yet handed to the hub.
        Start::After(asked) => find_asked(index, asked, selectors).filter(|id| *id <= last),
    }
}

/// The id that a browser says it saw last: its publisher's on a topic of these selectors, or one of ours that was given out and
/// after which nothing is missing.
fn find_asked(index: &Index, asked: &str, selectors: &[Selector]) -> Option<Id> {
    match index.find_given(asked, selectors)? {
        (None, None) => Id::parse(asked).filter(|&id| id == index.edge(selectors) || index.knows(id)),
        // The id was used again after it was retracted. Nothing says which of the two events the browser saw, so it is
        // told of a gap rather than left with one.
        (Some(_), Some(_)) => None,
        (kept, retracted) => kept.or(retracted),
    }
}

/// The newest id at or before `after` on the topics of these selectors, or the edge of what they have lost if that is
/// newer, or if there is none.
pub(super) fn position(index: &Index, after: Id, selectors: &[Selector]) -> Id {
    let (newest, edge) = (lists::newest_through(index.lists(selectors), after), index.edge(selectors));
    newest.max(Some(edge).filter(|edge| *edge <= after)).unwrap_or(edge)
}

/// As [`crate::history::History::read`].
pub(super) fn read(
    kept: &RwLock<Locked>,
    after: Id,
    through: Id,
    selectors: &[Selector],
) -> Result<Part, Fault> {
    let (mut part, places, through) = {
        let index = &kept.read().index;
        // Most reads are behind all edges.
        let edge = if after < index.edges.newest() { index.edge(selectors) } else { Id::default() };
        if let Some(older) = lists::requested(index.lists(selectors), after, through, edge) {
            let places: Vec<Place> = older.into_iter().filter_map(|id| index.place(id)).collect();
            return read_older(&places, selectors, edge.min(through));
        }
        let gap = (after < edge).then_some(edge);
        let (places, end) = wanted(index, after, through, selectors);
        (Part { gap, ..Part::default() }, places, end)
    };
    let (mut window, mut bytes) = (Window::default(), 0);
    for (position, place) in places.iter().enumerate() {
        if part.events.len() == PART_EVENTS || bytes >= PART_BYTES {
            return Ok(part);
        }
        let is_there = window.holds(&place.segment, place.offset);
        let piece_bytes = if is_there { 0 } else { piece_bytes(&places[position..]) };
        let Some(kept) = read_event(&mut window, place, selectors, piece_bytes)? else { continue };
        bytes += kept.frame.len();
        part.events.push(kept);
        part.through = place.id;
    }
    // Where a part ends does not depend on events that are not in it.
    if through.is_all || part.events.is_empty() {
        part.through = through.id.max(after);
    }
    Ok(part)
}

/// What a request asks for of the time before the edge: the newest of it, which stands here.
fn read_older(places: &[Place], selectors: &[Selector], through: Id) -> Result<Part, Fault> {
    let (mut events, mut window, mut bytes) = (Vec::new(), Window::default(), 0);
    for place in places {
        if bytes >= PART_BYTES {
            break;
        }
        let kept = read_event(&mut window, place, selectors, RECORD_BYTES as usize)?;
        let Some(kept) = kept else { continue };
        bytes += kept.frame.len();
        events.push(kept);
    }
    events.reverse();
    Ok(Part { events, through, gap: None })
}

/// The event that stands at this place, if it is on a topic of these selectors.
fn read_event(
    window: &mut Window,
    place: &Place,
    selectors: &[Selector],
    piece_bytes: usize,
) -> Result<Option<Kept>, Fault> {
    let (event, _) = event_at(window, &place.segment, place.offset, piece_bytes)?;
    let Some(frame) = event.frame.filter(|_| event.id == place.id) else {
        return Err(Fault::damaged(&place.segment.path, "another event stands where one should"));
    };
    let kept = |topic| Kept { id: place.id, at: event.at, topic, frame: Frame::from(frame) };
    Ok(topic_of(event.topics(), selectors).map(kept))
}

/// Up to where the places of a part go.
struct Through {
    id: Id,
    /// That is as far as was asked for.
    is_all: bool,
}

/// Where the events of a part stand, and one more; or where all events stand among which they are, if the selectors name
/// more topics than can be merged.
fn wanted(index: &Index, after: Id, through: Id, selectors: &[Selector]) -> (Vec<Place>, Through) {
    let all = Through { id: through, is_all: true };
    if !index.are_many(selectors) {
        let ids = lists::oldest(index.lists(selectors), PART_EVENTS + 1, (after, through));
        return (ids.into_iter().filter_map(|id| index.place(id)).collect(), all);
    }
    let from = index.entries.partition_point(|entry| entry.id() <= after);
    let rest = index.entries.range(from..).map(|entry| entry.id()).take_while(|id| *id <= through);
    let walked: Vec<Id> = rest.take(WALKED_MAX).collect();
    let is_kept = |id: &Id| index.condition(*id) == Some(Condition::Kept);
    let places = walked.iter().copied().filter(is_kept).filter_map(|id| index.place(id)).collect();
    match walked.last() {
        Some(&id) if walked.len() == WALKED_MAX => (places, Through { id, is_all: false }),
        _ => (places, all),
    }
}

/// How much is read at once for the first of these records: up to the last of those that stand close together.
fn piece_bytes(places: &[Place]) -> usize {
    let first = &places[0];
    let mut end = first.offset;
    for place in &places[1..] {
        let is_close = place.segment.number == first.segment.number
            && (end..=end + GAP_BYTES).contains(&place.offset)
            && place.offset < first.offset + PART_BYTES as u64;
        if !is_close {
            break;
        }
        end = place.offset;
    }
    (end - first.offset + RECORD_BYTES) as usize
}

/// As [`crate::history::History::topics`].
pub(super) fn topics(kept: &RwLock<Locked>, after: &str) -> Result<Vec<TopicStatus>, Fault> {
    type Span = (String, usize, Place, Place);
    let spans: Vec<Span> = {
        let index = &kept.read().index;
        let span = |(topic, list): (&Topic, &VecDeque<Id>)| {
            let (oldest, newest) = (index.place(*list.front()?)?, index.place(*list.back()?)?);
            Some((topic.to_string(), list.len(), oldest, newest))
        };
        index.topics_after(after).take(TOPICS_PART).filter_map(span).collect()
    };
    let mut window = Window::default();
    let mut time = |place: &Place| -> Result<SystemTime, Fault> {
        Ok(event_at(&mut window, &place.segment, place.offset, RECORD_BYTES as usize)?.0.at)
    };
    let status = |(topic, events, oldest, newest): Span| {
        Ok(TopicStatus { topic, events, oldest: time(&oldest)?, newest: time(&newest)? })
    };
    spans.into_iter().map(status).collect()
}
