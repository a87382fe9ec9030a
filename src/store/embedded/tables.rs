//! The tables of the file. The first two are the posts', the next three the feeds': neither looks into those
//! of the other.
//!
//! | table | key | value |
//! |---|---|---|
//! | `posts` | post | what it is now |
//! | `outbox` | event | post, what it was then, what it was before |
//! | `filed` | post | the version that was filed, and its place in the feed of each of its tags |
//! | `feeds` | name | how many posts |
//! | `entries` | feed, place | post |
//! | `numbers` | name | the layout's version, the newest event |
//!
//! A place is the number of the event that put the post there, so a larger one is newer.

use crate::store::{Post, PostId};
use redb::{ReadableTable, TableDefinition, WriteTransaction};

/// A post without its id: title, content, author, tags, version.
pub(super) type Row<'a> = (&'a str, &'a str, &'a str, Vec<&'a str>, u64);

/// An event: the post's id, what it is from then on, and what it was before.
pub(super) type EventRow<'a> = (u128, Row<'a>, Option<Row<'a>>);

/// A post as the feeds know it: the post, and its places, in the order of its tags.
pub(super) type FiledRow<'a> = (Row<'a>, Vec<u64>);

pub(super) const POSTS: TableDefinition<u128, Row> = TableDefinition::new("posts");
pub(super) const OUTBOX: TableDefinition<u64, EventRow> = TableDefinition::new("outbox");
pub(super) const FILED: TableDefinition<u128, FiledRow> = TableDefinition::new("filed");
pub(super) const FEEDS: TableDefinition<&str, u64> = TableDefinition::new("feeds");
pub(super) const ENTRIES: TableDefinition<(&str, u64), u128> = TableDefinition::new("entries");
pub(super) const NUMBERS: TableDefinition<&str, u64> = TableDefinition::new("numbers");

/// The version of this layout. A file of a newer one is refused.
pub(super) const FORMAT: u64 = 1;

/// The number of the newest event, in `numbers`.
const LAST: &str = "last";

/// Makes the tables that are missing, and writes which layout they have.
pub(super) fn lay_out(txn: &WriteTransaction) -> Result<(), redb::Error> {
    txn.open_table(POSTS)?;
    txn.open_table(OUTBOX)?;
    txn.open_table(FILED)?;
    txn.open_table(FEEDS)?;
    txn.open_table(ENTRIES)?;
    txn.open_table(NUMBERS)?.insert("format", FORMAT)?;
    Ok(())
}

/// The number of the newest event; 0 if there was none.
pub(super) fn last(numbers: &impl ReadableTable<&'static str, u64>) -> Result<u64, redb::Error> {
    Ok(numbers.get(LAST)?.map_or(0, |number| number.value()))
}

pub(super) fn set_last(numbers: &mut redb::Table<&'static str, u64>, number: u64) -> Result<(), redb::Error> {
    numbers.insert(LAST, number)?;
    Ok(())
}

pub(super) fn row(post: &Post) -> Row<'_> {
    let tags = post.tags.iter().map(String::as_str).collect();
    (&post.title, &post.content, &post.author, tags, post.version)
}

pub(super) fn post(id: u128, row: Row) -> Post {
    let (title, content, author, tags, version) = row;
    Post {
        id: PostId(id),
        title: title.to_owned(),
        content: content.to_owned(),
        author: author.to_owned(),
        tags: tags.into_iter().map(str::to_owned).collect(),
        version,
    }
}
