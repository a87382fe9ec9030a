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
//! A place is the number of the event that put the post there, so a larger one is newer. Tables of one type
//! share their code, which is large: so keys are bytes that sort as what they stand for, and values are JSON.

use crate::store::{Post, PostId};
use redb::{AccessGuard, ReadableTable, Table, TableDefinition, WriteTransaction};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A table of anything, and one of numbers.
pub(super) type Anything = TableDefinition<'static, &'static [u8], &'static [u8]>;
pub(super) type Numbers = TableDefinition<'static, &'static str, u64>;

pub(super) const POSTS: Anything = TableDefinition::new("posts");
pub(super) const OUTBOX: Anything = TableDefinition::new("outbox");
pub(super) const FILED: Anything = TableDefinition::new("filed");
pub(super) const ENTRIES: Anything = TableDefinition::new("entries");
pub(super) const FEEDS: Numbers = TableDefinition::new("feeds");
pub(super) const NUMBERS: Numbers = TableDefinition::new("numbers");

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
    for table in [POSTS, OUTBOX, FILED, ENTRIES] {
        txn.open_table(table)?;
    }
    txn.open_table(FEEDS)?;
    txn.open_table(NUMBERS)?.insert("format", FORMAT)?;
    Ok(())
}

/// The number of the newest event; 0 if there was none.
pub(super) fn last(numbers: &impl ReadableTable<&'static str, u64>) -> Result<u64, redb::Error> {
    Ok(numbers.get(LAST)?.map_or(0, |number| number.value()))
}

pub(super) fn set_last(numbers: &mut Table<&'static str, u64>, number: u64) -> Result<(), redb::Error> {
    numbers.insert(LAST, number)?;
    Ok(())
}

pub(super) fn post_key(id: PostId) -> [u8; 16] {
    id.0.to_be_bytes()
}

pub(super) fn event_key(number: u64) -> [u8; 8] {
    number.to_be_bytes()
}

pub(super) fn event_number(key: &[u8]) -> Result<u64, redb::Error> {
    Ok(u64::from_be_bytes(key.try_into().map_err(|_| torn())?))
}

/// A name holds no NUL, so no feed's entries stand among those of another.
pub(super) fn entry_key(name: &str, place: u64) -> Vec<u8> {
    [name.as_bytes(), &[0], &place.to_be_bytes()].concat()
}

pub(super) fn get<T: DeserializeOwned>(
    table: &impl ReadableTable<&'static [u8], &'static [u8]>,
    key: &[u8],
) -> Result<Option<T>, redb::Error> {
    table.get(key)?.map(|row| decode(&row)).transpose()
}

pub(super) fn put(
    table: &mut Table<&'static [u8], &'static [u8]>,
    key: &[u8],
    row: &impl Serialize,
) -> Result<(), redb::Error> {
    let row = serde_json::to_vec(row).expect("texts and numbers are JSON");
    table.insert(key, &*row)?;
    Ok(())
}

pub(super) fn decode<T: DeserializeOwned>(row: &AccessGuard<&'static [u8]>) -> Result<T, redb::Error> {
    serde_json::from_slice(row.value()).map_err(|_| torn())
}

fn torn() -> redb::Error {
    redb::Error::Corrupted("a row is not what was written".into())
}
