//! A post, what is needed to make or change one, and the event that tells of it.
//!
//! Text from outside enters a post only through [`NewPost::new`] and [`Edit::new`], which refuse what does
//! not belong there and say in which field it stands.

use super::tags::tags;
use crate::error::Error;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use uuid::{Builder, Uuid};

/// The longest title, author and content, in characters. What is longer is answered 400.
pub const TITLE_CHARS_MAX: usize = 200;
/// See [`TITLE_CHARS_MAX`].
pub const AUTHOR_CHARS_MAX: usize = 80;
/// See [`TITLE_CHARS_MAX`].
pub const CONTENT_CHARS_MAX: usize = 10_000;

/// A post's id: a random UUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PostId(pub u128);

impl PostId {
    /// A new one. It is a name and no secret; that there is no double, the store sees to.
    pub fn random() -> PostId {
        PostId(Builder::from_random_bytes(fastrand::u128(..).to_be_bytes()).into_uuid().as_u128())
    }

    /// Reads what `Display` writes.
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
    /// Its id.
    pub id: PostId,
    /// One line.
    pub title: String,
    /// The text, as it was written.
    pub content: String,
    /// Who wrote it, which stays.
    pub author: String,
    /// What its content says with `#tag`: in lower case, without doubles, in order of appearance.
    pub tags: Vec<String>,
    /// 1 for a new post, and one more with every change.
    pub version: u64,
}

impl Post {
    /// A post that is made now.
    pub(in crate::posts) fn new(id: PostId, new: NewPost) -> Post {
        let NewPost { title, content, author } = new;
        Post { id, title, content: content.text, author, tags: content.tags, version: 1 }
    }

    /// What an edit makes of it: the same post if nothing changes. [`Error::Precondition`] if the edit was
    /// meant for another version.
    pub(in crate::posts) fn edited(&self, edit: Edit) -> Result<Post, Error> {
        if edit.versions.is_some_and(|versions| !versions.contains(&self.version)) {
            return Err(Error::Precondition(format!(
                "the post was changed meanwhile, it is at version {}: read it again",
                self.version
            )));
        }
        let mut post = self.clone();
        post.title = edit.title.unwrap_or(post.title);
        if let Some(Content { text, tags }) = edit.content {
            (post.content, post.tags) = (text, tags);
        }
        if post != *self {
            post.version += 1;
        }
        Ok(post)
    }
}

/// A text and the tags in it.
#[derive(Debug, Clone)]
pub struct Content {
    text: String,
    tags: Vec<String>,
}

/// What a post is made of, checked.
#[derive(Debug, Clone)]
pub struct NewPost {
    title: String,
    content: Content,
    author: String,
}

impl NewPost {
    /// Checks the fields. [`Error::Bad`] says which one is not right, and why.
    pub fn new(title: &str, content: String, author: &str) -> Result<NewPost, Error> {
        Ok(NewPost {
            title: check_line("title", title, TITLE_CHARS_MAX)?,
            content: check_content(content)?,
            author: check_line("author", author, AUTHOR_CHARS_MAX)?,
        })
    }
}

/// What is to become of a post, checked.
#[derive(Debug, Clone)]
pub struct Edit {
    title: Option<String>,
    content: Option<Content>,
    /// The versions that it was meant for; none if any will do.
    versions: Option<Vec<u64>>,
}

impl Edit {
    /// Checks the fields; what is none stays. [`Error::Bad`] says which one is not right, and why.
    pub fn new(
        title: Option<&str>,
        content: Option<String>,
        versions: Option<Vec<u64>>,
    ) -> Result<Edit, Error> {
        if title.is_none() && content.is_none() {
            return Err(Error::bad("nothing is to be changed: give a `title`, a `content` or both"));
        }
        Ok(Edit {
            title: title.map(|title| check_line("title", title, TITLE_CHARS_MAX)).transpose()?,
            content: content.map(check_content).transpose()?,
            versions,
        })
    }
}

/// A field of one line, without the space around it.
fn check_line(field: &str, text: &str, chars_max: usize) -> Result<String, Error> {
    let text = text.trim();
    if text.chars().any(char::is_control) {
        return Err(Error::bad(format!("`{field}` has no control characters (line ends, tabs, NUL)")));
    }
    check_length(field, text, chars_max)?;
    Ok(text.to_owned())
}

fn check_content(text: String) -> Result<Content, Error> {
    if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
        return Err(Error::bad("`content` has no control characters but line ends and tabs"));
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
        return Err(Error::bad(format!("`{field}` has {chars} characters; at most {chars_max} are taken")));
    }
    Ok(())
}

/// A post was made or changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostEvent {
    /// Larger than that of every event before it.
    pub number: u64,
    /// The post as it was then.
    pub post: Post,
}

impl PostEvent {
    /// What happened, as the name of an event.
    pub fn name(&self) -> &'static str {
        if self.post.version == 1 { "PostCreated" } else { "PostUpdated" }
    }
}
