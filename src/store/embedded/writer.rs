//! The thread that writes: what is there at one moment shares a commit, and is acknowledged after it.

use super::posts::{self, cut_back};
use super::tables::lay_out;
use super::{NAME, Shared};
use crate::disk::{self, DAMAGED, Fault, Opener, guarded};
use crate::error::Error;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use redb::{Database, Durability, ReadableDatabase, WriteTransaction};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The most jobs that share a commit.
const COMMIT_JOBS: usize = 256;

/// How long writing is refused after a failure, until it is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(1);

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
    opener: Opener,
    shared: Arc<Shared>,
    /// Holds one word at most: there may be events that were not handled.
    bell: Sender<()>,
    /// The newest event that was acknowledged.
    acknowledged: u64,
    /// After a failure, when to try again; until then writing is refused without trying.
    try_again_at: Option<Instant>,
    /// A failure was logged, and that it is over was not.
    is_down: bool,
}

impl Writer {
    /// Opens the store. The error is for the operator.
    pub(super) fn open(opener: Opener, shared: Arc<Shared>, bell: Sender<()>) -> Result<Writer, String> {
        // Handed over before it is used: from there it is closed with care, also when this fails.
        *shared.database.write() = Some(opener()?);
        let acknowledged = match &*shared.database.read() {
            Some(database) => disk::write(database, Durability::Immediate, |txn| {
                lay_out(txn)?;
                posts::newest(txn)
            }),
            None => unreachable!("it was handed over just now"),
        };
        let acknowledged = acknowledged.map_err(|fault| format!("failed to write `{NAME}`: {}", fault.0))?;
        let writer = Writer { opener, shared, bell, acknowledged, try_again_at: None, is_down: false };
        writer.ring();
        Ok(writer)
    }

    pub(super) fn run(mut self, inbox: &Receiver<Message>) {
        loop {
            let message = match self.try_again_at {
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
        if self.try_again_at.is_some_and(|at| Instant::now() >= at) {
            self.try_again();
        }
        let committed = match self.try_again_at {
            Some(_) => Err(self.refusal()),
            None => self.commit(&mut jobs).map_err(|fault| {
                self.fail(&fault);
                self.refusal()
            }),
        };
        jobs.into_iter().for_each(|job| job.answer(committed.clone()));
    }

    fn commit(&mut self, jobs: &mut [Box<dyn Job>]) -> Result<(), Fault> {
        let is_strict = jobs.is_empty() || jobs.iter().any(|job| job.is_strict());
        let durability = if is_strict { Durability::Immediate } else { Durability::None };
        let database = self.shared.database.read();
        let Some(database) = &*database else { return Err(Fault("the store is closed".into())) };
        let newest = disk::write(database, durability, |txn| {
            for job in jobs {
                job.act(txn)?;
            }
            posts::newest(txn)
        })?;
        if std::mem::replace(&mut self.acknowledged, newest) < newest {
            self.ring();
        }
        if std::mem::take(&mut self.is_down) {
            log::warn!("the posts are written again");
        }
        *self.shared.failure.lock() = None;
        Ok(())
    }

    fn ring(&self) {
        // Full means that the listener is about to look anyway.
        let _ = self.bell.try_send(());
    }

    /// After a failure the store has to be opened anew before anything else can be read or written.
    fn fail(&mut self, fault: &Fault) {
        if !std::mem::replace(&mut self.is_down, true) {
            log::error!("the posts cannot be written, and are refused until they can: {}", fault.0);
        }
        *self.shared.failure.lock() = Some(fault.0.clone());
        self.shared.close();
        // At once: what is going to be refused should be gone from the disk before anybody is told, and
        // whoever reads should not have to wait.
        self.reopen();
        self.try_again_at = Some(Instant::now() + TRY_AGAIN);
    }

    /// Opens the store if that failed, and writes, to see whether the failure is over.
    fn try_again(&mut self) {
        self.try_again_at = Some(Instant::now() + TRY_AGAIN);
        let is_open = self.shared.database.read().is_some();
        if is_open || self.reopen() {
            match self.commit(&mut []) {
                Ok(()) => {
                    self.try_again_at = None;
                    // What was not on disk yet has to be handled again.
                    self.ring();
                }
                Err(fault) => self.fail(&fault),
            }
        }
    }

    /// Opens the store anew and says whether it could. What was refused may have reached the disk all the
    /// same; it must not appear later.
    fn reopen(&mut self) -> bool {
        let acknowledged = self.acknowledged;
        let opened = guarded(|| -> Result<Database, String> {
            let database = (self.opener)()?;
            let newest = database.begin_read().map_err(redb::Error::from).and_then(|txn| posts::last(&txn));
            if newest.map_err(|error| error.to_string())? > acknowledged {
                disk::write(&database, Durability::Immediate, |txn| cut_back(txn, acknowledged))
                    .map_err(|fault| fault.0)?;
            }
            Ok(database)
        });
        match opened.unwrap_or_else(|| Err(DAMAGED.into())) {
            Ok(database) => *self.shared.database.write() = Some(database),
            Err(failure) => {
                *self.shared.failure.lock() = Some(failure);
                return false;
            }
        }
        true
    }

    fn refusal(&self) -> Error {
        let failure = self.shared.failure.lock().clone().unwrap_or_default();
        Error::Unavailable(format!("it could not be kept, try again later: {failure}"))
    }

    /// The last thing before the process ends.
    fn close(&mut self, closed: Option<&Sender<()>>) {
        if self.try_again_at.is_some() {
            // What was refused may still be on the disk.
            self.reopen();
        } else if let Err(fault) = self.commit(&mut []) {
            log::error!("failed to write the feeds, the next start will bring them up to date: {}", fault.0);
        }
        self.shared.close();
        *self.shared.failure.lock() = Some("the server is stopping".into());
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
