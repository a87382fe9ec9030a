//! The history on disk, as a log: what was acknowledged is there after a kill or a power cut.
//!
//! One thread (in `writer`) gives an event its id, writes it behind the end of a file, syncs it, hands it to the hub and
//! acknowledges it. While that thread waits for the disk the next events gather, and share the next commit: one write
//! and one sync. Readers read on their own threads; an index in memory says where each event stands.
//!
//! # On disk
//!
//! ```text
//! events/                       the folder, beside the posts
//!   lock                        locked by the process that writes
//!   0000000000000007.log        a sealed segment:  header · commits · summary · trailer
//!   0000000000000008.log
//!   0000000000000009.open       the last segment:  header · commits · zeros
//!
//! a commit:   event, event, …, retraction, …, end of the commit
//! ```
//!
//! - `record`: a record has a length, a kind, and a checksum with a salt of its segment.
//! - A commit counts as a whole or not at all. Its end says what was synced before it, up to where ids were given, and
//!   how much time has passed.
//! - `segment`: segments are numbered without a gap. Each begins with a `state`: what each topic has lost, which segment
//!   is the first that counts, where the one before ends. So nothing before the first segment need be known.
//! - `summary`: what is in a sealed segment without the texts, so that a start reads a tenth of the log.
//! - Nothing that was synced is written over. So a copy of the folder that is made while the server writes can be
//!   opened like after a power cut.
//!
//! # When something fails
//!
//! Publishing is refused and nothing else stops: streams go on, new ones begin with what is published next, and writing
//! is tried again every second. A sync that failed is never repeated as if it could still work: the kernel may have
//! forgotten what it did not write. The segment is given up (`active` says how), and the next one, in a file of its own,
//! says where it ends. What was refused is behind that end, and never appears; what was acknowledged before it was on
//! disk, with [`Durability::Relaxed`], is written once more to the new one.
//!
//! One thing is left: a sync fails although the data reached the disk, and the power is cut before anything can be
//! written again. Then the next start finds what was refused.
//!
//! # What is let go
//!
//! `crate::history::retention` says which events; `trim` removes whole segments, and copies what is left of one.

mod active;
mod begin;
mod commit;
mod entry;
mod fault;
mod import;
mod inbox;
mod index;
mod reading;
mod record;
mod recover;
mod segment;
mod segments;
mod shelf;
mod state;
mod summary;
mod trim;
mod writer;

use super::retention::{Bounds, Retention};
use super::{Durability, History, Part, Receipt, Resume, Retracted, Start, Status, TopicStatus};
use crate::disk::{FileFolder, Folder, create_missing};
use crate::error::Error;
use crate::event::{Event, Id};
use crate::hub::Hub;
use crate::os::threads::Threads;
use crate::selector::Selector;
use crate::topic::Topic;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use fault::Fault;
use import::Older;
use inbox::{Inbox, Retraction};
use index::Index;
use parking_lot::{Mutex, RwLock};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use writer::Writer;

/// The name of the log's folder.
pub const NAME: &str = "events";

/// The way to the folder of a log, for the one process that writes to it. The error is for the operator.
pub type Opener = Box<dyn FnOnce() -> Result<Arc<dyn Folder>, String> + Send>;

/// Opens the log in this directory, making both when they are missing. What an older callout has kept there is taken
/// over first.
pub fn opener(directory: PathBuf) -> Opener {
    Box::new(move || {
        create_missing(&directory)?;
        // Two processes that start at the same time do it one after the other.
        let lock = File::open(&directory).and_then(|lock| lock.lock().map(|()| lock));
        let _lock = lock.map_err(|error| crate::disk::failed("lock", &directory, &error))?;
        import::import(&directory)?;
        let folder = directory.join(NAME);
        create_missing(&folder)?;
        Ok(Arc::new(FileFolder::of_writer(&folder)?))
    })
}

/// The handle to the thread that writes, which ends with the handle; and the way to read what is kept.
pub struct Log {
    inbox: Arc<Inbox>,
    /// Disconnected when the thread has ended.
    ended: Receiver<()>,
    shared: Arc<Shared>,
}

/// What the writer shares with the readers.
struct Shared {
    kept: RwLock<Kept>,
    view: Mutex<View>,
}

impl Shared {
    fn new(kept: Kept, handed: Id) -> Shared {
        let view = Mutex::new(View { handed, commit: None, failure: None });
        Shared { kept: RwLock::new(kept), view }
    }
}

/// What is kept, as of the last commit.
struct Kept {
    index: Index,
    retention: Retention,
}

struct View {
    /// The newest id that was handed to the hub.
    handed: Id,
    /// How long the last commit took.
    commit: Option<Duration>,
    /// Why nothing can be written now, if that is so.
    failure: Option<String>,
}

impl Log {
    /// Opens the log and starts the thread, which feeds this hub. Fails, with a text for the operator, if the log cannot
    /// be read.
    pub fn start(
        opener: Opener,
        hub: Hub,
        threads: &Threads,
        bounds: Bounds,
        durability: Durability,
    ) -> Result<Log, String> {
        let (writer, shared) = Writer::open(opener()?, bounds, durability).map_err(|fault| fault.0)?;
        hub.begin_after(shared.view.lock().handed);
        let inbox = Arc::new(Inbox::default());
        let (running, ended) = bounded(0);
        let own_inbox = inbox.clone();
        let spawned = threads.spawn_essential("history", move || {
            let (_running, _abandon): (Sender<()>, Abandon) = (running, Abandon(own_inbox.clone()));
            writer.run(&own_inbox, &hub);
        });
        spawned.map_err(|error| format!("failed to start the history's thread: {error}"))?;
        Ok(Log { inbox, ended, shared })
    }
}

/// Answers those who wait for the thread that writes when it ends, also by a panic.
struct Abandon(Arc<Inbox>);

impl Drop for Abandon {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

impl History for Log {
    fn publish(&self, event: Event) -> Result<Receipt, Error> {
        self.inbox.publish(event)
    }

    fn publish_all(&self, events: Vec<Event>) -> Vec<Result<Receipt, Error>> {
        self.inbox.publish_all(events)
    }

    fn retract(&self, topic: &Topic, id: Option<&str>) -> Result<Retracted, Error> {
        self.inbox.retract(Retraction { topic: topic.clone(), id: id.map(str::to_owned) })
    }

    fn resume(&self, start: &Start, selectors: &[Selector]) -> Result<Resume, Error> {
        let handed = self.shared.view.lock().handed;
        Ok(reading::resume(&self.shared.kept, start, selectors, handed))
    }

    fn read(&self, after: Id, through: Id, selectors: &[Selector]) -> Result<Part, Error> {
        reading::read(&self.shared.kept, after, through, selectors).map_err(unreadable)
    }

    fn status(&self) -> Status {
        let kept = self.shared.kept.read();
        let (events, bytes) = (kept.retention.events(), kept.retention.bytes());
        let oldest = kept.index.oldest().filter(|_| events > 0).map(|oldest| oldest.at);
        let view = self.shared.view.lock();
        Status { events, bytes, oldest, commit: view.commit, failure: view.failure.clone() }
    }

    fn topics(&self, after: &str) -> Result<Vec<TopicStatus>, Error> {
        reading::topics(&self.shared.kept, after).map_err(unreadable)
    }

    fn close(&self, deadline: Duration) {
        self.inbox.close();
        if self.ended.recv_timeout(deadline) == Err(RecvTimeoutError::Timeout) {
            log::error!("the history was not closed in time; what was acknowledged is on disk");
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.inbox.close();
    }
}

fn unreadable(fault: Fault) -> Error {
    log::error!("the history cannot be read: {fault}");
    Error::unavailable(format!("the history cannot be read now: {fault}"))
}

/// The way to read what a server that is stopped has kept. Nothing is changed by it.
pub struct Archive(Source);

enum Source {
    Log(Box<RwLock<Kept>>),
    Older(Older),
}

impl Archive {
    /// Opens what is kept in this directory. The error is for the operator.
    pub fn open(directory: &Path) -> Result<Archive, String> {
        let folder = directory.join(NAME);
        if let Some(older) = import::older(directory)? {
            return Ok(Archive(Source::Older(older)));
        }
        if !folder.is_dir() {
            return Err(format!("there is no history: `{}` does not exist", folder.display()));
        }
        let folder = FileFolder::of_reader(&folder)?;
        let recovered = recover::recover(&folder, Bounds::default()).map_err(|fault| fault.0)?;
        let kept = Kept { index: recovered.index, retention: recovered.retention };
        Ok(Archive(Source::Log(Box::new(RwLock::new(kept)))))
    }

    /// As [`History::read`].
    pub fn read(&self, after: Id, through: Id, selectors: &[Selector]) -> Result<Part, String> {
        match &self.0 {
            Source::Log(kept) => reading::read(kept, after, through, selectors).map_err(|fault| fault.0),
            Source::Older(older) => Ok(older.read(after, through, selectors)),
        }
    }

    /// As [`History::topics`].
    pub fn topics(&self, after: &str) -> Result<Vec<TopicStatus>, String> {
        match &self.0 {
            Source::Log(kept) => reading::topics(kept, after).map_err(|fault| fault.0),
            Source::Older(older) => Ok(older.topics(after)),
        }
    }
}
