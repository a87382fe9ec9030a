//! The desk: where posts are handed in, and where feeds, and what becomes of them, are to be had.
//!
//! ```text
//!  POST, PATCH ──> Posts (the post and its event, one commit) ──> answered
//!                    └─ outbox ──> handler thread ──> Feeds ──> Snapshots ──> hub ──> everyone who watches
//! ```
//!
//! The stores are opened, and the threads started, when they are first used, or with the server where there
//! are posts already: a server without posts costs nothing.

mod filing;
mod post;
pub mod store;
mod tags;
pub mod topics;

use crate::error::Error;
use crate::live::snapshot::{Snapshots, Watcher};
use crate::os::threads::Threads;
use crate::posts::store::embedded::{self, Embedded, NAME};
use crate::publisher::Publisher;
use crate::topic::Topic;
use parking_lot::Mutex;
pub use post::{Content, Edit, NewPost, Post, PostEvent, PostId};
use serde::Serialize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use store::{Feed, FeedList, FeedStore, NO_FEED, NO_POST, PostStore, Status};
pub use tags::{TAG_CHARS_MAX, TAGS_MAX};

/// The posts of a feed that its stream shows.
pub const STREAM_POSTS: usize = 50;

/// The handle to posts and feeds.
pub struct PostService {
    publisher: Publisher,
    threads: Threads,
    /// Where the stores are kept; nowhere but in memory if there is none.
    directory: Option<PathBuf>,
    open: Mutex<Option<Arc<Open>>>,
}

/// The desk when it is open.
struct Open {
    posts: Arc<dyn PostStore>,
    feeds: Arc<dyn FeedStore>,
    snapshots: Snapshots,
}

impl PostService {
    /// A desk whose stores are in this directory, or in memory. Where there are posts already, they are
    /// opened, and their feeds are brought up to date; the error is for the operator.
    pub fn start(
        publisher: Publisher,
        threads: Threads,
        directory: Option<PathBuf>,
    ) -> Result<PostService, String> {
        let has_posts = directory.as_ref().is_some_and(|directory| directory.join(NAME).exists());
        let desk = PostService { publisher, threads, directory, open: Mutex::default() };
        if has_posts {
            *desk.open.lock() = Some(Arc::new(desk.open()?));
        }
        Ok(desk)
    }

    /// Keeps a new post. Errors as [`PostStore::create`].
    pub fn create(&self, new: NewPost) -> Result<Post, Error> {
        self.opened()?.posts.create(new)
    }

    /// Changes a post. Errors as [`PostStore::edit`].
    pub fn edit(&self, id: PostId, edit: Edit) -> Result<Post, Error> {
        let open = self.opened()?;
        let post = open.posts.edit(id, edit)?;
        // The event would say so too. But whoever has the answer and then looks sees what was changed.
        open.snapshots.note_change(&topics::post(id)?);
        Ok(post)
    }

    /// A post. [`Error::NotFound`] if there is none of this id.
    pub fn post(&self, id: PostId) -> Result<Post, Error> {
        self.opened()?.posts.get(id)?.ok_or_else(|| Error::NotFound(NO_POST.into()))
    }

    /// All feeds. Errors as [`FeedStore::list`].
    pub fn feeds(&self) -> Result<FeedList, Error> {
        self.opened()?.feeds.list()
    }

    /// Posts of a feed. [`Error::NotFound`] if there is none of this name; other errors as [`FeedStore::feed`].
    pub fn feed(&self, name: &str, before: Option<PostId>, limit: usize) -> Result<Feed, Error> {
        let feed = self.opened()?.feeds.feed(name, before, limit)?;
        feed.ok_or_else(|| Error::NotFound(NO_FEED.into()))
    }

    /// Watches a post: its topic, and what is true on it.
    pub fn watch_post(&self, id: PostId) -> Result<Watcher, Error> {
        self.post(id)?;
        let open = self.opened()?;
        let posts = open.posts.clone();
        Ok(open.snapshots.watch(topics::post(id)?, move || posts.get(id)?.map(to_json).transpose()))
    }

    /// Watches the list of feeds.
    pub fn watch_feeds(&self) -> Result<Watcher, Error> {
        let open = self.opened()?;
        let feeds = open.feeds.clone();
        Ok(open.snapshots.watch(Topic::new(topics::FEEDS)?, move || to_json(feeds.list()?).map(Some)))
    }

    /// Watches the newest [`STREAM_POSTS`] posts of a feed.
    pub fn watch_feed(&self, name: &str) -> Result<Watcher, Error> {
        self.feed(name, None, 1)?;
        let open = self.opened()?;
        let (feeds, topic, name) = (open.feeds.clone(), topics::feed(name)?, name.to_owned());
        let read = move || feeds.feed(&name, None, STREAM_POSTS)?.map(to_json).transpose();
        Ok(open.snapshots.watch(topic, read))
    }

    /// How the posts are doing, if there are any.
    pub fn status(&self) -> Option<Status> {
        let open = self.open.lock().clone();
        open.map(|open| open.posts.status())
    }

    /// Puts everything where it survives and takes nothing more. Blocks as [`PostStore::close`].
    pub fn close(&self, deadline: Duration) {
        let open = self.open.lock().clone();
        if let Some(open) = open {
            open.posts.close(deadline);
        }
    }

    fn opened(&self) -> Result<Arc<Open>, Error> {
        let mut open = self.open.lock();
        if let Some(open) = &*open {
            return Ok(open.clone());
        }
        let opened = self.open().map_err(|error| {
            log::error!("{error}");
            Error::Unavailable("posts cannot be kept now; the server's log says why".into())
        })?;
        Ok(open.insert(Arc::new(opened)).clone())
    }

    fn open(&self) -> Result<Open, String> {
        let opener = match &self.directory {
            Some(directory) => embedded::opener(directory.clone()),
            None => embedded::memory_opener(),
        };
        let embedded = Arc::new(Embedded::start(opener, &self.threads)?);
        let (posts, feeds): (Arc<dyn PostStore>, Arc<dyn FeedStore>) = (embedded.clone(), embedded);
        let failed = |error| format!("failed to start a thread for the posts: {error}");
        let snapshots = Snapshots::start(self.publisher.clone(), &self.threads).map_err(failed)?;
        filing::start(self.publisher.clone(), &self.threads, posts.clone(), feeds.clone(), snapshots.clone())
            .map_err(failed)?;
        Ok(Open { posts, feeds, snapshots })
    }
}

fn to_json(value: impl Serialize) -> Result<String, Error> {
    serde_json::to_string(&value).map_err(|error| Error::Internal(format!("failed to write JSON: {error}")))
}
