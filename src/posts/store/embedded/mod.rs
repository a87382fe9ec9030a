//! Posts and feeds in one file of `redb`, for one server: `posts.redb`, beside the history's.
//!
//! It is a file of its own because the history is another kind of thing: it trims itself, is bounded as a
//! whole, and is replaced without much harm where it is damaged. Posts stay, and
//! their commits do not wait for those of the history.
//!
//! One thread writes (in `writer`); whoever reads does so on its own thread, from a snapshot. A post is on
//! disk before it is acknowledged. Feeds follow from posts, so what is written to them may wait for the next
//! post's commit: if it is lost, so is the word that its event was handled, and it is handled again.

mod feeds;
mod posts;
mod tables;
mod writer;

use super::{Feed, FeedList, FeedStore, PostStore, Status};
use crate::disk::{self, Layout, Opener, Store};
use crate::error::Error;
use crate::os::threads::Threads;
use crate::posts::{Edit, NewPost, Post, PostEvent, PostId};
use crossbeam_channel::{Receiver, Sender, bounded};
use redb::backends::InMemoryBackend;
use redb::{Database, WriteTransaction};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use tables::{FORMAT, NUMBERS, lay_out};
use writer::{Job, Message, Writer};

/// The file's name.
pub const NAME: &str = "posts.redb";

/// Jobs waiting for a commit. When full, whoever has one more waits.
const INBOX_JOBS: usize = 1024;

static LAYOUT: Layout = Layout {
    name: NAME,
    what: "the posts",
    anew: "no posts",
    format: FORMAT,
    numbers: NUMBERS,
    lay_out,
    newest: posts::last,
    cut_back: posts::cut_back,
};

/// Opens the file in this directory, making both when they are missing.
pub fn opener(directory: PathBuf) -> Opener {
    disk::opener(directory, &LAYOUT)
}

/// Opens a store in memory, once: what it held is gone with it.
pub fn memory_opener() -> Opener {
    let was_there = AtomicBool::new(false);
    Box::new(move || {
        if was_there.swap(true, Relaxed) {
            return Err("what was kept in memory is lost".into());
        }
        let made = Database::builder().create_with_backend(InMemoryBackend::new()).map_err(redb::Error::from);
        made.map_err(|error| error.to_string())
    })
}

/// The handle to the writing thread, and the way to read.
pub struct Embedded {
    inbox: Sender<Message>,
    bell: Receiver<()>,
    store: Arc<Store>,
}

impl Embedded {
    /// Opens the store and starts the thread. Fails, with a text for the operator, if it cannot be opened.
    pub fn start(opener: Opener, threads: &Threads) -> Result<Embedded, String> {
        // One word is enough: whoever hears it looks for all there is.
        let (ring, bell) = bounded(1);
        let (writer, store) = Writer::open(opener, ring)?;
        let (inbox, messages) = bounded(INBOX_JOBS);
        let spawned = threads.spawn_essential("posts", move || writer.run(&messages));
        spawned.map_err(|error| format!("failed to start the posts' thread: {error}"))?;
        Ok(Embedded { inbox, bell, store })
    }

    /// Has the thread do something; waits until it is committed. `strict`: on disk.
    fn write<T: Send + 'static>(
        &self,
        strict: bool,
        act: impl FnOnce(&WriteTransaction) -> Result<T, redb::Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (answer, answers) = bounded(1);
        let asked = Asked { strict, act: Some(act), value: None, answer };
        let gone = || Error::Unavailable("it could not be kept: the server is stopping".into());
        self.inbox.send(Message::Do(Box::new(asked))).map_err(|_| gone())?;
        answers.recv().map_err(|_| gone())?
    }
}

/// A job that gives a value.
struct Asked<T, F> {
    strict: bool,
    act: Option<F>,
    value: Option<T>,
    answer: Sender<Result<T, Error>>,
}

impl<T, F> Job for Asked<T, F>
where
    T: Send,
    F: FnOnce(&WriteTransaction) -> Result<T, redb::Error> + Send,
{
    fn is_strict(&self) -> bool {
        self.strict
    }

    fn act(&mut self, txn: &WriteTransaction) -> Result<(), redb::Error> {
        self.value = self.act.take().map(|act| act(txn)).transpose()?;
        Ok(())
    }

    fn answer(self: Box<Self>, committed: Result<(), Error>) {
        let Asked { value, answer, .. } = *self;
        if let Some(outcome) = committed.map(|()| value).transpose() {
            // Whoever asked is waiting.
            let _ = answer.send(outcome);
        }
    }
}

impl PostStore for Embedded {
    fn create(&self, new: NewPost) -> Result<Post, Error> {
        self.write(true, |txn| posts::create(txn, new))?
    }

    fn edit(&self, id: PostId, edit: Edit) -> Result<Post, Error> {
        self.write(true, move |txn| posts::edit(txn, id, edit))?
    }

    fn get(&self, id: PostId) -> Result<Option<Post>, Error> {
        self.store.read(|txn| posts::get(txn, id))
    }

    fn unhandled(&self) -> Result<Vec<PostEvent>, Error> {
        self.store.read(posts::unhandled)
    }

    fn handled(&self, through: u64) -> Result<(), Error> {
        self.write(false, move |txn| posts::handled(txn, through))
    }

    fn bell(&self) -> Receiver<()> {
        self.bell.clone()
    }

    fn status(&self) -> Status {
        let status = self.store.read(posts::status);
        let failure = self.store.failure();
        match status {
            Ok(status) => Status { failure, ..status },
            Err(error) => {
                Status { failure: failure.or_else(|| Some(error.to_string())), ..Status::default() }
            }
        }
    }

    fn close(&self, deadline: Duration) {
        let (closed, answer) = bounded(1);
        let asked = self.inbox.send_timeout(Message::Close(closed), deadline);
        if asked.is_err() || answer.recv_timeout(deadline).is_err() {
            log::error!("the posts were not closed in time; what was acknowledged is on disk");
        }
    }
}

impl FeedStore for Embedded {
    fn apply(&self, events: Vec<PostEvent>) -> Result<BTreeSet<String>, Error> {
        self.write(false, move |txn| feeds::apply(txn, &events))
    }

    fn list(&self) -> Result<FeedList, Error> {
        self.store.read(feeds::list)
    }

    fn feed(&self, name: &str, before: Option<PostId>, limit: usize) -> Result<Option<Feed>, Error> {
        self.store.read(|txn| feeds::feed(txn, name, before, limit))?
    }
}
