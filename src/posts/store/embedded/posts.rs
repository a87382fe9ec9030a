//! The write model's part of the file: posts, and the outbox.

use super::tables::{self, NUMBERS, Noted, OUTBOX, POSTS, event_key, post_key};
use crate::disk::tables::to_number;
use crate::error::Error;
use crate::posts::store::{EVENTS_MAX, NO_POST, POSTS_MAX, Status};
use crate::posts::{Edit, NewPost, Post, PostEvent, PostId};
use redb::{ReadTransaction, ReadableTable, ReadableTableMetadata, WriteTransaction};

/// Keeps a new post, or says that there is no room for it, which is no fault of the transaction's.
pub(super) fn create(txn: &WriteTransaction, new: NewPost) -> Result<Result<Post, Error>, redb::Error> {
    if txn.open_table(POSTS)?.len()? >= POSTS_MAX {
        return Ok(Err(Error::Unavailable(format!("there is no room: {POSTS_MAX} posts are kept already"))));
    }
    let mut id = PostId::random();
    // It takes more posts than there will ever be until this loop runs twice.
    while txn.open_table(POSTS)?.get(&post_key(id)[..])?.is_some() {
        id = PostId::random();
    }
    let post = Post::new(id, new);
    keep(txn, post.clone(), None)?;
    Ok(Ok(post))
}

/// Changes a post, or says why not, which is no fault of the transaction's.
pub(super) fn edit(
    txn: &WriteTransaction,
    id: PostId,
    edit: Edit,
) -> Result<Result<Post, Error>, redb::Error> {
    let before: Option<Post> = tables::get(&txn.open_table(POSTS)?, &post_key(id))?;
    let Some(before) = before else { return Ok(Err(Error::NotFound(NO_POST.into()))) };
    let post = match before.edited(edit) {
        Ok(post) => post,
        Err(error) => return Ok(Err(error)),
    };
    if post != before {
        keep(txn, post.clone(), Some(before))?;
    }
    Ok(Ok(post))
}

/// A post and its event are written together or not at all.
fn keep(txn: &WriteTransaction, post: Post, before: Option<Post>) -> Result<(), redb::Error> {
    let mut numbers = txn.open_table(NUMBERS)?;
    let number = tables::last(&numbers)? + 1;
    tables::set_last(&mut numbers, number)?;
    tables::put(&mut txn.open_table(POSTS)?, &post_key(post.id), &post)?;
    tables::put(&mut txn.open_table(OUTBOX)?, &event_key(number), &Noted { post, before })
}

/// Takes back all that was written after this event: it was refused, and may have reached the disk all the
/// same. Nobody has handled it.
pub(super) fn cut_back(txn: &WriteTransaction, last: u64) -> Result<(), redb::Error> {
    let (mut posts, mut outbox) = (txn.open_table(POSTS)?, txn.open_table(OUTBOX)?);
    for number in (last + 1..=newest(txn)?).rev() {
        let noted: Option<Noted> = tables::get(&outbox, &event_key(number))?;
        let Some(Noted { post, before }) = noted else { continue };
        match before {
            Some(before) => tables::put(&mut posts, &post_key(post.id), &before)?,
            None => drop(posts.remove(&post_key(post.id)[..])?),
        }
        outbox.remove(&event_key(number)[..])?;
    }
    tables::set_last(&mut txn.open_table(NUMBERS)?, last)
}

/// Forgets the events up to this number.
pub(super) fn handled(txn: &WriteTransaction, through: u64) -> Result<(), redb::Error> {
    let mut outbox = txn.open_table(OUTBOX)?;
    loop {
        let first = outbox.first()?.map(|(key, _)| to_number(key.value())).transpose()?;
        match first.filter(|number| *number <= through) {
            Some(number) => drop(outbox.remove(&event_key(number)[..])?),
            None => return Ok(()),
        }
    }
}

/// The number of the newest event.
pub(super) fn newest(txn: &WriteTransaction) -> Result<u64, redb::Error> {
    tables::last(&txn.open_table(NUMBERS)?)
}

/// The same, in a transaction that reads.
pub(super) fn last(txn: &ReadTransaction) -> Result<u64, redb::Error> {
    tables::last(&txn.open_table(NUMBERS)?)
}

pub(super) fn get(txn: &ReadTransaction, id: PostId) -> Result<Option<Post>, redb::Error> {
    tables::get(&txn.open_table(POSTS)?, &post_key(id))
}

pub(super) fn unhandled(txn: &ReadTransaction) -> Result<Vec<PostEvent>, redb::Error> {
    let mut events = Vec::new();
    for entry in txn.open_table(OUTBOX)?.range::<&[u8]>(..)?.take(EVENTS_MAX) {
        let (key, row) = entry?;
        let Noted { post, .. } = tables::decode(&row)?;
        events.push(PostEvent { number: to_number(key.value())?, post });
    }
    Ok(events)
}

pub(super) fn status(txn: &ReadTransaction) -> Result<Status, redb::Error> {
    let (posts, unhandled) = (txn.open_table(POSTS)?.len()?, txn.open_table(OUTBOX)?.len()?);
    Ok(Status { posts, unhandled, failure: None })
}
