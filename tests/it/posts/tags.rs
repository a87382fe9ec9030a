//! Tags, and what an edit does to the feeds.

use super::{create, edit, feeds, ids, read, settle, text, whole_feed};
use crate::support::server;
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
fn an_edit_adds_drops_and_keeps() {
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

    edit(at, &second, "no tags");
    settle(at);
    assert_eq!(shown("drop"), [""; 0]);
    assert_eq!(read(at, "/api/feeds/drop"), json!({ "name": "drop", "posts": [], "next": null }));
    let wanted = [("drop".to_owned(), 0), ("keep".into(), 2), ("new".into(), 1)];
    assert_eq!(feeds(at), wanted.into());

    // A post that comes back to a feed is new there.
    edit(at, &first, "#drop");
    edit(at, &first, "#drop #keep");
    settle(at);
    assert_eq!(shown("keep"), [id(&first), id(&third)]);
    assert_eq!(shown("drop"), [id(&first)]);
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
