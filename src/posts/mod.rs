//! Posts, and the feeds that follow from their tags.
//!
//! ```text
//!  POST, PATCH, DELETE ──> PostService ──> PostStore (the post and its event, one commit) ──> answered
//!                                            └─ outbox ──> filing thread ──> FeedStore
//!                                                                └─> Snapshots ──> hub ──> every subscriber
//! ```
//!
//! The stores are opened and the threads are started at the first request for posts, or with the server where
//! there are posts already. A server without posts pays nothing for them.

mod filing;
mod post;
pub mod store;
mod tags;
mod timestamp;
pub mod topics;

use crate::error::Error;
use crate::live::snapshot::{Snapshots, Subscriber};
use crate::os::threads::Threads;
use crate::publisher::Publisher;
use crate::topic::Topic;
use parking_lot::Mutex;
pub use post::{Content, Edit, NewPost, Post, PostChange, PostEvent, PostId};
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;
use store::{FEEDS_MAX, Feed, FeedList, NO_FEED, NO_POST, PostList, Status, Stores};
pub use store::{StoreAddress, open};
pub use tags::{TAG_CHARS_MAX, TAGS_MAX};
pub use timestamp::Timestamp;

/// The posts that a stream of a feed or of all posts shows.
pub const STREAM_POSTS: usize = 50;

/// The handle to posts and feeds.
pub struct PostService {
    publisher: Publisher,
    threads: Threads,
    address: StoreAddress,
    state: Mutex<State>,
}

/// A closed service is never opened again: what came after would not be written to where it survives.
enum State {
    /// No request has asked for posts yet, or the stores could not be opened; then `failure` says why.
    Unopened {
        failure: Option<String>,
    },
    Open(Arc<Running>),
    Closed,
}

/// The open stores, and the streams of what is in them.
struct Running {
    stores: Stores,
    snapshots: Snapshots,
}

impl PostService {
    /// A service whose stores are at this address. Where there are posts already, the stores are opened and
    /// the feeds are brought up to date. The error is for the operator.
    pub fn start(
        publisher: Publisher,
        threads: Threads,
        address: StoreAddress,
    ) -> Result<PostService, String> {
        let has_posts = address.may_hold_posts();
        let state = Mutex::new(State::Unopened { failure: None });
        let service = PostService { publisher, threads, address, state };
        if has_posts {
            *service.state.lock() = State::Open(Arc::new(service.run()?));
        }
        Ok(service)
    }

    /// Keeps a new post. Errors as [`store::PostStore::create`], and [`Error::unavailable`] where its tags would make
    /// too many feeds.
    pub fn create(&self, new: NewPost) -> Result<Post, Error> {
        let running = self.running()?;
        running.check_room(new.tags())?;
        let post = running.stores.posts.create(new)?;
        running.note_change(post.id)?;
        Ok(post)
    }

    /// Edits a post. Errors as [`store::PostStore::edit`] and [`PostService::create`].
    pub fn edit(&self, id: PostId, edit: Edit) -> Result<Post, Error> {
        let running = self.running()?;
        running.check_room(edit.tags())?;
        let post = running.stores.posts.edit(id, edit)?;
        running.note_change(id)?;
        Ok(post)
    }

    /// Deletes a post. Errors as [`store::PostStore::delete`].
    pub fn delete(&self, id: PostId, versions: Option<Vec<u64>>) -> Result<(), Error> {
        let running = self.running()?;
        running.stores.posts.delete(id, versions)?;
        running.note_change(id)
    }

    /// A post. [`Error::not_found`] if there is no post of this id.
    pub fn post(&self, id: PostId) -> Result<Post, Error> {
        self.running()?.stores.posts.get(id)?.ok_or_else(|| Error::not_found(NO_POST))
    }

    /// The newest posts. Errors as [`store::PostStore::newest`].
    pub fn posts(&self, before: Option<PostId>, limit: usize) -> Result<PostList, Error> {
        self.running()?.stores.posts.newest(before, limit)
    }

    /// The feeds behind this name. Errors as [`store::FeedStore::list`].
    pub fn feeds(&self, after: &str) -> Result<FeedList, Error> {
        self.running()?.stores.feeds.list(after)
    }

    /// The newest posts of a feed. [`Error::not_found`] if there is no feed of this name; other errors as
    /// [`store::FeedStore::feed`].
    pub fn feed(&self, name: &str, before: Option<PostId>, limit: usize) -> Result<Feed, Error> {
        let feed = self.running()?.stores.feeds.feed(name, before, limit)?;
        feed.ok_or_else(|| Error::not_found(NO_FEED))
    }

    /// Subscribes to a post: the guard of its snapshot, which ends when the post is deleted.
    pub fn subscribe_post(&self, id: PostId) -> Result<Subscriber, Error> {
        self.post(id)?;
        let running = self.running()?;
        let posts = running.stores.posts.clone();
        Ok(running.snapshots.subscribe(topics::post(id)?, move || posts.get(id)?.map(to_json).transpose()))
    }

    /// Subscribes to the newest [`STREAM_POSTS`] posts.
    pub fn subscribe_posts(&self) -> Result<Subscriber, Error> {
        let running = self.running()?;
        let posts = running.stores.posts.clone();
        let read = move || to_json(posts.newest(None, STREAM_POSTS)?).map(Some);
        Ok(running.snapshots.subscribe(Topic::new(topics::POSTS)?, read))
    }

    /// Subscribes to the list of feeds.
    pub fn subscribe_feeds(&self) -> Result<Subscriber, Error> {
        let running = self.running()?;
        let feeds = running.stores.feeds.clone();
        Ok(running
            .snapshots
            .subscribe(Topic::new(topics::FEEDS)?, move || to_json(feeds.list("")?).map(Some)))
    }

    /// Subscribes to the newest [`STREAM_POSTS`] posts of a feed.
    pub fn subscribe_feed(&self, name: &str) -> Result<Subscriber, Error> {
        self.feed(name, None, 1)?;
        let running = self.running()?;
        let (feeds, topic, name) = (running.stores.feeds.clone(), topics::feed(name)?, name.to_owned());
        // A feed that has lost its last post comes back with the next one, so its stream goes on.
        let empty = Feed { name: name.clone(), posts: Vec::new(), next: None };
        let read = move || {
            let feed = feeds.feed(&name, None, STREAM_POSTS)?;
            to_json(feed.as_ref().unwrap_or(&empty)).map(Some)
        };
        Ok(running.snapshots.subscribe(topic, read))
    }

    /// The state of the posts; none where the stores were never asked for, or are closed.
    pub fn status(&self) -> Option<Status> {
        let running = match &*self.state.lock() {
            State::Open(running) => running.clone(),
            State::Unopened { failure: Some(why) } => {
                return Some(Status { failure: Some(why.clone()), ..Status::default() });
            }
            State::Unopened { failure: None } | State::Closed => return None,
        };
        Some(running.stores.posts.status())
    }

    /// Tries again to open stores that could not be opened. The question whether the server is ready does this: a server
    /// that is not ready may get no other request. Blocks until that is done.
    pub fn try_again(&self) {
        let has_failed = matches!(&*self.state.lock(), State::Unopened { failure: Some(_) });
        if has_failed {
            // A failure is in the status.
            let _ = self.running();
        }
    }

    /// Writes everything to where it survives, and refuses what comes after. Blocks as
    /// [`store::PostStore::close`].
    pub fn close(&self, deadline: Duration) {
        let before = std::mem::replace(&mut *self.state.lock(), State::Closed);
        if let State::Open(running) = before {
            running.stores.posts.close(deadline);
        }
    }

    /// The stores, which are opened where they are not open yet. [`Error::unavailable`] where that fails, and once the
    /// service is closed.
    fn running(&self) -> Result<Arc<Running>, Error> {
        let mut state = self.state.lock();
        let known = match &*state {
            State::Open(running) => return Ok(running.clone()),
            State::Closed => return Err(Error::unavailable("the server is stopping")),
            State::Unopened { failure } => failure.clone(),
        };
        match self.run().map(Arc::new) {
            Ok(running) => {
                if known.is_some() {
                    log::warn!("the posts can be opened again");
                }
                *state = State::Open(running.clone());
                Ok(running)
            }
            Err(why) => {
                // Each request tries again; one line in the log is enough for the same failure.
                if known.as_ref() != Some(&why) {
                    log::error!("{why}");
                }
                *state = State::Unopened { failure: Some(why) };
                Err(Error::unavailable("posts are not available now; the server's log says why"))
            }
        }
    }

    fn run(&self) -> Result<Running, String> {
        let stores = open(&self.address, &self.threads)?;
        let failed = |error| format!("failed to start a thread for the posts: {error}");
        let snapshots = Snapshots::start(self.publisher.clone(), &self.threads).map_err(failed)?;
        filing::start(self.publisher.clone(), &self.threads, &stores, snapshots.clone()).map_err(failed)?;
        Ok(Running { stores, snapshots })
    }
}

impl Running {
    /// Posts are filed after they are kept, so what is on its way there is not counted yet.
    fn check_room(&self, tags: &[String]) -> Result<(), Error> {
        if self.stores.feeds.has_room(tags)? {
            return Ok(());
        }
        let full = format!("there is no room for a new tag: at most {FEEDS_MAX} are in use");
        Err(Error::unavailable(full).hint("use tags that other posts have"))
    }

    /// The post has changed. The filing thread notes the same when it handles the event; but a client that has
    /// its answer and then opens a stream has to see the change.
    fn note_change(&self, id: PostId) -> Result<(), Error> {
        self.snapshots.note_change(&topics::post(id)?);
        self.snapshots.note_change(&Topic::new(topics::POSTS)?);
        Ok(())
    }
}

fn to_json(value: impl Serialize) -> Result<String, Error> {
    serde_json::to_string(&value).map_err(|error| Error::internal(format!("failed to write JSON: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::history::{Bounds, memory::Memory};
    use crate::hub::Hub;

    #[test]
    fn a_service_that_was_closed_opens_no_store_again() {
        let threads = Threads::default();
        let hub = Hub::start(&threads).expect("a thread");
        let history = Arc::new(Memory::new(hub.clone(), Bounds::default()));
        let publisher = Publisher::new(history, hub, Vec::new());
        let new = || NewPost::new("title", "content".into(), "ann").expect("a post");
        let service = |address| PostService::start(publisher.clone(), threads.clone(), address);

        // A service that was never asked for anything.
        let folder = std::env::temp_dir().join(format!("callout-closed-{}", std::process::id()));
        let unopened = service(StoreAddress::Folder(folder.clone())).expect("nothing is opened");
        unopened.close(Duration::from_secs(10));
        assert!(matches!(unopened.create(new()), Err(error) if error.kind() == ErrorKind::Unavailable));
        assert!(unopened.status().is_none() && !folder.exists());

        let open = service(StoreAddress::Memory).expect("it opens");
        let post = open.create(new()).expect("it is kept");
        open.close(Duration::from_secs(10));
        assert!(matches!(open.create(new()), Err(error) if error.kind() == ErrorKind::Unavailable));
        assert!(matches!(open.post(post.id), Err(error) if error.kind() == ErrorKind::Unavailable));
        open.close(Duration::from_secs(10));
    }
}
