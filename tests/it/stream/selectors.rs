//! Streams that subscribe to prefixes: what reaches them live and in a replay, and what they are told of gaps.

use crate::disk::{Folder, draft, everything, seen, selectors, start, topics};
use crate::support::{Browser, Program, Raw, get, joined, post, publish, request, server, server_with};
use callout::event::Id;
use callout::history::log::opener;
use callout::history::{Bounds, Durability, History, Memory, Start};
use callout::hub::Hub;
use callout::os::threads::Threads;
use callout::{Answer, App, Draft, Request, Selector, Server, Topic, Topics, get as get_route};
use std::net::SocketAddr;
use std::time::Instant;

/// The topics that each event of a round is published to, one event after the other.
const PUBLISHED: [&[&str]; 8] = [
    &["rooms/1"],
    &["rooms"],
    &["rooms/1/2"],
    &["room/1"],
    &["news", "rooms/2"],
    &["rooms/"],
    &["größe/日本", "rooms/1", "rooms/2"],
    &["a*b"],
];

type Named = (&'static [&'static str], &'static [(usize, &'static str)]);

/// Selectors, and which of those events they name, each with the topic that it tells.
const NAMED: [Named; 10] = [
    (&["rooms/*"], &[(0, "rooms/1"), (2, "rooms/1/2"), (4, "rooms/2"), (5, "rooms/"), (6, "rooms/1")]),
    (&["rooms/1"], &[(0, "rooms/1"), (6, "rooms/1")]),
    (&["rooms/1*"], &[(0, "rooms/1"), (2, "rooms/1/2"), (6, "rooms/1")]),
    (&["rooms/2", "rooms/1/*"], &[(2, "rooms/1/2"), (4, "rooms/2"), (6, "rooms/2")]),
    (
        &["roo*", "room/*"],
        &[
            (0, "rooms/1"),
            (1, "rooms"),
            (2, "rooms/1/2"),
            (3, "room/1"),
            (4, "rooms/2"),
            (5, "rooms/"),
            (6, "rooms/1"),
        ],
    ),
    (&["größe/*", "nobody/*"], &[(6, "größe/日本")]),
    (&["a*"], &[(7, "a*b")]),
    (&["rooms/2*", "news"], &[(4, "news"), (6, "rooms/2")]),
    (
        &["*"],
        &[
            (0, "rooms/1"),
            (1, "rooms"),
            (2, "rooms/1/2"),
            (3, "room/1"),
            (4, "news"),
            (5, "rooms/"),
            (6, "größe/日本"),
            (7, "a*b"),
        ],
    ),
    (&["ROOMS/*", "rooms/11*"], &[]),
];

fn query(selectors: &[&str]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    selectors.iter().for_each(|selector| _ = query.append_pair("topic", selector));
    format!("/topics?with=topic&{}", query.finish())
}

/// The next event of a stream with `with=topic`.
fn told(browser: &mut Browser) -> (String, String) {
    let data = browser.next().data;
    (data, browser.parser.topic.clone().unwrap_or_default())
}

fn say(server: &Server, names: &[&str], data: &str) {
    let topics = topics(names);
    server.publish(Draft { topics, data: data.into(), ..Draft::default() }).unwrap();
}

#[test]
fn what_a_selector_names_is_delivered_live_and_replayed_once_in_order_and_nothing_else() {
    let folder = Folder::new();
    for address in ["memory", folder.text()] {
        let server = server_with(|config| config.data = address.parse().unwrap());
        let at = server.address();
        let mut live: Vec<Browser> =
            NAMED.iter().map(|(selectors, _)| Browser::open(at, &query(selectors))).collect();
        joined(&server, live.len());
        // What belongs to pages is delivered to no prefix.
        assert_eq!(post(at, "/messages", r#"{"type":"blue","data":"$wall"}"#).status, 200);
        for (number, names) in PUBLISHED.iter().enumerate() {
            say(&server, names, &number.to_string());
        }
        say(&server, &["end"], "end");
        // Each stream that does not name it is told by another event that nothing else comes.
        let mut replayed: Vec<Browser> = Vec::new();
        for (selectors, _) in &NAMED {
            replayed.push(Browser::open(at, &format!("{}&last_event_id=earliest", query(selectors))));
            say(&server, &[&selectors[0].replace('*', "end")], "end");
        }
        for ((selectors, named), (live, replayed)) in NAMED.iter().zip(live.iter_mut().zip(&mut replayed)) {
            for browser in [live, replayed] {
                for (number, topic) in *named {
                    let wanted = (number.to_string(), (*topic).to_owned());
                    assert_eq!(told(browser), wanted, "{selectors:?}, {address}");
                }
                assert_eq!(told(browser).0, "end", "{selectors:?}, {address}");
            }
        }
    }
}

#[test]
fn a_prefix_is_resumed_by_the_id_of_any_of_its_events_and_by_the_last_so_many() {
    let folder = Folder::new();
    for address in ["memory", folder.text()] {
        let server = server_with(|config| config.data = address.parse().unwrap());
        let at = server.address();
        let ids: Vec<String> = (0..6)
            .map(|number| publish(at, &format!("/topics/rooms/{}", number % 3), number.to_string()))
            .collect();
        publish(at, "/topics/rooms/mine?id=mine", "6");
        publish(at, "/topics/other", "no");
        publish(at, "/topics/rooms/0", "7");
        let rest = |mut browser: Browser, from: usize| {
            let came: Vec<String> = (from..8).map(|_| browser.next().data).collect();
            assert!((from..8).map(|number| number.to_string()).eq(came), "from {from}, {address}");
        };
        for (number, id) in ids.iter().enumerate() {
            rest(Browser::resume(at, "/topics?topic=rooms/*", id), number + 1);
        }
        rest(Browser::resume(at, "/topics/rooms/*", "mine"), 7);
        rest(Browser::open(at, "/topics?topic=rooms/*&last=3"), 5);
        rest(Browser::open(at, "/topics?topic=rooms/*&last=100"), 0);
        rest(asked(at, "QUERY /topics?last_event_id=earliest", r#"{"topics":["rooms/*"]}"#), 0);
        rest(asked(at, "POST /subscribe?last=4", "topic=rooms/*&topic=rooms/1"), 4);
    }
}

/// A stream whose selectors stand in the body.
fn asked(at: SocketAddr, line: &str, body: &str) -> Browser {
    let mut raw = Raw::connect(at);
    let bytes = body.len();
    raw.send(format!("{line} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {bytes}\r\n\r\n{body}"));
    Browser::asked_on(raw)
}

#[test]
fn nobody_publishes_to_a_prefix_and_none_reaches_the_topics_of_pages() {
    let server = server();
    let at = server.address();
    for path in ["/topics/rooms/*", "/topics/*", "/topics?topic=*", "/topics?topic=rooms/*", "/topics/a/%2a"]
    {
        let answer = post(at, path, "x");
        assert_eq!(answer.status, 400, "{path}: {answer:?}");
        assert!(answer.json()["reason"].as_str().unwrap().contains("`/*`"), "{answer:?}");
    }
    assert_eq!(request(at, "DELETE /topics/rooms/* HTTP/1.1", "").status, 400);
    assert_eq!(get(at, "/history/rooms%2F*").status, 400);
    let line = post(at, "/publish", r#"{"topic":"*"}"#);
    assert!(String::from_utf8_lossy(&line.body).contains("`/*`"), "{line:?}");
    for selector in ["$*", "$user/*", "**", "a/**", "a%0A*", "$chat"] {
        assert_eq!(get(at, &format!("/topics?topic={selector}")).status, 400, "{selector}");
        assert_eq!(get(at, &format!("/topics?topic=a&topic={selector}")).status, 400, "{selector}");
    }
    let longest = "x".repeat(256);
    let mut prefix = Browser::open(at, &format!("/topics?topic={longest}*"));
    publish(at, &format!("/topics/{longest}"), "whole");
    assert_eq!(prefix.next().data, "whole");
    let many = |count: usize| {
        let names: Vec<String> = (0..count).map(|number| format!("topic=t{number}/*")).collect();
        format!("/topics?{}", names.join("&"))
    };
    let mut most = Browser::open(at, &many(100));
    publish(at, "/topics/t99/x", "here");
    assert_eq!(most.next().data, "here");
    assert_eq!(get(at, &many(101)).status, 400);
}

#[test]
fn a_route_of_the_program_takes_prefixes_where_they_stand_in_its_requests() {
    let follow = |app: &App, request: &Request| Ok(Answer::stream(app.stream(request, Start::Live)?));
    let routes = [
        get_route("/follow", follow).subscribes(Topics::in_query("to")),
        get_route("/follow/{to...}", follow).subscribes(Topics::in_path("to")),
        get_route("/own", follow).subscribes(Topics::from(|_| Ok(topics(&["$own", "rooms/1"])))),
    ];
    let builder = Server::builder().listen(([127, 0, 0, 1], 0).into());
    let server = routes.into_iter().fold(builder, |builder, route| builder.route(route)).start().unwrap();
    let at = server.address();
    let paths = ["/follow?to=rooms/*&to=news", "/follow/rooms/*", "/own"];
    let mut browsers = paths.map(|path| Browser::open(at, path));
    joined(&server, browsers.len());
    for names in [&["$own"][..], &["rooms/2"], &["rooms/1"]] {
        say(&server, names, names[0]);
    }
    for (browser, first) in browsers.iter_mut().zip(["rooms/2", "rooms/2", "$own"]) {
        assert_eq!([browser.next().data, browser.next().data], [first, "rooms/1"]);
    }
    assert_eq!(get(at, "/follow?to=$own").status, 400);
}

#[test]
fn a_retraction_is_told_to_the_followers_of_a_prefix() {
    let server = server();
    let at = server.address();
    let mut live = Browser::open(at, "/topics?topic=rooms/*&with=topic");
    joined(&server, 1);
    let id = publish(at, "/topics/rooms/1", "wrong");
    assert_eq!(request(at, &format!("DELETE /topics/rooms/1?id={id} HTTP/1.1"), "").status, 200);
    assert_eq!(live.next().data, "wrong");
    let mut late = Browser::open(at, "/topics?topic=rooms/*&with=topic&last_event_id=earliest");
    // Who saw it last goes on behind it.
    let mut back = Browser::resume(at, "/topics?topic=rooms/*&with=topic", &id);
    for browser in [&mut live, &mut late, &mut back] {
        let retract = browser.next();
        assert_eq!(retract.event, "retract");
        assert_eq!(retract.data, format!(r#"{{"topic":"rooms/1","id":"{id}"}}"#));
        assert_eq!(browser.parser.topic.as_deref(), Some("rooms/1"));
    }
}

#[test]
fn ephemeral_events_reach_a_prefix_and_leave_its_place_in_the_history() {
    let server = server_with(|config| config.ephemeral = vec!["now/*".parse().unwrap()]);
    let at = server.address();
    for path in ["/topics?topic=now/*&topic=kept/*", "/topics?topic=*"] {
        let id = publish(at, "/topics/kept/1", "before");
        let mut browser = Browser::resume(at, path, &id);
        joined(&server, 1);
        assert_eq!(post(at, "/topics/now/1", "here").status, 200);
        let seen = browser.next();
        assert_eq!((seen.data.as_str(), &seen.id), ("here", &id));
        publish(at, "/topics/kept/2", "after");
        assert_eq!(browser.next().data, "after");
        drop(browser);
        joined(&server, 0);
    }
    // Nothing is kept of these, so nothing can be missing.
    let mut only = Browser::resume(at, "/topics?topic=now/cursors/*", "0000000000000001");
    joined(&server, 1);
    post(at, "/topics/now/cursors/ann", "here");
    assert_eq!(only.next().event, "message");
}

#[test]
fn a_prefix_is_told_of_what_any_of_its_topics_lost_also_of_one_that_keeps_nothing() {
    let folder = Folder::new();
    for data in ["memory", folder.text()] {
        let keep = ["--keep", "rooms/gone=1 1s", "--keep", "rooms/busy=1"];
        let flags = [&["--data", data, "--log", "warn", "--durability", "relaxed"][..], &keep].concat();
        let mut program = Program::serve(&flags);
        let seen = publish(program.address, "/topics/rooms/quiet", "0");
        publish(program.address, "/topics/rooms/gone", "lost");
        let after_gone = publish(program.address, "/topics/rooms/quiet", "1");
        crate::support::until("it is too old", || {
            get(program.address, "/healthz");
            let kept = get(program.address, "/history/rooms%2Fgone").json();
            kept["events"].as_array().unwrap().is_empty()
        });
        let elsewhere = publish(program.address, "/topics/others/1", "2");
        let first = publish(program.address, "/topics/rooms/busy", "0");
        publish(program.address, "/topics/rooms/busy", "1");
        for is_restarted in [false, true] {
            let at = program.address;
            // The topic that keeps nothing has lost an event since.
            let mut browser = Browser::resume(at, "/topics?topic=rooms/*", &seen);
            let reset = browser.next();
            assert_eq!(reset.event, "reset", "{data} {is_restarted}");
            // Who has seen that is told of what another one lost, and who has seen all of it of nothing.
            assert_eq!(Browser::resume(at, "/topics?topic=rooms/*", &after_gone).next().event, "reset");
            assert_eq!(Browser::resume(at, "/topics?topic=rooms/b*", &elsewhere).next().event, "reset");
            assert_eq!(Browser::resume(at, "/topics?topic=rooms/*", &first).next().data, "1");
            // A topic that is not named has no say.
            assert_eq!(Browser::resume(at, "/topics?topic=rooms/q*", &seen).next().data, "1");
            let mut others = Browser::resume(at, "/topics?topic=o*", &seen);
            assert_eq!(others.next().data, "2");
            let mut all = Browser::open(at, "/topics?topic=rooms/*&last_event_id=earliest");
            assert_eq!([all.next().data, all.next().data, all.next().data], ["0", "1", "1"]);
            // A browser that has seen no event yet is not told of what was lost before it came.
            let fresh = {
                let fresh = Browser::open(at, "/topics?topic=rooms/g*&topic=rooms/q*");
                fresh.parser.last_event_id.clone()
            };
            let mut again = Browser::resume(at, "/topics?topic=rooms/g*&topic=rooms/q*", &fresh);
            publish(at, "/topics/rooms/q", "new");
            assert_eq!(again.next().data, "new", "{data} {is_restarted}");
            request(at, "DELETE /topics/rooms/q HTTP/1.1", "");
            if data == "memory" {
                break;
            }
            program.signal("TERM");
            program.wait();
            program = Program::serve(&flags);
        }
    }
}

/// Both kinds of history, that keep so many events.
fn histories(folder: &Folder, events_max: usize) -> [Box<dyn History>; 2] {
    let mut bounds = Bounds::default();
    (bounds.events_max, bounds.reserve_events) = (events_max, 0);
    let hub = Hub::start(&Threads::default()).expect("a thread");
    [
        Box::new(Memory::new(hub, bounds.clone())),
        Box::new(start(opener(folder.path()), bounds, Durability::Relaxed)),
    ]
}

#[test]
fn a_prefix_of_more_topics_than_can_be_looked_at_for_each_part_is_read_whole_and_in_order() {
    const EVENTS: usize = 9_000;
    const KEPT: usize = 7_000;
    let folder = Folder::new();
    for history in histories(&folder, KEPT) {
        let mut random = fastrand::Rng::with_seed(11);
        let mut published: Vec<(Vec<String>, String)> = Vec::new();
        let mut events = Vec::new();
        for number in 0..EVENTS {
            // A stretch without any of the first family is longer than a part looks.
            let families = if (4_000..6_500).contains(&number) { &["b"][..] } else { &["a", "b", "a/x"] };
            let mut names: Vec<String> = (0..random.usize(1..4))
                .map(|_| format!("{}/{}", random.choice(families).unwrap(), random.usize(0..1_500)))
                .collect();
            names.dedup();
            let text: Vec<&str> = names.iter().map(String::as_str).collect();
            events.push(draft(&text, None, &number.to_string()));
            published.push((names, number.to_string()));
        }
        history.publish_all(events).into_iter().for_each(|receipt| _ = receipt.expect("it is kept"));
        let kept = &published[EVENTS - KEPT..];
        for texts in [&["a/*"][..], &["a/x/*", "b/7"], &["*"], &["a/1*", "b/*"], &["a/77", "a/x/7*"]] {
            let selectors: Vec<Selector> = selectors(texts);
            let is_named = |names: &[String]| {
                let topics = names.iter().map(|name| Topic::new(name).unwrap());
                topics.clone().any(|topic| selectors.iter().any(|selector| selector.matches(&topic)))
            };
            let wanted: Vec<&str> =
                kept.iter().filter(|(names, _)| is_named(names)).map(|(_, data)| data.as_str()).collect();
            let all = everything(&*history, texts);
            assert!(all.iter().map(|(_, seen)| seen.data.as_str()).eq(wanted.iter().copied()), "{texts:?}");
            // From any of its events, and by how many there are.
            let from = random.usize(0..all.len());
            let (id, _) = &all[from];
            let back = history.resume(&Start::After(id.to_string()), &selectors).unwrap();
            assert_eq!((back.after, back.gap, back.position), (*id, false, id.to_string()), "{texts:?}");
            let latest = history.resume(&Start::Latest(all.len() - from), &selectors).unwrap();
            let part = history.read(latest.after, Id::MAX, &selectors).unwrap();
            let first = part.events.first().expect("there is one");
            assert_eq!((first.id, &*seen(&first.frame).data), (*id, wanted[from]), "{texts:?}");
            // What was let go is a gap for all of them.
            let oldest = history.resume(&Start::Earliest, &selectors).unwrap();
            assert!(oldest.after < all[0].0);
            let before = history.read(Id::from_key(oldest.after.key() - 1), Id::MAX, &selectors).unwrap();
            assert_eq!(before.gap, Some(oldest.after), "{texts:?}");
        }
    }
}

/// What it takes to open a stream and to replay it. Prints figures; `--ignored --nocapture`, in a release build.
#[test]
#[ignore = "measures"]
fn what_a_prefix_costs_in_a_history() {
    const EVENTS: usize = 200_000;
    for topics in [1_000, 100_000] {
        let folder = Folder::new();
        for (kind, history) in ["memory", "disk"].into_iter().zip(histories(&folder, EVENTS)) {
            for numbers in (0..EVENTS).collect::<Vec<_>>().chunks(1_000) {
                let event =
                    |number: &usize| draft(&[&format!("rooms/{}", number % topics)], None, &"x".repeat(100));
                history.publish_all(numbers.iter().map(event).collect());
            }
            for texts in [&["rooms/7"][..], &["rooms/77*"], &["*"]] {
                let selectors: Vec<Selector> = selectors(texts);
                let begun = Instant::now();
                for _ in 0..10 {
                    history.resume(&Start::Live, &selectors).unwrap();
                }
                let live = begun.elapsed() / 10;
                let begun = Instant::now();
                for _ in 0..10 {
                    history.resume(&Start::Latest(10), &selectors).unwrap();
                }
                let latest = begun.elapsed() / 10;
                let (begun, mut after, mut parts, mut events) = (Instant::now(), Id::default(), 0, 0);
                while after < Id::MAX {
                    let part = history.read(after, Id::MAX, &selectors).unwrap();
                    (after, parts, events) = (part.through, parts + 1, events + part.events.len());
                }
                println!(
                    "{kind}, {topics} topics, {texts:?}: opened in {live:.1?}, with the last ten in {latest:.1?}; \
                     {events} events replayed in {parts} parts and {:.1?}",
                    begun.elapsed()
                );
            }
        }
    }
}
