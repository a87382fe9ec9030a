//! What the stores of the posts page promise: [`PostStore`] is the write model, [`FeedStore`] the read model. Each is
//! complete on its own, so that a database server can take the place of either.
//!
//! - A post is where the store keeps posts when its writer is answered.
//! - A post and its event are written together or not at all. The event waits in the outbox until it was
//!   handled, however often the process ends in between.
//! - Handling an event twice, or after a newer one of the same post, changes nothing. So feeds come to be what
//!   the posts say.

pub mod embedded;

use super::{Edit, NewPost, Post, PostEvent, PostId};
use crate::error::Error;
use crossbeam_channel::Receiver;
use serde::Serialize;
use std::collections::BTreeSet;
use std::time::Duration;

/// The most posts that are kept. One more is answered 503.
pub const POSTS_MAX: u64 = 100_000;

/// The most events that are taken from the outbox at a time. The rest is taken next.
pub const EVENTS_MAX: usize = 256;

/// The most feeds in a list, the first by name. How many are left out is said as `more`.
pub const FEEDS_SHOWN_MAX: usize = 10_000;

/// What whoever asks for a post is told where there is none.
pub const NO_POST: &str = "there is no post of this id";

/// The posts, and the events that tell of them. Its methods may be called from any thread and block until
/// what they say is done. [`Error::Unavailable`] from any of them: it cannot be done now, and was not.
pub trait PostStore: Send + Sync {
    /// Keeps a new post, under an id that no other has, and its event. [`Error::Unavailable`] also where
    /// [`POSTS_MAX`] are kept.
    fn create(&self, new: NewPost) -> Result<Post, Error>;

    /// Changes a post, and gives what it is now. An edit that changes nothing makes no new version and no
    /// event. [`Error::NotFound`] if there is no such post, [`Error::Precondition`] if the edit was meant for
    /// another version; the version is compared and changed in one step.
    fn edit(&self, id: PostId, edit: Edit) -> Result<Post, Error>;

    /// A post as it is now, if there is one of this id.
    fn get(&self, id: PostId) -> Result<Option<Post>, Error>;

    /// The oldest events that were not handled yet, at most [`EVENTS_MAX`], in the order of their numbers.
    fn unhandled(&self) -> Result<Vec<PostEvent>, Error>;

    /// Forgets the events up to this number: they were handled.
    fn handled(&self, through: u64) -> Result<(), Error>;

    /// Gets a word when there may be events that were not handled, the first time at once. For one listener.
    fn bell(&self) -> Receiver<()>;

    /// How many posts are kept, and how it goes. Does not fail.
    fn status(&self) -> Status;

    /// Puts everything where it survives and takes nothing more. Blocks until that is done, or gives up
    /// after about twice the deadline.
    fn close(&self, deadline: Duration);
}

/// The feeds: for each tag its posts, newest first. Errors and threads as [`PostStore`].
pub trait FeedStore: Send + Sync {
    /// Files posts under their tags: makes the feed of a new tag, puts a post first in a feed that it was
    /// not in, replaces it in place in one that it stays in, and takes it out where its tag was dropped; a
    /// feed that loses its last post stays. Gives the names of the feeds that changed.
    ///
    /// Handling an event twice, or after a newer one of the same post, changes nothing.
    fn apply(&self, events: Vec<PostEvent>) -> Result<BTreeSet<String>, Error>;

    /// All feeds in the order of their names, at most [`FEEDS_SHOWN_MAX`].
    fn list(&self) -> Result<FeedList, Error>;

    /// The newest posts of a feed, at most `limit`; those that come after `before` in it, if that is given.
    /// None if there is no such feed; [`Error::Bad`] if `before` is not in it.
    fn feed(&self, name: &str, before: Option<PostId>, limit: usize) -> Result<Option<Feed>, Error>;
}

/// The same for a feed.
pub const NO_FEED: &str = "there is no feed of this name: no post ever had this tag";

/// How a store is doing.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Status {
    /// Posts kept.
    pub posts: u64,
    /// Events that wait to be handled.
    pub unhandled: u64,
    /// Why nothing can be written now, if that is so.
    pub failure: Option<String>,
}

/// A feed, with how many posts it has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FeedSummary {
    /// Its tag.
    pub name: String,
    /// How many posts it has, perhaps none any more.
    pub posts: u64,
}

/// The feeds there are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct FeedList {
    /// In the order of their names.
    pub feeds: Vec<FeedSummary>,
    /// How many more there are.
    #[serde(skip_serializing_if = "is_zero")]
    pub more: u64,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Posts of a feed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Feed {
    /// Its tag.
    pub name: String,
    /// Newest first.
    pub posts: Vec<Post>,
    /// The last of these posts if there are more: what `before` has to be to get them.
    pub next: Option<PostId>,
}
