//! The chat, end to end.

use crate::support::{Browser, post, server};
use serde_json::json;

#[test]
fn what_one_says_everybody_receives() {
    let server = server();
    let at = server.address();
    let mut ann = Browser::open(at, "/sse?user=ann");
    let mut bob = Browser::open(at, "/sse?user=bob");
    let answer = post(at, "/sse/message", r#"{"user":"bob","message":"hi\nthere"}"#);
    assert_eq!((answer.status, answer.json()), (200, json!({ "succeeded": true, "message": "OK" })));
    for browser in [&mut ann, &mut bob] {
        let said = browser.next_named("message").json();
        assert_eq!((said["user"].as_str(), said["message"].as_str()), (Some("bob"), Some("hi\nthere")));
        assert!(said["at"].as_str().unwrap().ends_with('Z'));
    }
}
