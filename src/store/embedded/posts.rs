//! The write model's part of the file: posts, and the outbox.

use super::tables::{self, NUMBERS, OUTBOX, POSTS, row};
use crate::error::Error;
use crate::store::{EVENTS_MAX, Edit, NO_POST, NewPost, Post, PostEvent, PostId, Status};
use redb::{ReadTransaction, ReadableTable, ReadableTableMetadata, WriteTransaction};

pub(super) fn create(txn: &WriteTransaction, new: NewPost) -> Result<Post, redb::Error> {
    let mut id = PostId::random();
    // It takes more posts than there will ever be until this loop runs twice.
    while txn.open_table(POSTS)?.get(id.0)?.is_some() {
        id = PostId::random();
    }
    let post = Post::new(id, new);
    keep(txn, &post, None)?;
    Ok(post)
}

/// Changes a post, or says why not, which is no fault of the transaction's.
pub(super) fn edit(
    txn: &WriteTransaction,
    id: PostId,
    edit: Edit,
) -> Result<Result<Post, Error>, redb::Error> {
    let before = txn.open_table(POSTS)?.get(id.0)?.map(|row| tables::post(id.0, row.value()));
    let Some(before) = before else { return Ok(Err(Error::NotFound(NO_POST.into()))) };
    let post = match before.edited(edit) {
        Ok(post) => post,
        Err(error) => return Ok(Err(error)),
    };
    if post != before {
        keep(txn, &post, Some(&before))?;
    }
    Ok(Ok(post))
}

/// A post and its event are written together or not at all.
fn keep(txn: &WriteTransaction, post: &Post, before: Option<&Post>) -> Result<(), redb::Error> {
    let mut numbers = txn.open_table(NUMBERS)?;
    let number = tables::last(&numbers)? + 1;
    tables::set_last(&mut numbers, number)?;
    txn.open_table(OUTBOX)?.insert(number, (post.id.0, row(post), before.map(row)))?;
    txn.open_table(POSTS)?.insert(post.id.0, row(post))?;
    Ok(())
}

/// Takes back all that was written after this event: it was refused, and may have reached the disk all the
/// same. Nobody has handled it.
pub(super) fn cut_back(txn: &WriteTransaction, last: u64) -> Result<(), redb::Error> {
    let (mut posts, mut outbox) = (txn.open_table(POSTS)?, txn.open_table(OUTBOX)?);
    while outbox.last()?.is_some_and(|(number, _)| number.value() > last) {
        let Some((_, row)) = outbox.pop_last()? else { break };
        match row.value() {
            (id, _, Some(before)) => posts.insert(id, before)?,
            (id, _, None) => posts.remove(id)?,
        };
    }
    tables::set_last(&mut txn.open_table(NUMBERS)?, last)
}

pub(super) fn handled(txn: &WriteTransaction, through: u64) -> Result<(), redb::Error> {
    txn.open_table(OUTBOX)?.retain_in(..=through, |_, _| false)?;
    Ok(())
}

pub(super) fn get(txn: &ReadTransaction, id: PostId) -> Result<Option<Post>, redb::Error> {
    Ok(txn.open_table(POSTS)?.get(id.0)?.map(|row| tables::post(id.0, row.value())))
}

pub(super) fn unhandled(txn: &ReadTransaction) -> Result<Vec<PostEvent>, redb::Error> {
    let mut events = Vec::new();
    for entry in txn.open_table(OUTBOX)?.iter()?.take(EVENTS_MAX) {
        let (number, row) = entry?;
        let (id, post, _) = row.value();
        events.push(PostEvent { number: number.value(), post: tables::post(id, post) });
    }
    Ok(events)
}

pub(super) fn last(txn: &ReadTransaction) -> Result<u64, redb::Error> {
    tables::last(&txn.open_table(NUMBERS)?)
}

/// The same, in a transaction that writes.
pub(super) fn newest(txn: &WriteTransaction) -> Result<u64, redb::Error> {
    tables::last(&txn.open_table(NUMBERS)?)
}

pub(super) fn status(txn: &ReadTransaction) -> Result<Status, redb::Error> {
    let (posts, unhandled) = (txn.open_table(POSTS)?.len()?, txn.open_table(OUTBOX)?.len()?);
    Ok(Status { posts, unhandled, failure: None })
}
