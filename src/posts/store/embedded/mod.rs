//! Posts and feeds in one file of `redb`, for one server: `posts.redb`, beside the history's.
//!
//! Posts have a file of their own because the history is another kind of thing: it is trimmed, has a bound in
//! bytes, and can be replaced by an empty one without much harm. Posts stay until they are deleted, and
//! their commits do not wait for those of the history.
//!
//! One thread writes (in `writer`). Each reader reads on its own thread, from a snapshot of the file. A post is
//! on disk before it is acknowledged. Feeds follow from posts, so a change of the feeds may wait for the commit
//! of the next post: if the change is lost, the note that its event was handled is lost with it, and the event
//! is handled again.

mod feeds;
mod format;
mod posts;
mod tables;
mod writer;

use super::{Feed, FeedList, FeedStore, PostList, PostStore, Status};
use crate::disk::{self, Layout, Opener, Store};
use crate::error::Error;
use crate::os::threads::{self, Threads};
use crate::posts::{Edit, NewPost, Post, PostEvent, PostId};
use crossbeam_channel::{Receiver, Sender, bounded};
use redb::backends::InMemoryBackend;
use redb::{Database, Durability, WriteTransaction};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use tables::NUMBERS;
use writer::{Job, Message, Writer};

/// The file's name.
pub const NAME: &str = "posts.redb";

/// Jobs waiting for a commit. When the inbox is full, the caller with one more job waits.
const INBOX_JOBS: usize = 1024;

static LAYOUT: Layout = Layout {
    name: NAME,
    what: "the posts",
    anew: "no posts",
    format: format::FORMAT,
    numbers: NUMBERS,
    lay_out: format::lay_out,
    newest: |txn| tables::newest_event(&txn.open_table(NUMBERS)?),
    cut_back: posts::cut_back,
};

/// Opens the file in this folder. Makes both if they are missing.
pub fn opener(directory: PathBuf) -> Opener {
    disk::opener(directory, &LAYOUT)
}

/// Opens a store in memory. Opening it again fails, for what it held is lost.
pub fn memory_opener() -> Opener {
    let was_there = AtomicBool::new(false);
    Box::new(move || {
        if was_there.swap(true, Relaxed) {
            return Err("the posts were kept in memory and are lost".into());
        }
        let made = Database::builder().create_with_backend(InMemoryBackend::new()).map_err(redb::Error::from);
        made.map_err(|error| error.to_string())
    })
}

/// The handle to the writing thread, and the file for readers.
pub struct Embedded {
    inbox: Sender<Message>,
    /// Disconnected when the thread has ended.
    ended: Receiver<()>,
    bell: Receiver<()>,
    store: Arc<Store>,
}

impl Embedded {
    /// Opens the store and starts the thread. The error is for the operator.
    pub fn start(opener: Opener, threads: &Threads) -> Result<Embedded, String> {
        // One message is enough: its receiver handles all events that wait.
        let (ring, bell) = bounded(1);
        let (writer, store) = Writer::open(opener, ring)?;
        let (inbox, messages) = bounded(INBOX_JOBS);
        let (running, ended) = bounded(0);
        let spawned = threads.spawn_essential("posts", move || {
            let _running: Sender<()> = running;
            writer.run(&messages);
        });
        spawned.map_err(|error| format!("failed to start the posts' thread: {error}"))?;
        Ok(Embedded { inbox, ended, bell, store })
    }

    /// Has the thread do this in a transaction, and waits until that is committed; with
    /// [`Durability::Immediate`], until it is on disk. [`Error::unavailable`] where the thread has ended: it closed
    /// the store, or it panicked.
    fn transact<T: Send + 'static>(
        &self,
        durability: Durability,
        act: impl FnOnce(&WriteTransaction) -> Result<T, redb::Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (answer, answers) = bounded(1);
        let job = ValueJob { durability, act: Some(act), value: None, answer };
        let ended = || Error::unavailable("nothing was written: the server is stopping");
        self.inbox.send(Message::Do(Box::new(job))).map_err(|_| ended())?;
        threads::answer(&answers, &self.ended).map_err(|_| ended())?
    }
}

/// A job that gives a value to the caller that waits for it.
struct ValueJob<T, F> {
    durability: Durability,
    act: Option<F>,
    value: Option<T>,
    answer: Sender<Result<T, Error>>,
}

impl<T, F> Job for ValueJob<T, F>
where
    T: Send,
    F: FnOnce(&WriteTransaction) -> Result<T, redb::Error> + Send,
{
    fn durability(&self) -> Durability {
        self.durability
    }

    fn act(&mut self, txn: &WriteTransaction) -> Result<(), redb::Error> {
        self.value = self.act.take().map(|act| act(txn)).transpose()?;
        Ok(())
    }

    fn answer(self: Box<Self>, committed: Result<(), Error>) {
        let ValueJob { value, answer, .. } = *self;
        if let Some(outcome) = committed.map(|()| value).transpose() {
            // The caller waits until there is an answer, so the channel is open.
            let _ = answer.send(outcome);
        }
    }
}

impl PostStore for Embedded {
    fn create(&self, new: NewPost) -> Result<Post, Error> {
        self.transact(Durability::Immediate, |txn| posts::create(txn, new))?
    }

    fn edit(&self, id: PostId, edit: Edit) -> Result<Post, Error> {
        self.transact(Durability::Immediate, move |txn| posts::edit(txn, id, edit))?
    }

    fn delete(&self, id: PostId, versions: Option<Vec<u64>>) -> Result<(), Error> {
        self.transact(Durability::Immediate, move |txn| posts::delete(txn, id, versions.as_deref()))?
    }

    fn get(&self, id: PostId) -> Result<Option<Post>, Error> {
        self.store.read(|txn| posts::get(txn, id))
    }

    fn newest(&self, before: Option<PostId>, limit: usize) -> Result<PostList, Error> {
        self.store.read(|txn| posts::newest(txn, before, limit))?
    }

    fn unhandled(&self) -> Result<Vec<PostEvent>, Error> {
        self.store.read(posts::unhandled)
    }

    fn forget(&self, through: u64) -> Result<(), Error> {
        self.transact(Durability::None, move |txn| posts::forget(txn, through))
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
        let sent = self.inbox.send_timeout(Message::Close(closed), deadline);
        if sent.is_err() || answer.recv_timeout(deadline).is_err() {
            log::error!("the posts were not closed in time; what was acknowledged is on disk");
        }
    }
}

impl FeedStore for Embedded {
    fn apply(&self, events: Vec<PostEvent>) -> Result<BTreeSet<String>, Error> {
        self.transact(Durability::None, move |txn| feeds::apply(txn, &events))
    }

    fn list(&self, after: &str) -> Result<FeedList, Error> {
        self.store.read(|txn| feeds::list(txn, after))
    }

    fn has_room(&self, tags: &[String]) -> Result<bool, Error> {
        self.store.read(|txn| feeds::has_room(txn, tags))
    }

    fn feed(&self, name: &str, before: Option<PostId>, limit: usize) -> Result<Option<Feed>, Error> {
        self.store.read(|txn| feeds::feed(txn, name, before, limit))?
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use std::thread;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn store() -> Arc<Embedded> {
        Arc::new(Embedded::start(memory_opener(), &Threads::default()).expect("it opens"))
    }

    /// Does this on a thread of its own, so that a test fails where it would wait for ever.
    fn outcome<T: Send + 'static>(act: impl FnOnce() -> T + Send + 'static) -> Receiver<T> {
        let (done, outcome) = bounded(1);
        thread::spawn(move || done.send(act()));
        outcome
    }

    fn new_post() -> NewPost {
        NewPost::new("title", "content".into(), "ann").expect("a post")
    }

    #[test]
    fn a_job_behind_the_message_to_close_is_refused_and_waits_for_nothing() {
        let store = store();
        let (begun, begins) = bounded(1);
        let (go_on, goes_on) = bounded::<()>(1);
        let (first, second) = (store.clone(), store.clone());
        let first = outcome(move || {
            first.transact(Durability::Immediate, move |_| {
                begun.send(()).expect("the test waits");
                goes_on.recv().expect("the test sends");
                Ok(())
            })
        });
        begins.recv_timeout(PATIENCE).expect("the first job is at work");
        let (closed, closes) = bounded(1);
        store.inbox.send(Message::Close(closed)).expect("there is room");
        let second = outcome(move || second.create(new_post()));
        while store.inbox.len() < 2 {
            thread::yield_now();
        }
        go_on.send(()).expect("the job waits");
        assert_eq!(first.recv_timeout(PATIENCE), Ok(Ok(())));
        assert_eq!(closes.recv_timeout(PATIENCE), Ok(()));
        assert!(matches!(
            second.recv_timeout(PATIENCE),
            Ok(Err(error)) if error.kind() == ErrorKind::Unavailable
        ));
    }

    /// Panics where no guard turns the panic into an error of the file.
    struct Faulty {
        begun: Sender<()>,
        goes_on: Receiver<()>,
    }

    impl Job for Faulty {
        fn durability(&self) -> Durability {
            Durability::None
        }

        fn act(&mut self, _: &WriteTransaction) -> Result<(), redb::Error> {
            Ok(())
        }

        fn answer(self: Box<Self>, _: Result<(), Error>) {
            self.begun.send(()).expect("the test waits");
            self.goes_on.recv().expect("the test sends");
            panic!("a fault");
        }
    }

    #[test]
    fn after_a_panic_of_the_writing_thread_nobody_waits() {
        let store = store();
        let (begun, begins) = bounded(1);
        let (go_on, goes_on) = bounded(1);
        store.inbox.send(Message::Do(Box::new(Faulty { begun, goes_on }))).expect("there is room");
        begins.recv_timeout(PATIENCE).expect("the job is at work");
        let waiting = store.clone();
        let waiting = outcome(move || waiting.create(new_post()));
        while store.inbox.is_empty() {
            thread::yield_now();
        }
        go_on.send(()).expect("the job waits");
        assert!(matches!(
            waiting.recv_timeout(PATIENCE),
            Ok(Err(error)) if error.kind() == ErrorKind::Unavailable
        ));
        assert!(matches!(store.create(new_post()), Err(error) if error.kind() == ErrorKind::Unavailable));
    }
}
