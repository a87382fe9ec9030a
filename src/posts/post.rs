//! A post, what is needed to create or edit one, and the event that reports what happened to it.
//!
//! Text from outside enters a post only through [`NewPost::new`] and [`Edit::new`]. They refuse what a post
//! cannot hold, and name the field.

use super::tags::tags;
use super::timestamp::Timestamp;
use crate::error::Error;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use uuid::{Builder, Uuid};

/// The longest title, author and content, in characters. A longer one is answered 400.
pub const TITLE_CHARS_MAX: usize = 200;
/// See [`TITLE_CHARS_MAX`].
pub const AUTHOR_CHARS_MAX: usize = 80;
/// See [`TITLE_CHARS_MAX`].
pub const CONTENT_CHARS_MAX: usize = 10_000;

/// A post's id: a random UUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PostId(pub u128);

impl PostId {
    /// A new id. It is a name and not a secret. The store makes sure that no two posts have the same.
    pub fn random() -> PostId {
        PostId(Builder::from_random_bytes(fastrand::u128(..).to_be_bytes()).into_uuid().as_u128())
    }

    /// Reads an id as `Display` writes it; none if the text is not a UUID.
    pub fn parse(text: &str) -> Option<PostId> {
        Some(PostId(Uuid::try_parse(text).ok()?.as_u128()))
    }
}

impl fmt::Display for PostId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Uuid::from_u128(self.0).fmt(f)
    }
}

impl Serialize for PostId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PostId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<PostId, D::Error> {
        let text = <&str>::deserialize(deserializer)?;
        PostId::parse(text).ok_or_else(|| D::Error::custom("an id is a UUID"))
    }
}

/// A post.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Post {
    /// Its id, which never changes.
    pub id: PostId,
    /// One line of text.
    pub title: String,
    /// The text as it was written.
    pub content: String,
    /// Who wrote the post. An edit does not change it.
    pub author: String,
    /// The tags in the content: in lower case, each once, in the order in which they first appear.
    pub tags: Vec<String>,
    /// 1 for a new post, and one more with every change.
    pub version: u64,
    /// When the post was created. None for a post that callout 0.1.0 created, which noted no dates.
    pub created: Option<Timestamp>,
    /// When the post changed last; for a new post, when it was created. None for a post that has not
    /// changed since callout 0.1.0 wrote it.
    pub updated: Option<Timestamp>,
}

impl Post {
    /// A post that is created now.
    pub(in crate::posts) fn new(id: PostId, new: NewPost) -> Post {
        let NewPost { title, content: Content { text, tags }, author } = new;
        let created = Some(Timestamp::now());
        Post { id, title, content: text, author, tags, version: 1, created, updated: created }
    }

    /// The post after this edit; the same post if the edit changes nothing. [`Error::precondition`] if the
    /// edit is meant for another version.
    pub(in crate::posts) fn edited(&self, edit: Edit) -> Result<Post, Error> {
        self.check_version(edit.versions.as_deref())?;
        let mut post = self.clone();
        post.title = edit.title.unwrap_or(post.title);
        if let Some(Content { text, tags }) = edit.content {
            (post.content, post.tags) = (text, tags);
        }
        if post != *self {
            post.version += 1;
            post.updated = Some(Timestamp::after(self.updated));
        }
        Ok(post)
    }

    /// [`Error::precondition`] if versions are named and the post is at none of them.
    pub(in crate::posts) fn check_version(&self, versions: Option<&[u64]>) -> Result<(), Error> {
        if versions.is_none_or(|versions| versions.contains(&self.version)) {
            return Ok(());
        }
        Err(Error::precondition(format!(
            "the post has changed since the version named in `If-Match`: it is at version {} now",
            self.version
        )))
    }
}

/// A text and the tags in it.
#[derive(Debug, Clone)]
pub struct Content {
    text: String,
    tags: Vec<String>,
}

/// The fields of a new post, checked.
#[derive(Debug, Clone)]
pub struct NewPost {
    title: String,
    content: Content,
    author: String,
}

impl NewPost {
    /// Checks the fields. [`Error::bad`] names the field that is refused, and says why.
    pub fn new(title: &str, content: String, author: &str) -> Result<NewPost, Error> {
        Ok(NewPost {
            title: check_line("title", title, TITLE_CHARS_MAX)?,
            content: check_content(content)?,
            author: check_line("author", author, AUTHOR_CHARS_MAX)?,
        })
    }
}

impl NewPost {
    /// The tags in its content.
    pub fn tags(&self) -> &[String] {
        &self.content.tags
    }
}

/// An edit of a post, checked.
#[derive(Debug, Clone)]
pub struct Edit {
    title: Option<String>,
    content: Option<Content>,
    /// The versions that the edit is meant for; none if it is meant for any.
    versions: Option<Vec<u64>>,
}

impl Edit {
    /// Checks the fields. A field that is none stays as it is. [`Error::bad`] names the field that is
    /// refused, and says why.
    pub fn new(
        title: Option<&str>,
        content: Option<String>,
        versions: Option<Vec<u64>>,
    ) -> Result<Edit, Error> {
        if title.is_none() && content.is_none() {
            return Err(Error::bad("the edit changes nothing").hint("give a `title`, a `content` or both"));
        }
        Ok(Edit {
            title: title.map(|title| check_line("title", title, TITLE_CHARS_MAX)).transpose()?,
            content: content.map(check_content).transpose()?,
            versions,
        })
    }
}

impl Edit {
    /// The tags in the new content; none if the content stays.
    pub fn tags(&self) -> &[String] {
        self.content.as_ref().map_or(&[], |content| &content.tags)
    }
}

/// Checks a field of one line and trims it.
fn check_line(field: &str, text: &str, chars_max: usize) -> Result<String, Error> {
    let text = text.trim();
    if text.chars().any(char::is_control) {
        return Err(Error::bad(format!("`{field}` must not have control characters (line ends, tabs, NUL)")));
    }
    check_length(field, text, chars_max)?;
    Ok(text.to_owned())
}

fn check_content(text: String) -> Result<Content, Error> {
    if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
        return Err(Error::bad("`content` must not have control characters other than line ends and tabs"));
    }
    check_length("content", &text, CONTENT_CHARS_MAX)?;
    Ok(Content { tags: tags(&text)?, text })
}

fn check_length(field: &str, text: &str, chars_max: usize) -> Result<(), Error> {
    if text.trim().is_empty() {
        return Err(Error::bad(format!("`{field}` is empty")));
    }
    let chars = text.chars().count();
    if chars > chars_max {
        return Err(Error::bad(format!(
            "`{field}` has {chars} characters; at most {chars_max} are accepted"
        )));
    }
    Ok(())
}

/// What happened to a post.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PostChange {
    /// There is a new post.
    Created,
    /// The post changed.
    Updated,
    /// The post is gone.
    Deleted,
}

/// One change of a post.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostEvent {
    /// Larger than the number of every event before it.
    pub number: u64,
    /// What happened.
    pub change: PostChange,
    /// The post right after the event; a deleted post as it was last.
    pub post: Post,
}

impl PostEvent {
    /// The name under which the event is broadcast.
    pub fn name(&self) -> &'static str {
        match self.change {
            PostChange::Created => "PostCreated",
            PostChange::Updated => "PostUpdated",
            PostChange::Deleted => "PostDeleted",
        }
    }
}
