//! A file of format 1, as callout 0.1.0 wrote it: everything in it is there, and works on.

use super::{all_posts, check_feeds, create, delete, edit, feeds, ids, path, read, settle, text, whole_feed};
use crate::disk::{Folder, serve};
use crate::support::disc::{Disc, Survives};
use crate::support::{PATIENCE, get, until};
use callout::os::threads::Threads;
use callout::posts::store::embedded::{Embedded, NAME, opener};
use callout::posts::store::{FeedStore, PostStore};
use callout::posts::{NewPost, PostId};
use redb::{Database, TableDefinition};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// The folders that 0.1.0 left, and the titles of their posts from the newest to the oldest. The post without
/// tags was created last, but nothing in the file says so.
const FOLDERS: &[&str] = &["stopped", "killed"];
const TITLES: [&str; 3] = ["Second", "Hello", "No tags"];

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/0.1.0").join(name)
}

/// What 0.1.0 answered about a folder.
fn answers(name: &str) -> Value {
    let text = fs::read_to_string(data(&format!("{name}.json"))).expect("its answers");
    serde_json::from_str(&text).expect("JSON")
}

/// A copy of a folder, to be written to.
fn copy(name: &str) -> Folder {
    let folder = Folder::new();
    fs::create_dir(folder.path()).expect("a new folder");
    fs::copy(data(name).join(NAME), folder.path().join(NAME)).expect("a copy");
    folder
}

#[test]
fn what_0_1_0_kept_is_read_completely_and_works_on() {
    for name in FOLDERS {
        let (folder, answers) = (copy(name), answers(name));
        let mut program = serve(&folder, &[]);
        let at = program.address;
        settle(at);
        for post in answers["posts"].as_array().expect("posts") {
            let mut wanted = post.clone();
            (wanted["created"], wanted["updated"]) = (Value::Null, Value::Null);
            assert_eq!(read(at, &path(post)), wanted, "{name}");
        }
        // 0.1.0 kept feeds that had lost their last post; no feed is without posts now.
        let mut with_posts = answers["feeds"].clone();
        with_posts.as_array_mut().expect("feeds").retain(|feed| feed["posts"] != 0);
        assert_eq!(read(at, "/api/feeds")["feeds"], with_posts, "{name}");
        for (feed, wanted) in answers["feed"].as_object().expect("feeds") {
            if *wanted == json!([]) {
                assert_eq!(get(at, &format!("/api/feeds/{feed}")).status, 404, "{name}: {feed}");
            } else {
                assert_eq!(json!(ids(&whole_feed(at, feed, 1))), *wanted, "{name}: {feed}");
            }
        }
        let posts = all_posts(at, 1);
        assert_eq!(posts.iter().map(|post| text(&post["title"])).collect::<Vec<_>>(), TITLES, "{name}");
        assert_eq!(check_feeds(at).len(), 3);

        let [second, hello, no_tags] = &posts[..] else { panic!("{posts:?}") };
        let new = create(at, "new #rust");
        let hello = edit(at, hello, "edited #go");
        assert!(hello["created"].is_null() && text(&hello["updated"]) >= text(&new["updated"]), "{hello}");
        assert_eq!(hello["version"], 3);
        delete(at, second);
        let wanted = [new, hello, no_tags.clone()];
        for signal in ["TERM", "KILL"] {
            settle(program.address);
            assert_eq!(all_posts(program.address, 50), wanted, "{name}");
            assert_eq!(check_feeds(program.address).len(), 3);
            let counts = [("go", 1), ("rust", 1)];
            assert_eq!(feeds(program.address), counts.map(|(name, count)| (name.into(), count)).into());
            program.signal(signal);
            program.wait();
            program = serve(&folder, &[]);
        }
        assert_eq!(all_posts(program.address, 50), wanted, "{name}");
    }
}

/// The titles of all posts, newest first.
fn titles(store: &Embedded) -> Vec<String> {
    let list = store.newest(None, 1_000).expect("it can be read");
    list.posts.into_iter().map(|post| post.title).collect()
}

#[test]
fn a_power_cut_or_a_failing_disc_during_the_migration_loses_nothing() {
    for name in FOLDERS {
        let bytes = fs::read(data(name).join(NAME)).expect("the file");
        let disc = Disc::holding(bytes.clone());
        Embedded::start(disc.opener(), &Threads::default()).expect("it opens").close(PATIENCE);
        for moment in 0..=disc.log().len() {
            for survives in [Survives::Nothing, Survives::Everything, Survives::First, Survives::Some] {
                let left = disc.cut(moment, survives);
                let store = Embedded::start(left.opener(), &Threads::default()).expect("it opens");
                assert_eq!(titles(&store), TITLES, "{name}, {moment}, {survives:?}");
                store.apply(store.unhandled().expect("events")).expect("they are filed");
                let feeds = store.list("").expect("it can be read").feeds;
                assert!(
                    feeds.len() == 3 && feeds.iter().all(|feed| feed.posts > 0),
                    "{name}, {moment}: {feeds:?}"
                );
            }
        }
        for sync in 1..=3 {
            let disc = Disc::holding(bytes.clone());
            disc.fail_sync(sync);
            // Where the first commit fails, the next one migrates the file.
            let store = Embedded::start(disc.opener(), &Threads::default());
            let again = || Embedded::start(disc.opener(), &Threads::default()).expect("it opens");
            let store = store.unwrap_or_else(|_| again());
            until("it is migrated", || store.newest(None, 1).is_ok());
            assert_eq!(titles(&store), TITLES, "{name}, sync {sync}");
        }
    }
}

/// Makes a file of format 2 what 0.1.0 would have written.
fn to_format_1(file: &Path) {
    let table = TableDefinition::<&[u8], &[u8]>::new;
    let database = Database::open(file).expect("a store");
    let txn = database.begin_write().unwrap();
    assert!(txn.delete_table(table("order")).unwrap() && txn.delete_table(table("positions")).unwrap());
    txn.open_table(table("numbers")).unwrap().insert(&b"format"[..], &1u64.to_be_bytes()[..]).unwrap();
    txn.commit().unwrap();
}

#[test]
fn the_order_of_posts_is_taken_from_the_feeds_and_the_outbox_and_new_posts_come_after_them() {
    let folder = Folder::new();
    let store = Embedded::start(opener(folder.path()), &Threads::default()).expect("it opens");
    let create = |store: &Embedded, title: &str, content: &str| -> PostId {
        store.create(NewPost::new(title, content.into(), "a").expect("a post")).expect("it is kept").id
    };
    create(&store, "filed, no tags", "none");
    create(&store, "filed 1", "#a");
    create(&store, "filed 2", "#b #a");
    let events = store.unhandled().expect("events");
    let last = events.last().expect("three").number;
    store.apply(events).expect("they are filed");
    store.forget(last).expect("they are forgotten");
    create(&store, "not filed, no tags", "none");
    create(&store, "not filed", "#a");
    store.close(PATIENCE);
    to_format_1(&folder.path().join(NAME));

    let store = Embedded::start(opener(folder.path()), &Threads::default()).expect("it opens");
    let mut wanted = vec!["not filed", "not filed, no tags", "filed 2", "filed 1", "filed, no tags"];
    assert_eq!(titles(&store), wanted);
    let new = create(&store, "new", "#a");
    wanted.insert(0, "new");
    assert_eq!(titles(&store), wanted);
    let before_new = store.newest(Some(new), 1).expect("it can be read");
    assert_eq!(before_new.posts[0].title, "not filed");
    store.delete(before_new.posts[0].id, None).expect("it is deleted");
    wanted.remove(1);
    store.close(PATIENCE);
    let store = Embedded::start(opener(folder.path()), &Threads::default()).expect("it opens");
    assert_eq!(titles(&store), wanted);
}
