//! The format of the file: a new file gets format 2, and a file of format 1 is migrated to it.
//!
//! Format 1, which callout 0.1.0 wrote, has neither `order` nor `positions`. Format 2 also adds fields to
//! posts and to rows of the outbox; a missing field is read as none, so those rows stay as they are.

use super::tables::{
    ENTRIES, FEEDS, FILED, NUMBERS, ORDER, OUTBOX, OutboxRow, POSITIONS, POSTS, decode_row, number_key,
    post_key,
};
use crate::disk::tables::{number, set_number, to_number, torn};
use crate::posts::PostChange;
use redb::{ReadableTable, WriteTransaction};
use std::collections::HashMap;

/// The version of the tables. A file of a newer one is refused.
pub(super) const FORMAT: u64 = 2;

/// The key of the format in `numbers`.
const FORMAT_KEY: &str = "format";

/// Makes the tables that are missing, migrates a file of format 1, and writes the format, all in this one
/// transaction.
pub(super) fn lay_out(txn: &WriteTransaction) -> Result<(), redb::Error> {
    for table in [POSTS, ORDER, POSITIONS, OUTBOX, FILED, ENTRIES, FEEDS] {
        txn.open_table(table)?;
    }
    let mut numbers = txn.open_table(NUMBERS)?;
    if number(&numbers, FORMAT_KEY)? == Some(1) {
        log::info!("posts are migrated from format 1 to format {FORMAT}, which callout 0.1.0 cannot open");
        order_posts(txn)?;
        // Format 1 kept feeds that had lost their last post.
        txn.open_table(FEEDS)?.retain(|_, posts| posts.iter().any(|byte| *byte != 0))?;
    }
    set_number(&mut numbers, FORMAT_KEY, FORMAT)
}

/// Gives every post a position. Format 1 shows when a post was created only where the post has tags (its first
/// position in a feed), or where the event of its creation is still in the outbox. All other posts become the
/// oldest.
///
/// Positions are counted from 1. Each post was created by an event of its own, so no position is above the
/// number of the newest event, and a new post comes after all of them.
fn order_posts(txn: &WriteTransaction) -> Result<(), redb::Error> {
    let known = known_positions(txn)?;
    let mut posts = Vec::new();
    for row in txn.open_table(POSTS)?.range::<&[u8]>(..)? {
        let post = row?.0.value().to_vec();
        posts.push((known.get(&post), post));
    }
    // None is less than any position.
    posts.sort_unstable();
    let (mut order, mut positions) = (txn.open_table(ORDER)?, txn.open_table(POSITIONS)?);
    for (position, (_, post)) in (1..).zip(&posts) {
        order.insert(&number_key(position)[..], &**post)?;
        set_number(&mut positions, post, position)?;
    }
    Ok(())
}

/// For each post the first position at which format 1 shows it, by the post's key.
fn known_positions(txn: &WriteTransaction) -> Result<HashMap<Vec<u8>, u64>, redb::Error> {
    let mut known = HashMap::new();
    let mut note = |post: &[u8], position: u64| {
        let first = known.entry(post.to_vec()).or_insert(position);
        *first = position.min(*first);
    };
    for row in txn.open_table(ENTRIES)?.range::<&[u8]>(..)? {
        let (key, post) = row?;
        let position = key.value().last_chunk().ok_or_else(torn)?;
        note(post.value(), u64::from_be_bytes(*position));
    }
    for row in txn.open_table(OUTBOX)?.range::<&[u8]>(..)? {
        let (key, row) = row?;
        let row: OutboxRow = decode_row(&row)?;
        if row.change() == PostChange::Created {
            note(&post_key(row.post.id), to_number(key.value())?);
        }
    }
    Ok(known)
}
