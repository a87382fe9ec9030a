//! Who may retract events, and what subscribers see of it.

use crate::support::{Browser, get, publish, request, server, server_with};

#[test]
fn without_a_token_only_this_machine_retracts_and_never_through_a_proxy() {
    let server = server();
    let at = server.address();
    let id = publish(at, "/topics/t", "one");
    let path = format!("/topics/t?id={id}");
    let proxied = request(at, &format!("DELETE {path} HTTP/1.1\r\nX-Forwarded-For: 192.0.2.7"), "");
    assert_eq!(proxied.status, 403, "{proxied:?}");
    let mut browser = Browser::open(at, "/topics/t?last_event_id=earliest");
    assert_eq!(browser.next().data, "one");
    let answer = request(at, &format!("DELETE {path} HTTP/1.1"), "");
    assert_eq!((answer.status, answer.json()["retracted"].as_u64()), (200, Some(1)), "{answer:?}");
    let told = browser.next();
    assert_eq!((told.event.as_str(), told.id.as_str()), ("retract", answer.json()["id"].as_str().unwrap()));
    assert_eq!(told.json(), serde_json::json!({ "topic": "t", "id": id }));
    assert_eq!(request(at, &format!("DELETE {path} HTTP/1.1"), "").status, 404);
    let kept = get(at, "/history/t").json();
    let names: Vec<&str> =
        kept["events"].as_array().unwrap().iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(names, ["retract"]);
}

#[test]
fn a_server_with_a_token_asks_for_it_on_this_machine_too() {
    let server = server_with(|config| config.publish_token = Some("sesame".into()));
    let at = server.address();
    let with_token =
        |head: &str| request(at, &format!("{head} HTTP/1.1\r\nAuthorization: Bearer sesame"), "x");
    with_token("POST /topics/t");
    with_token("POST /topics/t");
    assert_eq!(request(at, "DELETE /topics/t HTTP/1.1", "").status, 401);
    let answer = with_token("DELETE /topics/t");
    assert_eq!((answer.status, answer.json()["retracted"].as_u64()), (200, Some(2)), "{answer:?}");
    let again = with_token("DELETE /topics/t");
    assert_eq!(again.json(), serde_json::json!({ "retracted": 0, "id": null }));
    // Nobody may retract from a page's topic.
    assert_eq!(with_token("DELETE /topics/$chat").status, 400);
}
