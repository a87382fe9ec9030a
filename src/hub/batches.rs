//! The batches of a flush, which groups share, and the forms in which their events are encoded.

use super::Dispatch;
use super::chunk::Chunk;
use super::outlet::Batch;
use crate::event::{Form, Frame};
use std::collections::HashMap;

/// The bytes of batches that are kept during a flush for groups to share. Past it a group makes its own batch and
/// drops it, so that many groups with different events do not hold a batch each. As many bytes of events in other forms
/// than the plain one are kept; past it those are encoded anew.
pub(super) const SHARED_BYTES: usize = 4 * 1024 * 1024;

/// Constants of the hash over what a group gathered. Groups with the same hash are compared, so a bad hash
/// costs time and nothing else.
const HASH_FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
const HASH_TURN: u32 = 29;

/// The events that a group gathered since the last flush.
#[derive(Default)]
pub(super) struct Gathered {
    /// By which groups that gathered the same find each other.
    pub(super) hash: u64,
    /// Indexes of the events of the flush.
    pub(super) events: Vec<u32>,
    /// By which of its topics each of them reached the group, as an index. Empty where the form does not tell it, so
    /// that such groups share a batch whatever their topics.
    topics: Vec<u32>,
}

impl Gathered {
    pub(super) fn push(&mut self, event: u32, topic: u32, form: Form) {
        self.events.push(event);
        let mut step = u64::from(event) ^ 1 << 32;
        if form.tells_topic() {
            self.topics.push(topic);
            step ^= u64::from(topic) << 33;
        }
        self.hash = (self.hash ^ step).wrapping_mul(HASH_FACTOR).rotate_left(HASH_TURN);
    }

    /// Whether groups of one form gathered the same.
    pub(super) fn is_same(&self, other: &Gathered) -> bool {
        // Comparing two lists without elements costs far more than a look at their lengths: the C library's vector
        // instructions read where nothing is mapped, and the processor has to recover from that.
        self.events == other.events && (self.topics.is_empty() || self.topics == other.topics)
    }

    /// Each event with its topic.
    fn iter(&self) -> impl Iterator<Item = (u32, u32)> {
        self.events.iter().copied().zip(self.topics.iter().copied().chain(std::iter::repeat(0)))
    }
}

/// What one or more groups gathered, in their form.
pub(super) struct SharedBatch {
    pub(super) gathered: Gathered,
    pub(super) batch: Batch,
    /// How many of the events are kept.
    pub(super) kept_events: u64,
    /// Events whose publisher asked for a count, as indexes of the events of the flush.
    pub(super) counted: Vec<u32>,
}

/// The events of a flush in other forms than the plain one, each encoded when the first group needs it. An event is
/// encoded once in each form that has readers (plain, with its topic); all its receivers share the bytes.
#[derive(Default)]
pub(super) struct Encodings {
    frames: HashMap<Encoding, Frame>,
    bytes: usize,
}

/// A form, an event, and by which of its topics it reached those who read it, where the form tells it.
type Encoding = (Form, u32, u32);

impl Encodings {
    /// Encodes what was gathered in this form, as far as that was not done for another group.
    fn fill(&mut self, form: Form, gathered: &Gathered, events: &[Dispatch]) {
        if self.bytes > SHARED_BYTES {
            *self = Encodings::default();
        }
        for (event, topic) in gathered.iter() {
            let Dispatch { topics, frame, .. } = &events[event as usize];
            self.frames.entry((form, event, topic)).or_insert_with(|| {
                let encoded = form.encode(frame, &topics[topic as usize]);
                self.bytes += encoded.len();
                encoded
            });
        }
    }
}

impl SharedBatch {
    pub(super) fn new(
        gathered: Gathered,
        form: Form,
        events: &[Dispatch],
        encodings: &mut Encodings,
    ) -> SharedBatch {
        let own: Vec<(&Dispatch, &Frame)> = if form == Form::Plain {
            let own = gathered.events.iter().map(|&event| &events[event as usize]);
            own.map(|event| (event, &event.frame)).collect()
        } else {
            encodings.fill(form, &gathered, events);
            let frame = |event, topic| &encodings.frames[&(form, event, topic)];
            gathered.iter().map(|(event, topic)| (&events[event as usize], frame(event, topic))).collect()
        };
        let batch = batch(&own);
        let counted = gathered.events.iter().copied();
        let counted = counted.filter(|&event| events[event as usize].count.is_some()).collect();
        let kept_events = own.iter().filter(|(event, _)| event.id.is_some()).count() as u64;
        SharedBatch { counted, kept_events, batch, gathered }
    }
}

fn batch(events: &[(&Dispatch, &Frame)]) -> Batch {
    let all = concat(events.iter());
    let kept = events.iter().filter(|(event, _)| event.id.is_some());
    let kept = match kept.clone().count() {
        0 => None,
        count if count == events.len() => Some(all.clone()),
        _ => Some(concat(kept)),
    };
    Batch { all, kept }
}

fn concat<'a>(events: impl Iterator<Item = &'a (&'a Dispatch, &'a Frame)> + Clone) -> Chunk {
    Chunk::new(events.map(|(_, frame)| &***frame))
}
