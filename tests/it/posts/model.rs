//! The stores by themselves, against a model: events that are handled twice, late, or only after a restart.

use crate::disk::Folder;
use crate::support::PATIENCE;
use callout::os::threads::Threads;
use callout::posts::store::embedded::{Embedded, memory_opener, opener};
use callout::posts::store::{FeedStore, PostStore};
use callout::posts::{Edit, NewPost, Post, PostChange, PostEvent, PostId};
use std::collections::BTreeMap;

/// All posts, and for each feed its posts; newest first.
#[derive(Debug, Default, PartialEq)]
struct Model {
    posts: Vec<Post>,
    feeds: BTreeMap<String, Vec<Post>>,
}

/// What the stores have to hold after these events, computed in the plainest way.
fn model(events: &[PostEvent]) -> Model {
    let Model { mut posts, mut feeds } = Model::default();
    for PostEvent { post, change, .. } in events {
        let is_deleted = *change == PostChange::Deleted;
        for tag in post.tags.iter().filter(|_| !is_deleted) {
            feeds.entry(tag.clone()).or_default();
        }
        put(&mut posts, post, !is_deleted);
        for (name, posts) in &mut feeds {
            put(posts, post, !is_deleted && post.tags.contains(name));
        }
    }
    // A feed that lost its last post is gone.
    feeds.retain(|_, posts| !posts.is_empty());
    Model { posts, feeds }
}

/// Puts a post where it is already, or else first; or takes it out if it does not belong there.
fn put(posts: &mut Vec<Post>, post: &Post, belongs: bool) {
    let position = posts.iter().position(|other| other.id == post.id);
    match (position, belongs) {
        (Some(position), true) => posts[position] = post.clone(),
        (Some(position), false) => drop(posts.remove(position)),
        (None, true) => posts.insert(0, post.clone()),
        (None, false) => {}
    }
}

/// What the stores hold.
fn stored(store: &Embedded) -> Model {
    let posts = store.newest(None, 1_000).expect("it can be read").posts;
    let list = store.list("").expect("it can be read");
    assert_eq!(list.more, 0);
    let feed = |name: &str| store.feed(name, None, 1_000).expect("it can be read").expect("it is listed");
    let feeds = list.feeds.into_iter().map(|summary| {
        let feed = feed(&summary.name);
        assert_eq!((feed.posts.len() as u64, feed.next), (summary.posts, None));
        (summary.name, feed.posts)
    });
    Model { posts, feeds: feeds.collect() }
}

fn content(number: usize) -> String {
    let tags: Vec<String> = (0..fastrand::usize(..4)).map(|_| format!("#t{}", fastrand::u8(..6))).collect();
    format!("{number} {}", tags.join(" "))
}

fn create(store: &Embedded, number: usize) -> PostId {
    store.create(NewPost::new("t", content(number), "a").expect("a post")).expect("it is kept").id
}

fn edit(store: &Embedded, id: PostId, number: usize) {
    let edit = Edit::new(None, Some(content(number)), None).expect("an edit");
    store.edit(id, edit).expect("it is kept");
}

/// All events that wait.
fn unhandled(store: &Embedded) -> Vec<PostEvent> {
    store.unhandled().expect("it can be read")
}

/// Creates, edits or deletes a post. Gives the number of posts that were deleted.
fn change(store: &Embedded, ids: &mut Vec<PostId>, number: usize) -> usize {
    match fastrand::u8(..6) {
        _ if ids.is_empty() => ids.push(create(store, number)),
        0 | 1 => ids.push(create(store, number)),
        2 => {
            let id = ids.swap_remove(fastrand::usize(..ids.len()));
            store.delete(id, None).expect("it is deleted");
            return 1;
        }
        _ => edit(store, *fastrand::choice(&*ids).expect("there is one"), number),
    }
    0
}

#[test]
fn handling_an_event_twice_or_late_changes_nothing() {
    let mut deleted = 0;
    for round in 0..20 {
        let store = Embedded::start(memory_opener(), &Threads::default()).expect("it opens");
        let (mut ids, mut all) = (Vec::new(), Vec::new());
        for number in 0..150 {
            deleted += change(&store, &mut ids, number);
            if fastrand::u8(..4) > 0 {
                continue;
            }
            let events = unhandled(&store);
            let before = all.len();
            all.extend(events.iter().cloned());
            store.apply(events).expect("they are filed");
            // Some events again, old and new, in any order: all of them were handled before.
            let mut again: Vec<PostEvent> = (0..5).filter_map(|_| fastrand::choice(&all).cloned()).collect();
            again.extend(all[before..].iter().cloned());
            assert_eq!(store.apply(again).expect("they are filed"), Default::default(), "round {round}");
            if let Some(last) = all.last() {
                store.forget(last.number).expect("they are forgotten");
            }
            assert_eq!(stored(&store), model(&all), "round {round}");
        }
        assert!(all.windows(2).all(|pair| pair[0].number < pair[1].number), "numbers grow");
    }
    assert!(deleted > 100, "only {deleted} posts were deleted");
}

#[test]
fn no_late_event_brings_a_deleted_post_back_however_long_ago_it_was_deleted() {
    let folder = Folder::new();
    let store = Embedded::start(opener(folder.path()), &Threads::default()).expect("it opens");
    let new = |content: &str| store.create(NewPost::new("t", content.into(), "a").expect("a post"));
    let id = new("#a").expect("it is kept").id;
    store.edit(id, Edit::new(None, Some("#a #b".into()), None).expect("an edit")).expect("it is kept");
    store.delete(id, None).expect("it is deleted");
    let late = unhandled(&store);
    assert_eq!(
        late.iter().map(PostEvent::name).collect::<Vec<_>>(),
        ["PostCreated", "PostUpdated", "PostDeleted"]
    );
    // The deletion is handled first, so all older events of the post come late.
    store.apply(vec![late[2].clone()]).expect("it is filed");
    store.apply(late.clone()).expect("they are filed");
    assert_eq!(stored(&store), Model::default());
    store.forget(late[2].number).expect("they are forgotten");
    for number in 0..300 {
        let id = create(&store, number);
        if number % 2 == 0 {
            store.delete(id, None).expect("it is deleted");
        }
    }
    while let events @ [.., PostEvent { number: last, .. }] = &*unhandled(&store) {
        store.apply(events.to_vec()).expect("they are filed");
        store.forget(*last).expect("they are forgotten");
    }
    let wanted = stored(&store);
    store.close(PATIENCE);
    drop(store);
    let store = Embedded::start(opener(folder.path()), &Threads::default()).expect("it opens");
    for event in late {
        assert_eq!(store.apply(vec![event]).expect("it is filed"), Default::default());
    }
    assert_eq!(stored(&store), wanted);
}

#[test]
fn events_that_were_not_handled_before_the_end_are_handled_at_the_next_start() {
    let folder = Folder::new();
    let mut all: Vec<PostEvent> = Vec::new();
    let mut ids = Vec::new();
    for number in 0..8 {
        let store = Embedded::start(opener(folder.path()), &Threads::default()).expect("it opens");
        assert!(store.bell().try_recv().is_ok(), "the filing thread is told to look");
        // The changes of the previous process: filed or not, but not forgotten.
        let events = unhandled(&store);
        assert_eq!(events.len(), if number == 0 { 0 } else { 3 });
        all.extend(events.iter().cloned());
        store.apply(events).expect("they are filed");
        store.forget(all.last().map_or(0, |event| event.number)).expect("they are forgotten");
        assert_eq!(stored(&store), model(&all));
        ids.extend([create(&store, number), create(&store, 50 + number)]);
        match fastrand::bool() {
            true => edit(&store, *fastrand::choice(&ids).expect("there is one"), 100 + number),
            false => {
                let id = ids.swap_remove(fastrand::usize(..ids.len()));
                store.delete(id, None).expect("it is deleted");
            }
        }
        if fastrand::bool() {
            store.apply(unhandled(&store)).expect("they are filed");
        }
        store.close(PATIENCE);
    }
}
