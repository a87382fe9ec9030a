//! The tables of the file. The first two are the posts', the next three the feeds': neither looks into those
//! of the other.
//!
//! | table | key | value |
//! |---|---|---|
//! | `posts` | post | the post |
//! | `outbox` | event | the post from then on, and what it was before |
//! | `filed` | post | the post that was filed, and its place in the feed of each of its tags |
//! | `entries` | feed, place | post |
//! | `feeds` | name | how many posts |
//! | `numbers` | name | the layout's version, the newest event |
//!
//! A place is the number of the event that put the post there, so a larger one is newer. Values are numbers,
//! ids or JSON, all of it as bytes: see [`crate::disk::tables`].

use crate::disk::tables::{Bytes, Definition, number, set_number, torn};
use crate::posts::{Post, PostId};
use redb::{AccessGuard, ReadableTable, Table, WriteTransaction};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub(super) const POSTS: Definition = Definition::new("posts");
pub(super) const OUTBOX: Definition = Definition::new("outbox");
pub(super) const FILED: Definition = Definition::new("filed");
pub(super) const ENTRIES: Definition = Definition::new("entries");
pub(super) const FEEDS: Definition = Definition::new("feeds");
pub(super) const NUMBERS: Definition = Definition::new("numbers");

/// The version of this layout. A file of a newer one is refused.
pub(super) const FORMAT: u64 = 1;

/// The number of the newest event, in `numbers`.
const LAST: &str = "last";

/// A row of `outbox`.
#[derive(Serialize, Deserialize)]
pub(super) struct Noted {
    pub(super) post: Post,
    pub(super) before: Option<Post>,
}

/// A row of `filed`. The places stand in the order of the post's tags.
#[derive(Serialize, Deserialize)]
pub(super) struct Filed {
    pub(super) post: Post,
    pub(super) places: Vec<u64>,
}

/// Makes the tables that are missing, and writes which layout they have.
pub(super) fn lay_out(txn: &WriteTransaction) -> Result<(), redb::Error> {
    for table in [POSTS, OUTBOX, FILED, ENTRIES, FEEDS] {
        txn.open_table(table)?;
    }
    set_number(&mut txn.open_table(NUMBERS)?, "format", FORMAT)
}

/// The number of the newest event; 0 if there was none.
pub(super) fn last(numbers: &impl ReadableTable<Bytes, Bytes>) -> Result<u64, redb::Error> {
    Ok(number(numbers, LAST)?.unwrap_or(0))
}

pub(super) fn set_last(numbers: &mut Table<Bytes, Bytes>, number: u64) -> Result<(), redb::Error> {
    set_number(numbers, LAST, number)
}

pub(super) fn post_key(id: PostId) -> [u8; 16] {
    id.0.to_be_bytes()
}

pub(super) fn event_key(number: u64) -> [u8; 8] {
    number.to_be_bytes()
}

/// A name holds no NUL, so no feed's entries stand among those of another.
pub(super) fn entry_key(name: &str, place: u64) -> Vec<u8> {
    [name.as_bytes(), &[0], &place.to_be_bytes()].concat()
}

pub(super) fn get<T: DeserializeOwned>(
    table: &impl ReadableTable<Bytes, Bytes>,
    key: &[u8],
) -> Result<Option<T>, redb::Error> {
    table.get(key)?.map(|row| decode(&row)).transpose()
}

pub(super) fn put(
    table: &mut Table<Bytes, Bytes>,
    key: &[u8],
    row: &impl Serialize,
) -> Result<(), redb::Error> {
    let row = serde_json::to_vec(row).expect("texts and numbers are JSON");
    table.insert(key, &*row)?;
    Ok(())
}

pub(super) fn decode<T: DeserializeOwned>(row: &AccessGuard<Bytes>) -> Result<T, redb::Error> {
    serde_json::from_slice(row.value()).map_err(|_| torn())
}
