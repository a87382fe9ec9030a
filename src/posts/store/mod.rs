//! What the stores of posts and feeds promise, and the one place that opens them by their address.
//!
//! [`PostStore`] holds the posts (the write model), [`FeedStore`] the feeds that follow from them (the read
//! model). Each is complete on its own, so that a database server can take the place of either.
//!
//! - A writer is answered after its post is where the store keeps posts.
//! - A post and its event are written together or not at all; handling an event twice changes nothing. The
//!   event waits in the outbox until it was handled, however often the process ends in between.
//! - Events are handed out for the first time in the order of their numbers, each as often as it takes until
//!   it was handled. So a feed store can tell a late event of a deleted post from the first event of a new one
//!   by the number, and need not remember which posts were deleted.

pub mod embedded;

use super::{Edit, NewPost, Post, PostEvent, PostId};
use crate::error::Error;
use crate::os::threads::Threads;
use crossbeam_channel::Receiver;
use embedded::Embedded;
use serde::Serialize;
use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The most posts that are kept. Creating one more is answered 503 until another was deleted.
pub const POSTS_MAX: u64 = 100_000;

/// The most events that are taken from the outbox at a time. The rest is taken next.
pub const EVENTS_MAX: usize = 256;

/// The bytes of text after which a list of posts ends before its limit; one post may still be larger. The list says
/// where it goes on, as `next`.
pub const LIST_BYTES: usize = 128 * 1024;

/// The most feeds in a list, in the order of their names. The list says how many are left out, as `more`.
pub const FEEDS_SHOWN_MAX: usize = 1_000;

/// The most feeds. While there are so many, a post with a tag that has no feed yet is answered 503.
pub const FEEDS_MAX: u64 = 100_000;

/// The text of a 404 for a post.
pub const NO_POST: &str = "there is no post of this id";

/// The text of a 404 for a feed.
pub const NO_FEED: &str = "there is no feed of this name: no post has this tag";

/// The posts, and the events that report their changes. All methods may be called from any thread and block
/// until they are done. [`Error::unavailable`] from any of them: it cannot be done now, and was not done.
pub trait PostStore: Send + Sync {
    /// Keeps a new post, under an id that no other post has, and its event. [`Error::unavailable`] also
    /// where there are [`POSTS_MAX`] posts.
    fn create(&self, new: NewPost) -> Result<Post, Error>;

    /// Edits a post and gives the post as it is then. An edit that changes nothing makes no new version and
    /// no event. [`Error::not_found`] if there is no such post; [`Error::precondition`] if the edit is meant
    /// for another version. Comparing the version and changing the post are one step.
    fn edit(&self, id: PostId, edit: Edit) -> Result<Post, Error>;

    /// Deletes a post, if it is at one of these versions or none is named. Errors as [`PostStore::edit`].
    fn delete(&self, id: PostId, versions: Option<Vec<u64>>) -> Result<(), Error>;

    /// A post as it is now; none if there is no post of this id.
    fn get(&self, id: PostId) -> Result<Option<Post>, Error>;

    /// The newest posts in the order of their creation, at most `limit` and about [`LIST_BYTES`]; only posts older than `before` if
    /// that is given. [`Error::bad`] if there is no post `before`.
    fn newest(&self, before: Option<PostId>, limit: usize) -> Result<PostList, Error>;

    /// The oldest events that were not handled yet, at most [`EVENTS_MAX`], in the order of their numbers.
    fn unhandled(&self) -> Result<Vec<PostEvent>, Error>;

    /// Forgets the events up to this number, which were handled.
    fn forget(&self, through: u64) -> Result<(), Error>;

    /// Receives a message when there may be events that were not handled, the first one at once. For one
    /// receiver.
    fn bell(&self) -> Receiver<()>;

    /// How many posts and events there are, and whether writing works. Does not fail.
    fn status(&self) -> Status;

    /// Writes everything to where it survives, and refuses what comes after. Blocks until that is done, or
    /// gives up after about twice the deadline.
    fn close(&self, deadline: Duration);
}

/// The feeds: for each tag its posts, newest first. Errors and threads as with [`PostStore`].
pub trait FeedStore: Send + Sync {
    /// Files posts under their tags, and gives the names of the feeds that changed. A new tag makes a new
    /// feed. A post is put first in a feed that it was not in, is replaced at its position in a feed that it
    /// stays in, and is taken out of a feed whose tag it has lost; a deleted post is taken out of all feeds.
    /// A feed that loses its last post goes.
    ///
    /// Handling an event twice, or after a newer event of the same post, changes nothing: no late event
    /// brings a deleted post back.
    fn apply(&self, events: Vec<PostEvent>) -> Result<BTreeSet<String>, Error>;

    /// The feeds behind this name, which is empty for the first of all, in the order of their names: at most
    /// [`FEEDS_SHOWN_MAX`].
    fn list(&self, after: &str) -> Result<FeedList, Error>;

    /// Whether posts with these tags can be filed without more than [`FEEDS_MAX`] feeds.
    fn has_room(&self, tags: &[String]) -> Result<bool, Error>;

    /// The newest posts of a feed, at most `limit` and about [`LIST_BYTES`]; only the posts behind `before` in it if that is given.
    /// None if there is no such feed; [`Error::bad`] if `before` is not in it.
    fn feed(&self, name: &str, before: Option<PostId>, limit: usize) -> Result<Option<Feed>, Error>;
}

/// The state of a store.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Status {
    /// Posts kept.
    pub posts: u64,
    /// Events that wait to be handled.
    pub unhandled: u64,
    /// Why nothing can be written now; none if writing works.
    pub failure: Option<String>,
}

/// Posts in the order of their creation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PostList {
    /// Newest first.
    pub posts: Vec<Post>,
    /// What `before` has to be to get the posts after these; none if there are no more.
    pub next: Option<PostId>,
}

/// A feed without its posts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FeedSummary {
    /// The tag of its posts.
    pub name: String,
    /// How many posts it has.
    pub posts: u64,
}

/// All feeds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct FeedList {
    /// In the order of their names.
    pub feeds: Vec<FeedSummary>,
    /// How many more feeds there are behind these.
    #[serde(skip_serializing_if = "is_zero")]
    pub more: u64,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// A feed with some of its posts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Feed {
    /// The tag of its posts.
    pub name: String,
    /// Newest first.
    pub posts: Vec<Post>,
    /// What `before` has to be to get the posts after these; none if there are no more.
    pub next: Option<PostId>,
}

/// Where posts and feeds are kept.
#[derive(Clone, PartialEq, Eq)]
pub enum StoreAddress {
    /// In memory, gone with the process.
    Memory,
    /// In a file in this folder, which only this server uses.
    Folder(PathBuf),
    /// On a database server, as a URL. It may hold a password, so `Debug` shows only its scheme.
    Server(String),
}

impl StoreAddress {
    /// Whether something may be kept there already.
    pub(super) fn may_hold_posts(&self) -> bool {
        match self {
            StoreAddress::Memory => false,
            // Also a link that leads to nothing, which is then refused.
            StoreAddress::Folder(folder) => folder.join(embedded::NAME).symlink_metadata().is_ok(),
            StoreAddress::Server(_) => true,
        }
    }
}

/// Reads `memory`, a URL, or else a folder.
impl From<&str> for StoreAddress {
    fn from(text: &str) -> StoreAddress {
        match text {
            "memory" => StoreAddress::Memory,
            url if url.contains("://") => StoreAddress::Server(url.into()),
            folder => StoreAddress::Folder(folder.into()),
        }
    }
}

impl fmt::Debug for StoreAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreAddress::Memory => f.write_str("Memory"),
            StoreAddress::Folder(folder) => f.debug_tuple("Folder").field(folder).finish(),
            StoreAddress::Server(url) => write!(f, "Server({}://…)", scheme(url)),
        }
    }
}

fn scheme(url: &str) -> &str {
    url.split_once("://").map_or(url, |(scheme, _)| scheme)
}

/// The two stores behind an address.
pub struct Stores {
    /// The posts.
    pub posts: Arc<dyn PostStore>,
    /// The feeds.
    pub feeds: Arc<dyn FeedStore>,
}

/// Opens the stores at this address and starts their threads. The error is for the operator.
pub fn open(address: &StoreAddress, threads: &Threads) -> Result<Stores, String> {
    let opener = match address {
        StoreAddress::Memory => embedded::memory_opener(),
        StoreAddress::Folder(folder) => embedded::opener(folder.clone()),
        StoreAddress::Server(url) => {
            return Err(match scheme(url) {
                scheme @ ("mysql" | "mongodb") => {
                    format!("this build has no {scheme} support; rebuild with --features {scheme}")
                }
                scheme => format!("posts cannot be kept at `{scheme}://…`: give a folder, or `memory`"),
            });
        }
    };
    let embedded = Arc::new(Embedded::start(opener, threads)?);
    Ok(Stores { posts: embedded.clone(), feeds: embedded })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_memory_a_folder_or_a_server() {
        assert_eq!(StoreAddress::from("memory"), StoreAddress::Memory);
        assert_eq!(StoreAddress::from("./memory"), StoreAddress::Folder("./memory".into()));
        let url = "mysql://callout:secret@db/posts";
        assert_eq!(StoreAddress::from(url), StoreAddress::Server(url.into()));
        assert_eq!(format!("{:?}", StoreAddress::from(url)), "Server(mysql://…)");
    }

    #[test]
    fn a_build_without_a_database_says_how_to_get_one_that_has_it() {
        let refused = |url: &str| open(&url.into(), &Threads::default()).map(drop).unwrap_err();
        for (url, feature) in [("mysql://db/posts", "mysql"), ("mongodb://db/feeds", "mongodb")] {
            let wanted = format!("this build has no {feature} support; rebuild with --features {feature}");
            assert_eq!(refused(url), wanted);
        }
        assert!(refused("ftp://host").contains("`ftp://…`"));
    }
}
