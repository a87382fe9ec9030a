//! The feeds' part of the file: which post is in which feed, at which position.

use super::tables::{
    self, ENTRIES, FEEDS, FILED, FiledRow, NUMBERS, entry_key, post_key, read_row, write_row,
};
use crate::disk::tables::{Bytes, number, set_number, to_number, torn};
use crate::error::Error;
use crate::posts::store::{FEEDS_MAX, FEEDS_SHOWN_MAX, Feed, FeedList, FeedSummary};
use crate::posts::{PostChange, PostEvent, PostId};
use redb::{ReadTransaction, ReadableTableMetadata, Table, WriteTransaction};
use std::collections::BTreeSet;
use std::ops::Bound::{Excluded, Unbounded};

/// The key of the newest deletion in `numbers`.
const NEWEST_DELETION: &str = "deletion";

/// The tables of a transaction that files posts, and the feeds that it has changed.
struct Filing<'txn> {
    filed: Table<'txn, Bytes, Bytes>,
    entries: Table<'txn, Bytes, Bytes>,
    feeds: Table<'txn, Bytes, Bytes>,
    numbers: Table<'txn, Bytes, Bytes>,
    changed: BTreeSet<String>,
}

pub(super) fn apply(txn: &WriteTransaction, events: &[PostEvent]) -> Result<BTreeSet<String>, redb::Error> {
    let mut filing = Filing {
        filed: txn.open_table(FILED)?,
        entries: txn.open_table(ENTRIES)?,
        feeds: txn.open_table(FEEDS)?,
        numbers: txn.open_table(NUMBERS)?,
        changed: BTreeSet::new(),
    };
    for event in events {
        filing.file(event)?;
    }
    Ok(filing.changed)
}

impl Filing<'_> {
    fn file(&mut self, event: &PostEvent) -> Result<(), redb::Error> {
        let PostEvent { number: event_number, change, post } = event;
        let key = post_key(post.id);
        let before: Option<FiledRow> = read_row(&self.filed, &key)?;
        if self.is_old(event, before.as_ref())? {
            return Ok(());
        }
        let (old_tags, old_positions) =
            before.map_or_else(Default::default, |before| (before.post.tags, before.positions));
        let new_tags = if *change == PostChange::Deleted { &[][..] } else { &post.tags };

        let mut new_positions = Vec::with_capacity(new_tags.len());
        for tag in new_tags {
            let index = old_tags.iter().position(|old| old == tag);
            if index.is_none() {
                self.entries.insert(&*entry_key(tag, *event_number), &key[..])?;
                self.count(tag, |posts| posts + 1)?;
            }
            // An edited post keeps its position in a feed that it stays in.
            new_positions.push(index.map_or(*event_number, |index| old_positions[index]));
        }
        for (tag, position) in old_tags.iter().zip(&old_positions).filter(|(tag, _)| !new_tags.contains(tag))
        {
            self.entries.remove(&*entry_key(tag, *position))?;
            self.count(tag, |posts| posts.saturating_sub(1))?;
        }
        self.changed.extend(new_tags.iter().chain(&old_tags).cloned());

        if *change == PostChange::Deleted {
            self.filed.remove(&key[..])?;
            return set_number(&mut self.numbers, NEWEST_DELETION, *event_number);
        }
        write_row(&mut self.filed, &key, &FiledRow { post: post.clone(), positions: new_positions })
    }

    /// Whether an event was handled before, or comes after a newer one of its post. A post and its event are
    /// written together or not at all; handling an event twice changes nothing.
    ///
    /// A filed post says by its version which events it has seen, and deleting it is always news. A post that
    /// is not filed is either new or was deleted. Events come in the order of their numbers the first time, so
    /// the first event of a new post is newer than every deletion so far, and every event of a deleted post
    /// is at most as new as its own deletion. One number therefore does for all posts that were ever deleted.
    fn is_old(&self, event: &PostEvent, filed: Option<&FiledRow>) -> Result<bool, redb::Error> {
        match filed {
            Some(_) if event.change == PostChange::Deleted => Ok(false),
            Some(filed) => Ok(event.post.version <= filed.post.version),
            None => Ok(event.number <= number(&self.numbers, NEWEST_DELETION)?.unwrap_or(0)),
        }
    }

    /// Changes how many posts a feed has. One without posts goes: nothing refers to it any more.
    fn count(&mut self, tag: &str, change: impl FnOnce(u64) -> u64) -> Result<(), redb::Error> {
        match change(number(&self.feeds, tag)?.unwrap_or(0)) {
            0 => drop(self.feeds.remove(tag.as_bytes())?),
            posts => set_number(&mut self.feeds, tag, posts)?,
        }
        Ok(())
    }
}

pub(super) fn list(txn: &ReadTransaction, after: &str) -> Result<FeedList, redb::Error> {
    let table = txn.open_table(FEEDS)?;
    let mut rest = table.range::<&[u8]>((Excluded(after.as_bytes()), Unbounded))?;
    let mut feeds = Vec::new();
    for entry in rest.by_ref().take(FEEDS_SHOWN_MAX) {
        let (name, posts) = entry?;
        let name = str::from_utf8(name.value()).map_err(|_| torn())?.to_owned();
        feeds.push(FeedSummary { name, posts: to_number(posts.value())? });
    }
    Ok(FeedList { more: rest.count() as u64, feeds })
}

pub(super) fn has_room(txn: &ReadTransaction, tags: &[String]) -> Result<bool, redb::Error> {
    let feeds = txn.open_table(FEEDS)?;
    let mut new = 0;
    for tag in tags {
        new += u64::from(feeds.get(tag.as_bytes())?.is_none());
    }
    Ok(new == 0 || feeds.len()? + new <= FEEDS_MAX)
}

/// The outer error fails the transaction; the inner one is an answer.
pub(super) fn feed(
    txn: &ReadTransaction,
    name: &str,
    before: Option<PostId>,
    limit: usize,
) -> Result<Result<Option<Feed>, Error>, redb::Error> {
    if txn.open_table(FEEDS)?.get(name.as_bytes())?.is_none() {
        return Ok(Ok(None));
    }
    let filed = txn.open_table(FILED)?;
    let end = match before {
        None => u64::MAX,
        Some(id) => match read_row(&filed, &post_key(id))?.and_then(|row| position(&row, name)) {
            Some(position) => position,
            None => return Ok(Err(Error::bad(format!("`before` is not a post of the feed `{name}`")))),
        },
    };
    let (start, end) = (entry_key(name, 0), entry_key(name, end));
    let entries = txn.open_table(ENTRIES)?;
    let (posts, next) = tables::newest_posts(&entries, &*start..&*end, limit, |key| {
        Ok(read_row(&filed, key)?.map(|row: FiledRow| row.post))
    })?;
    Ok(Ok(Some(Feed { name: name.to_owned(), posts, next })))
}

/// The position of a post in a feed; none if it is not in it.
fn position(row: &FiledRow, name: &str) -> Option<u64> {
    let index = row.post.tags.iter().position(|tag| tag == name)?;
    row.positions.get(index).copied()
}
