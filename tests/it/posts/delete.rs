//! Deleting a post.

use super::{all_posts, create, delete, edit, feeds, patch, path, read, settle, text, whole_feed};
use crate::disk::{Folder, serve};
use crate::support::{get, post, request, server};
use callout::posts::store::POSTS_MAX;
use callout::posts::store::embedded::NAME;
use redb::{Database, TableDefinition};
use serde_json::{Value, json};

#[test]
fn a_deleted_post_is_gone_everywhere() {
    let server = server();
    let at = server.address();
    let posts: Vec<Value> = (0..5).map(|number| create(at, &format!("{number} #go #t{number}"))).collect();
    settle(at);
    delete(at, &posts[2]);
    let left: Vec<Value> = [4, 3, 1, 0].map(|number| posts[number].clone()).into();
    assert_eq!(get(at, &path(&posts[2])).status, 404);
    assert_eq!(all_posts(at, 2), left);
    settle(at);
    assert_eq!(whole_feed(at, "go", 2), left);
    // A feed that loses its last post goes.
    assert_eq!((feeds(at)["go"], feeds(at).get("t2")), (4, None));
    let health = read(at, "/healthz");
    assert_eq!((&health["posts"]["posts"], &health["posts"]["unhandled"]), (&json!(4), &json!(0)));
    // A deleted post does not mark a position in a list.
    for list in ["/api/posts", "/api/feeds/go"] {
        let answer = get(at, &format!("{list}?before={}", text(&posts[2]["id"])));
        assert_eq!(answer.status, 400, "{answer:?}");
    }
}

#[test]
fn deleting_what_is_not_there_is_404() {
    let server = server();
    let at = server.address();
    let post = create(at, "#go");
    delete(at, &post);
    let id = text(&post["id"]);
    for id in [id, "00000000-0000-4000-8000-000000000000", "7", "%00"] {
        for method in ["DELETE", "GET"] {
            let answer = request(at, &format!("{method} /api/posts/{id} HTTP/1.1\r\nIf-Match: \"1\""), "");
            assert_eq!(answer.status, 404, "{method} {id}: {answer:?}");
            assert_eq!(answer.json()["reason"], "there is no post of this id");
        }
    }
    assert_eq!(patch(at, &path(&post), "", &json!({ "title": "t" })).status, 404);
}

#[test]
fn a_post_that_has_changed_since_the_named_version_is_not_deleted() {
    let server = server();
    let at = server.address();
    let post = create(at, "first #go");
    let post = edit(at, &post, "second #go");
    let try_to = |tag: &str| request(at, &format!("DELETE {} HTTP/1.1\r\nIf-Match: {tag}", path(&post)), "");
    for (tag, status) in [("\"1\"", 412), ("\"other\"", 412), ("1", 400)] {
        assert_eq!(try_to(tag).status, status, "{tag}");
    }
    assert!(text(&try_to("\"1\"").json()["reason"]).contains("version 2"));
    assert_eq!(read(at, &path(&post)), post);
    for tag in ["\"2\"", "W/\"2\"", "*", "\"9\", \"2\""] {
        let post = edit(at, &create(at, "first #go"), "second #go");
        let answer = request(at, &format!("DELETE {} HTTP/1.1\r\nIf-Match: {tag}", path(&post)), "");
        assert_eq!(answer.status, 204, "{tag}: {answer:?}");
    }
    assert_eq!(all_posts(at, 200), [post]);
}

#[test]
fn of_an_edit_and_a_deletion_of_one_version_at_once_one_succeeds() {
    let server = server();
    let at = server.address();
    for round in 0..20 {
        let post = create(at, "#go");
        let (edited, deleted) = std::thread::scope(|scope| {
            let body = json!({ "content": format!("{round} #go") });
            let post = &post;
            let edit = scope.spawn(move || patch(at, &path(post), "\r\nIf-Match: \"1\"", &body).status);
            let head = format!("DELETE {} HTTP/1.1\r\nIf-Match: \"1\"", path(post));
            let deleted = request(at, &head, "").status;
            (edit.join().expect("a status"), deleted)
        });
        assert!(matches!((edited, deleted), (200, 412) | (404, 204)), "{edited} {deleted}");
    }
}

#[test]
fn a_deleted_post_makes_room_for_another() {
    let folder = Folder::new();
    let program = serve(&folder, &[]);
    let post_one = create(program.address, "#go");
    program.signal("TERM");
    program.wait();
    // The other posts are rows that nobody reads: creating a hundred thousand posts would take minutes.
    let database = Database::open(folder.path().join(NAME)).unwrap();
    let txn = database.begin_write().unwrap();
    let mut table = txn.open_table(TableDefinition::<&[u8], &[u8]>::new("posts")).unwrap();
    for number in 1..POSTS_MAX as u128 {
        table.insert(&number.to_be_bytes()[..], &b"{}"[..]).unwrap();
    }
    drop(table);
    txn.commit().unwrap();
    drop(database);

    let program = serve(&folder, &[]);
    let at = program.address;
    let try_to = || post(at, "/api/posts", r#"{"title":"t","content":"c","author":"a"}"#);
    let refused = try_to();
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(text(&refused.json()["reason"]).contains("at most 100000 posts"), "{refused:?}");
    delete(at, &post_one);
    assert_eq!(try_to().status, 201);
    assert_eq!(try_to().status, 503);
}
