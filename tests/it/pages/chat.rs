//! The chat, end to end, and who is there.

use crate::support::{Browser, get, post, said, server, until};
use serde_json::{Value, json};
use socket2::SockRef;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

fn say(at: SocketAddr, user: &str, message: &str) {
    let answer = post(at, "/sse/message", json!({ "user": user, "message": message }).to_string());
    assert_eq!((answer.status, answer.json()), (200, json!({ "succeeded": true, "message": "OK" })));
}

/// The names in an event `presence`.
fn users(browser: &mut Browser) -> Vec<String> {
    let seen = browser.next_named("presence");
    serde_json::from_value(seen.json()["users"].take()).expect("a list of names")
}

/// Reads until the presence is this.
fn users_become(browser: &mut Browser, wanted: &[&str]) {
    while users(browser) != wanted {}
}

#[test]
fn a_message_reaches_everybody() {
    let server = server();
    let at = server.address();
    let mut ann = Browser::open(at, "/sse?user=ann");
    let mut bob = Browser::open(at, "/sse?user=bob");
    say(at, "bob", "hi\nthere");
    for browser in [&mut ann, &mut bob] {
        let said = browser.next_named("message").json();
        assert_eq!((said["user"].as_str(), said["message"].as_str()), (Some("bob"), Some("hi\nthere")));
        assert!(said["at"].as_str().unwrap().ends_with('Z'));
        humantime::parse_rfc3339(said["at"].as_str().unwrap()).expect("a time as RFC 3339 has it");
    }
}

#[test]
fn subscribing_without_a_name_is_a_clear_400() {
    let server = server();
    let long = format!("/sse?user={}", "n".repeat(81));
    for path in ["/sse", "/sse?user=", "/sse?user=%20%20", "/sse?user=a%0Aevent:%20x", &long] {
        let answer = get(server.address(), path);
        assert_eq!(answer.status, 400, "{path}: {answer:?}");
        let why = said(&answer);
        assert!(why.contains("`user`"), "{path}: {why}");
    }
}

#[test]
fn a_name_is_visible_and_no_lookalike_by_what_cannot_be_seen() {
    let server = server();
    let at = server.address();
    let mut ann = Browser::open(at, "/sse?user=ann");
    for name in [
        "\u{200b}",
        "\u{feff}",
        "\u{3164}",
        "\u{2800}",
        "\u{e0041}",
        "ann\u{200b}",
        "ann\u{202e}",
        "\u{2066}ann",
        "an\u{ad}n",
        "ann\u{fe0f}",
        "ann\u{3164}",
        "ann\u{34f}",
    ] {
        let encoded: String = name.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let opened = get(at, &format!("/sse?user={encoded}"));
        let said = post(at, "/sse/message", json!({ "user": name, "message": "hi" }).to_string());
        assert_eq!((opened.status, said.status), (400, 400), "{name:?}: {opened:?} {said:?}");
    }
    // Blanks of all kinds are one space, as a page shows them.
    let _john = Browser::open(at, "/sse?user=John%C2%A0%20Smith");
    users_become(&mut ann, &["John Smith", "ann"]);
    let _amelie = Browser::open(at, "/sse?user=Ame%CC%81lie%20%E5%B1%B1%E7%94%B0%20%F0%9F%91%8D");
    users_become(&mut ann, &["Ame\u{301}lie 山田 👍", "John Smith", "ann"]);
}

#[test]
fn a_message_that_is_refused_is_told_in_the_chats_own_form_and_nobody_receives_it() {
    let server = server();
    let at = server.address();
    let mut ann = Browser::open(at, "/sse?user=ann");
    let too_large = json!({ "user": "ann", "message": "x".repeat(64 * 1024) }).to_string();
    for (body, status) in [
        ("not JSON", 400),
        ("", 400),
        (r#"{"message":"hi"}"#, 400),
        (r#"{"user":"ann"}"#, 400),
        (r#"{"user":" ","message":"hi"}"#, 400),
        (r#"{"user":"ann\nid: 1","message":"hi"}"#, 400),
        (r#"{"user":"ann","message":" \n"}"#, 400),
        (r#"{"user":"ann","message":7}"#, 400),
        (&too_large, 413),
    ] {
        let answer = post(at, "/sse/message", body);
        assert_eq!(answer.status, status, "{body:.40}: {answer:?}");
        assert_eq!(answer.json()["succeeded"], false, "{answer:?}");
        assert!(said(&answer).starts_with(answer.json()["errorMessage"].as_str().expect("the reason")));
    }
    assert_eq!(post(at, "/sse/message", b"{\"user\":\"ann\",\"message\":\"\xff\"}").status, 400);
    say(at, "ann", "probe");
    assert_eq!(ann.next_named("message").json()["message"], "probe");
}

#[test]
fn a_latecomer_reads_the_last_fifty() {
    let server = server();
    let at = server.address();
    (0..60).for_each(|number| say(at, "ann", &number.to_string()));
    let mut bob = Browser::open(at, "/sse?user=bob");
    say(at, "ann", "60");
    let numbers: Vec<Value> = (0..51).map(|_| bob.next_named("message").json()["message"].take()).collect();
    let wanted: Vec<Value> = (10..=60).map(|number| json!(number.to_string())).collect();
    assert_eq!(numbers, wanted);
}

#[test]
fn a_browser_that_comes_back_reads_on_from_the_last_message() {
    let server = server();
    let at = server.address();
    let mut bob = Browser::open(at, "/sse?user=bob");
    say(at, "ann", "first");
    let last = bob.next_named("message").id;
    drop(bob);
    (0..60).for_each(|number| say(at, "ann", &number.to_string()));
    let mut bob = Browser::resume(at, "/sse?user=bob", &last);
    for number in 0..60 {
        assert_eq!(bob.next_named("message").json()["message"], number.to_string());
    }
}

#[test]
fn a_newcomer_is_shown_at_once_who_is_there() {
    let server = server();
    let at = server.address();
    let mut bob = Browser::open(at, "/sse?user=bob");
    assert_eq!(users(&mut bob), ["bob"]);
    let mut ann = Browser::open(at, "/sse?user=%20ann%20");
    assert_eq!(users(&mut ann), ["ann", "bob"]);
    users_become(&mut bob, &["ann", "bob"]);
}

#[test]
fn a_user_with_three_tabs_is_one_entry_until_the_last_tab_closes() {
    let server = server();
    let at = server.address();
    let mut bob = Browser::open(at, "/sse?user=bob");
    let mut tabs: Vec<Browser> = (0..3).map(|_| Browser::open(at, "/sse?user=ann")).collect();
    tabs.iter_mut().for_each(|tab| assert_eq!(users(tab), ["ann", "bob"]));
    users_become(&mut bob, &["ann", "bob"]);
    tabs.truncate(1);
    until("two tabs are closed", || server.app().permits.in_use() == 2);
    let _carl = Browser::open(at, "/sse?user=carl");
    users_become(&mut bob, &["ann", "bob", "carl"]);
    tabs.clear();
    users_become(&mut bob, &["bob", "carl"]);
}

/// What happens within this time did not wait for the grace, which is longer.
const AT_ONCE: Duration = Duration::from_secs(2);

#[test]
fn a_user_who_says_goodbye_leaves_at_once() {
    let server = server();
    let at = server.address();
    let mut bob = Browser::open(at, "/sse?user=bob");
    let mut tabs = [Browser::open(at, "/sse?user=ann"), Browser::open(at, "/sse?user=ann")];
    users_become(&mut bob, &["ann", "bob"]);
    let goodbye = tabs.each_mut().map(|tab| {
        let comment = tab.parser.comment.clone();
        comment.split_once(" goodbye=").expect("where to say goodbye").1.to_owned()
    });
    assert_ne!(goodbye[0], goodbye[1]);
    let said = Instant::now();
    // A second goodbye changes nothing, and neither does one with an unknown token.
    for path in [&goodbye[0], &goodbye[0], "sse/goodbye?stream=0", "sse/goodbye"] {
        assert_eq!(post(at, &format!("/{path}"), "").status, 204);
    }
    let mut carl = Browser::open(at, "/sse?user=carl");
    assert_eq!(users(&mut carl), ["ann", "bob", "carl"], "one of her tabs is still there");
    users_become(&mut bob, &["ann", "bob", "carl"]);
    assert_eq!(post(at, &format!("/{}", goodbye[1]), "").status, 204);
    assert_eq!(users(&mut bob), ["bob", "carl"]);
    drop(tabs);
    // The stream may end before the presence changes.
    drop(Browser::open(at, "/sse?user=dora"));
    until("the server has noticed", || server.app().permits.in_use() == 2);
    let dora = Browser::open(at, "/sse?user=dora");
    let goodbye = dora.parser.comment.split_once(" goodbye=").unwrap().1.to_owned();
    users_become(&mut bob, &["bob", "carl", "dora"]);
    drop(dora);
    until("the server has noticed", || server.app().permits.in_use() == 2);
    post(at, &format!("/{goodbye}"), "");
    assert_eq!(users(&mut bob), ["bob", "carl"]);
    assert!(said.elapsed() < AT_ONCE, "{:?}", said.elapsed());
}

#[test]
fn a_user_who_is_cut_off_and_comes_back_was_never_away() {
    let server = server();
    let at = server.address();
    let mut bob = Browser::open(at, "/sse?user=bob");
    let mut ann = Browser::open(at, "/sse?user=ann");
    users_become(&mut bob, &["ann", "bob"]);
    for reset in [false, true, false] {
        if reset {
            // Closing then sends RST instead of FIN.
            SockRef::from(ann.raw.socket()).set_linger(Some(Duration::ZERO)).unwrap();
        }
        drop(ann);
        until("the server has noticed", || server.app().permits.in_use() == 1);
        ann = Browser::open(at, "/sse?user=ann");
    }
    let _carl = Browser::open(at, "/sse?user=carl");
    assert_eq!(users(&mut bob), ["ann", "bob", "carl"], "nothing was said of ann");
}

#[test]
fn a_user_who_is_cut_off_and_stays_away_leaves_after_the_grace() {
    let server = server();
    let at = server.address();
    let mut bob = Browser::open(at, "/sse?user=bob");
    let ann = Browser::open(at, "/sse?user=ann");
    users_become(&mut bob, &["ann", "bob"]);
    drop(ann);
    until("the server has noticed", || server.app().permits.in_use() == 1);
    let cut = Instant::now();
    let mut carl = Browser::open(at, "/sse?user=carl");
    assert_eq!(users(&mut carl), ["ann", "bob", "carl"]);
    users_become(&mut carl, &["bob", "carl"]);
    assert!(cut.elapsed() > AT_ONCE, "{:?}", cut.elapsed());
}

#[test]
fn hostile_text_arrives_as_text() {
    let server = server();
    let at = server.address();
    let user = "<b>\"bob\"</b>\u{2028}";
    let mut ann = Browser::open(at, "/sse?user=%3Cb%3E%22bob%22%3C%2Fb%3E%E2%80%A8");
    let opening = ann.parser.retry_millis;
    assert_eq!(users(&mut ann), [user.trim()]);
    for message in [
        "a\r\nb\rc\nd",
        "\n\nid: 9\nevent: x\nretry: 1\ndata: y\n\n",
        "\u{feff}:comment",
        "\0 and \u{1b}[31m",
        "<script>alert(1)</script>\u{85}\u{2029}",
    ] {
        say(at, user, message);
        let seen = std::iter::from_fn(|| Some(ann.next())).find(|seen| seen.event != "presence").unwrap();
        assert_eq!(seen.event, "message", "{message:?}");
        let said = seen.json();
        assert_eq!((said["user"].as_str(), said["message"].as_str()), (Some(user.trim()), Some(message)));
        assert_ne!(ann.parser.last_event_id, "9");
        assert_eq!(ann.parser.retry_millis, opening);
    }
}

#[test]
fn many_who_join_at_once_all_see_all() {
    let server = server();
    let at = server.address();
    let names: Vec<String> = (10..60).map(|number| format!("user{number}")).collect();
    let mut browsers: Vec<Browser> = std::thread::scope(|scope| {
        let join = |name| scope.spawn(move || Browser::open(at, &format!("/sse?user={name}")));
        let joining: Vec<_> = names.iter().map(join).collect();
        joining.into_iter().map(|thread| thread.join().expect("a place in the chat")).collect()
    });
    // All stay until each has seen all messages.
    for browser in &mut browsers {
        users_become(browser, &names.iter().map(String::as_str).collect::<Vec<_>>());
    }
}
