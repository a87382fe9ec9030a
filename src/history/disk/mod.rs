//! The history on disk, on `redb`: what was acknowledged is there after a kill or a power cut.
//!
//! One thread (in `writer`) gives an event its id, commits it, hands it to the hub and acknowledges it. While that
//! thread waits for the disk the next events gather, and share the next commit. Readers read on their own threads,
//! from snapshots that no writing disturbs.
//!
//! When the disk fails, publishing is refused and nothing else stops: streams go on, new ones begin with what is
//! published next, and the store is opened again and again until it works.

mod commit;
mod inbox;
mod reading;
mod tables;
mod writer;
mod writing;

pub use crate::disk::Opener;

use super::{Bounds, Durability, History, Part, Receipt, Resume, Retracted, Start, Status, TopicStatus};
use crate::disk::{Layout, Store};
use crate::error::Error;
use crate::event::{Event, Id};
use crate::hub::Hub;
use crate::os::threads::Threads;
use crate::topic::Topic;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use inbox::{Inbox, Retraction};
use parking_lot::Mutex;
use reading::Reading;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tables::{FORMAT, TOTALS, Totals};
use writer::Writer;
use writing::Writing;

/// The file's name.
pub const NAME: &str = "history.redb";

static LAYOUT: Layout = Layout {
    name: NAME,
    what: "the history",
    anew: "an empty history",
    format: FORMAT,
    numbers: TOTALS,
    lay_out: |txn| Writing::run(txn, |_| Ok(())).map(drop),
    newest: |txn| Ok(Reading::open(txn)?.newest()?.key()),
    cut_back: |txn, last| Writing::run(txn, |tables| tables.cut_back(Id::from_key(last))).map(drop),
};

/// Opens the history's file in this directory, making both when they are missing.
pub fn opener(directory: PathBuf) -> Opener {
    crate::disk::opener(directory, &LAYOUT)
}

/// The handle to the thread that writes, which ends with the handle; and the way to read what is kept.
pub struct Disk {
    inbox: Arc<Inbox>,
    /// Disconnected when the thread has ended.
    ended: Receiver<()>,
    archive: Archive,
}

/// The way to read what is kept: beside a [`Disk`] that writes, or after the server has stopped.
#[derive(Clone)]
pub struct Archive {
    shared: Arc<Shared>,
}

/// What the writer shares with the readers.
struct Shared {
    store: Arc<Store>,
    view: Mutex<View>,
}

impl Shared {
    fn new(store: Arc<Store>, totals: Totals) -> Shared {
        Shared { store, view: Mutex::new(View { totals, handed: totals.last, commit: None }) }
    }
}

/// The totals as of the last commit. They can be read while the store cannot.
struct View {
    totals: Totals,
    /// The newest id that was handed to the hub.
    handed: Id,
    commit: Option<Duration>,
}

impl Disk {
    /// Opens the store and starts the thread, which feeds this hub. Fails, with a text for the operator, if the
    /// store cannot be opened.
    pub fn start(
        opener: Opener,
        hub: Hub,
        threads: &Threads,
        bounds: Bounds,
        durability: Durability,
    ) -> Result<Disk, String> {
        let (writer, shared) = Writer::open(opener, bounds, durability)?;
        hub.begin_after(shared.view.lock().handed);
        let inbox = Arc::new(Inbox::default());
        let (running, ended) = bounded(0);
        let own_inbox = inbox.clone();
        let spawned = threads.spawn_essential("history", move || {
            let (_running, _abandon): (Sender<()>, Abandon) = (running, Abandon(own_inbox.clone()));
            writer.run(&own_inbox, &hub);
        });
        spawned.map_err(|error| format!("failed to start the history's thread: {error}"))?;
        Ok(Disk { inbox, ended, archive: Archive { shared } })
    }
}

/// Answers those who wait for the thread that writes when it ends, also by a panic.
struct Abandon(Arc<Inbox>);

impl Drop for Abandon {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

impl Archive {
    /// Opens the store of a server that has stopped. The error is for the operator.
    pub fn open(opener: &Opener) -> Result<Archive, String> {
        let store = Arc::new(Store::open(opener, &LAYOUT)?);
        Ok(Archive { shared: Arc::new(Shared::new(store, Totals::default())) })
    }

    /// As [`History::read`].
    pub fn read(&self, after: Id, through: Id, topics: &[Topic]) -> Result<Part, Error> {
        self.with_tables(|tables| tables.read(after, through, topics))
    }

    /// As [`History::topics`].
    pub fn topics(&self, after: &str) -> Result<Vec<TopicStatus>, Error> {
        self.with_tables(|tables| tables.topics(after))
    }

    fn with_tables<T>(&self, read: impl FnOnce(&Reading) -> Result<T, redb::Error>) -> Result<T, Error> {
        self.shared.store.read(|txn| read(&Reading::open(txn)?))
    }
}

impl History for Disk {
    fn publish(&self, event: Event) -> Result<Receipt, Error> {
        self.inbox.publish(event)
    }

    fn retract(&self, topic: &Topic, id: Option<&str>) -> Result<Retracted, Error> {
        self.inbox.retract(Retraction { topic: topic.clone(), id: id.map(str::to_owned) })
    }

    fn resume(&self, start: &Start, topics: &[Topic]) -> Result<Resume, Error> {
        let (handed, floor) = {
            let view = self.archive.shared.view.lock();
            (view.handed, view.totals.floor)
        };
        let found = self.archive.with_tables(|tables| {
            let found = tables.find(start, topics, handed)?;
            let after = match found {
                Some(id) => id,
                None => tables.edge(topics)?,
            };
            let position = tables.position(after, topics)?.to_string();
            Ok(Resume { after, position, gap: found.is_none() })
        });
        match found {
            // While the store cannot be read, a stream that asks for no certain event begins with what is published
            // next.
            Err(_) if matches!(start, Start::Live | Start::Latest(_)) => {
                Ok(Resume { after: handed, position: handed.max(floor).to_string(), gap: false })
            }
            found => found,
        }
    }

    fn read(&self, after: Id, through: Id, topics: &[Topic]) -> Result<Part, Error> {
        self.archive.read(after, through, topics)
    }

    fn status(&self) -> Status {
        let view = self.archive.shared.view.lock();
        let Totals { events, bytes, oldest, .. } = view.totals;
        Status {
            events: events as usize,
            bytes: bytes as usize,
            oldest: oldest.filter(|_| events > 0),
            commit: view.commit,
            failure: self.archive.shared.store.failure(),
        }
    }

    fn topics(&self, after: &str) -> Result<Vec<TopicStatus>, Error> {
        self.archive.topics(after)
    }

    fn close(&self, deadline: Duration) {
        self.inbox.close();
        if self.ended.recv_timeout(deadline) == Err(RecvTimeoutError::Timeout) {
            log::error!("the history was not closed in time; what was acknowledged is on disk");
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.inbox.close();
    }
}
