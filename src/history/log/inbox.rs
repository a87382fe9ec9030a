//! Where events and retractions wait for the commit that they are going to share.
//!
//! While one commit is being written the next jobs gather here. All callers of a commit wait for one answer, so
//! that the thread that writes makes one system call for it and not one for each of them.

use crate::error::Error;
use crate::event::Event;
use crate::history::{Receipt, Retracted};
use crate::topic::Topic;
use parking_lot::{Condvar, Mutex};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// The most jobs, and about the most bytes of data, that share a commit. While so many are waiting, a caller
/// with one more waits too.
const COMMIT_JOBS: usize = 1024;
const COMMIT_BYTES: usize = 1024 * 1024;

/// What there is to do in a commit.
#[derive(Default)]
pub(super) struct Jobs {
    pub(super) events: Vec<Event>,
    pub(super) retractions: Vec<Retraction>,
}

/// What is to be taken back: the event with this id on the wire, or all of the topic.
pub(super) struct Retraction {
    pub(super) topic: Topic,
    pub(super) id: Option<String>,
}

impl Jobs {
    pub(super) fn len(&self) -> usize {
        self.events.len() + self.retractions.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What became of the jobs, in their order.
#[derive(Default)]
pub(super) struct Answers {
    pub(super) receipts: Vec<Result<Receipt, Error>>,
    pub(super) retracted: Vec<Result<Retracted, Error>>,
}

/// The way to the thread that writes.
#[derive(Default)]
pub(super) struct Inbox {
    waiting: Mutex<Waiting>,
    /// There is a job for the thread that writes.
    filled: Condvar,
    /// The thread that writes took a full batch.
    emptied: Condvar,
}

#[derive(Default)]
struct Waiting {
    batch: Batch,
    is_closed: bool,
}

/// Jobs that share a commit, and where all callers get their answers.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) jobs: Jobs,
    bytes: usize,
    answers: Arc<OnceLock<Result<Answers, Error>>>,
}

impl Inbox {
    /// Hands an event over and waits for what becomes of it.
    pub(super) fn publish(&self, event: Event) -> Result<Receipt, Error> {
        let put = |batch: &mut Batch| {
            batch.bytes += event.data().len();
            batch.jobs.events.push(event);
            batch.jobs.events.len() - 1
        };
        self.submit(put, |answers, index| answers.receipts[index].clone())
    }

    /// Hands events over, which share a commit, and waits for what becomes of each.
    pub(super) fn publish_all(&self, events: Vec<Event>) -> Vec<Result<Receipt, Error>> {
        let count = events.len();
        if count == 0 {
            return Vec::new();
        }
        let put = |batch: &mut Batch| {
            batch.bytes += events.iter().map(|event| event.data().len()).sum::<usize>();
            let first = batch.jobs.events.len();
            batch.jobs.events.extend(events);
            first
        };
        let receipts = self.submit(put, |answers, first| Ok(answers.receipts[first..first + count].to_vec()));
        receipts.unwrap_or_else(|error| vec![Err(error); count])
    }

    /// Hands a retraction over and waits for what becomes of it.
    pub(super) fn retract(&self, retraction: Retraction) -> Result<Retracted, Error> {
        let put = |batch: &mut Batch| {
            batch.jobs.retractions.push(retraction);
            batch.jobs.retractions.len() - 1
        };
        self.submit(put, |answers, index| answers.retracted[index].clone())
    }

    /// Puts a job in the batch, which gives its index there, and waits for its answer.
    fn submit<T>(
        &self,
        put: impl FnOnce(&mut Batch) -> usize,
        answer: impl FnOnce(&Answers, usize) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut waiting = self.waiting.lock();
        self.emptied.wait_while(&mut waiting, |waiting| waiting.batch.is_full() && !waiting.is_closed);
        if waiting.is_closed {
            return Err(Error::unavailable("the server is stopping"));
        }
        let batch = &mut waiting.batch;
        let is_first = batch.jobs.is_empty();
        let index = put(batch);
        let answers = batch.answers.clone();
        drop(waiting);
        if is_first {
            self.filled.notify_one();
        }
        answers.wait().as_ref().map_err(Error::clone).and_then(|answers| answer(answers, index))
    }

    /// Takes nothing more. What is there already is still written.
    pub(super) fn close(&self) {
        self.waiting.lock().is_closed = true;
        self.filled.notify_one();
        self.emptied.notify_all();
    }

    /// Takes nothing more, and answers the callers that wait: the thread that writes has ended.
    pub(super) fn abandon(&self) {
        self.close();
        // Dropping the batch answers its callers.
        drop(std::mem::take(&mut self.waiting.lock().batch));
    }

    /// Takes what is there; waits for it, but not longer than `pause`, after which there may be nothing.
    /// None when nothing will ever come.
    pub(super) fn take(&self, pause: Duration) -> Option<Batch> {
        let mut waiting = self.waiting.lock();
        let is_quiet = |waiting: &mut Waiting| waiting.batch.jobs.is_empty() && !waiting.is_closed;
        self.filled.wait_while_for(&mut waiting, is_quiet, pause);
        if waiting.batch.jobs.is_empty() && waiting.is_closed {
            return None;
        }
        let batch = std::mem::take(&mut waiting.batch);
        drop(waiting);
        if batch.is_full() {
            self.emptied.notify_all();
        }
        Some(batch)
    }
}

impl Batch {
    fn is_full(&self) -> bool {
        self.jobs.len() >= COMMIT_JOBS || self.bytes >= COMMIT_BYTES
    }

    /// Answers all callers.
    pub(super) fn answer(self, answers: Result<Answers, Error>) {
        // They are set only once, since this takes the batch.
        let _ = self.answers.set(answers);
    }
}

/// After a panic of the thread that writes, a batch is dropped without answers. Its callers must not wait for ever.
impl Drop for Batch {
    fn drop(&mut self) {
        if self.answers.get().is_none() {
            // Nobody else sets them now.
            let _ = self.answers.set(Err(Error::unavailable("the history has failed")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::event::Draft;

    #[test]
    fn callers_are_answered_when_the_thread_that_writes_panics() {
        let inbox = Inbox::default();
        let publish = || {
            let topics = vec![Topic::new("t").unwrap()];
            inbox.publish(Event::new(Draft { topics, ..Draft::default() }).unwrap())
        };
        std::thread::scope(|scope| {
            let caller = scope.spawn(publish);
            while inbox.take(Duration::from_secs(1)).is_some_and(|batch| batch.jobs.is_empty()) {}
            assert!(
                matches!(caller.join().unwrap(), Err(error) if error.kind() == ErrorKind::Unavailable),
                "its batch was dropped"
            );
            let caller = scope.spawn(publish);
            inbox.abandon();
            assert!(
                matches!(caller.join().unwrap(), Err(error) if error.kind() == ErrorKind::Unavailable),
                "no batch will be taken"
            );
        });
    }
}
