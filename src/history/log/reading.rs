//! How the log is read: positions and topics come from the index, texts from the segments, on the reader's own thread.

use super::Kept as Locked;
use super::fault::Fault;
use super::index::{Index, Place};
use super::segment::Window;
use super::shelf::event_at;
use crate::event::{Frame, Id};
use crate::history::{Kept, PART_BYTES, PART_EVENTS, Part, Start, TOPICS_PART, TopicStatus, lists, topic_of};
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
pub(super) fn find(index: &Index, start: &Start, topics: &[Topic], last: Id) -> Option<Id> {
    match start {
        Start::Live => Some(last),
        Start::Earliest => Some(lists::earliest(of(index, topics), index.edge(topics))),
        Start::Latest(count) => {
            Some(lists::before_latest(of(index, topics), *count, last, index.edge(topics)))
        }
        // Nobody can have seen an event that is kept and was not yet handed to the hub.
        Start::After(asked) => find_asked(index, asked, topics).filter(|id| *id <= last),
    }
}

/// The id that a browser says it saw last: its publisher's on one of these topics, or one of ours that was given out and
/// after which nothing is missing.
fn find_asked(index: &Index, asked: &str, topics: &[Topic]) -> Option<Id> {
    match (index.find_given(asked, topics), index.find_given_retracted(asked, topics)) {
        (None, None) => Id::parse(asked).filter(|&id| id == index.edge(topics) || index.knows(id)),
        // The id was used again after it was retracted. Nothing says which of the two events the browser saw, so it is
        // told of a gap rather than left with one.
        (Some(_), Some(_)) => None,
        (kept, retracted) => kept.or(retracted),
    }
}

/// The newest id at or before `after` on these topics; else the edge of what they have lost.
pub(super) fn position(index: &Index, after: Id, topics: &[Topic]) -> Id {
    let newest = topics.iter().filter_map(|topic| {
        let list = index.on(topic.as_str())?;
        list.partition_point(|&id| id <= after).checked_sub(1).map(|position| list[position])
    });
    newest.max().unwrap_or_else(|| index.edge(topics))
}

/// The lists of these topics.
fn of<'a>(index: &'a Index, topics: &[Topic]) -> impl Iterator<Item = &'a VecDeque<Id>> {
    topics.iter().filter_map(|topic| index.on(topic.as_str()))
}

/// As [`crate::history::History::read`].
pub(super) fn read(kept: &RwLock<Locked>, after: Id, through: Id, topics: &[Topic]) -> Result<Part, Fault> {
    let (mut part, places) = {
        let index = &kept.read().index;
        let edge = index.edge(topics);
        if let Some(older) = lists::requested(of(index, topics), after, through, edge) {
            let places: Vec<Place> = older.into_iter().filter_map(|id| index.place(id)).collect();
            return read_older(&places, topics, edge.min(through));
        }
        let gap = (after < edge).then_some(edge);
        (Part { gap, ..Part::default() }, wanted(index, after, through, topics))
    };
    let (mut window, mut bytes) = (Window::default(), 0);
    for (position, place) in places.iter().enumerate() {
        if part.events.len() == PART_EVENTS || bytes >= PART_BYTES {
            return Ok(part);
        }
        let is_there = window.holds(&place.segment, place.offset);
        let piece_bytes = if is_there { 0 } else { piece_bytes(&places[position..]) };
        let kept = read_event(&mut window, place, topics, piece_bytes)?;
        bytes += kept.frame.len();
        part.events.push(kept);
        part.through = place.id;
    }
    part.through = through.max(after);
    Ok(part)
}

/// What a request asks for of the time before the edge: the newest of it, which stands here.
fn read_older(places: &[Place], topics: &[Topic], through: Id) -> Result<Part, Fault> {
    let (mut events, mut window, mut bytes) = (Vec::new(), Window::default(), 0);
    for place in places {
        if bytes >= PART_BYTES {
            break;
        }
        let kept = read_event(&mut window, place, topics, RECORD_BYTES as usize)?;
        bytes += kept.frame.len();
        events.push(kept);
    }
    events.reverse();
    Ok(Part { events, through, gap: None })
}

/// The event that stands at this place, for a read of these topics.
fn read_event(
    window: &mut Window,
    place: &Place,
    topics: &[Topic],
    piece_bytes: usize,
) -> Result<Kept, Fault> {
    let (event, _) = event_at(window, &place.segment, place.offset, piece_bytes)?;
    let frame = event.frame.filter(|_| event.id == place.id);
    match (frame, topic_of(event.topics(), topics)) {
        (Some(frame), Some(topic)) => {
            Ok(Kept { id: place.id, at: event.at, topic, frame: Frame::from(frame) })
        }
        _ => Err(Fault::damaged(&place.segment.path, "another event stands where one should")),
    }
}

/// Where the events of a part stand, and one more.
fn wanted(index: &Index, after: Id, through: Id, topics: &[Topic]) -> Vec<Place> {
    let mut ids: Vec<Id> = of(index, topics)
        .flat_map(|list| {
            let from = list.partition_point(|&id| id <= after);
            list.range(from..).take_while(|&&id| id <= through).take(PART_EVENTS + 1)
        })
        .copied()
        .collect();
    if topics.len() > 1 {
        ids.sort_unstable();
        ids.dedup();
    }
    ids.into_iter().take(PART_EVENTS + 1).filter_map(|id| index.place(id)).collect()
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
