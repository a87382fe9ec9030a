//! The history in memory: ordered, numbered, bounded by count, bytes and age; gone when the process ends.

mod entries;

use super::retention::{Retention, Shelf};
use super::retract::{self, Plan};
use super::{
    Bounds, EVENT_OVERHEAD_BYTES, History, Part, Receipt, Resume, Retracted, Start, Status, TOPICS_PART,
    TopicStatus, lists, next_id, now,
};
use crate::error::Error;
use crate::event::{Event, Frame, Id};
use crate::hub::{Dispatch, Hub};
use crate::selector::Selector;
use crate::topic::Topic;
use entries::Log;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Release},
};
use std::time::Duration;

/// Keeps the newest events in memory.
///
/// ```
/// use callout::history::Memory;
/// use callout::{Bounds, Server};
/// use std::sync::Arc;
///
/// let mut bounds = Bounds::default();
/// bounds.events_max = 10;
/// let server = Server::builder()
///     .listen(([127, 0, 0, 1], 0).into())
///     .history(move |hub| Ok(Arc::new(Memory::new(hub, bounds))))
///     .start();
/// # server.unwrap().stop(std::time::Duration::ZERO);
/// ```
pub struct Memory {
    hub: Hub,
    /// Held from before an event gets its id until it is handed to the hub, so that the hub sees the ids in their
    /// order. Everyone may wait for the hub: readers do not take this lock, so they need not.
    turn: Mutex<()>,
    /// Taken after `turn`, and never held while the hub is waited for.
    kept: Mutex<Shelved>,
    /// The newest id that was handed to the hub.
    handed: AtomicU64,
}

impl Memory {
    /// An empty history that feeds this hub.
    pub fn new(hub: Hub, bounds: Bounds) -> Memory {
        // Where ids have come to their end, publishing says so.
        let birth = next_id(Id::default(), now()).unwrap_or(Id::MAX);
        hub.begin_after(birth);
        let log = Log::new(birth);
        let kept = Mutex::new(Shelved { log, retention: Retention::new(bounds) });
        let handed = AtomicU64::new(birth.key());
        Memory { hub, turn: Mutex::default(), kept, handed }
    }

    /// Keeps an event, or finds that it is kept already. Gives what is to be handed to the hub.
    fn keep(&self, kept: &mut Shelved, event: &Event) -> Result<(Receipt, Option<Dispatch>), Error> {
        if let Some(receipt) = kept.log.published_before(event)? {
            return Ok((receipt, None));
        }
        // Publishing is acknowledged after the event has its id and is where the history keeps it; from then on every
        // read finds it.
        let id = next_id(kept.log.last, now())?;
        let dispatch = self.append(kept, id, event);
        let id = event.given_id().map_or_else(|| id.to_string(), str::to_owned);
        Ok((Receipt { id, duplicate: false }, Some(dispatch)))
    }

    /// Keeps an event under this id. Gives what is to be handed to the hub.
    fn append(&self, kept: &mut Shelved, id: Id, event: &Event) -> Dispatch {
        let frame = event.encode(Some(id));
        kept.insert(id, event, frame.clone());
        Dispatch::kept(event, id, frame)
    }

    /// Hands events to the hub, which everyone may wait for. To be called with the turn and without the log.
    fn hand_over(&self, dispatches: impl IntoIterator<Item = Dispatch>) {
        for dispatch in dispatches {
            let id = dispatch.id;
            self.hub.broadcast(dispatch);
            id.into_iter().for_each(|id| self.handed.store(id.key(), Release));
        }
    }
}

impl History for Memory {
    fn publish(&self, event: Event) -> Result<Receipt, Error> {
        let _turn = self.turn.lock();
        let mut kept = self.kept.lock();
        let (receipt, dispatch) = self.keep(&mut kept, &event)?;
        drop(kept);
        self.hand_over(dispatch);
        Ok(receipt)
    }

    fn publish_all(&self, events: Vec<Event>) -> Vec<Result<Receipt, Error>> {
        let _turn = self.turn.lock();
        let mut kept = self.kept.lock();
        let mut dispatches = Vec::with_capacity(events.len());
        let mut keep = |event: &Event| {
            let (receipt, dispatch) = self.keep(&mut kept, event)?;
            dispatches.extend(dispatch);
            Ok(receipt)
        };
        let receipts = events.iter().map(&mut keep).collect();
        drop(kept);
        self.hand_over(dispatches);
        receipts
    }

    fn retract(&self, topic: &Topic, id: Option<&str>) -> Result<Retracted, Error> {
        let _turn = self.turn.lock();
        let mut kept = self.kept.lock();
        kept.trim();
        let Plan { taken, count, events } = match id {
            Some(asked) => retract::one(topic, kept.log.candidate(topic, asked))?,
            None => retract::all(topic, kept.log.candidates(topic)),
        };
        // All are numbered before the first is taken back: what is refused changes nothing.
        let mut last = kept.log.last;
        let ids = events.iter().map(|_| next_id(last, now()).inspect(|&id| last = id));
        let ids = ids.collect::<Result<Vec<Id>, Error>>()?;
        taken.into_iter().for_each(|id| kept.retract(id));
        let dispatches: Vec<Dispatch> =
            ids.iter().zip(&events).map(|(&id, event)| self.append(&mut kept, id, event)).collect();
        drop(kept);
        self.hand_over(dispatches);
        Ok(Retracted { count, id: ids.last().map(Id::to_string) })
    }

    fn resume(&self, start: &Start, selectors: &[Selector]) -> Result<Resume, Error> {
        let mut kept = self.kept.lock();
        // Where nothing is published, only reading shows that an event has grown too old.
        kept.trim();
        let log = &kept.log;
        let handed = Id::from_key(self.handed.load(Acquire));
        let edge = log.edge(selectors);
        let (after, gap) = match start {
            Start::Live | Start::Latest(0) => (handed, false),
            Start::Earliest => (lists::earliest(log.lists(selectors), log.next(Id::default()), edge), false),
            Start::Latest(count) => {
                (lists::before_latest(&log.newest(selectors, *count, handed), *count, edge), false)
            }
            // Nobody can have seen an event that is kept and was not yet handed to the hub.
            Start::After(asked) => match log.find(asked, selectors).filter(|id| *id <= handed) {
                Some(id) => (id, false),
                None => (edge, true),
            },
        };
        let newest = log.newest(selectors, 1, after).first().copied();
        Ok(Resume { after, position: lists::position(newest, after, edge).to_string(), gap })
    }

    fn read(&self, after: Id, through: Id, selectors: &[Selector]) -> Result<Part, Error> {
        Ok(self.kept.lock().log.read(after, through, selectors))
    }

    fn status(&self) -> Status {
        let mut kept = self.kept.lock();
        kept.trim();
        let (events, bytes) = (kept.retention.events(), kept.retention.bytes());
        let oldest = kept.log.oldest().filter(|_| events > 0).map(|entry| entry.at);
        Status { events, bytes, oldest, ..Status::default() }
    }

    fn topics(&self, after: &str) -> Result<Vec<TopicStatus>, Error> {
        let log = &self.kept.lock().log;
        let status = |(topic, ids): (&Topic, &VecDeque<Id>)| {
            let at = |id: Option<&Id>| Some(log.entry(*id?).at);
            let (oldest, newest) = (at(ids.front())?, at(ids.back())?);
            Some(TopicStatus { topic: topic.to_string(), events: ids.len(), oldest, newest })
        };
        let rest = log.by_topic.range::<str, _>((Excluded(after), Unbounded));
        Ok(rest.take(TOPICS_PART).filter_map(status).collect())
    }

    fn close(&self, _deadline: Duration) {
        // Events in memory end with the process.
    }
}

/// The entries, and the rules by which they are let go.
struct Shelved {
    log: Log,
    retention: Retention,
}

impl Shelved {
    fn insert(&mut self, id: Id, event: &Event, frame: Frame) {
        let entry = self.log.insert(id, event, frame);
        let (row, topics, now) = (entry.row(), entry.topics.clone(), entry.kept_at);
        self.retention.note_added(&row);
        self.retention.settle(&mut self.log, &topics, now);
        self.retention.trim(&mut self.log, now, usize::MAX);
    }

    fn trim(&mut self) {
        let now = self.log.began.elapsed();
        self.retention.trim_topics(&mut self.log, now);
        self.retention.trim(&mut self.log, now, usize::MAX);
    }

    /// Takes an event out of every read and lets its bytes go. Its id stays known, so that a browser that saw it
    /// last can go on.
    fn retract(&mut self, id: Id) {
        let Some(row) = self.log.retract(id) else { return };
        row.topics.iter().for_each(|topic| self.retention.note_lost(topic, &row));
        self.retention.note_retracted(id, &row, EVENT_OVERHEAD_BYTES);
    }
}
