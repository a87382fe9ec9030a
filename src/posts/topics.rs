//! The topics of the snapshots. They are reserved, so that only the routes of the posts lead to them.

use super::PostId;
use crate::error::Error;
use crate::topic::Topic;

/// The newest posts.
pub const POSTS: &str = "$posts";

/// The list of feeds.
pub const FEEDS: &str = "$feeds";

/// A post.
pub fn post(id: PostId) -> Result<Topic, Error> {
    Topic::new(&format!("$post/{id}"))
}

/// The newest posts of a feed.
pub fn feed(name: &str) -> Result<Topic, Error> {
    Topic::new(&format!("$feed/{name}"))
}
