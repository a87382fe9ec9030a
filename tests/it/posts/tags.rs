//! Tags, and what an edit does to the feeds.

use super::{create, delete, edit, feeds, ids, patch, path, read, settle, text, whole_feed};
use crate::disk::{Folder, serve};
use crate::support::{Browser, get, joined, post, server};
use callout::posts::store::FEEDS_MAX;
use callout::posts::store::embedded::NAME;
use redb::{Database, TableDefinition};
use serde_json::{Value, json};

#[test]
fn tags_are_found_in_the_content_in_lower_case_and_once() {
    let server = server();
    let at = server.address();
    for (content, tags) in [
        ("none, # nor ##", &[][..]),
        ("#HelloWorld #helloworld #HELLOWORLD", &["helloworld"]),
        ("#b #a #b #c #a", &["b", "a", "c"]),
        ("日本#tokyo、#größe über#öl #a\u{301} \u{1f600}#smile\u{1f600}", &["tokyo", "gr", "a", "smile"]),
        ("(#one)#two,#three_3\n#four", &["one", "two", "three_3", "four"]),
    ] {
        assert_eq!(create(at, content)["tags"], json!(tags), "{content}");
    }
    settle(at);
    // The feed is found under the tag as it was written.
    assert_eq!(read(at, "/api/feeds/HelloWorld")["name"], "helloworld");
}

#[test]
fn an_edit_adds_drops_and_keeps_tags() {
    let server = server();
    let at = server.address();
    let first = create(at, "#keep #drop");
    let second = create(at, "#keep #drop #new");
    let third = create(at, "#keep");
    let shown = |name: &str| {
        let posts = whole_feed(at, name, 50);
        ids(&posts).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let id = |post: &Value| text(&post["id"]).to_owned();

    edit(at, &first, "#new #keep changed");
    settle(at);
    // A kept tag keeps its position, an added one is first, a dropped one is gone.
    assert_eq!(shown("keep"), [id(&third), id(&second), id(&first)]);
    assert_eq!(shown("new"), [id(&first), id(&second)]);
    assert_eq!(shown("drop"), [id(&second)]);
    assert_eq!(whole_feed(at, "keep", 50)[2]["content"], "#new #keep changed");

    let mut watcher = Browser::open(at, "/api/feeds/drop");
    joined(&server, 1);
    edit(at, &second, "no tags");
    settle(at);
    // A feed that has lost its last post is gone, but its streams stay.
    assert_eq!(get(at, "/api/feeds/drop").status, 404);
    assert_eq!(feeds(at), [("keep".to_owned(), 2), ("new".into(), 1)].into());
    assert_eq!(watcher.next_named("data").json()["posts"].as_array().map(Vec::len), Some(1));
    assert_eq!(watcher.next_named("data").json(), json!({ "name": "drop", "posts": [], "next": null }));

    // A post that comes back to a feed is new there.
    edit(at, &first, "#drop");
    edit(at, &first, "#drop #keep");
    settle(at);
    assert_eq!(shown("keep"), [id(&first), id(&third)]);
    assert_eq!(shown("drop"), [id(&first)]);
    assert_eq!(watcher.next_named("data").json()["posts"][0]["id"], first["id"]);
}

#[test]
fn feeds_do_not_add_up_however_often_the_tags_of_a_post_change() {
    let server = server();
    let at = server.address();
    let post = create(at, "#first");
    for round in 0..100 {
        let tags: Vec<String> = (0..20).map(|number| format!("#r{round}n{number}")).collect();
        edit(at, &post, &tags.join(" "));
    }
    settle(at);
    let wanted = (0..20).map(|number| (format!("r99n{number}"), 1)).collect();
    assert_eq!(feeds(at), wanted);
}

#[test]
fn feeds_are_listed_in_parts_and_a_part_says_how_many_are_behind_it() {
    let server = server();
    let at = server.address();
    for round in 0..60 {
        let tags: Vec<String> = (0..20).map(|number| format!("#t{:04}", round * 20 + number)).collect();
        create(at, &tags.join(" "));
    }
    settle(at);
    let first = read(at, "/api/feeds");
    let names = |list: &Value| -> Vec<String> {
        list["feeds"].as_array().unwrap().iter().map(|feed| text(&feed["name"]).to_owned()).collect()
    };
    let mut all = names(&first);
    assert_eq!((all.len(), &first["more"]), (1_000, &json!(200)));
    let second = read(at, "/api/feeds?after=t0999");
    all.extend(names(&second));
    assert_eq!(second.get("more"), None);
    assert!(all.iter().eq((0..1_200).map(|number| format!("t{number:04}")).collect::<Vec<_>>().iter()));
}

#[test]
fn a_title_that_changes_is_shown_in_every_feed() {
    let server = server();
    let at = server.address();
    let post = create(at, "#a #b");
    super::patch(at, &super::path(&post), "", &json!({ "title": "Another" }));
    settle(at);
    for name in ["a", "b"] {
        assert_eq!(read(at, &format!("/api/feeds/{name}"))["posts"][0]["title"], "Another");
    }
}

#[test]
fn past_the_last_feed_only_tags_that_are_there_are_taken_until_one_goes() {
    let folder = Folder::new();
    let program = serve(&folder, &[]);
    let first = create(program.address, "#first");
    settle(program.address);
    program.signal("TERM");
    program.wait();
    // The other feeds are rows that nobody reads: making a hundred thousand of them would take long.
    let database = Database::open(folder.path().join(NAME)).unwrap();
    let txn = database.begin_write().unwrap();
    let mut table = txn.open_table(TableDefinition::<&[u8], &[u8]>::new("feeds")).unwrap();
    for number in 1..FEEDS_MAX - 1 {
        table.insert(format!("other{number}").as_bytes(), &1_u64.to_be_bytes()[..]).unwrap();
    }
    drop(table);
    txn.commit().unwrap();
    drop(database);

    let program = serve(&folder, &[]);
    let at = program.address;
    let try_to = |content: &str| {
        post(at, "/api/posts", json!({ "title": "t", "content": content, "author": "a" }).to_string())
    };
    let refused = try_to("#second #third");
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(text(&refused.json()["reason"]).contains("at most 100000"), "{refused:?}");
    assert_eq!(try_to("#second").status, 201);
    settle(at);
    assert_eq!(try_to("#third").status, 503);
    let change = patch(at, &path(&first), "", &json!({ "content": "#first #third" }));
    assert_eq!(change.status, 503, "an edit makes no feed either");
    assert_eq!((try_to("#first #second").status, try_to("without").status), (201, 201));
    settle(at);
    assert_eq!(read(at, "/api/feeds/first")["posts"].as_array().map(Vec::len), Some(2));
    // A feed goes with its last post.
    for post in read(at, "/api/feeds/second")["posts"].as_array().unwrap() {
        delete(at, post);
    }
    settle(at);
    assert_eq!(try_to("#third").status, 201);
}
