//! What is done in one commit: which events and retractions it holds. Nothing is changed by it in memory before it is on
//! disk.

use super::fault::Fault;
use super::inbox::{Answers, Jobs, Retraction};
use super::index::Index;
use super::record::{Encoder, aligned};
use super::segment::Window;
use super::shelf::event_at;
use crate::error::Error;
use crate::event::{Event, Frame, Id};
use crate::history::retention::{Row, each_once};
use crate::history::retract::{self, Candidate, Plan};
use crate::history::{EVENT_OVERHEAD_BYTES, Receipt, Retracted, given, next_id, now};
use crate::hub::Dispatch;
use crate::topic::Topic;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

/// How much is read at once where one event is wanted.
const PIECE_BYTES: usize = 1024;

/// What is added to the index once the commit is on disk.
pub(super) struct Added {
    pub(super) id: Id,
    pub(super) offset: u64,
    pub(super) row: Row,
    frame: Frame,
}

/// What a commit does.
#[derive(Default)]
pub(super) struct Outcome {
    /// For the callers who wait for it.
    pub(super) answers: Answers,
    /// For the hub, in the order of their ids.
    pub(super) dispatches: Vec<Dispatch>,
    pub(super) added: Vec<Added>,
    /// Events that are taken back, which may be among those that are added.
    pub(super) taken: Vec<Id>,
}

/// Does all jobs of a commit: writes their records. The callers of one commit all came at the same time, so any order of
/// their jobs is one in which they may have come. `given` is the newest id that was given, `passed` how much time has
/// passed.
pub(super) fn carry_out(
    index: &Index,
    jobs: &Jobs,
    given: &mut Id,
    passed: Duration,
    encoder: &mut Encoder,
) -> Result<Outcome, Fault> {
    let (by_given, taken, window) = (HashMap::new(), HashSet::new(), Window::default());
    let outcome = Outcome::default();
    let mut commit = Drafted { index, given, passed, encoder, outcome, by_given, taken, window };
    for event in &jobs.events {
        let receipt = commit.publish(event)?;
        commit.outcome.answers.receipts.push(receipt);
    }
    for retraction in &jobs.retractions {
        let retracted = commit.retract(retraction)?;
        commit.outcome.answers.retracted.push(retracted);
    }
    Ok(commit.outcome)
}

struct Drafted<'a> {
    index: &'a Index,
    given: &'a mut Id,
    passed: Duration,
    encoder: &'a mut Encoder,
    outcome: Outcome,
    /// The events of this commit that bear an id of their publisher, by topic: where they are in the outcome.
    by_given: HashMap<(Topic, Box<str>), usize>,
    /// As in the outcome.
    taken: HashSet<Id>,
    window: Window,
}

impl Drafted<'_> {
    /// Keeps an event under the next id, or finds that it is kept already. The inner error is for the caller: nothing
    /// was done.
    fn publish(&mut self, event: &Event) -> Result<Result<Receipt, Error>, Fault> {
        if let Some(given) = event.given_id() {
            let kept = event.topics().iter().map(|topic| self.kept_under(given, topic));
            let kept: Vec<Option<Frame>> = kept.collect::<Result<_, _>>()?;
            if let Some(answer) = given::published_before(event, given, &kept).transpose() {
                return Ok(answer);
            }
        }
        let id = match self.number() {
            Ok(id) => id,
            Err(error) => return Ok(Err(error)),
        };
        self.append(id, event);
        let id = event.given_id().map_or_else(|| id.to_string(), str::to_owned);
        Ok(Ok(Receipt { id, duplicate: false }))
    }

    /// Takes events back and keeps the `retract` events that tell so. The inner error is for the caller: nothing was
    /// done.
    fn retract(&mut self, retraction: &Retraction) -> Result<Result<Retracted, Error>, Fault> {
        let Retraction { topic, id } = retraction;
        let plan = match id {
            Some(asked) => retract::one(topic, self.candidate(topic, asked)?),
            None => Ok(retract::all(topic, self.candidates(topic)?)),
        };
        // All are numbered before the first is taken back: what is refused changes nothing.
        let numbered = plan.and_then(|plan| {
            let ids = plan.events.iter().map(|_| self.number()).collect::<Result<Vec<Id>, Error>>();
            ids.map(|ids| (plan, ids))
        });
        let (Plan { taken, count, events }, ids) = match numbered {
            Ok(numbered) => numbered,
            Err(error) => return Ok(Err(error)),
        };
        if !taken.is_empty() {
            self.encoder.retraction(&taken);
            self.taken.extend(&taken);
            self.outcome.taken.extend(taken);
        }
        ids.iter().zip(&events).for_each(|(&id, event)| self.append(id, event));
        Ok(Ok(Retracted { count, id: ids.last().map(Id::to_string) }))
    }

    fn number(&mut self) -> Result<Id, Error> {
        *self.given = next_id(*self.given, now())?;
        Ok(*self.given)
    }

    fn append(&mut self, id: Id, event: &Event) {
        let (frame, topics) = (event.encode(Some(id)), each_once(event.topics()));
        let names = topics.iter().map(Topic::as_str);
        let before = self.encoder.bytes.len();
        let offset = self.encoder.event(id, (now(), self.passed), names, event.given_id(), Some(&frame));
        let given = event.given_id().map(Box::from);
        for topic in topics.iter().filter(|_| given.is_some()) {
            let key = (topic.clone(), given.clone().unwrap_or_default());
            self.by_given.insert(key, self.outcome.added.len());
        }
        let record_bytes = aligned(self.encoder.bytes.len() - before);
        let bytes = frame.len() + EVENT_OVERHEAD_BYTES;
        let row = Row { topics, given, bytes, record_bytes, is_retracted: false };
        self.outcome.dispatches.push(Dispatch::kept(event, id, frame.clone()));
        self.outcome.added.push(Added { id, offset, row, frame });
    }

    /// What is kept on a topic under this id of its publisher.
    fn kept_under(&mut self, given: &str, topic: &Topic) -> Result<Option<Frame>, Fault> {
        if !self.by_given.is_empty()
            && let Some(&position) = self.by_given.get(&(topic.clone(), given.into()))
        {
            return Ok(Some(self.outcome.added[position].frame.clone()));
        }
        let found = self.index.given_on(topic, given);
        let Some(place) = found.and_then(|id| self.index.place(id)) else { return Ok(None) };
        let (event, _) = event_at(&mut self.window, &place.segment, place.offset, PIECE_BYTES)?;
        // Two that are alike only by their hashes are not the same.
        let is_it = event.given == Some(given) && event.topics().any(|name| name == topic.as_str());
        Ok(event.frame.filter(|_| is_it).map(Frame::from))
    }

    /// The event with this id on the wire, if it is kept on this topic.
    fn candidate(&mut self, topic: &Topic, asked: &str) -> Result<Option<Candidate>, Fault> {
        let is_it = |added: &&Added| {
            let is_asked = match &added.row.given {
                Some(given) => **given == *asked,
                None => Id::parse(asked) == Some(added.id),
            };
            is_asked && added.row.topics.contains(topic) && !self.taken.contains(&added.id)
        };
        if let Some(added) = self.outcome.added.iter().find(is_it) {
            return Ok(Some(added.to_candidate()));
        }
        let given = self.index.given_on(topic, asked);
        let Some(id) = given.or_else(|| Id::parse(asked)) else { return Ok(None) };
        let is_on_topic = self.index.on(topic.as_str()).is_some_and(|list| list.binary_search(&id).is_ok());
        (is_on_topic && !self.taken.contains(&id)).then(|| self.read_candidate(id)).transpose()
    }

    /// All events that are kept on this topic.
    fn candidates(&mut self, topic: &Topic) -> Result<Vec<Candidate>, Fault> {
        let listed = self.index.on(topic.as_str()).into_iter().flatten();
        let listed: Vec<Id> = listed.filter(|id| !self.taken.contains(id)).copied().collect();
        let mut candidates: Vec<Candidate> =
            listed.into_iter().map(|id| self.read_candidate(id)).collect::<Result<_, _>>()?;
        let is_it = |added: &&Added| added.row.topics.contains(topic) && !self.taken.contains(&added.id);
        candidates.extend(self.outcome.added.iter().filter(is_it).map(Added::to_candidate));
        Ok(candidates)
    }

    fn read_candidate(&mut self, id: Id) -> Result<Candidate, Fault> {
        let place =
            self.index.place(id).ok_or_else(|| Fault("an event that is listed has no place".into()))?;
        let (event, _) = event_at(&mut self.window, &place.segment, place.offset, PIECE_BYTES)?;
        // Those topics that have lost it are not told.
        let lists = |topic: &&str| self.index.on(topic).is_some_and(|list| list.binary_search(&id).is_ok());
        let topics = event.topics().filter(lists).filter_map(|topic| Topic::kept(topic).ok()).collect();
        Ok(Candidate::new(id, event.given, topics, event.frame.unwrap_or_default()))
    }
}

impl Added {
    fn to_candidate(&self) -> Candidate {
        Candidate::new(self.id, self.row.given.as_deref(), self.row.topics.to_vec(), &self.frame)
    }
}
