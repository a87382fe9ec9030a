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

/// An event that a group gathered.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Gathered {
    /// An index of the events of the flush.
    pub(super) event: u32,
    /// By which of the event's topics it reached the group, as an index; 0 where the form does not tell it, so that
    /// such groups share the event whatever their topics.
    pub(super) topic: u32,
}

/// What one or more groups gathered, in their form.
pub(super) struct SharedBatch {
    pub(super) gathered: Vec<Gathered>,
    pub(super) batch: Batch,
    /// How many events that is, and how many of them are kept.
    pub(super) events: u64,
    pub(super) kept_events: u64,
    /// Events whose publisher asked for a count, as indexes of the events of the flush.
    pub(super) counted: Vec<u32>,
}

/// The events of a flush in other forms than the plain one, each encoded when the first group needs it. An event is
/// encoded once in each form that has readers (plain, with its topic); all its receivers share the bytes.
#[derive(Default)]
pub(super) struct Encodings {
    frames: HashMap<(Form, Gathered), Frame>,
    bytes: usize,
}

impl Encodings {
    /// Encodes what was gathered in this form, as far as that was not done for another group.
    fn fill(&mut self, form: Form, gathered: &[Gathered], events: &[Dispatch]) {
        if self.bytes > SHARED_BYTES {
            *self = Encodings::default();
        }
        for &Gathered { event, topic } in gathered {
            let Dispatch { topics, frame, .. } = &events[event as usize];
            self.frames.entry((form, Gathered { event, topic })).or_insert_with(|| {
                let encoded = form.encode(frame, &topics[topic as usize]);
                self.bytes += encoded.len();
                encoded
            });
        }
    }
}

impl SharedBatch {
    pub(super) fn new(
        gathered: Vec<Gathered>,
        form: Form,
        events: &[Dispatch],
        encodings: &mut Encodings,
    ) -> SharedBatch {
        if form != Form::Plain {
            encodings.fill(form, &gathered, events);
        }
        let own = gathered.iter().map(|gathered| {
            let event = &events[gathered.event as usize];
            let is_plain = form == Form::Plain;
            (event, if is_plain { &event.frame } else { &encodings.frames[&(form, *gathered)] })
        });
        let own: Vec<(&Dispatch, &Frame)> = own.collect();
        let batch = batch(&own);
        let counted = gathered.iter().map(|gathered| gathered.event);
        let counted = counted.filter(|&event| events[event as usize].count.is_some()).collect();
        let kept_events = own.iter().filter(|(event, _)| event.id.is_some()).count() as u64;
        SharedBatch { counted, events: own.len() as u64, kept_events, batch, gathered }
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
