//! What one client may take: by address behind a trusted proxy, and what the others notice of it.

use super::tickets::{shop, ticket_of};
use crate::support::{
    Answer, Browser, Program, Raw, get, narrow_socket, post, request, said, server_with, until,
};
use callout::{Limit, Rate, Server};
use std::net::{IpAddr, SocketAddr, UdpSocket};

/// A request for a stream by `client`, as a proxy on this machine passes it on.
fn ask(at: SocketAddr, client: &str, accept: &str, path: &str) -> (Raw, String) {
    let mut raw = Raw::connect(at);
    raw.send(format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\nX-Forwarded-For: {client}\r\n\r\n"
    ));
    let head = raw.head();
    (raw, head)
}

fn post_from(at: SocketAddr, client: &str, path: &str, body: impl AsRef<[u8]>) -> Answer {
    request(at, &format!("POST {path} HTTP/1.1\r\nX-Forwarded-For: {client}"), body)
}

fn open(at: SocketAddr, client: &str, path: &str) -> Browser {
    Browser::open_with(at, path, &format!("X-Forwarded-For: {client}\r\n"))
}

/// A server that trusts a proxy on this machine.
fn proxied(change: impl FnOnce(&mut callout::Config)) -> Server {
    server_with(|config| {
        config.trusted_proxies = ["127.0.0.1".parse().unwrap()].into_iter().collect();
        change(config);
    })
}

/// What makes an EventSource come back: a stream that ends by itself and says when.
fn told_to_come_back(raw: &mut Raw, head: &str) -> u32 {
    assert!(head.starts_with("http/1.1 200") && head.contains("text/event-stream"), "{head}");
    assert!(head.contains("content-length"), "{head}");
    let text = loop {
        let line = raw.line();
        if line.starts_with("retry: ") {
            break line;
        }
    };
    text.trim().strip_prefix("retry: ").unwrap().parse().unwrap()
}

fn refused(at: SocketAddr) -> serde_json::Value {
    get(at, "/healthz").json()["refused"].clone()
}

/// An address of this machine that is not loopback; none, and a word about it, where it has none.
pub(super) fn own_address() -> Option<IpAddr> {
    // No packet is sent: connecting a datagram socket only chooses its address.
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    let connected = socket.connect("198.51.100.1:9").and_then(|()| socket.local_addr());
    match connected {
        Ok(own) if !own.ip().is_loopback() => Some(own.ip()),
        _ => {
            println!("skipped: this machine has no address but loopback");
            assert!(std::env::var("CI").as_deref() != Ok("true"), "CI has a network");
            None
        }
    }
}

#[test]
fn an_address_with_all_its_streams_is_told_to_come_back_and_no_other_notices() {
    let server = proxied(|config| config.client_limits.streams = Limit::At(2));
    let at = server.address();
    let first = open(at, "198.51.100.1", "/topics/t");
    let _second = open(at, "198.51.100.1", "/sse?user=ann");
    let (mut raw, head) = ask(at, "198.51.100.1", "text/event-stream", "/topics/t");
    let retry = told_to_come_back(&mut raw, &head);
    assert!((30_000..=60_000).contains(&retry), "{retry}");
    // Whoever is no EventSource is told the status.
    let mut plain = Raw::connect(at);
    plain.send("GET /topics/t HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 198.51.100.1\r\n\r\n");
    let answer = plain.answer();
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("30")));
    assert!(
        said(&answer).contains("this address has as many streams open as it may have at once: 2"),
        "{}",
        said(&answer)
    );
    assert_eq!(refused(at)["streams"], 2);
    // Others have their own, and publishing is another matter.
    let mut other = open(at, "198.51.100.2", "/topics/t");
    assert_eq!(post_from(at, "198.51.100.1", "/topics/t", "hello").status, 200);
    assert_eq!(other.next().data, "hello");
    drop(first);
    until("its stream is given back", || {
        ask(at, "198.51.100.1", "text/event-stream", "/topics/t").1.contains("transfer-encoding")
    });
}

#[test]
fn users_are_counted_by_name_wherever_they_are_and_those_behind_one_address_share_nothing() {
    let server = proxied(|config| {
        shop(config);
        config.client_limits.streams = Limit::At(2);
    });
    let at = server.address();
    let [ann, bob] = ["ann", "bob"].map(|user| (user, ticket_of(at, user)));
    let path = |(user, ticket): &(&str, String)| format!("/topics/users/{user}/orders?ticket={ticket}");
    let _of_ann = [open(at, "198.51.100.1", &path(&ann)), open(at, "198.51.100.2", &path(&ann))];
    // A new ticket is still of the same user.
    let again = ("ann", ticket_of(at, "ann"));
    for client in ["198.51.100.1", "198.51.100.3"] {
        let (mut raw, head) = ask(at, client, "text/event-stream", &path(&again));
        told_to_come_back(&mut raw, &head);
    }
    let _of_bob = [open(at, "198.51.100.1", &path(&bob)), open(at, "198.51.100.1", &path(&bob))];
    // Whoever has no ticket is counted by address, which these have left alone; and a token is not counted.
    let _of_nobody = [open(at, "198.51.100.1", "/topics/news/a"), open(at, "198.51.100.1", "/topics/news/a")];
    let (mut raw, head) = ask(at, "198.51.100.1", "text/event-stream", "/topics/news/a");
    told_to_come_back(&mut raw, &head);
    let token = "X-Forwarded-For: 198.51.100.1\r\nAuthorization: Bearer secret-of-shop\r\n";
    let _of_shop: Vec<Browser> = (0..5).map(|_| Browser::open_with(at, "/topics/orders/a", token)).collect();
}

#[test]
fn ipv6_addresses_of_a_64_are_one_and_this_machine_is_not_counted() {
    let server = proxied(|config| config.client_limits.streams = Limit::At(1));
    let at = server.address();
    let _first = open(at, "2001:db8:0:7::1", "/topics/t");
    let (mut raw, head) = ask(at, "2001:db8:0:7:1:2:3:4", "text/event-stream", "/topics/t");
    told_to_come_back(&mut raw, &head);
    let _neighbour = open(at, "2001:db8:0:8::1", "/topics/t");
    let _own: Vec<Browser> = (0..5).map(|_| Browser::open(at, "/topics/t")).collect();
    // Whoever sends fields that contradict each other is not taken for this machine.
    let contradicting = "X-Forwarded-For: 192.0.2.1\r\nForwarded: for=192.0.2.2\r\n";
    let _hidden = Browser::open_with(at, "/topics/t", contradicting);
    let mut raw = Raw::connect(at);
    raw.send(format!(
        "GET /topics/t HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n{contradicting}\r\n"
    ));
    let head = raw.head();
    told_to_come_back(&mut raw, &head);
}

#[test]
fn tiny_http_holds_to_the_limits_of_requests_too() {
    let server = proxied(|config| {
        config.listener = callout::ListenerKind::TinyHttp;
        config.client_limits.streams = Limit::At(1);
    });
    let at = server.address();
    let _first = open(at, "198.51.100.1", "/topics/t");
    let (mut raw, head) = ask(at, "198.51.100.1", "text/event-stream", "/topics/t");
    told_to_come_back(&mut raw, &head);
    let _other = open(at, "198.51.100.2", "/topics/t");
}

#[test]
fn who_publishes_too_fast_is_told_when_to_go_on_and_who_has_the_token_is_not() {
    let server = proxied(|config| {
        config.publish_token = Some("sesame".into());
        config.client_limits.publish = Limit::At(Rate { per_sec: 1, burst: 3 });
    });
    let at = server.address();
    // The chat is open to everybody.
    let message = r#"{"user":"ann","message":"hello"}"#;
    let answers: Vec<Answer> =
        (0..200).map(|_| post_from(at, "198.51.100.1", "/sse/message", message)).collect();
    let (taken, refused): (Vec<&Answer>, Vec<&Answer>) =
        answers.iter().partition(|answer| answer.status == 200);
    assert!(taken.len() >= 3 && answers[..3].iter().all(|answer| answer.status == 200));
    let first = refused.first().expect("two hundred come within a minute");
    assert_eq!((first.status, first.header("retry-after")), (429, Some("1")));
    assert!(said(first).contains("faster than 1 times a second, and 3 times at once"), "{}", said(first));
    assert_eq!(post_from(at, "198.51.100.2", "/sse/message", message).status, 200);
    for _ in 0..20 {
        let head = "POST /topics/t HTTP/1.1\r\nX-Forwarded-For: 198.51.100.1\r\nAuthorization: Bearer sesame";
        assert_eq!(request(at, head, "x").status, 200);
    }
}

#[test]
fn no_address_has_more_kept_than_its_share_and_what_others_published_stays() {
    let server = proxied(|config| {
        (config.bounds.events_max, config.bounds.bytes_max) = (100, 100_000);
        config.client_limits.publish = Limit::Off;
    });
    let at = server.address();
    assert_eq!(post_from(at, "198.51.100.2", "/topics/quiet", "of another").status, 200);
    let answers: Vec<Answer> =
        (0..200).map(|_| post_from(at, "198.51.100.1", "/topics/noisy", "x")).collect();
    // A quarter of what is kept, and perhaps one more for each 144 seconds that it took.
    let taken = answers.iter().filter(|answer| answer.status == 200).count();
    assert!((25..40).contains(&taken), "{taken}");
    let last = answers.last().unwrap();
    let wait: u64 = last.header("retry-after").expect("a time").parse().unwrap();
    assert!(last.status == 429 && (1..=144).contains(&wait), "{last:?}");
    assert!(said(last).contains("within an hour: 25000 bytes"), "{}", said(last));
    // A large event is as much as many small ones.
    let large = vec![b'x'; 20_000];
    assert_eq!(post_from(at, "198.51.100.3", "/topics/noisy", &large).status, 200);
    assert_eq!(post_from(at, "198.51.100.3", "/topics/noisy", &large).status, 429);
    let mut quiet = Browser::resume(at, "/topics/quiet", "earliest");
    assert_eq!(quiet.next().data, "of another");
}

#[test]
fn a_stranger_fills_neither_the_posts_nor_the_feeds_and_may_still_delete() {
    let server = proxied(|config| {
        (config.bounds.events_max, config.bounds.bytes_max) = (100, 100_000);
        config.client_limits.publish = Limit::Off;
    });
    let at = server.address();
    let new = |client: &str, number: usize| {
        let json = format!(r##"{{"title":"t","content":"#tag{number}","author":"a"}}"##);
        post_from(at, client, "/api/posts", json)
    };
    let answers: Vec<Answer> = (0..100).map(|number| new("198.51.100.1", number)).collect();
    let taken = answers.iter().filter(|answer| answer.status == 201).count();
    // Each counts twice, for itself and for its tag.
    assert!((12..20).contains(&taken) && answers[99].status == 429, "{taken} {:?}", answers[99]);
    let path = answers[0].header("location").expect("an address").to_owned();
    let change = |method: &str, body: &str| {
        request(at, &format!("{method} {path} HTTP/1.1\r\nX-Forwarded-For: 198.51.100.1"), body).status
    };
    // New tags by changing one post are the same.
    let mut statuses =
        (0..100).map(|number| change("PATCH", &format!(r##"{{"content":"#other{number}"}}"##)));
    assert!(statuses.any(|status| status == 429));
    assert_eq!(change("DELETE", ""), 204);
    assert_eq!(new("198.51.100.2", 1_000).status, 201);
}

#[test]
fn lines_beyond_the_limit_are_refused_one_by_one_and_all_together_by_the_status() {
    let server = proxied(|config| {
        (config.bounds.events_max, config.bounds.bytes_max) = (100, 100_000);
        config.client_limits.bytes = Limit::At(3_000);
        config.ephemeral.push("now/*".parse().unwrap());
    });
    let at = server.address();
    let lines =
        |topic: &str, count: usize| format!("{{\"topic\":\"{topic}\",\"data\":\"x\"}}\n").repeat(count);
    let answer = post_from(at, "198.51.100.1", "/publish", lines("t", 5));
    let text = String::from_utf8(answer.body.clone()).unwrap();
    let refused = text.lines().filter(|line| line.contains(r#""status":429"#)).count();
    assert_eq!((answer.status, text.lines().count(), refused), (200, 5, 2), "{text}");
    let answer = post_from(at, "198.51.100.1", "/publish", lines("t", 5));
    assert!(answer.status == 429 && answer.header("retry-after").is_some(), "{answer:?}");
    // What is not kept takes nothing of what is.
    let answer = post_from(at, "198.51.100.1", "/publish", lines("now/t", 5));
    assert!(!String::from_utf8(answer.body).unwrap().contains("429"));
}

#[test]
fn a_stream_that_is_sent_what_it_missed_counts_until_it_is_live() {
    let server = proxied(|config| config.client_limits.replays = Limit::At(1));
    let at = server.address();
    for _ in 0..60 {
        assert_eq!(post(at, "/topics/t", vec![b'x'; 60_000]).status, 200);
    }
    // A client that reads nothing of it.
    let mut unread = Raw::over(narrow_socket(at));
    unread.send("GET /topics/t?last_event_id=earliest HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\nX-Forwarded-For: 198.51.100.1\r\n\r\n");
    assert!(unread.head().contains("200"));
    let (mut raw, head) = ask(at, "198.51.100.1", "text/event-stream", "/topics/t?last_event_id=earliest");
    let retry = told_to_come_back(&mut raw, &head);
    assert!((2_000..=4_000).contains(&retry), "{retry}");
    // Who misses nothing is not concerned, nor are others.
    let _live = open(at, "198.51.100.1", "/topics/t");
    let mut other = open(at, "198.51.100.2", "/topics/t?last=1");
    assert_eq!(other.next().data.len(), 60_000);
    drop(unread);
    let again = || ask(at, "198.51.100.1", "text/event-stream", "/topics/t?last=1");
    until("its turn is given back", || again().1.contains("transfer-encoding"));
    // A stream that stays and is live has given it back too.
    let mut caught_up = None;
    until("one catches up", || {
        let (raw, head) = again();
        let is_open = head.contains("transfer-encoding");
        caught_up = is_open.then_some(raw);
        is_open
    });
    until("it is live", || again().1.contains("transfer-encoding"));
    drop(caught_up);
}

#[test]
fn an_address_with_all_its_connections_is_closed_and_loopback_and_proxies_are_not() {
    let Some(own) = own_address() else { return };
    for is_proxy in [false, true] {
        let server = server_with(|config| {
            config.listen = SocketAddr::from(([0, 0, 0, 0], 0));
            config.client_limits.connections = Limit::At(3);
            if is_proxy {
                config.trusted_proxies = [own.to_string().parse().unwrap()].into_iter().collect();
            }
        });
        let port = server.address().port();
        let is_served = |raw: &mut Raw| {
            raw.send("GET /healthz/live HTTP/1.1\r\nHost: localhost\r\n\r\n");
            raw.head().contains(" 200 ")
        };
        let mut held: Vec<Raw> = (0..3).map(|_| Raw::connect((own, port).into())).collect();
        assert!(held.iter_mut().all(is_served));
        // A connection that is refused is reset, before or after its request.
        let mut further =
            std::net::TcpStream::connect((own, port)).map(Raw::over).expect("it is accepted first");
        if is_proxy {
            assert!(is_served(&mut further));
            continue;
        }
        assert!(further.is_closed());
        let local = SocketAddr::from(([127, 0, 0, 1], port));
        let mut locals: Vec<Raw> = (0..8).map(|_| Raw::connect(local)).collect();
        assert!(locals.iter_mut().all(is_served));
        assert_eq!(refused(local)["connections"], 1);
        held.pop();
        until("a connection is given back", || {
            let mut raw = Raw::connect((own, port).into());
            raw.send("GET /healthz/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
            raw.everything().contains(" 200 ")
        });
    }
}

#[test]
fn what_an_untrusted_peer_says_of_its_address_has_no_effect() {
    let Some(own) = own_address() else { return };
    let server = server_with(|config| {
        config.listen = SocketAddr::from(([0, 0, 0, 0], 0));
        config.trusted_proxies = ["127.0.0.1".parse().unwrap()].into_iter().collect();
        config.client_limits.streams = Limit::At(1);
    });
    let at = SocketAddr::from((own, server.address().port()));
    let _first = open(at, "198.51.100.1", "/topics/t");
    for client in ["198.51.100.2", "127.0.0.1", "2001:db8::1"] {
        let (mut raw, head) = ask(at, client, "text/event-stream", "/topics/t");
        told_to_come_back(&mut raw, &head);
    }
}

#[test]
fn limits_are_on_where_others_reach_the_server_and_off_elsewhere() {
    for (flags, line) in [
        (&["--log", "info"][..], None),
        (&["--trusted-proxy", "127.0.0.1"], Some("each address and each user may have 200 streams, ")),
        (&["--trusted-proxy", "127.0.0.1", "--limit-streams", "7"], Some("may have 7 streams, ")),
        (
            &["--host", "push.example.org"],
            Some(
                "cannot be told apart, and none of these limits holds for one of them; --trusted-proxy would change that",
            ),
        ),
        (
            &["--trusted-proxy", "127.0.0.1", "--limit-publish", "5", "--limit-bytes", "off"],
            Some("5 publications a second (50 at once) ("),
        ),
    ] {
        let program = Program::serve(flags);
        assert_eq!(get(program.address, "/healthz").json()["refused"]["streams"], 0);
        program.signal("TERM");
        let (_, log) = program.wait();
        match line {
            Some(line) => assert!(log.contains(line), "{flags:?}: {log}"),
            None => assert!(!log.contains("each address"), "{log}"),
        }
    }
}
