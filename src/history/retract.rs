//! What a retraction takes back, and which events tell the browsers. All kinds of history do the same.

use crate::decode::decode;
use crate::error::Error;
use crate::event::{Event, Id, RETRACT};
use crate::topic::Topic;

/// An event that a retraction may take back.
pub(super) struct Candidate {
    pub(super) id: Id,
    /// The id that it bears on the wire.
    pub(super) wire_id: String,
    pub(super) topics: Vec<Topic>,
    /// It is a `retract` event itself.
    is_retract: bool,
}

impl Candidate {
    pub(super) fn new(id: Id, given: Option<&str>, topics: Vec<Topic>, frame: &[u8]) -> Candidate {
        let wire_id = given.map_or_else(|| id.to_string(), str::to_owned);
        // No publisher can have used this name.
        let is_retract = decode(frame).is_some_and(|event| event.event == RETRACT);
        Candidate { id, wire_id, topics, is_retract }
    }
}

/// What a retraction does.
#[derive(Default)]
pub(super) struct Plan {
    /// The events that are taken back.
    pub(super) taken: Vec<Id>,
    /// How many of them are not `retract` events.
    pub(super) count: usize,
    /// The `retract` events that are published; the last is the one that the answer names.
    pub(super) events: Vec<Event>,
}

/// Takes back one event; none is there if nothing with the id that was asked for is kept on the topic. All of its topics
/// are told.
pub(super) fn one(topic: &Topic, candidate: Option<Candidate>) -> Result<Plan, Error> {
    let Some(Candidate { id, wire_id, mut topics, is_retract }) = candidate else {
        return Err(Error::not_found(
            "no event with this id is kept on this topic: none was published, or it was let go or retracted",
        ));
    };
    if is_retract {
        return Err(Error::bad(
            "a `retract` event cannot be retracted: browsers that come back later still have to be told",
        ));
    }
    topics.retain(|other| other != topic);
    // The topic that was asked for comes last, since the answer names the last event.
    topics.push(topic.clone());
    Ok(Plan { taken: vec![id], count: 1, events: tell(topics, &wire_id).collect() })
}

/// A `retract` event for each topic, which names no other: who may read one of an event's topics may not know the others.
fn tell(topics: Vec<Topic>, wire_id: &str) -> impl Iterator<Item = Event> {
    topics.into_iter().map(move |topic| Event::retract(topic, Some(wire_id)))
}

/// Takes back all events of a topic. One `retract` event without an id tells this to the topic; the other topics
/// of an event are told its id.
///
/// Earlier `retract` events of the topic go along, since the new one says what they said.
pub(super) fn all(topic: &Topic, candidates: Vec<Candidate>) -> Plan {
    let mut plan = Plan::default();
    for Candidate { id, wire_id, mut topics, is_retract } in candidates {
        topics.retain(|other| other != topic);
        plan.events.extend(tell(topics, &wire_id));
        plan.taken.push(id);
        plan.count += usize::from(!is_retract);
    }
    if plan.count == 0 {
        return Plan::default();
    }
    plan.events.push(Event::retract(topic.clone(), None));
    plan
}
