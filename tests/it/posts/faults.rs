//! A disc that fails: writing is refused with the reason, reading goes on, no refused change appears, and
//! writing works again by itself. A damaged file is named, and never replaced.

use super::{all_posts, create, delete, edit, path, read, settle};
use crate::disk::{Folder, callout, serve};
use crate::support::disc::{Disc, Survives};
use crate::support::{get, post, said, until};
use callout::ErrorKind;
use callout::os::threads::Threads;
use callout::posts::store::embedded::{Embedded, NAME};
use callout::posts::store::{FeedStore, PostStore};
use callout::posts::{Edit, NewPost, Post, PostId};
use redb::{Database, TableDefinition};
use std::fs;
use std::os::unix::fs::symlink;
use std::sync::atomic::Ordering::SeqCst;

fn new(content: &str) -> NewPost {
    NewPost::new("t", content.into(), "a").expect("a post")
}

fn change(content: &str) -> Edit {
    Edit::new(None, Some(content.into()), None).expect("an edit")
}

/// What a store holds: its posts from the newest to the oldest, and the names of its feeds.
fn everything(store: &Embedded) -> (Vec<Post>, Vec<String>) {
    let list = store.newest(None, 1_000).expect("it can be read").posts;
    assert_eq!(store.status().posts, list.len() as u64);
    let get = |post: &Post| store.get(post.id).expect("it can be read").expect("it is listed");
    assert_eq!(list, list.iter().map(get).collect::<Vec<_>>());
    let feeds = store.list("").expect("it can be read").feeds;
    (list, feeds.into_iter().map(|feed| feed.name).collect())
}

/// Handles all events that wait.
fn handle(store: &Embedded) {
    store.apply(store.unhandled().expect("events")).expect("they are filed");
}

/// The number of ways in which [`fail`] lets a disc fail.
const WAYS: usize = 6;

/// Lets the disc fail in one of these ways. In the first three, one of the next syncs fails; if that is the last sync
/// of a commit, the refused change is in the file when it is opened again.
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
fn a_refused_change_is_undone_and_writing_works_again_by_itself() {
    // In threads, since each round waits until the store tries again.
    std::thread::scope(|scope| {
        for way in 0..WAYS {
            for first_change in 0..3 {
                scope.spawn(move || refuse_changes(way, first_change));
            }
        }
    });
}

/// Lets the disc fail in this way. Only the first change after that reaches the disc at all, so each of the
/// three has a round in which it comes first.
fn refuse_changes(way: usize, first_change: usize) {
    let disc = Disc::created();
    let store = Embedded::start(disc.opener(), &Threads::default()).expect("it opens");
    let first = store.create(new("first #a")).expect("it is kept");
    let second = store.create(new("second #a")).expect("it is kept");
    handle(&store);
    fail(&disc, way);
    for change_number in 0..3 {
        let refused = match (first_change + change_number) % 3 {
            0 => store.create(new("refused #b")).map(drop),
            1 => store.edit(first.id, change("refused #c")).map(drop),
            _ => store.delete(first.id, None),
        };
        // Not every commit has a third sync.
        let Err(error) = refused else {
            assert_eq!((way, change_number), (2, 0), "the disc fails");
            return;
        };
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
        assert!(error.to_string().contains("try again"), "{error:?}");
    }
    assert!(store.status().failure.is_some());
    mend(&disc);
    let mut third = None;
    until("it works again", || {
        third = store.create(new("third #d")).ok();
        third.is_some()
    });
    assert_eq!(store.status().failure, None);
    let posts = vec![third.expect("it was waited for"), second, first];
    // Feeds follow from the events, and those of refused changes are undone.
    handle(&store);
    let wanted = (posts, vec!["a".to_owned(), "d".to_owned()]);
    assert_eq!(everything(&store), wanted, "way {way}, change {first_change}");
    drop(store);

    let left = disc.cut(disc.log().len(), Survives::Everything);
    let store = Embedded::start(left.opener(), &Threads::default()).expect("it opens");
    handle(&store);
    assert_eq!(everything(&store), wanted, "way {way}, change {first_change}");
}

/// A change that was acknowledged, and how many entries the log had then.
struct Acknowledged {
    at: usize,
    id: PostId,
    /// The version after the change; none if the post was deleted.
    version: Option<u64>,
}

#[test]
fn acknowledged_changes_survive_a_power_cut_at_any_moment() {
    for round in 0..60 {
        let disc = Disc::created();
        let store = Embedded::start(disc.opener(), &Threads::default()).expect("it opens");
        let (mut posts, mut changes): (Vec<PostId>, Vec<Acknowledged>) = (Vec::new(), Vec::new());
        for number in 0..16 {
            let content = format!("{number} #t{}", number % 5);
            let (id, version) = match number % 4 {
                0 | 2 => {
                    let post = store.create(new(&content)).expect("it is kept");
                    posts.push(post.id);
                    (post.id, Some(post.version))
                }
                1 => {
                    let id = *fastrand::choice(&posts).expect("there is one");
                    (id, Some(store.edit(id, change(&content)).expect("it is kept").version))
                }
                _ => {
                    let id = posts.swap_remove(fastrand::usize(..posts.len()));
                    store.delete(id, None).expect("it is deleted");
                    (id, None)
                }
            };
            changes.push(Acknowledged { at: disc.log().len(), id, version });
            let events = store.unhandled().expect("events");
            let last = events.last().map_or(0, |event| event.number);
            store.apply(events).expect("they are filed");
            store.forget(last).expect("they are forgotten");
        }
        let moment = fastrand::usize(..=disc.log().len());
        let survives = [Survives::Nothing, Survives::Everything, Survives::First, Survives::Some];
        let left = disc.cut(moment, survives[round % survives.len()]);
        let store = Embedded::start(left.opener(), &Threads::default()).expect("it opens");
        handle(&store);
        let (kept, feeds) = everything(&store);
        for Acknowledged { id, version, .. } in changes.iter().filter(|change| change.at <= moment) {
            let kept = kept.iter().find(|post| post.id == *id);
            // The next change may be on the disc before it is acknowledged.
            let was_deleted = || changes.iter().any(|change| change.id == *id && change.version.is_none());
            let is_right = match (version, kept) {
                (Some(version), Some(kept)) => kept.version >= *version,
                (Some(_), None) => was_deleted(),
                (None, kept) => kept.is_none(),
            };
            assert!(is_right, "round {round}: {kept:?} was at {version:?}");
        }
        for name in feeds {
            let feed = store.feed(&name, None, 100).expect("it can be read").expect("it is listed");
            let has_tag = |post: &&Post| post.tags.contains(&name);
            assert_eq!(feed.posts.len(), kept.iter().filter(has_tag).count(), "round {round}");
            assert!(feed.posts.iter().all(|post| kept.contains(post)), "round {round}");
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
    table.insert(&b"format"[..], &3u64.to_be_bytes()[..]).unwrap();
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
    let third = create(program.address, "#go");
    delete(program.address, &third);
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
        assert_eq!(all_posts(program.address, 50), [second.clone(), first.clone()]);
    }
}

#[test]
fn posts_that_cannot_be_opened_make_the_server_unready_until_they_can() {
    let folder = Folder::new();
    let program = serve(&folder, &[]);
    let at = program.address;
    assert_eq!(get(at, "/healthz/ready").status, 200);
    let file = folder.path().join(NAME);
    symlink("/not/mounted/posts", &file).unwrap();
    let post = || post(at, "/api/posts", r#"{"title":"t","content":"c","author":"a"}"#);
    assert_eq!((post().status, post().status), (503, 503));
    let ready = get(at, "/healthz/ready");
    let why = said(&ready);
    assert!(ready.status == 503 && why.contains(file.to_str().unwrap()), "{why}");
    assert!(get(at, "/healthz").json()["posts"]["failure"].is_string());
    // A server that is not ready gets no other requests, so this one has to open the posts.
    fs::remove_file(&file).unwrap();
    assert_eq!(get(at, "/healthz/ready").status, 200);
    assert_eq!(post().status, 201);
    program.signal("TERM");
    let (code, log) = program.wait();
    let told = |line: &str| log.matches(line).count();
    assert_eq!((code, told("/not/mounted/posts"), told("can be opened again")), (Some(0), 1, 1), "{log}");
}
