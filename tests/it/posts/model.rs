//! The stores by themselves, against a model: events handled twice, too late, or not at all before the end.

use crate::disk::Folder;
use crate::support::PATIENCE;
use callout::os::threads::Threads;
use callout::posts::store::embedded::{Embedded, memory_opener, opener};
use callout::posts::store::{FeedStore, PostStore};
use callout::posts::{Edit, NewPost, Post, PostEvent, PostId};
use std::collections::BTreeMap;

/// For each feed its posts, newest first.
type Model = BTreeMap<String, Vec<Post>>;

/// What a feed is after these events, in the plainest way.
fn model(events: &[PostEvent]) -> Model {
    let mut feeds = Model::new();
    for PostEvent { post, .. } in events {
        for (name, posts) in &mut feeds {
            let place = posts.iter().position(|other| other.id == post.id);
            match (place, post.tags.contains(name)) {
                (Some(place), true) => posts[place] = post.clone(),
                (Some(place), false) => drop(posts.remove(place)),
                (None, true) => posts.insert(0, post.clone()),
                (None, false) => {}
            }
        }
        for tag in &post.tags {
            feeds.entry(tag.clone()).or_insert_with(|| vec![post.clone()]);
        }
    }
    feeds
}

/// What the store says.
fn stored(store: &Embedded) -> Model {
    let list = store.list().expect("a list");
    assert_eq!(list.more, 0);
    let feed = |name: &str| store.feed(name, None, 1_000).expect("it can be read").expect("it is listed");
    list.feeds
        .into_iter()
        .map(|summary| {
            let feed = feed(&summary.name);
            assert_eq!((feed.posts.len() as u64, feed.next), (summary.posts, None));
            (summary.name, feed.posts)
        })
        .collect()
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

/// All events that wait, as a store that handles nothing has them.
fn unhandled(store: &Embedded) -> Vec<PostEvent> {
    store.unhandled().expect("it can be read")
}

#[test]
fn handling_an_event_twice_or_too_late_changes_nothing() {
    for round in 0..20 {
        let store = Embedded::start(memory_opener(), &Threads::default()).expect("it opens");
        let (mut ids, mut all) = (Vec::new(), Vec::new());
        for number in 0..150 {
            match ids.is_empty() || fastrand::u8(..3) == 0 {
                true => ids.push(create(&store, number)),
                false => edit(&store, *fastrand::choice(&ids).expect("there is one"), number),
            }
            if fastrand::u8(..4) > 0 {
                continue;
            }
            let events = unhandled(&store);
            let before = all.len();
            all.extend(events.iter().cloned());
            store.apply(events).expect("they are filed");
            // Some again, old and new, in any order. Whatever it is, it was handled before.
            let mut again: Vec<PostEvent> = (0..5).filter_map(|_| fastrand::choice(&all).cloned()).collect();
            again.extend(all[before..].iter().cloned());
            assert_eq!(store.apply(again).expect("they are filed"), Default::default(), "round {round}");
            if let Some(last) = all.last() {
                store.handled(last.number).expect("they are forgotten");
            }
            assert_eq!(stored(&store), model(&all), "round {round}");
        }
        assert!(all.windows(2).all(|pair| pair[0].number < pair[1].number), "numbers grow");
    }
}

#[test]
fn what_was_not_handled_before_the_end_is_handled_at_the_next_start() {
    let folder = Folder::new();
    let mut all: Vec<PostEvent> = Vec::new();
    let mut ids = Vec::new();
    for number in 0..8 {
        let store = Embedded::start(opener(folder.path()), &Threads::default()).expect("it opens");
        assert!(store.bell().try_recv().is_ok(), "whoever handles is told to look");
        // What was written in the life before, and filed or not, but not forgotten.
        let events = unhandled(&store);
        assert_eq!(events.len(), if number == 0 { 0 } else { 2 });
        all.extend(events.iter().cloned());
        store.apply(events).expect("they are filed");
        store.handled(all.last().map_or(0, |event| event.number)).expect("they are forgotten");
        assert_eq!(stored(&store), model(&all));
        ids.push(create(&store, number));
        edit(&store, *fastrand::choice(&ids).expect("there is one"), 100 + number);
        if fastrand::bool() {
            store.apply(unhandled(&store)).expect("they are filed");
        }
        store.close(PATIENCE);
    }
}
