//! The thread that writes. Jobs that are waiting at one moment share a commit, and are answered after it.

use super::{LAYOUT, posts};
use crate::disk::{Opener, Store, StoreWriter};
use crate::error::Error;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use redb::{Durability, WriteTransaction};
use std::sync::Arc;

/// The most jobs that share a commit. The rest shares the next one.
const COMMIT_JOBS: usize = 256;

/// What the thread can be told.
pub(super) enum Message {
    Do(Box<dyn Job>),
    /// Writes everything to disk, closes the store, and answers.
    Close(Sender<()>),
}

/// Something to be written, for a caller that waits.
pub(super) trait Job: Send {
    /// [`Durability::Immediate`]: the job is on disk when it is answered. [`Durability::None`]: it reaches the
    /// disk with the next commit that does, and can be lost as a whole before that.
    fn durability(&self) -> Durability;

    /// Does the job, in a transaction that other jobs may share.
    fn act(&mut self, txn: &WriteTransaction) -> Result<(), redb::Error>;

    /// Answers the caller after the commit, or with the reason why there was none.
    fn answer(self: Box<Self>, committed: Result<(), Error>);
}

pub(super) struct Writer {
    file: StoreWriter,
    /// Holds one message at most: there may be events that were not handled.
    bell: Sender<()>,
}

impl Writer {
    /// Opens the store, and gives it to readers too. The error is for the operator.
    pub(super) fn open(opener: Opener, bell: Sender<()>) -> Result<(Writer, Arc<Store>), String> {
        let file = StoreWriter::open(opener, &LAYOUT, LAYOUT.lay_out)?;
        let store = file.store();
        let writer = Writer { file, bell };
        writer.ring();
        Ok((writer, store))
    }

    pub(super) fn run(mut self, inbox: &Receiver<Message>) {
        loop {
            let message = match self.file.try_again_at() {
                None => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(at) => inbox.recv_deadline(at),
            };
            match message {
                Ok(Message::Do(first)) => {
                    let (jobs, close) = gather(first, inbox);
                    self.write(jobs);
                    if let Some(closed) = close {
                        return self.close(Some(&closed));
                    }
                }
                Ok(Message::Close(closed)) => return self.close(Some(&closed)),
                Err(RecvTimeoutError::Timeout) => self.try_again(),
                // Every handle is gone, so no job can come.
                Err(RecvTimeoutError::Disconnected) => return self.close(None),
            }
        }
    }

    fn write(&mut self, mut jobs: Vec<Box<dyn Job>>) {
        self.try_again();
        let is_durable = jobs.iter().any(|job| matches!(job.durability(), Durability::Immediate));
        let durability = if is_durable { Durability::Immediate } else { Durability::None };
        let committed = self.commit(&mut jobs, durability).map_err(|failure| {
            Error::unavailable(format!("nothing was written, try again later: {failure}"))
        });
        jobs.into_iter().for_each(|job| job.answer(committed.clone()));
    }

    fn commit(&mut self, jobs: &mut [Box<dyn Job>], durability: Durability) -> Result<(), String> {
        let newest = self.file.write(durability, |txn| {
            jobs.iter_mut().try_for_each(|job| job.act(txn))?;
            posts::newest_event(txn)
        })?;
        if std::mem::replace(&mut self.file.acknowledged, newest) < newest {
            self.ring();
        }
        Ok(())
    }

    /// After a failure, tries whether writing works again. If so, events whose handling had not reached the
    /// disk have to be handled again.
    fn try_again(&mut self) {
        if self.file.try_again() {
            self.ring();
        }
    }

    fn ring(&self) {
        // If the bell is full, its receiver is about to look anyway.
        let _ = self.bell.try_send(());
    }

    /// The last act before the process ends.
    fn close(&mut self, closed: Option<&Sender<()>>) {
        // An empty commit, but a durable one: it puts on disk what the feeds have not put there yet.
        if let Err(failure) = self.commit(&mut [], Durability::Immediate) {
            log::error!("failed to write the feeds, the next start will bring them up to date: {failure}");
        }
        self.file.close();
        // The caller may have given up waiting.
        closed.map(|closed| closed.send(()));
    }
}

/// Takes the jobs that are waiting already, up to a message to close. There is no timer: while one commit is
/// being written, the jobs for the next one gather by themselves.
fn gather(first: Box<dyn Job>, inbox: &Receiver<Message>) -> (Vec<Box<dyn Job>>, Option<Sender<()>>) {
    let mut jobs = vec![first];
    while jobs.len() < COMMIT_JOBS
        && let Ok(message) = inbox.try_recv()
    {
        match message {
            Message::Do(job) => jobs.push(job),
            Message::Close(closed) => return (jobs, Some(closed)),
        }
    }
    (jobs, None)
}
