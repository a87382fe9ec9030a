//! The tables of the file. `posts`, `order`, `positions` and `outbox` belong to the posts; `filed`, `entries`
//! and `feeds` to the feeds. Neither side looks into the tables of the other.
//!
//! | table | key | value |
//! |---|---|---|
//! | `posts` | post | the post |
//! | `order` | position | post |
//! | `positions` | post | position in `order` |
//! | `outbox` | event | the post after the event, and what is needed to undo it |
//! | `filed` | post | the post as it is filed, and its position in the feed of each of its tags |
//! | `entries` | feed, position | post |
//! | `feeds` | name | how many posts |
//! | `numbers` | name | the format, the newest event, the newest deletion that the feeds know |
//!
//! A position is the number of the event that put the post there, so a larger one is newer. Values are
//! numbers, ids or JSON, all of it as bytes: see [`crate::disk::tables`].

use crate::disk::tables::{Bytes, Definition, number, set_number, torn};
use crate::posts::store::LIST_BYTES;
use crate::posts::{Post, PostChange, PostId};
use redb::{AccessGuard, ReadOnlyTable, ReadableTable, Table};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::ops::Range;

pub(super) const POSTS: Definition = Definition::new("posts");
pub(super) const ORDER: Definition = Definition::new("order");
pub(super) const POSITIONS: Definition = Definition::new("positions");
pub(super) const OUTBOX: Definition = Definition::new("outbox");
pub(super) const FILED: Definition = Definition::new("filed");
pub(super) const ENTRIES: Definition = Definition::new("entries");
pub(super) const FEEDS: Definition = Definition::new("feeds");
pub(super) const NUMBERS: Definition = Definition::new("numbers");

/// The key of the newest event in `numbers`.
const NEWEST_EVENT: &str = "last";

/// A row of `outbox`.
#[derive(Serialize, Deserialize)]
pub(super) struct OutboxRow {
    /// The post after the event; a deleted post as it was last.
    pub(super) post: Post,
    /// The post before an edit.
    pub(super) before: Option<Post>,
    /// The position of a deleted post, where it comes back if the deletion is undone.
    pub(super) deleted_from: Option<u64>,
}

impl OutboxRow {
    pub(super) fn change(&self) -> PostChange {
        match self {
            OutboxRow { deleted_from: Some(_), .. } => PostChange::Deleted,
            OutboxRow { before: Some(_), .. } => PostChange::Updated,
            _ => PostChange::Created,
        }
    }
}

/// A row of `filed`.
#[derive(Serialize, Deserialize)]
pub(super) struct FiledRow {
    pub(super) post: Post,
    /// In the order of the post's tags. Format 1 gave them this name in the file.
    #[serde(rename = "places")]
    pub(super) positions: Vec<u64>,
}

/// The number of the newest event; 0 if there was none.
pub(super) fn newest_event(numbers: &impl ReadableTable<Bytes, Bytes>) -> Result<u64, redb::Error> {
    Ok(number(numbers, NEWEST_EVENT)?.unwrap_or(0))
}

pub(super) fn set_newest_event(numbers: &mut Table<Bytes, Bytes>, number: u64) -> Result<(), redb::Error> {
    set_number(numbers, NEWEST_EVENT, number)
}

pub(super) fn post_key(id: PostId) -> [u8; 16] {
    id.0.to_be_bytes()
}

/// A key of `outbox` or `order`.
pub(super) fn number_key(number: u64) -> [u8; 8] {
    number.to_be_bytes()
}

/// A name holds no NUL, so the entries of one feed are never between those of another.
pub(super) fn entry_key(name: &str, position: u64) -> Vec<u8> {
    [name.as_bytes(), &[0], &position.to_be_bytes()].concat()
}

pub(super) fn read_row<T: DeserializeOwned>(
    table: &impl ReadableTable<Bytes, Bytes>,
    key: &[u8],
) -> Result<Option<T>, redb::Error> {
    table.get(key)?.map(|row| decode_row(&row)).transpose()
}

pub(super) fn write_row(
    table: &mut Table<Bytes, Bytes>,
    key: &[u8],
    row: &impl Serialize,
) -> Result<(), redb::Error> {
    let row = serde_json::to_vec(row).expect("texts and numbers are JSON");
    table.insert(key, &*row)?;
    Ok(())
}

pub(super) fn decode_row<T: DeserializeOwned>(row: &AccessGuard<Bytes>) -> Result<T, redb::Error> {
    serde_json::from_slice(row.value()).map_err(|_| torn())
}

/// The posts at the last positions of a range of `order` or `entries`, newest first and at most `limit` and about
/// [`LIST_BYTES`], and the last of them if the range has more. `post` reads a post by its key.
pub(super) fn newest_posts(
    index: &ReadOnlyTable<Bytes, Bytes>,
    range: Range<&[u8]>,
    limit: usize,
    post: impl Fn(&[u8]) -> Result<Option<Post>, redb::Error>,
) -> Result<(Vec<Post>, Option<PostId>), redb::Error> {
    let mut posts: Vec<Post> = Vec::new();
    let mut bytes = 0;
    let mut has_more = false;
    for entry in index.range(range)?.rev() {
        has_more = posts.len() == limit || bytes >= LIST_BYTES;
        if has_more {
            break;
        }
        posts.extend(post(entry?.1.value())?);
        bytes += posts.last().map_or(0, |post| post.content.len() + post.title.len());
    }
    let next = posts.last().filter(|_| has_more).map(|post| post.id);
    Ok((posts, next))
}
