//! The thread that writes: it numbers events, commits them together, hands them to the hub and
//! acknowledges them, in that order.

use super::file::Opener;
use super::guard::guarded;
use super::tables::Writing;
use super::{Durability, Fault, NAME, Shared, Stock};
use crate::error::Error;
use crate::event::{Event, Frame, Id};
use crate::history::{Bounds, Receipt, next_id};
use crate::hub::{Dispatch, Hub};
use crossbeam_channel::{Receiver, RecvTimeoutError};
use redb::Database;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// The most events, and about the most bytes of data, that share a commit.
const COMMIT_EVENTS: usize = 1024;
const COMMIT_BYTES: usize = 1024 * 1024;

/// The most events that are trimmed in one commit beyond twice what it adds.
const TRIM_EVENTS: usize = 256;

/// With [`Durability::Relaxed`], how long an acknowledged event may be missing on disk.
const RELAXED: Duration = Duration::from_millis(100);

/// How often a quiet history looks for what has grown too old.
const TIDY: Duration = Duration::from_secs(60);

/// How often a store that failed is opened anew.
const REOPEN: Duration = Duration::from_secs(1);

/// Ids that are left out at a start, in nanoseconds: more than may have been given and lost.
const START_SKIP: u64 = 1_000_000_000;

/// What is wrong when the store panics.
const DAMAGED: &str = "the history's file is damaged (its pages contradict each other)";

/// What the thread can be told.
pub(super) enum Message {
    Publish(Publication),
    /// Put everything on disk, close the store, and say so.
    Close(Arc<OnceLock<()>>),
}

/// An event that wants to be kept, and where the answer goes.
pub(super) struct Publication {
    pub(super) event: Event,
    pub(super) answer: Arc<OnceLock<Result<Receipt, Error>>>,
}

/// What became of a publication in a commit.
struct Outcome {
    receipt: Receipt,
    /// What the hub is handed; nothing for a duplicate.
    dispatch: Option<Dispatch>,
}

pub(super) struct Writer {
    opener: Opener,
    bounds: Bounds,
    durability: Durability,
    shared: Arc<Shared>,
    /// The newest id that was given, kept or not: none is used twice.
    given: Id,
    /// What is committed but not yet on disk, since when.
    unsaved_since: Option<Instant>,
    /// When to open a store that failed; never, once it was closed.
    reopen_at: Option<Instant>,
}

impl Writer {
    pub(super) fn new(opener: Opener, bounds: Bounds, durability: Durability, shared: Arc<Shared>) -> Writer {
        let given = Id::default();
        Writer { opener, bounds, durability, shared, given, unsaved_since: None, reopen_at: None }
    }

    /// Opens the store for the first time and gives the newest id there is.
    pub(super) fn open_first(&mut self) -> Result<Id, String> {
        // Handed over before it is used: from there it is closed with care, also when this fails.
        *self.shared.database.write() = Some((self.opener)()?);
        let stock = match &*self.shared.database.read() {
            Some(database) => write(database, redb::Durability::Immediate, |tables| {
                if tables.stock.last == Id::default() {
                    // An empty history knows nothing of what was before it.
                    let birth = next_id(Id::default());
                    tables.stock = Stock { last: birth, trimmed: birth, oldest: birth, ..tables.stock };
                }
                Ok(())
            }),
            None => unreachable!("it was handed over just now"),
        };
        let (stock, ()) = stock.map_err(|fault| format!("failed to write `{NAME}`: {}", fault.0))?;
        self.given = Id(stock.last.0 + START_SKIP);
        let mut view = self.shared.view.lock();
        view.stock = stock;
        view.handed = stock.last;
        Ok(stock.last)
    }

    pub(super) fn run(mut self, inbox: &Receiver<Message>, hub: &Hub) {
        loop {
            match inbox.recv_timeout(self.pause()) {
                Ok(Message::Publish(first)) => {
                    let (publications, close) = gather(first, inbox);
                    self.publish(publications, hub);
                    close.into_iter().for_each(|closed| self.close(&closed));
                }
                Ok(Message::Close(closed)) => self.close(&closed),
                Err(RecvTimeoutError::Timeout) => {}
                // Nobody is left who could publish.
                Err(RecvTimeoutError::Disconnected) => return self.close(&OnceLock::new()),
            }
            self.tidy();
        }
    }

    /// How long there is nothing to do but to wait for a message.
    fn pause(&self) -> Duration {
        if let Some(reopen_at) = self.reopen_at {
            return reopen_at.saturating_duration_since(Instant::now());
        }
        match self.unsaved_since {
            Some(since) => RELAXED.saturating_sub(since.elapsed()),
            None if self.wants_trim() => Duration::ZERO,
            None => TIDY,
        }
    }

    fn publish(&mut self, publications: Vec<Publication>, hub: &Hub) {
        let events: Vec<&Event> = publications.iter().map(|publication| &publication.event).collect();
        let durability = match self.durability {
            Durability::Strict => redb::Durability::Immediate,
            Durability::Relaxed => redb::Durability::None,
        };
        match self.commit(&events, durability) {
            Ok(outcomes) => {
                // Committed, then broadcast, then acknowledged: whoever has the answer and asks for what
                // comes next is not given this.
                for dispatch in outcomes.iter().filter_map(|outcome| outcome.dispatch.clone()) {
                    hub.broadcast(dispatch);
                }
                let newest = outcomes.iter().rev().find_map(|outcome| outcome.dispatch.as_ref()?.id);
                if let Some(newest) = newest {
                    self.shared.view.lock().handed = newest;
                }
                for (publication, outcome) in publications.iter().zip(outcomes) {
                    answer(publication, Ok(outcome.receipt));
                }
            }
            Err(fault) => {
                self.fail(&fault);
                let error = Error::Unavailable(format!("it could not be kept, try again later: {}", fault.0));
                publications.iter().for_each(|publication| answer(publication, Err(error.clone())));
            }
        }
    }

    /// Writes what is unsaved for too long, trims what is too old, opens what had failed.
    fn tidy(&mut self) {
        if self.reopen_at.is_some_and(|at| Instant::now() >= at) {
            self.reopen();
        }
        let is_due = self.unsaved_since.is_some_and(|since| since.elapsed() >= RELAXED);
        if (is_due || self.wants_trim())
            && self.shared.database.read().is_some()
            && let Err(fault) = self.commit(&[], redb::Durability::Immediate)
        {
            self.fail(&fault);
        }
    }

    /// The last thing before the process ends.
    fn close(&mut self, closed: &OnceLock<()>) {
        if self.unsaved_since.is_some()
            && let Err(fault) = self.commit(&[], redb::Durability::Immediate)
        {
            log::error!("failed to write the last events: {}", fault.0);
        }
        self.shared.close();
        self.shared.view.lock().failure = Some("the server is stopping".into());
        self.reopen_at = None;
        // It is asked once.
        let _ = closed.set(());
    }

    fn wants_trim(&self) -> bool {
        self.shared.view.lock().stock.wants_trim(self.bounds)
    }

    fn commit(&mut self, events: &[&Event], durability: redb::Durability) -> Result<Vec<Outcome>, Fault> {
        let began = Instant::now();
        let database = self.shared.database.read();
        let Some(database) = &*database else {
            return Err(Fault(self.shared.view.lock().failure.clone().unwrap_or_default()));
        };
        let given = &mut self.given;
        let trim_max = 2 * events.len() + TRIM_EVENTS;
        let (stock, outcomes) = write(database, durability, |tables| {
            let mut outcomes = Vec::with_capacity(events.len());
            for event in events {
                outcomes.push(keep(tables, event, given)?);
            }
            tables.trim(self.bounds, trim_max)?;
            Ok(outcomes)
        })?;
        self.unsaved_since = match durability {
            redb::Durability::None => self.unsaved_since.or(Some(began)),
            _ => None,
        };
        let mut view = self.shared.view.lock();
        view.stock = stock;
        if !events.is_empty() {
            view.commit = Some(began.elapsed());
        }
        Ok(outcomes)
    }

    /// After a failure the store has to be opened anew. Until that works, publishing is refused.
    fn fail(&mut self, fault: &Fault) {
        // A statement of its own: who reads takes the view's lock while holding the store's, so the store
        // must not be waited for under it.
        let known = self.shared.view.lock().failure.replace(fault.0.clone());
        if known.as_ref() != Some(&fault.0) {
            log::error!("the history cannot be written, publishing is refused until it can: {}", fault.0);
        }
        self.unsaved_since = None;
        if self.shared.close() {
            // At once: what is going to be refused should be gone from the disk before anybody is told.
            self.reopen();
        }
    }

    /// What was refused may have reached the disk all the same; it must not appear later.
    fn reopen(&mut self) {
        self.reopen_at = Some(Instant::now() + REOPEN);
        let handed = self.shared.view.lock().handed;
        let opened = guarded(|| {
            let database = (self.opener)()?;
            let cut = write(&database, redb::Durability::Immediate, |tables| tables.cut_back(handed));
            cut.map(|(stock, ())| (database, stock)).map_err(|fault| fault.0)
        });
        match opened.unwrap_or_else(|| Err(DAMAGED.into())) {
            Ok((database, stock)) => {
                log::warn!("the history can be written again");
                let mut view = self.shared.view.lock();
                view.stock = stock;
                view.failure = None;
                drop(view);
                *self.shared.database.write() = Some(database);
                self.reopen_at = None;
            }
            Err(failure) => self.shared.view.lock().failure = Some(failure),
        }
    }
}

/// Takes what else is waiting already, up to a request to close. No timer: while one commit is being
/// written, the next events gather by themselves.
fn gather(first: Publication, inbox: &Receiver<Message>) -> (Vec<Publication>, Option<Arc<OnceLock<()>>>) {
    let mut bytes = first.event.data().len();
    let mut publications = vec![first];
    while publications.len() < COMMIT_EVENTS
        && bytes < COMMIT_BYTES
        && let Ok(message) = inbox.try_recv()
    {
        match message {
            Message::Publish(publication) => {
                bytes += publication.event.data().len();
                publications.push(publication);
            }
            Message::Close(closed) => return (publications, Some(closed)),
        }
    }
    (publications, None)
}

/// One transaction. A panic of the store is a fault like others.
fn write<T>(
    database: &Database,
    durability: redb::Durability,
    act: impl FnOnce(&mut Writing) -> Result<T, redb::Error>,
) -> Result<(Stock, T), Fault> {
    let written = guarded(|| -> Result<(Stock, T), redb::Error> {
        let mut txn = database.begin_write()?;
        txn.set_durability(durability)?;
        let mut tables = Writing::open(&txn)?;
        let value = act(&mut tables)?;
        let stock = tables.finish()?;
        txn.commit()?;
        Ok((stock, value))
    });
    match written {
        Some(result) => Ok(result?),
        None => Err(Fault(DAMAGED.into())),
    }
}

/// Keeps one event under the next id, or finds that it is kept already.
fn keep(tables: &mut Writing, event: &Event, given: &mut Id) -> Result<Outcome, redb::Error> {
    if let Some(id) = event.given_id()
        && tables.find_given(id, event.topics())?.is_some()
    {
        return Ok(Outcome { receipt: Receipt { id: id.to_owned(), duplicate: true }, dispatch: None });
    }
    *given = next_id(*given);
    let id = *given;
    let frame: Frame = event.encode(Some(id));
    tables.keep(id, event, &frame)?;
    let receipt =
        Receipt { id: event.given_id().map_or_else(|| id.to_string(), str::to_owned), duplicate: false };
    Ok(Outcome { receipt, dispatch: Some(Dispatch { id: Some(id), topics: event.topics().clone(), frame }) })
}

fn answer(publication: &Publication, answer: Result<Receipt, Error>) {
    // It is set once, here.
    let _ = publication.answer.set(answer);
}
