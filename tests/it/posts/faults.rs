//! A disc that fails: writing is refused with the reason, reading goes on, nothing that was refused appears,
//! and it works again by itself. A file that is damaged is named, and never replaced.

use super::{create, edit, path, read, settle};
use crate::disk::{Folder, callout, serve};
use crate::support::disc::{Disc, Survives};
use crate::support::{get, until};
use callout::Error;
use callout::os::threads::Threads;
use callout::posts::store::embedded::{Embedded, NAME};
use callout::posts::store::{FeedStore, PostStore};
use callout::posts::{Edit, NewPost, Post};
use redb::{Database, TableDefinition};
use std::fs;
use std::sync::atomic::Ordering::SeqCst;

fn new(content: &str) -> NewPost {
    NewPost::new("t", content.into(), "a").expect("a post")
}

fn change(content: &str) -> Edit {
    Edit::new(None, Some(content.into()), None).expect("an edit")
}

/// All that a store holds of these posts, and its feeds.
fn everything(store: &Embedded, posts: &[Post]) -> (Vec<Option<Post>>, u64, Vec<String>) {
    let list = store.list().expect("it can be read");
    let posts = posts.iter().map(|post| store.get(post.id).expect("it can be read")).collect();
    (posts, store.status().posts, list.feeds.into_iter().map(|feed| feed.name).collect())
}

/// In how many ways [`fail`] lets a disc fail.
const WAYS: usize = 6;

/// Lets the disc fail in one of the ways in which discs do. In the first three it is one of the commit's
/// syncs; after the last of them, what was refused is there when the store is opened again.
fn fail(disc: &Disc, way: usize) {
    match way {
        0..3 => disc.fail_sync(way + 1),
        3 => disc.sync_error.store(libc::EIO, SeqCst),
        4 => disc.write_error.store(libc::EIO, SeqCst),
        _ => disc.write_error.store(libc::ENOSPC, SeqCst),
    }
}

fn mend(disc: &Disc) {
    disc.sync_error.store(0, SeqCst);
    disc.write_error.store(0, SeqCst);
}

#[test]
fn what_is_refused_is_undone_and_writing_works_again_by_itself() {
    for way in 0..WAYS {
        let disc = Disc::created();
        let store = Embedded::start(disc.opener(), &Threads::default()).expect("it opens");
        let first = store.create(new("first #a")).expect("it is kept");
        store.apply(store.unhandled().expect("events")).expect("they are filed");
        fail(&disc, way);
        for refused in [store.edit(first.id, change("refused #b")), store.create(new("refused #c"))] {
            let error = refused.expect_err("the disc fails");
            assert!(matches!(&error, Error::Unavailable(why) if why.contains("try again")), "{error:?}");
        }
        assert!(store.status().failure.is_some());
        mend(&disc);
        let mut second = None;
        until("it works again", || {
            second = store.create(new("second #d")).ok();
            second.is_some()
        });
        let second = second.expect("it was waited for");
        let posts = [first.clone(), second.clone()];
        assert_eq!(everything(&store, &posts).0, [Some(first.clone()), Some(second.clone())]);
        assert_eq!((store.status().posts, store.status().failure), (2, None));
        // The feeds are what the events that are left make of them.
        store.apply(store.unhandled().expect("events")).expect("they are filed");
        assert_eq!(everything(&store, &posts).2, ["a", "d"]);
        drop(store);

        let left = disc.cut(disc.log().len(), Survives::Everything);
        let store = Embedded::start(left.opener(), &Threads::default()).expect("it opens");
        assert_eq!(everything(&store, &posts).0, [Some(first), Some(second)]);
    }
}

#[test]
fn acknowledged_posts_survive_a_power_cut_at_any_moment() {
    for round in 0..60 {
        let disc = Disc::created();
        let store = Embedded::start(disc.opener(), &Threads::default()).expect("it opens");
        let mut posts: Vec<(usize, Post)> = Vec::new();
        for number in 0..12 {
            let post = match fastrand::choice(&posts).filter(|_| number % 2 == 1) {
                Some((_, post)) => store.edit(post.id, change(&format!("{number} #t{}", number % 5))),
                None => store.create(new(&format!("{number} #t{}", number % 5))),
            };
            let post = post.expect("it is kept");
            posts.push((disc.log().len(), post));
            let events = store.unhandled().expect("events");
            let last = events.last().map_or(0, |event| event.number);
            store.apply(events).expect("they are filed");
            store.handled(last).expect("they are forgotten");
        }
        let moment = fastrand::usize(..=disc.log().len());
        let survives = [Survives::Nothing, Survives::Everything, Survives::First, Survives::Some];
        let left = disc.cut(moment, survives[round % survives.len()]);
        let store = Embedded::start(left.opener(), &Threads::default()).expect("it opens");
        let events = store.unhandled().expect("events");
        store.apply(events).expect("they are filed");
        for (_, post) in posts.iter().filter(|(acknowledged, _)| *acknowledged <= moment) {
            let kept = store.get(post.id).expect("it can be read").expect("it was acknowledged");
            assert!(kept.version >= post.version, "round {round}: {kept:?} was {post:?}");
            for tag in &kept.tags {
                let feed = store.feed(tag, None, 100).expect("it can be read").expect("it was made");
                assert_eq!(feed.posts.iter().filter(|post| **post == kept).count(), 1, "round {round}");
            }
        }
    }
}

#[test]
fn a_file_that_is_damaged_or_newer_is_named_and_left_as_it_is() {
    let folder = Folder::new();
    let program = serve(&folder, &[]);
    let kept = create(program.address, "kept #go");
    settle(program.address);
    program.signal("TERM");
    assert_eq!(program.wait().0, Some(0));
    let file = folder.path().join(NAME);
    let whole = fs::read(&file).unwrap();
    let complaint = || {
        let output =
            callout(&["serve", "--listen", "127.0.0.1:0", "--data", folder.text()]).output().unwrap();
        let line = String::from_utf8(output.stderr).expect("UTF-8");
        assert!(output.status.code() == Some(1) && line.lines().count() == 1, "{line}");
        assert!(line.contains(file.to_str().unwrap()), "{line}");
        line
    };
    for bytes in [vec![], whole[..100].to_vec(), whole[..whole.len() / 2].to_vec(), vec![0x5a; whole.len()]] {
        fs::write(&file, &bytes).unwrap();
        let line = complaint();
        assert!(line.contains("is damaged") && line.contains("start with no posts"), "{line}");
        assert!(fs::read(&file).unwrap() == bytes, "the file was changed");
    }
    fs::write(&file, &whole).unwrap();
    let database = Database::open(&file).unwrap();
    let txn = database.begin_write().unwrap();
    let mut table = txn.open_table(TableDefinition::<&[u8], &[u8]>::new("numbers")).unwrap();
    table.insert(&b"format"[..], &2u64.to_be_bytes()[..]).unwrap();
    drop(table);
    txn.commit().unwrap();
    drop(database);
    assert!(complaint().contains("newer"));
    fs::write(&file, &whole).unwrap();
    let program = serve(&folder, &[]);
    assert_eq!(read(program.address, &path(&kept)), kept);
}

#[test]
fn posts_and_feeds_are_there_after_a_restart_and_a_server_without_posts_has_no_file() {
    let folder = Folder::new();
    let mut program = serve(&folder, &[]);
    assert_eq!(get(program.address, "/healthz").json()["posts"], serde_json::Value::Null);
    assert!(!folder.path().join(NAME).exists());
    let first = create(program.address, "#go #rust");
    let first = edit(program.address, &first, "#go changed");
    let second = create(program.address, "#go");
    settle(program.address);
    let feed = read(program.address, "/api/feeds/go");
    for signal in ["TERM", "KILL"] {
        program.signal(signal);
        program.wait();
        program = serve(&folder, &[]);
        settle(program.address);
        assert_eq!(read(program.address, "/api/feeds/go"), feed);
        assert_eq!(read(program.address, &path(&first)), first);
        assert_eq!(read(program.address, &path(&second)), second);
    }
}
