//! The read model's part of the file: which post is in which feed, at which place.

use super::tables::{self, ENTRIES, FEEDS, FILED, row};
use crate::error::Error;
use crate::store::{FEEDS_SHOWN_MAX, Feed, FeedList, FeedSummary, Post, PostEvent, PostId};
use redb::{ReadTransaction, ReadableTable, ReadableTableMetadata, Table, WriteTransaction};
use std::collections::BTreeSet;

/// The tables of a transaction that files posts, and the feeds that it changed.
struct Filing<'txn> {
    filed: Table<'txn, u128, tables::FiledRow<'static>>,
    feeds: Table<'txn, &'static str, u64>,
    entries: Table<'txn, (&'static str, u64), u128>,
    changed: BTreeSet<String>,
}

pub(super) fn apply(txn: &WriteTransaction, events: &[PostEvent]) -> Result<BTreeSet<String>, redb::Error> {
    let mut filing = Filing {
        filed: txn.open_table(FILED)?,
        feeds: txn.open_table(FEEDS)?,
        entries: txn.open_table(ENTRIES)?,
        changed: BTreeSet::new(),
    };
    for event in events {
        filing.file(event.number, &event.post)?;
    }
    Ok(filing.changed)
}

impl Filing<'_> {
    fn file(&mut self, number: u64, post: &Post) -> Result<(), redb::Error> {
        let before = self.filed.get(post.id.0)?.map(|filed| {
            let (row, places) = filed.value();
            (tables::post(post.id.0, row), places)
        });
        let (tags, places, version) =
            before.map_or_else(Default::default, |(post, places)| (post.tags, places, post.version));
        // Handling an event twice, or after a newer one of the same post, changes nothing.
        if version >= post.version {
            return Ok(());
        }
        let mut new_places = Vec::with_capacity(post.tags.len());
        for tag in &post.tags {
            let index = tags.iter().position(|before| before == tag);
            if index.is_none() {
                self.entries.insert((tag.as_str(), number), post.id.0)?;
                self.count(tag, |posts| posts + 1)?;
            }
            // An edited post keeps its place in a feed it stays in.
            new_places.push(index.map_or(number, |index| places[index]));
        }
        for (tag, place) in tags.iter().zip(&places).filter(|(tag, _)| !post.tags.contains(tag)) {
            self.entries.remove((tag.as_str(), *place))?;
            self.count(tag, |posts| posts - 1)?;
        }
        self.changed.extend(post.tags.iter().chain(&tags).cloned());
        self.filed.insert(post.id.0, (row(post), new_places))?;
        Ok(())
    }

    fn count(&mut self, tag: &str, change: impl FnOnce(u64) -> u64) -> Result<(), redb::Error> {
        let posts = self.feeds.get(tag)?.map_or(0, |posts| posts.value());
        self.feeds.insert(tag, change(posts))?;
        Ok(())
    }
}

pub(super) fn list(txn: &ReadTransaction) -> Result<FeedList, redb::Error> {
    let table = txn.open_table(FEEDS)?;
    let mut feeds = Vec::new();
    for entry in table.iter()?.take(FEEDS_SHOWN_MAX) {
        let (name, posts) = entry?;
        feeds.push(FeedSummary { name: name.value().to_owned(), posts: posts.value() });
    }
    Ok(FeedList { more: table.len()? - feeds.len() as u64, feeds })
}

pub(super) fn feed(
    txn: &ReadTransaction,
    name: &str,
    before: Option<PostId>,
    limit: usize,
) -> Result<Result<Option<Feed>, Error>, redb::Error> {
    if txn.open_table(FEEDS)?.get(name)?.is_none() {
        return Ok(Ok(None));
    }
    let filed = txn.open_table(FILED)?;
    let end = match before {
        None => u64::MAX,
        Some(id) => match place(&filed, id, name)? {
            Some(place) => place,
            None => return Ok(Err(Error::bad(format!("`before` is no post of the feed `{name}`")))),
        },
    };
    let mut posts = Vec::new();
    let mut has_more = false;
    for entry in txn.open_table(ENTRIES)?.range((name, 0)..(name, end))?.rev().take(limit + 1) {
        has_more = posts.len() == limit;
        let id = entry?.1.value();
        if let Some(filed) = filed.get(id)?.filter(|_| !has_more) {
            posts.push(tables::post(id, filed.value().0));
        }
    }
    let next = posts.last().filter(|_| has_more).map(|post| post.id);
    Ok(Ok(Some(Feed { name: name.to_owned(), posts, next })))
}

/// Where a post is in a feed, if it is.
fn place(
    filed: &impl ReadableTable<u128, tables::FiledRow<'static>>,
    id: PostId,
    name: &str,
) -> Result<Option<u64>, redb::Error> {
    let Some(filed) = filed.get(id.0)? else { return Ok(None) };
    let ((_, _, _, tags, _), places) = filed.value();
    Ok(tags.iter().zip(places).find(|(tag, _)| **tag == name).map(|(_, place)| place))
}
