//! `GET /access`: what whoever asks may do, before it is tried.

use super::tickets::{shop, ticket_of};
use crate::support::{get, post, request, server, server_with};
use callout::{Rule, Who};
use serde_json::{Value, json};

/// What a server answers whoever sends these header fields, of two topics.
fn asked(address: std::net::SocketAddr, fields: &str) -> Value {
    let head = format!("GET /access?topic=news/1&topic=users/ann/orders HTTP/1.1\r\n{fields}");
    let answer = request(address, head.trim_end(), "");
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

#[test]
fn without_rules_everybody_may_everything() {
    let server = server();
    let shown = asked(server.address(), "");
    let all = json!({ "subscribe": true, "publish": true });
    assert_eq!((&shown["user"], &shown["expires"]), (&Value::Null, &Value::Null));
    assert_eq!(shown["topics"], json!({ "news/1": all, "users/ann/orders": all }));
    let pages = shown["pages"].as_object().unwrap();
    let names: Vec<&str> = pages.keys().map(String::as_str).collect();
    assert_eq!(names, ["activity", "chat", "check", "notifications", "posts", "wall"]);
    assert!(pages.values().all(|page| *page == all), "{pages:?}");
}

#[test]
fn what_is_asked_is_what_is_refused_when_it_is_tried() {
    let server = server_with(|config| {
        shop(config);
        let mut own = Rule::new(Who::SignedIn);
        own.subscribe.push("users/{user}".parse().unwrap());
        config.rules.push(own);
    });
    let address = server.address();
    let anonymous = asked(address, "");
    let may = |shown: &Value, topic: &str| {
        let of = &shown["topics"][topic];
        (of["subscribe"].as_bool().unwrap(), of["publish"].as_bool().unwrap())
    };
    assert_eq!(
        (may(&anonymous, "news/1"), may(&anonymous, "users/ann/orders")),
        ((true, false), (false, false))
    );
    for (path, answer) in
        [("/topics/news/1", post(address, "/topics/news/1", "x")), ("/messages", get(address, "/messages"))]
    {
        let of =
            if path == "/messages" { &anonymous["pages"]["wall"] } else { &anonymous["topics"]["news/1"] };
        let tried = answer.json();
        assert_eq!((answer.status, &of["reason"], &of["hint"]), (401, &tried["reason"], &tried["hint"]));
    }

    let ann = ticket_of(address, "ann");
    let ticket = format!("Authorization: Bearer {ann}");
    let shown = asked(address, &ticket);
    assert_eq!(shown["user"], "ann");
    assert!(humantime::parse_rfc3339(shown["expires"].as_str().unwrap()).is_ok(), "{shown}");
    assert_eq!(may(&shown, "users/ann/orders"), (true, false));
    // Her own notifications, and nobody else's.
    assert_eq!(shown["pages"]["notifications"]["subscribe"], true);
    assert_eq!(anonymous["pages"]["notifications"]["subscribe"], false);
    assert!(!shown.to_string().contains(&ann), "{shown}");
    // Nobody is refused the answer: a credential that is not valid gives nothing.
    assert_eq!(asked(address, "Cookie: callout_ticket=ct1.a.b.c"), anonymous);
}

#[test]
fn only_topics_that_anybody_may_name_are_asked_for() {
    let server = server();
    for query in ["topic=$chat".to_owned(), "topic=".to_owned(), "topic=a&".repeat(101)] {
        assert_eq!(get(server.address(), &format!("/access?{query}")).status, 400, "{query}");
    }
}
