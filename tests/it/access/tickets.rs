//! Tickets: what a backend gives its users, what they may with it, and how it is taken back.

use crate::support::{Answer, Browser, Program, Raw, assert_problem, get, request, said, server_with, until};
use callout::access::moment::Moment;
use callout::access::ticket::TicketDraft;
use callout::server::{Config, Server};
use callout::{Digest, Key, Rule, TicketKeys, Who};
use serde_json::{Value, json};
use std::io::Read;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A rule with these topics.
fn rule(who: Who, publish: &[&str], subscribe: &[&str], may: &[&str]) -> Rule {
    let mut rule = Rule::new(who);
    rule.publish = publish.iter().map(|text| text.parse().unwrap()).collect();
    rule.subscribe = subscribe.iter().map(|text| text.parse().unwrap()).collect();
    rule.may = may.iter().map(|text| text.parse().unwrap()).collect();
    rule
}

fn token(name: &str) -> Who {
    Who::token(name, Digest::of(&format!("secret-of-{name}"))).unwrap()
}

/// A shop whose users have topics of their own, and news for everybody.
pub fn shop(config: &mut Config) {
    config.rules = vec![
        rule(Who::Anonymous, &[], &["news/*"], &[]),
        rule(Who::SignedIn, &[], &["users/{user}/*"], &[]),
        rule(token("shop"), &["*"], &["orders/*", "rooms/*"], &["history", "tickets"]),
        rule(token("wall"), &["wall/*"], &[], &[]),
    ];
    config.tickets = TicketKeys::new(vec![Key::new(&[1; 32]).unwrap()]);
}

/// The same as a file, beside its secrets.
const CONFIG: &str = r#"
[[allow]]
anonymous = true
subscribe = ["news/*"]
pages = ["activity"]

[[allow]]
signed_in = true
subscribe = ["users/{user}/*"]

[[token]]
name = "shop"
secret_file = "shop.token"
publish = ["*"]
subscribe = ["orders/*", "rooms/*"]
may = ["history", "tickets"]

[tickets]
key_files = ["ticket.key"]
"#;

/// A new folder with the secrets of the shop.
pub fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("callout-tickets-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("shop.token"), "secret-of-shop\n").unwrap();
    std::fs::write(folder.join("ticket.key"), "0123456789abcdef0123456789abcdef\n").unwrap();
    folder
}

fn server() -> Server {
    server_with(shop)
}

#[test]
fn where_tickets_are_taken_and_no_rule_is_written_nothing_else_gives_anything() {
    let keys = TicketKeys::new(vec![Key::new(&[1; 32]).unwrap()]);
    let server = server_with(|config| config.tickets = keys.clone());
    let at = server.address();
    assert_eq!(request(at, "POST /topics/news HTTP/1.1", "x").status, 401);
    assert_eq!(request(at, "POST /tickets HTTP/1.1", r#"{"user":"ann"}"#).status, 401);
    assert_eq!(get(at, "/topics/news").status, 401);
    let (issued, publish) = (Moment::now(), vec!["news".parse().unwrap()]);
    let expires = issued.after(Duration::from_secs(60));
    let of_ann =
        TicketDraft { user: "ann".into(), publish, subscribe: Vec::new(), issued, expires, by: None };
    let ticket = keys.sign(&of_ann).unwrap();
    let head = format!("POST /topics/news HTTP/1.1\r\nAuthorization: Bearer {ticket}");
    assert_eq!(request(at, &head, "x").status, 200);
    // Without keys it is open again.
    server.set_keys(TicketKeys::default(), Vec::new());
    assert_eq!(request(at, "POST /topics/news HTTP/1.1", "x").status, 200);
}

fn set_access(server: &Server, config: &Config) {
    server.set_rules(&config.rules, None).unwrap();
    server.set_keys(config.tickets.clone(), Vec::new());
}

pub fn bearer(credential: &str) -> String {
    format!("Authorization: Bearer {credential}")
}

fn as_shop(address: SocketAddr, path: &str, body: &Value) -> Answer {
    let head = format!("POST {path} HTTP/1.1\r\n{}", bearer("secret-of-shop"));
    request(address, &head, body.to_string())
}

fn ticket(address: SocketAddr, wish: &Value) -> String {
    let answer = as_shop(address, "/tickets", wish);
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["ticket"].as_str().unwrap().to_owned()
}

pub fn ticket_of(address: SocketAddr, user: &str) -> String {
    ticket(address, &json!({ "user": user }))
}

fn revoke(address: SocketAddr, what: Value) -> Value {
    let answer = as_shop(address, "/revoke", &what);
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

fn publish(address: SocketAddr, path: &str) {
    let head = format!("POST {path} HTTP/1.1\r\n{}", bearer("secret-of-shop"));
    assert_eq!(request(address, &head, "hi").status, 200);
}

/// A stream with a ticket in its address.
fn stream(address: SocketAddr, topic: &str, ticket: &str) -> Browser {
    Browser::open(address, &format!("/topics/{topic}?ticket={ticket}"))
}

/// The last event of a stream that has lost its right.
fn lost(browser: &mut Browser) -> Value {
    let last = browser.next_named("unauthorized");
    assert_eq!(browser.next_or_end(), None);
    assert!(browser.has_ended, "the body ends");
    let data: Value = serde_json::from_str(&last.data).unwrap();
    assert_problem(&data);
    data
}

#[test]
fn a_ticket_lets_its_user_read_wherever_a_credential_may_stand() {
    let server = server();
    let address = server.address();
    let answer =
        as_shop(address, "/tickets", &json!({ "user": "ann", "subscribe": ["users/ann/*"], "ttl": "10m" }));
    let (given, expires) = (answer.json()["ticket"].clone(), answer.json()["expires"].clone());
    let expires = humantime::parse_rfc3339(expires.as_str().unwrap()).unwrap();
    let lasts = expires.duration_since(std::time::SystemTime::now()).unwrap();
    assert!((590..=600).contains(&lasts.as_secs()), "{lasts:?}");
    let ticket = given.as_str().unwrap();
    use base64::Engine;
    let basic = base64::prelude::BASE64_STANDARD.encode(format!("anybody:{ticket}"));
    for fields in [
        format!("{}\r\n", bearer(ticket)),
        format!("Authorization: Basic {basic}\r\n"),
        format!("Cookie: theme=dark; callout_ticket={ticket}\r\n"),
    ] {
        let mut browser = Browser::open_with(address, "/topics/users/ann/orders", &fields);
        publish(address, "/topics/users/ann/orders");
        assert_eq!(browser.next().data, "hi");
    }
    let mut browser = stream(address, "users/ann/orders", ticket);
    publish(address, "/topics/users/ann/orders");
    assert_eq!(browser.next().data, "hi");
    let others = get(address, &format!("/topics/users/bob/orders?ticket={ticket}"));
    assert_eq!(others.status, 403, "{others:?}");
    assert!(said(&others).contains("the user `ann` does not cover `users/bob/orders`"), "{others:?}");
    let nobody = get(address, "/topics/users/ann/orders");
    assert_eq!(nobody.status, 401);
    let looked =
        "a request without a credential in `Authorization`, `?ticket=` or the cookie `callout_ticket`";
    assert!(said(&nobody).starts_with(looked), "{}", said(&nobody));
}

#[test]
fn a_backend_gives_what_it_may_itself_and_what_the_rules_give() {
    let server = server();
    let address = server.address();
    for (wish, status, reason) in [
        (json!({ "user": "ann", "subscribe": ["rooms/1", "rooms/*", "orders/7", "news/*"] }), 200, ""),
        (json!({ "user": "ann", "publish": ["rooms/1", "anything/*"] }), 200, ""),
        (json!({ "user": "ann", "subscribe": ["users/ann/*"] }), 200, ""),
        (
            json!({ "user": "ann", "subscribe": ["users/bob/*"] }),
            403,
            "may not give the right to subscribe to `users/bob/*`",
        ),
        (json!({ "user": "ann", "subscribe": ["*"] }), 403, "may not give the right to subscribe to `*`"),
        (json!({ "user": "*", "subscribe": ["users/ann/*"] }), 403, "may not give"),
        (json!({ "user": "ann", "publish": ["$chat"] }), 403, "may not give the right to publish to `$chat`"),
        (json!({ "user": "" }), 400, "1 to 256 bytes"),
        (json!({ "user": "a\nb" }), 400, "control characters"),
        (json!({ "user": "ann", "ttl": "0s" }), 400, "from 1s to 31days"),
        (json!({ "user": "ann", "ttl": "32days" }), 400, "from 1s to 31days"),
        (json!({ "user": "ann", "ttl": "soon" }), 400, "`ttl` is no time"),
        (json!({ "user": "ann", "subscribe": ["a/**\n"] }), 400, "control characters"),
        (json!({ "user": "ann", "admin": true }), 400, "unknown field"),
        (json!({}), 400, "missing field"),
    ] {
        let answer = as_shop(address, "/tickets", &wish);
        assert_eq!(answer.status, status, "{wish}: {answer:?}");
        assert!(status == 200 || said(&answer).contains(reason), "{wish}: {}", said(&answer));
    }
    for credential in ["secret-of-wall", &ticket_of(address, "ann")] {
        for path in ["/tickets", "/revoke"] {
            let head = format!("POST {path} HTTP/1.1\r\n{}", bearer(credential));
            let answer = request(address, &head, r#"{"user":"ann"}"#);
            assert_eq!(answer.status, 403, "{answer:?}");
            assert!(said(&answer).contains("may not make or revoke tickets"), "{answer:?}");
        }
    }
    assert_eq!(request(address, "POST /tickets HTTP/1.1", r#"{"user":"ann"}"#).status, 401);
}

#[test]
fn a_credential_that_is_not_valid_is_refused_with_the_reason_and_never_shown() {
    let server = server();
    let address = server.address();
    let good = ticket_of(address, "ann");
    let foreign = TicketKeys::new(vec![Key::new(&[2; 32]).unwrap()]);
    let now = callout::access::moment::Moment::now();
    let draft = |expires: Duration| callout::access::ticket::TicketDraft {
        user: "ann".into(),
        issued: now,
        expires: now.after(expires),
        ..Default::default()
    };
    let foreign = foreign.sign(&draft(Duration::from_secs(60))).unwrap();
    let ours = TicketKeys::new(vec![Key::new(&[1; 32]).unwrap()]);
    let ended = ours.sign(&draft(Duration::from_micros(1))).unwrap();
    for (credential, reason) in [
        (&*foreign, "signed with a key that this server does not have"),
        (&ended, "the ticket ended at"),
        (&good[..good.len() - 3], "this is no ticket"),
        ("ct1.a.b.c", "this is no ticket"),
        ("eyJhbGciOiJIUzI1NiJ9.e30.AAAA", "this server takes no JWTs"),
        ("secret-of-nobody", "the token is not known here|tokens are sent in the header"),
    ] {
        // Also where nobody needs one.
        for topic in ["news/1", "users/ann/1"] {
            for answer in [
                request(address, &format!("GET /topics/{topic} HTTP/1.1\r\n{}", bearer(credential)), ""),
                get(address, &format!("/topics/{topic}?ticket={credential}")),
                request(
                    address,
                    &format!("GET /topics/{topic} HTTP/1.1\r\nCookie: callout_ticket={credential}"),
                    "",
                ),
            ] {
                assert_eq!(answer.status, 401, "{credential} {answer:?}");
                assert!(reason.split('|').any(|reason| said(&answer).contains(reason)), "{}", said(&answer));
                assert!(!said(&answer).contains(credential), "{}", said(&answer));
            }
        }
    }
    // A page loads with a cookie that has ended, which goes when it is refused.
    let with_cookie = |path: &str| format!("GET {path} HTTP/1.1\r\nCookie: callout_ticket={ended}");
    assert_eq!(request(address, &with_cookie("/"), "").status, 200);
    assert_eq!(request(address, &with_cookie("/healthz"), "").status, 200);
    let refused = request(address, &with_cookie("/topics/news/1"), "");
    assert!(
        refused.header("set-cookie").unwrap().starts_with("callout_ticket=; path=/; max-age=0"),
        "{refused:?}"
    );
    // The name and the password of a site belong to the proxy in front.
    let basic = "GET /history/news/1 HTTP/1.1\r\nAuthorization: Basic YW5uOnNlc2FtZQ==";
    assert!(said(&request(address, basic, "")).contains("none of this server's"));
    let mut browser =
        Browser::open_with(address, "/topics/news/1", "Authorization: Basic YW5uOnNlc2FtZQ==\r\n");
    publish(address, "/topics/news/1");
    assert_eq!(browser.next().data, "hi");
}

#[test]
fn what_is_taken_back_ends_its_streams_at_once_and_nobody_elses() {
    let server = server();
    let address = server.address();
    let (first, second) = (ticket_of(address, "ann"), ticket_of(address, "ann"));
    let bobs = ticket_of(address, "bob");
    let mut bob = stream(address, "users/bob/1", &bobs);
    let mut anybody = Browser::open(address, "/topics/news/1");

    // One ticket, told by its text.
    let (mut one, mut other) =
        (stream(address, "users/ann/1", &first), stream(address, "users/ann/1", &second));
    let said = revoke(address, json!({ "ticket": first }));
    assert_eq!(
        said,
        json!({ "revoked": true, "kept": false,
        "note": "a restart forgets it: this server keeps its data in memory" })
    );
    assert_eq!(lost(&mut one)["reason"], "the ticket was taken back");
    assert_eq!(get(address, &format!("/topics/users/ann/1?ticket={first}")).status, 401);
    publish(address, "/topics/users/ann/1");
    assert_eq!(other.next().data, "hi");

    // A user, and what they are given afterwards, within the same second.
    revoke(address, json!({ "user": "ann" }));
    assert_eq!(lost(&mut other)["reason"], "the ticket was taken back");
    assert_eq!(get(address, &format!("/topics/users/ann/1?ticket={second}")).status, 401);
    let mut again = stream(address, "users/ann/1", &ticket_of(address, "ann"));
    publish(address, "/topics/users/ann/1");
    assert_eq!(again.next().data, "hi");

    // A token falls with its tickets.
    let wall = format!("POST /topics/wall/1 HTTP/1.1\r\n{}", bearer("secret-of-wall"));
    assert_eq!(request(address, &wall, "x").status, 200);
    revoke(address, json!({ "token": "wall" }));
    let refused = request(address, &wall, "x");
    assert_eq!(refused.status, 401);
    assert!(crate::support::said(&refused).contains("the token was taken back"), "{refused:?}");
    publish(address, "/topics/users/bob/1");
    assert_eq!(bob.next().data, "hi", "not disturbed so far");
    revoke(address, json!({ "token": "shop" }));
    assert_eq!(lost(&mut bob)["reason"], "the ticket was taken back");
    lost(&mut again);
    assert_eq!(as_shop(address, "/tickets", &json!({ "user": "ann" })).status, 401);
    server
        .publish(callout::Draft {
            topics: vec![callout::Topic::new("news/1").unwrap()],
            data: "still here".into(),
            ..Default::default()
        })
        .unwrap();
    assert_eq!(anybody.next().data, "still here");
}

#[test]
fn wrong_revocations_are_refused() {
    let server = server();
    let address = server.address();
    for (what, reason) in [
        (json!({}), "JSON"),
        (json!({ "user": "ann", "token": "shop" }), "JSON"),
        (json!({ "users": "ann" }), "unknown"),
        (json!({ "user": "" }), "1 to 256 bytes"),
        (json!({ "ticket": "sesame" }), "not known here"),
        (json!({ "ticket": "ct1.a.b.c" }), "this is no ticket"),
        (json!({ "token": "a b" }), "the name of a token"),
    ] {
        let answer = as_shop(address, "/revoke", &what);
        assert!((400..402).contains(&answer.status), "{what}: {answer:?}");
        assert!(said(&answer).contains(reason), "{what}: {}", said(&answer));
    }
}

#[test]
fn a_stream_ends_when_its_ticket_does_and_the_next_ticket_goes_on_where_it_was() {
    let server = server();
    let address = server.address();
    let began = Instant::now();
    let short = ticket(address, &json!({ "user": "ann", "ttl": "1s" }));
    let mut browser = stream(address, "users/ann/1", &short);
    publish(address, "/topics/users/ann/1");
    let seen = browser.next();
    let ended = lost(&mut browser);
    assert!(began.elapsed() >= Duration::from_millis(900), "{:?}", began.elapsed());
    assert!(ended["reason"].as_str().unwrap().starts_with("the ticket ended at"), "{ended}");
    assert_eq!(get(address, &format!("/topics/users/ann/1?ticket={short}")).status, 401);
    publish(address, "/topics/users/ann/1");
    let next = ticket_of(address, "ann");
    let mut again = Browser::resume(
        address,
        &format!("/topics/users/ann/1?ticket={next}"),
        &browser.parser.last_event_id,
    );
    assert_eq!(again.next().data, "hi");
    assert!(again.parser.last_event_id > seen.id);
}

#[test]
fn rules_and_keys_that_are_read_again_end_the_streams_that_lose_by_it() {
    let server = server();
    let address = server.address();
    let anns = ticket_of(address, "ann");
    let mut ann = stream(address, "users/ann/1", &anns);
    let mut news = Browser::open_with(address, "/topics/news/1", &format!("{}\r\n", bearer(&anns)));
    let mut shop_itself =
        Browser::open_with(address, "/topics/orders/1", &format!("{}\r\n", bearer("secret-of-shop")));
    let mut anybody = Browser::open(address, "/topics/news/1");
    let mut config = Config::default();
    shop(&mut config);

    // Nothing changes, and the old key is still there.
    let (old, new) = (Key::new(&[1; 32]).unwrap(), Key::new(&[2; 32]).unwrap());
    config.tickets = TicketKeys::new(vec![new.clone(), old]);
    set_access(&server, &config);
    publish(address, "/topics/users/ann/1?id=x1");
    assert_eq!(ann.next().data, "hi");

    // Users may not read what is theirs any more.
    config.rules.remove(1);
    set_access(&server, &config);
    let said = lost(&mut ann);
    assert!(said["reason"].as_str().unwrap().contains("does not cover `users/ann/1`"), "{said}");
    // The old key goes, and with it what it signed.
    config.tickets = TicketKeys::new(vec![new]);
    set_access(&server, &config);
    assert!(lost(&mut news)["reason"].as_str().unwrap().contains("signed with a key"), "{said}");
    // A token goes, and its tickets with it.
    let (wall, rooms) = (config.rules.pop().unwrap(), rule(token("rooms"), &[], &["rooms/*"], &["tickets"]));
    config.rules.push(rooms);
    set_access(&server, &config);
    let head = format!("POST /tickets HTTP/1.1\r\n{}", bearer("secret-of-rooms"));
    let given = request(address, &head, r#"{"user":"ann","subscribe":["rooms/1"]}"#).json();
    let mut room = stream(address, "rooms/1", given["ticket"].as_str().unwrap());
    config.rules.pop();
    config.rules.push(wall);
    set_access(&server, &config);
    assert_eq!(lost(&mut room)["reason"], "the ticket was taken back");
    // The token gets another secret.
    config.rules[1].who = Who::token("shop", Digest::of("another")).unwrap();
    set_access(&server, &config);
    assert!(lost(&mut shop_itself)["reason"].as_str().unwrap().contains("not valid any more"), "{said}");
    let head = format!("POST /topics/news/1 HTTP/1.1\r\n{}", bearer("another"));
    assert_eq!(request(address, &head, "still here").status, 200);
    assert_eq!(anybody.next().data, "still here");
}

#[test]
fn rules_that_come_to_an_open_server_end_the_streams_that_they_do_not_allow() {
    let server = server_with(|config| config.rules_may_change = true);
    let address = server.address();
    let (mut closed, mut open) =
        (Browser::open(address, "/topics/a"), Browser::open(address, "/topics/news/1"));
    let mut config = Config::default();
    shop(&mut config);
    set_access(&server, &config);
    assert!(lost(&mut closed)["reason"].as_str().unwrap().contains("does not cover `a`"));
    publish(address, "/topics/news/1");
    assert_eq!(open.next().data, "hi");
}

#[test]
fn the_other_listener_ends_streams_too() {
    let server = server_with(|config| {
        shop(config);
        config.listener = callout::ListenerKind::TinyHttp;
    });
    let mut browser = stream(server.address(), "users/ann/1", &ticket_of(server.address(), "ann"));
    revoke(server.address(), json!({ "user": "ann" }));
    assert_eq!(lost(&mut browser)["reason"], "the ticket was taken back");
}

#[test]
fn a_stream_that_takes_nothing_loses_its_right_all_the_same() {
    let server = server();
    let address = server.address();
    let anns = ticket_of(address, "ann");
    let mut raw = Raw::over(crate::support::narrow_socket(address));
    raw.send(format!("GET /topics/users/ann/1?ticket={anns} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    let head = format!("POST /topics/users/ann/1 HTTP/1.1\r\n{}", bearer("secret-of-shop"));
    until("it is behind", || {
        assert_eq!(request(address, &head, vec![b'x'; 60_000]).status, 200);
        server.app().hub.survey().behind == 1
    });
    revoke(address, json!({ "user": "ann" }));
    assert_eq!(request(address, &head, "after it").status, 200);
    until("it is gone", || server.app().hub.survey().clients == 0);
    assert!(!raw.everything().contains("after it"));
}

#[test]
fn a_browser_trades_its_ticket_for_a_cookie_that_pages_of_other_sites_cannot_use() {
    let server = server_with(|config| {
        shop(config);
        config.trusted_proxies = ["127.0.0.1/32".parse().unwrap()].into_iter().collect();
        config.hosts = vec!["push.example".into()];
    });
    let address = server.address();
    let anns = ticket(address, &json!({ "user": "ann", "publish": ["rooms/1"], "ttl": "10m" }));
    let trade = |fields: &str| {
        let mut raw = Raw::connect(address);
        let body = json!({ "ticket": anns }).to_string();
        raw.send(format!(
            "POST /tickets/cookie HTTP/1.1\r\nHost: push.example\r\n{fields}Content-Length: {}\r\n\r\n{body}",
            body.len()
        ));
        let mut cookie = String::new();
        let mut line = raw.line();
        let status = crate::support::status(&line);
        while !line.trim().is_empty() {
            if let Some(value) = line.strip_prefix("set-cookie: ") {
                cookie = value.trim_end().into();
            }
            line = raw.line();
        }
        (status, cookie)
    };
    let (status, cookie) = trade("");
    assert_eq!(status, 204);
    let mut parts = cookie.split("; ");
    assert_eq!(parts.next(), Some(&*format!("callout_ticket={anns}")));
    assert_eq!(parts.next(), Some("Path=/"));
    let age: u64 = parts.next().unwrap().strip_prefix("Max-Age=").unwrap().parse().unwrap();
    assert!((590..=600).contains(&age), "{age}");
    assert_eq!(parts.collect::<Vec<_>>(), ["HttpOnly", "SameSite=Strict"]);
    // Secure where the browser came over TLS. A cookie that has ended is no hindrance.
    let (_, cookie) = trade("X-Forwarded-Proto: https\r\nCookie: callout_ticket=ct1.a.b.c\r\n");
    assert!(cookie.ends_with("; Secure"), "{cookie}");
    assert!(trade("Origin: https://push.example\r\n").1.ends_with("; Secure"));
    // A page of another site can neither log somebody in as somebody else nor publish in their name.
    assert_eq!(trade("Origin: https://evil.example\r\n").0, 403);
    let publish = |fields: &str| {
        let head = format!("POST /topics/rooms/1 HTTP/1.1\r\nCookie: callout_ticket={anns}\r\n{fields}");
        request(address, head.trim_end(), "hi").status
    };
    assert_eq!(publish("Origin: http://localhost\r\n"), 200);
    assert_eq!(publish("Origin: https://evil.example\r\n"), 403);
    assert_eq!(publish("Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\n"), 403);

    let wrong = request(address, "POST /tickets/cookie HTTP/1.1", r#"{"ticket":"secret-of-shop"}"#);
    assert_eq!(wrong.status, 401, "a token is none: {wrong:?}");
    let cleared = request(address, "DELETE /tickets/cookie HTTP/1.1", "");
    assert!(
        cleared.header("set-cookie").unwrap().starts_with("callout_ticket=; path=/; max-age=0"),
        "{cleared:?}"
    );
}

#[test]
fn a_credential_reaches_neither_the_log_nor_an_error_nor_the_activity() {
    let folder = folder("unseen");
    std::fs::write(folder.join("callout.toml"), CONFIG).unwrap();
    let config = folder.join("callout.toml");
    let mut program = Program::serve(&["--config", config.to_str().unwrap(), "--log", "debug"]);
    let address = program.address;
    let mut activity = Browser::open(address, "/api/streams");
    let anns = ticket_of(address, "ann");
    let (secret, signature) = ("secret-of-shop", anns.rsplit_once('.').unwrap().1.to_owned());
    for path in
        ["/topics/users/ann/1", "/topics/users/bob/1", "/history/x", "/nowhere", "/topics/%ff", "/sse/ann"]
    {
        for ticket in [&*anns, &anns[..anns.len() - 4], secret] {
            for head in ["GET", "POST", "DELETE"] {
                let head = format!(
                    "{head} {path}?ticket={ticket} HTTP/1.1\r\nConnection: close\r\nAccept: text/event-stream"
                );
                let mut raw = Raw::connect(address);
                raw.send(format!("{head}\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx"));
                let answer = raw.head();
                assert!(!answer.contains(&signature.to_lowercase()) && !answer.contains(secret), "{answer}");
                if !answer.contains("text/event-stream") {
                    let said = raw.everything();
                    assert!(!said.contains(&signature[..20]) && !said.contains(secret), "{said}");
                }
            }
        }
    }
    let mut seen = String::new();
    until("the activity has seen it", || {
        seen += &activity.next().data;
        seen.contains("/topics/{topic...}")
    });
    program.signal("TERM");
    let mut log = String::new();
    program.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    assert!(log.contains("/nowhere") && log.contains("unauthorized") || log.contains("401"), "{log}");
    for text in [seen, log] {
        assert!(
            !text.contains(&signature[..20]) && !text.contains(secret) && !text.contains("ticket="),
            "{text}"
        );
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn servers_with_one_key_take_each_others_tickets() {
    let (one, other) = (server(), server());
    let anns = ticket_of(one.address(), "ann");
    let mut browser = stream(other.address(), "users/ann/1", &anns);
    publish(other.address(), "/topics/users/ann/1");
    assert_eq!(browser.next().data, "hi");
}

#[test]
fn what_was_taken_back_stays_so_after_a_restart() {
    let folder = folder("taken-back").join("data");
    let start = || {
        server_with(|config| {
            shop(config);
            config.data = callout::Address::Folder(folder.clone());
        })
    };
    let server = start();
    let (anns, bobs) = (ticket_of(server.address(), "ann"), ticket_of(server.address(), "bob"));
    assert_eq!(revoke(server.address(), json!({ "user": "ann" })), json!({ "revoked": true, "kept": true }));
    let after = ticket_of(server.address(), "ann");
    drop(server);
    let server = start();
    let status = |ticket: &str| get(server.address(), &format!("/history/news/1?ticket={ticket}")).status;
    assert_eq!((status(&anns), status(&bobs), status(&after)), (401, 403, 403));
    drop(server);
    // A list that is damaged is not taken for an empty one.
    std::fs::write(folder.join("access/revoked"), "").unwrap();
    let mut config = Config::default();
    config.listen = ([127, 0, 0, 1], 0).into();
    shop(&mut config);
    config.data = callout::Address::Folder(folder.clone());
    let error = Server::builder().config(config).start().err().unwrap().to_string();
    assert!(error.contains("access/revoked` is damaged: it is empty"), "{error}");
    std::fs::remove_dir_all(folder).unwrap();
}
