//! The topics of the posts' states. They are reserved, so that they are read through their routes only.

use super::PostId;
use crate::error::Error;
use crate::topic::Topic;

/// The list of feeds.
pub const FEEDS: &str = "$feeds";

/// A post.
pub fn post(id: PostId) -> Result<Topic, Error> {
    Topic::new(&format!("$post/{id}"))
}

/// A feed's newest posts.
pub fn feed(name: &str) -> Result<Topic, Error> {
    Topic::new(&format!("$feed/{name}"))
}
