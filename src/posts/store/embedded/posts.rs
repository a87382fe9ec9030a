//! The posts' part of the file: the posts, their order, and the outbox.

use super::tables::{
    self, NUMBERS, ORDER, OUTBOX, OutboxRow, POSITIONS, POSTS, number_key, post_key, read_row, write_row,
};
use crate::disk::tables::{number, set_number, to_number, torn};
use crate::error::Error;
use crate::posts::store::{EVENTS_MAX, NO_POST, POSTS_MAX, PostList, Status};
use crate::posts::{Edit, NewPost, Post, PostChange, PostEvent, PostId};
use redb::{ReadTransaction, ReadableTable, ReadableTableMetadata, WriteTransaction};

/// The outer error fails the transaction; the inner one is an answer, and the transaction goes on.
type Outcome<T> = Result<Result<T, Error>, redb::Error>;

pub(super) fn create(txn: &WriteTransaction, new: NewPost) -> Outcome<Post> {
    if txn.open_table(POSTS)?.len()? >= POSTS_MAX {
        let full = Error::unavailable(format!("there is no room: at most {POSTS_MAX} posts are kept"));
        return Ok(Err(full.hint("delete a post first")));
    }
    let mut id = PostId::random();
    // Two random UUIDs are never the same in practice; if they were, the older post would be lost.
    while txn.open_table(POSTS)?.get(&post_key(id)[..])?.is_some() {
        id = PostId::random();
    }
    let post = Post::new(id, new);
    record(txn, &OutboxRow { post: post.clone(), before: None, deleted_from: None })?;
    Ok(Ok(post))
}

pub(super) fn edit(txn: &WriteTransaction, id: PostId, edit: Edit) -> Outcome<Post> {
    let before: Option<Post> = read_row(&txn.open_table(POSTS)?, &post_key(id))?;
    let Some(before) = before else { return Ok(Err(Error::not_found(NO_POST))) };
    let post = match before.edited(edit) {
        Ok(post) => post,
        Err(error) => return Ok(Err(error)),
    };
    if post != before {
        record(txn, &OutboxRow { post: post.clone(), before: Some(before), deleted_from: None })?;
    }
    Ok(Ok(post))
}

pub(super) fn delete(txn: &WriteTransaction, id: PostId, versions: Option<&[u64]>) -> Outcome<()> {
    let key = post_key(id);
    let post: Option<Post> = read_row(&txn.open_table(POSTS)?, &key)?;
    let Some(post) = post else { return Ok(Err(Error::not_found(NO_POST))) };
    if let Err(error) = post.check_version(versions) {
        return Ok(Err(error));
    }
    let position = number(&txn.open_table(POSITIONS)?, key)?.ok_or_else(torn)?;
    record(txn, &OutboxRow { post, before: None, deleted_from: Some(position) })?;
    Ok(Ok(()))
}

/// Makes the change that a row of the outbox describes, and adds the row.
///
/// A post and its event are written together or not at all; handling an event twice changes nothing.
fn record(txn: &WriteTransaction, row: &OutboxRow) -> Result<(), redb::Error> {
    let mut numbers = txn.open_table(NUMBERS)?;
    let event = tables::newest_event(&numbers)? + 1;
    tables::set_newest_event(&mut numbers, event)?;
    match row.change() {
        PostChange::Created => insert(txn, &row.post, event)?,
        PostChange::Updated => replace(txn, &row.post)?,
        PostChange::Deleted => remove(txn, row.post.id)?,
    }
    write_row(&mut txn.open_table(OUTBOX)?, &number_key(event), row)
}

/// Undoes the changes after this event, from the newest back. They were refused, but may have reached the
/// disk all the same. Their events were not handled, since events are read after the commit has succeeded.
pub(super) fn cut_back(txn: &WriteTransaction, through: u64) -> Result<(), redb::Error> {
    let mut outbox = txn.open_table(OUTBOX)?;
    for event in (through + 1..=newest_event(txn)?).rev() {
        let row: Option<OutboxRow> = read_row(&outbox, &number_key(event))?;
        match row {
            Some(OutboxRow { post, deleted_from: Some(position), .. }) => insert(txn, &post, position)?,
            Some(OutboxRow { before: Some(before), .. }) => replace(txn, &before)?,
            Some(OutboxRow { post, .. }) => remove(txn, post.id)?,
            None => continue,
        }
        outbox.remove(&number_key(event)[..])?;
    }
    tables::set_newest_event(&mut txn.open_table(NUMBERS)?, through)
}

fn insert(txn: &WriteTransaction, post: &Post, position: u64) -> Result<(), redb::Error> {
    let key = post_key(post.id);
    txn.open_table(ORDER)?.insert(&number_key(position)[..], &key[..])?;
    set_number(&mut txn.open_table(POSITIONS)?, key, position)?;
    replace(txn, post)
}

fn replace(txn: &WriteTransaction, post: &Post) -> Result<(), redb::Error> {
    write_row(&mut txn.open_table(POSTS)?, &post_key(post.id), post)
}

fn remove(txn: &WriteTransaction, id: PostId) -> Result<(), redb::Error> {
    let key = post_key(id);
    let position =
        txn.open_table(POSITIONS)?.remove(&key[..])?.map(|row| to_number(row.value())).transpose()?;
    if let Some(position) = position {
        txn.open_table(ORDER)?.remove(&number_key(position)[..])?;
    }
    txn.open_table(POSTS)?.remove(&key[..])?;
    Ok(())
}

/// Forgets the events up to this number.
pub(super) fn forget(txn: &WriteTransaction, through: u64) -> Result<(), redb::Error> {
    let mut outbox = txn.open_table(OUTBOX)?;
    loop {
        let first = outbox.first()?.map(|(key, _)| to_number(key.value())).transpose()?;
        match first.filter(|event| *event <= through) {
            Some(event) => drop(outbox.remove(&number_key(event)[..])?),
            None => return Ok(()),
        }
    }
}

/// The number of the newest event.
pub(super) fn newest_event(txn: &WriteTransaction) -> Result<u64, redb::Error> {
    tables::newest_event(&txn.open_table(NUMBERS)?)
}

pub(super) fn get(txn: &ReadTransaction, id: PostId) -> Result<Option<Post>, redb::Error> {
    read_row(&txn.open_table(POSTS)?, &post_key(id))
}

pub(super) fn newest(txn: &ReadTransaction, before: Option<PostId>, limit: usize) -> Outcome<PostList> {
    let end = match before {
        None => u64::MAX,
        Some(id) => match number(&txn.open_table(POSITIONS)?, post_key(id))? {
            Some(position) => position,
            None => return Ok(Err(Error::bad("`before` is not the id of a post"))),
        },
    };
    let (posts, order) = (txn.open_table(POSTS)?, txn.open_table(ORDER)?);
    let range = &number_key(0)[..]..&number_key(end)[..];
    let (posts, next) = tables::newest_posts(&order, range, limit, |key| read_row(&posts, key))?;
    Ok(Ok(PostList { posts, next }))
}

pub(super) fn unhandled(txn: &ReadTransaction) -> Result<Vec<PostEvent>, redb::Error> {
    let mut events = Vec::new();
    for entry in txn.open_table(OUTBOX)?.range::<&[u8]>(..)?.take(EVENTS_MAX) {
        let (key, row) = entry?;
        let row: OutboxRow = tables::decode_row(&row)?;
        let (number, change) = (to_number(key.value())?, row.change());
        events.push(PostEvent { number, change, post: row.post });
    }
    Ok(events)
}

pub(super) fn status(txn: &ReadTransaction) -> Result<Status, redb::Error> {
    let (posts, unhandled) = (txn.open_table(POSTS)?.len()?, txn.open_table(OUTBOX)?.len()?);
    Ok(Status { posts, unhandled, failure: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use redb::backends::InMemoryBackend;
    use redb::{Database, ReadableDatabase};

    /// All posts, newest first, and the numbers of the events that wait.
    fn stored(database: &Database) -> (Vec<Post>, Vec<u64>) {
        let txn = database.begin_read().unwrap();
        let posts = newest(&txn, None, 100).unwrap().unwrap().posts;
        assert!(posts.iter().all(|post| get(&txn, post.id).unwrap().as_ref() == Some(post)));
        assert_eq!(status(&txn).unwrap().posts, posts.len() as u64);
        (posts, unhandled(&txn).unwrap().iter().map(|event| event.number).collect())
    }

    #[test]
    fn what_was_refused_is_undone_as_if_it_had_never_been_written() {
        let new = |content: &str| NewPost::new("t", content.into(), "a").unwrap();
        let database = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
        let write = |act: &dyn Fn(&WriteTransaction)| {
            let txn = database.begin_write().unwrap();
            act(&txn);
            txn.commit().unwrap();
        };
        write(&|txn| super::super::format::lay_out(txn).unwrap());
        write(&|txn| ["first", "second"].iter().for_each(|text| drop(create(txn, new(text)).unwrap())));
        let kept = stored(&database);
        let [second, first] = [kept.0[0].id, kept.0[1].id];
        let refused: [&dyn Fn(&WriteTransaction); 3] = [
            &|txn| drop(create(txn, new("refused")).unwrap()),
            &|txn| {
                let change = Edit::new(None, Some("refused".into()), None).unwrap();
                drop(edit(txn, first, change).unwrap());
            },
            &|txn| delete(txn, second, None).unwrap().unwrap(),
        ];
        // Each alone, and all in one commit.
        for act in refused {
            write(act);
            assert_ne!(stored(&database), kept);
            write(&|txn| cut_back(txn, 2).unwrap());
            assert_eq!(stored(&database), kept);
        }
        write(&|txn| refused.iter().for_each(|act| act(txn)));
        write(&|txn| cut_back(txn, 2).unwrap());
        assert_eq!(stored(&database), kept);
        // The number of a refused event is given again, since it was never handed out.
        write(&|txn| drop(create(txn, new("third")).unwrap()));
        assert_eq!(stored(&database).1, [1, 2, 3]);
    }
}
