//! The read model's part of the file: which post is in which feed, at which place.

use super::tables::{self, ENTRIES, FEEDS, FILED, Filed, entry_key, post_key};
use crate::disk::tables::{Bytes, number, set_number, to_number, torn};
use crate::error::Error;
use crate::posts::store::{FEEDS_SHOWN_MAX, Feed, FeedList, FeedSummary};
use crate::posts::{Post, PostEvent, PostId};
use redb::{ReadTransaction, ReadableTableMetadata, Table, WriteTransaction};
use std::collections::BTreeSet;

/// The tables of a transaction that files posts, and the feeds that it changed.
struct Filing<'txn> {
    filed: Table<'txn, Bytes, Bytes>,
    entries: Table<'txn, Bytes, Bytes>,
    feeds: Table<'txn, Bytes, Bytes>,
    changed: BTreeSet<String>,
}

pub(super) fn apply(txn: &WriteTransaction, events: &[PostEvent]) -> Result<BTreeSet<String>, redb::Error> {
    let mut filing = Filing {
        filed: txn.open_table(FILED)?,
        entries: txn.open_table(ENTRIES)?,
        feeds: txn.open_table(FEEDS)?,
        changed: BTreeSet::new(),
    };
    for event in events {
        filing.file(event.number, &event.post)?;
    }
    Ok(filing.changed)
}

impl Filing<'_> {
    fn file(&mut self, number: u64, post: &Post) -> Result<(), redb::Error> {
        let key = post_key(post.id);
        let before: Option<Filed> = tables::get(&self.filed, &key)?;
        let (tags, places, version) = before
            .map_or_else(Default::default, |before| (before.post.tags, before.places, before.post.version));
        // Handling an event twice, or after a newer one of the same post, changes nothing.
        if version >= post.version {
            return Ok(());
        }
        let mut new_places = Vec::with_capacity(post.tags.len());
        for tag in &post.tags {
            let index = tags.iter().position(|before| before == tag);
            if index.is_none() {
                self.entries.insert(&*entry_key(tag, number), &key[..])?;
                self.count(tag, |posts| posts + 1)?;
            }
            // An edited post keeps its place in a feed it stays in.
            new_places.push(index.map_or(number, |index| places[index]));
        }
        for (tag, place) in tags.iter().zip(&places).filter(|(tag, _)| !post.tags.contains(tag)) {
            self.entries.remove(&*entry_key(tag, *place))?;
            self.count(tag, |posts| posts.saturating_sub(1))?;
        }
        self.changed.extend(post.tags.iter().chain(&tags).cloned());
        tables::put(&mut self.filed, &key, &Filed { post: post.clone(), places: new_places })
    }

    fn count(&mut self, tag: &str, change: impl FnOnce(u64) -> u64) -> Result<(), redb::Error> {
        let posts = number(&self.feeds, tag)?.unwrap_or(0);
        set_number(&mut self.feeds, tag, change(posts))
    }
}

pub(super) fn list(txn: &ReadTransaction) -> Result<FeedList, redb::Error> {
    let table = txn.open_table(FEEDS)?;
    let mut feeds = Vec::new();
    for entry in table.range::<&[u8]>(..)?.take(FEEDS_SHOWN_MAX) {
        let (name, posts) = entry?;
        let name = str::from_utf8(name.value()).map_err(|_| torn())?.to_owned();
        feeds.push(FeedSummary { name, posts: to_number(posts.value())? });
    }
    Ok(FeedList { more: table.len()? - feeds.len() as u64, feeds })
}

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
        Some(id) => match tables::get(&filed, &post_key(id))?.and_then(|filed| place(filed, name)) {
            Some(place) => place,
            None => return Ok(Err(Error::bad(format!("`before` is no post of the feed `{name}`")))),
        },
    };
    let mut posts = Vec::new();
    let mut has_more = false;
    let (start, end) = (entry_key(name, 0), entry_key(name, end));
    for entry in txn.open_table(ENTRIES)?.range(&*start..&*end)?.rev().take(limit + 1) {
        has_more = posts.len() == limit;
        let key = entry?.1;
        if let Some(Filed { post, .. }) = tables::get(&filed, key.value())?.filter(|_| !has_more) {
            posts.push(post);
        }
    }
    let next = posts.last().filter(|_| has_more).map(|post: &Post| post.id);
    Ok(Ok(Some(Feed { name: name.to_owned(), posts, next })))
}

/// Where a post is in a feed, if it is.
fn place(filed: Filed, name: &str) -> Option<u64> {
    let index = filed.post.tags.iter().position(|tag| tag == name)?;
    filed.places.get(index).copied()
}
