//! How the log is read: positions and topics come from the index, texts from the segments, on the reader's own thread.

use super::Kept as Locked;
use super::fault::Fault;
use super::index::{Index, Place};
use super::segment::Window;
use super::shelf::event_at;
use crate::event::{Frame, Id};
use crate::history::lists::{self, WALKED_MAX};
use crate::history::retention::Shelf;
use crate::history::{
    Kept, PART_BYTES, PART_EVENTS, Part, Resume, Start, TOPICS_PART, TopicStatus, topic_of,
};
use crate::selector::Selector;
use crate::topic::Topic;
use parking_lot::RwLock;
use std::collections::VecDeque;
use std::time::SystemTime;

/// Records that stand so far from each other are read one by one.
const GAP_BYTES: u64 = 4 * 1024;

/// What is read behind the beginning of the last record that is wanted: most are shorter.
const RECORD_BYTES: u64 = 512;

/// As [`crate::history::History::resume`]. `last` is the newest event that was handed to the hub.
pub(super) fn resume(kept: &RwLock<Locked>, start: &Start, selectors: &[Selector], last: Id) -> Resume {
    let found = match start {
        Start::Live | Start::Latest(0) => Some(last),
        Start::Earliest => {
            let index = &kept.read().index;
            let first = index.next(Id::default());
            Some(lists::earliest(index.lists(selectors), first, index.edge(selectors)))
        }
        Start::Latest(count) => {
            let newest = newest(kept, selectors, *count, last);
            Some(lists::before_latest(&newest, *count, kept.read().index.edge(selectors)))
        }
        // Nobody can have seen an event that is kept and was not yet handed to the hub.
        Start::After(asked) => find_asked(&kept.read().index, asked, selectors).filter(|id| *id <= last),
    };
    let after = found.unwrap_or_else(|| kept.read().index.edge(selectors));
    let newest = newest(kept, selectors, 1, after).first().copied();
    let position = lists::position(newest, after, kept.read().index.edge(selectors));
    Resume { after, position: position.to_string(), gap: found.is_none() }
}

/// The newest so many events up to this id on the topics of these selectors, the newest first.
fn newest(kept: &RwLock<Locked>, selectors: &[Selector], count: usize, through: Id) -> Vec<Id> {
    let places: Vec<Place> = {
        let index = &kept.read().index;
        if !index.are_many(selectors) {
            return lists::newest(index.lists(selectors), count, through);
        }
        index.places_before(through).take(WALKED_MAX).collect()
    };
    // Where many topics are named, the newest events are mostly theirs, and few have to be looked at.
    let (mut window, mut found) = (Window::default(), Vec::new());
    for place in &places {
        match read_event(&mut window, place, selectors, RECORD_BYTES as usize) {
            Ok(event) => found.extend(event.map(|event| event.id)),
            // What cannot be read is listed nevertheless.
            Err(_) => break,
        }
        if found.len() == count {
            return found;
        }
    }
    lists::newest(kept.read().index.lists(selectors), count, through)
}

/// The id that a browser says it saw last: its publisher's on a topic of these selectors, or one of ours that was given
/// out and after which nothing is missing.
fn find_asked(index: &Index, asked: &str, selectors: &[Selector]) -> Option<Id> {
    match index.find_given(asked, selectors)? {
        (None, None) => Id::parse(asked).filter(|&id| id == index.edge(selectors) || index.knows(id)),
        // The id was used again after it was retracted. Nothing says which of the two events the browser saw, so it is
        // told of a gap rather than left with one.
        (Some(_), Some(_)) => None,
        (kept, retracted) => kept.or(retracted),
    }
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
        let kept = match read_event(&mut window, place, selectors, piece_bytes)? {
            Some(kept) => kept,
            None if through.is_walk => continue,
            None => return Err(another(place)),
        };
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
        let kept = kept.ok_or_else(|| another(place))?;
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
    let frame = event.frame.filter(|_| event.id == place.id).ok_or_else(|| another(place))?;
    let kept = |topic| Kept { id: place.id, at: event.at, topic, frame: Frame::from(frame) };
    Ok(topic_of(event.topics(), selectors).map(kept))
}

fn another(place: &Place) -> Fault {
    Fault::damaged(&place.segment.path, "another event stands where one should")
}

/// Up to where the places of a part go.
struct Through {
    id: Id,
    /// That is as far as was asked for.
    is_all: bool,
    /// Events of other topics are among them.
    is_walk: bool,
}

/// Where the events of a part stand, and one more; or where all events stand among which they are, if the selectors name
/// more topics than are merged.
fn wanted(index: &Index, after: Id, through: Id, selectors: &[Selector]) -> (Vec<Place>, Through) {
    let is_walk = index.are_many(selectors);
    let all = Through { id: through, is_all: true, is_walk };
    if !is_walk {
        let ids = lists::oldest(index.lists(selectors), PART_EVENTS + 1, (after, through));
        return (ids.into_iter().filter_map(|id| index.place(id)).collect(), all);
    }
    let rest = index.places_after(after).take_while(|place| place.id <= through);
    let places: Vec<Place> = rest.take(WALKED_MAX).collect();
    let through = match places.last() {
        Some(last) if places.len() == WALKED_MAX => Through { id: last.id, is_all: false, is_walk },
        _ => all,
    };
    (places, through)
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
