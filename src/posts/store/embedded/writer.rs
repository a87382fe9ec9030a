//! The thread that writes: what is there at one moment shares a commit, and is acknowledged after it.

use super::{LAYOUT, posts};
use crate::disk::{Opener, Store, StoreWriter};
use crate::error::Error;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use redb::{Durability, WriteTransaction};
use std::sync::Arc;

/// The most jobs that share a commit.
const COMMIT_JOBS: usize = 256;

/// What the thread can be told.
pub(super) enum Message {
    Do(Box<dyn Job>),
    /// Put everything on disk, close the store, and say so.
    Close(Sender<()>),
}

/// Something to be written, and whoever waits for it.
pub(super) trait Job: Send {
    /// Whether it has to be on disk when it is answered. What is not is there with the next commit that is,
    /// or was never done.
    fn is_strict(&self) -> bool;

    /// Does it, in a transaction that others may share.
    fn act(&mut self, txn: &WriteTransaction) -> Result<(), redb::Error>;

    /// Tells what became of it: after the commit, or with the reason for which there was none.
    fn answer(self: Box<Self>, committed: Result<(), Error>);
}

pub(super) struct Writer {
    file: StoreWriter,
    /// Holds one word at most: there may be events that were not handled.
    bell: Sender<()>,
}

impl Writer {
    /// Opens the store, which others may read. The error is for the operator.
    pub(super) fn open(opener: Opener, bell: Sender<()>) -> Result<(Writer, Arc<Store>), String> {
        let (mut file, acknowledged) = StoreWriter::open(opener, &LAYOUT, |txn| {
            (LAYOUT.lay_out)(txn)?;
            posts::newest(txn)
        })?;
        file.acknowledged = acknowledged;
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
                // Nobody is left who could write.
                Err(RecvTimeoutError::Disconnected) => return self.close(None),
            }
        }
    }

    fn write(&mut self, mut jobs: Vec<Box<dyn Job>>) {
        self.try_again();
        let is_strict = jobs.iter().any(|job| job.is_strict());
        let committed = self.commit(&mut jobs, is_strict).map_err(|failure| {
            Error::Unavailable(format!("it could not be kept, try again later: {failure}"))
        });
        jobs.into_iter().for_each(|job| job.answer(committed.clone()));
    }

    fn commit(&mut self, jobs: &mut [Box<dyn Job>], is_strict: bool) -> Result<(), String> {
        let durability = if is_strict { Durability::Immediate } else { Durability::None };
        let newest = self.file.write(durability, |txn| {
            jobs.iter_mut().try_for_each(|job| job.act(txn))?;
            posts::newest(txn)
        })?;
        if std::mem::replace(&mut self.file.acknowledged, newest) < newest {
            self.ring();
        }
        Ok(())
    }

    /// After a failure, looks whether it is over; then what was not on disk has to be handled again.
    fn try_again(&mut self) {
        if self.file.try_again() {
            self.ring();
        }
    }

    fn ring(&self) {
        // Full means that the listener is about to look anyway.
        let _ = self.bell.try_send(());
    }

    /// The last thing before the process ends.
    fn close(&mut self, closed: Option<&Sender<()>>) {
        // What was written to the feeds may not be on disk.
        if let Err(failure) = self.commit(&mut [], true) {
            log::error!("failed to write the feeds, the next start will bring them up to date: {failure}");
        }
        self.file.close();
        // Whoever asked may have given up waiting.
        closed.map(|closed| closed.send(()));
    }
}

/// Takes what else is waiting already, up to a request to close. No timer: while one commit is being
/// written, the next jobs gather by themselves.
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
