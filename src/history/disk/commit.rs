//! What is done in one transaction that publishes and retracts.

use super::inbox::{Answers, Jobs, Retraction};
use super::writing::Writing;
use crate::error::Error;
use crate::event::{Event, Frame, Id};
use crate::history::given;
use crate::history::retract::{self, Plan};
use crate::history::{Receipt, Retracted, next_id, now};
use crate::hub::Dispatch;

/// What a commit has done.
#[derive(Default)]
pub(super) struct Outcome {
    /// For the callers who wait for it.
    pub(super) answers: Answers,
    /// For the hub, in the order of their ids.
    pub(super) dispatches: Vec<Dispatch>,
}

/// Does all jobs of a commit. The callers of one commit all came at the same time, so any order of their jobs is
/// one in which they may have come. `given` is the newest id that was given.
pub(super) fn carry_out(tables: &mut Writing, jobs: &Jobs, given: &mut Id) -> Result<Outcome, redb::Error> {
    let mut commit = Commit { tables, given, dispatches: Vec::new() };
    let receipts = jobs.events.iter().map(|event| commit.publish(event)).collect::<Result<_, _>>()?;
    let retracted = jobs.retractions.iter().map(|retraction| commit.retract(retraction));
    let retracted = retracted.collect::<Result<_, _>>()?;
    Ok(Outcome { answers: Answers { receipts, retracted }, dispatches: commit.dispatches })
}

struct Commit<'a, 'txn> {
    tables: &'a mut Writing<'txn>,
    given: &'a mut Id,
    dispatches: Vec<Dispatch>,
}

impl Commit<'_, '_> {
    /// Keeps an event under the next id, or finds that it is kept already. The inner error is for the caller:
    /// nothing was done.
    fn publish(&mut self, event: &Event) -> Result<Result<Receipt, Error>, redb::Error> {
        if let Some(given) = event.given_id() {
            let kept = event.topics().iter().map(|topic| self.tables.kept_under(given, topic));
            let kept: Vec<Option<Vec<u8>>> = kept.collect::<Result<_, _>>()?;
            if let Some(answer) = given::published_before(event, given, &kept).transpose() {
                return Ok(answer);
            }
        }
        let id = match self.number() {
            Ok(id) => id,
            Err(error) => return Ok(Err(error)),
        };
        self.append(id, event)?;
        let id = event.given_id().map_or_else(|| id.to_string(), str::to_owned);
        Ok(Ok(Receipt { id, duplicate: false }))
    }

    /// Takes events back and keeps the `retract` events that tell so. The inner error is for the caller: nothing
    /// was done.
    fn retract(
        &mut self,
        Retraction { topic, id }: &Retraction,
    ) -> Result<Result<Retracted, Error>, redb::Error> {
        let plan = match id {
            Some(asked) => retract::one(topic, self.tables.candidate(topic, asked)?),
            None => Ok(retract::all(topic, self.tables.candidates(topic)?)),
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
        self.tables.retract(&taken)?;
        for (&id, event) in ids.iter().zip(&events) {
            self.append(id, event)?;
        }
        Ok(Ok(Retracted { count, id: ids.last().map(Id::to_string) }))
    }

    fn number(&mut self) -> Result<Id, Error> {
        *self.given = next_id(*self.given, now())?;
        Ok(*self.given)
    }

    fn append(&mut self, id: Id, event: &Event) -> Result<(), redb::Error> {
        let frame: Frame = event.encode(Some(id));
        self.tables.insert(id, now(), event, &frame)?;
        self.dispatches.push(Dispatch::kept(event, id, frame));
        Ok(())
    }
}
