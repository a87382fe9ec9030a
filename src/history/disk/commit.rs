//! What is done in one transaction that publishes and retracts.

use super::inbox::{Answers, Jobs, Retraction};
use super::writing::Writing;
use crate::error::Error;
use crate::event::{Event, Frame, Id};
use crate::history::retract::{self, Plan};
use crate::history::{Receipt, Retracted, next_id};
use crate::hub::Dispatch;
use std::time::SystemTime;

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
    /// Keeps an event under the next id, or finds that it is kept already.
    fn publish(&mut self, event: &Event) -> Result<Receipt, redb::Error> {
        if let Some(id) = event.given_id()
            && self.tables.find_given(id, event.topics())?.is_some()
        {
            return Ok(Receipt { id: id.to_owned(), duplicate: true });
        }
        let id = self.append(event)?;
        let id = event.given_id().map_or_else(|| id.to_string(), str::to_owned);
        Ok(Receipt { id, duplicate: false })
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
        let Plan { taken, count, events } = match plan {
            Ok(plan) => plan,
            Err(error) => return Ok(Err(error)),
        };
        self.tables.retract(&taken)?;
        let mut newest = None;
        for event in &events {
            newest = Some(self.append(event)?);
        }
        Ok(Ok(Retracted { count, id: newest.map(|id| id.to_string()) }))
    }

    fn append(&mut self, event: &Event) -> Result<Id, redb::Error> {
        let now = SystemTime::now();
        *self.given = next_id(*self.given, now);
        let id = *self.given;
        let frame: Frame = event.encode(Some(id));
        self.tables.insert(id, now, event, &frame)?;
        self.dispatches.push(Dispatch::kept(event, id, frame));
        Ok(id)
    }
}
