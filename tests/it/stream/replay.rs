//! Coming back: what a browser missed is replayed, without gap or double, or it is told of the gap.

use crate::disk::Folder;
use crate::support::{Browser, Program, Raw, Seen, get, joined, publish, request, said, server, server_with};
use callout::Server;
use callout::history::Address;
use serde_json::json;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::mpsc;

/// Publishes these on `/topics/t` and gives their ids.
fn publish_all(at: SocketAddr, data: impl IntoIterator<Item = usize>) -> Vec<String> {
    data.into_iter().map(|number| publish(at, "/topics/t", number.to_string())).collect()
}

/// The data of the next so many events.
fn next_data(browser: &mut Browser, count: usize) -> Vec<String> {
    (0..count).map(|_| browser.next().data).collect()
}

/// A server that keeps three events.
fn forgetful_server() -> Server {
    server_with(|config| config.bounds.events_max = 3)
}

#[test]
fn a_browser_goes_on_after_the_id_it_saw_last() {
    let server = server();
    let at = server.address();
    let ids = publish_all(at, 0..4);
    let header = Browser::resume(at, "/topics/t", &ids[1]);
    let query = Browser::open(at, &format!("/topics/t?last_event_id={}", ids[1]));
    let both = Browser::resume(at, &format!("/topics/t?last_event_id={}", ids[3]), &ids[1]);
    let no_header = Browser::resume(at, &format!("/topics/t?last_event_id={}", ids[1]), "");
    publish(at, "/topics/t", "live");
    for mut browser in [header, query, both, no_header] {
        assert_eq!(next_data(&mut browser, 3), ["2", "3", "live"]);
    }
}

#[test]
fn earliest_gives_all_that_is_kept_and_no_id_gives_nothing_old() {
    let server = server();
    let at = server.address();
    publish_all(at, 0..300);
    let mut query = Browser::open(at, "/topics/t?last_event_id=earliest");
    let mut header = Browser::resume(at, "/topics/t", "earliest");
    let mut fresh = Browser::open(at, "/topics/t");
    let mut empty = Browser::open(at, "/topics/t?last_event_id=");
    publish(at, "/topics/t", "300");
    let all: Vec<String> = (0..=300).map(|number| number.to_string()).collect();
    assert_eq!(next_data(&mut query, 301), all);
    assert_eq!(next_data(&mut header, 301), all);
    assert_eq!((fresh.next().data, empty.next().data), ("300".into(), "300".into()));
}

#[test]
fn last_gives_the_newest_events_and_an_id_wins_over_it() {
    let server = server();
    let at = server.address();
    let ids = publish_all(at, 0..5);
    assert_eq!(next_data(&mut Browser::open(at, "/topics/t?last=2"), 2), ["3", "4"]);
    assert_eq!(next_data(&mut Browser::open(at, "/topics/t?last=1000"), 5), ["0", "1", "2", "3", "4"]);
    assert_eq!(next_data(&mut Browser::resume(at, "/topics/t?last=2", &ids[1]), 3), ["2", "3", "4"]);
    let query = format!("/topics/t?last=2&last_event_id={}", ids[1]);
    assert_eq!(next_data(&mut Browser::open(at, &query), 3), ["2", "3", "4"]);
    publish(at, "/topics/u", "5");
    assert_eq!(next_data(&mut Browser::open(at, "/topics?topic=t&topic=u&last=2"), 2), ["4", "5"]);
    for wrong in ["0", "1001", "-1", "many", ""] {
        let answer = get(at, &format!("/topics/t?last={wrong}"));
        assert_eq!(answer.status, 400, "{wrong}");
        assert!(said(&answer).contains("from 1 to 1000"), "{answer:?}");
    }
}

#[test]
fn a_publishers_own_id_is_found_again_on_its_topic() {
    let server = server();
    let at = server.address();
    for (query, data) in [("?id=a", "0"), ("?id=b", "1"), ("", "2"), ("?id=c", "3")] {
        publish(at, &format!("/topics/t{query}"), data);
    }
    // The same id on another topic is another event.
    publish(at, "/topics/other?id=b", "no");
    let mut after_b = Browser::resume(at, "/topics/t", "b");
    assert_eq!(next_data(&mut after_b, 2), ["2", "3"]);
    assert_eq!(after_b.parser.last_event_id, "c");
    let mut after_a = Browser::resume(at, "/topics/t", "a");
    assert_eq!(next_data(&mut after_a, 3), ["1", "2", "3"]);
}

#[test]
fn an_id_that_means_several_events_goes_on_from_the_oldest_of_them() {
    let folder = Folder::new();
    for data in [Address::Memory, Address::Folder(folder.path())] {
        let server = server_with(|config| config.data = data);
        let at = server.address();
        for (path, data) in [("a?id=1", "0"), ("a?id=2", "1"), ("b?id=1", "2"), ("a?id=3", "3")] {
            publish(at, &format!("/topics/{path}"), data);
        }
        let mut both = Browser::resume(at, "/topics?topic=a&topic=b", "1");
        assert_eq!(next_data(&mut both, 3), ["1", "2", "3"]);
        // On one of the topics it means one event.
        let mut one = Browser::resume(at, "/topics/b", "1");
        publish(at, "/topics/b", "4");
        assert_eq!(one.next().data, "4");
        // The same where the events were taken back one after the other.
        for data in ["first", "second"] {
            publish(at, "/topics/c?id=1", data);
            assert_eq!(request(at, "DELETE /topics/c?id=1 HTTP/1.1", "").status, 200);
            publish(at, "/topics/c", format!("after the {data}"));
        }
        let mut retracted = Browser::resume(at, "/topics/c", "1");
        let came: Vec<Seen> = (0..4).map(|_| retracted.next()).collect();
        assert_eq!((&*came[0].event, &*came[1].data), ("retract", "after the first"));
        assert_eq!((&*came[2].event, &*came[3].data), ("retract", "after the second"));
    }
}

#[test]
fn an_id_that_is_unknown_or_too_old_or_garbage_is_answered_with_a_reset_and_what_is_kept() {
    let server = forgetful_server();
    let at = server.address();
    let first = publish(at, "/topics/t?id=mine", "0");
    let ids = publish_all(at, 1..6);
    let of_another_topic = publish(at, "/topics/other", "not for t");
    let future = "ffffffffffffffff";
    let long = "x".repeat(1_000);
    for asked in [&first, &ids[0], "unknown", future, "0000000000000000", "'; DROP--", "-1", &long] {
        let mut browser = Browser::resume(at, "/topics/t", asked);
        let reset = browser.next();
        assert_eq!(reset.event, "reset", "{asked}");
        let requested = reset.json()["requested"].as_str().expect("what was asked").to_owned();
        assert!(!requested.is_empty() && asked.starts_with(&requested), "{asked}: {requested}");
        assert_eq!(reset.json()["continues_after"], reset.id, "{asked}");
        assert_eq!(next_data(&mut browser, 2), ["4", "5"], "{asked}");
        // From the reset's id it goes on without another one.
        let mut again = Browser::resume(at, "/topics/t", &reset.id);
        assert_eq!(next_data(&mut again, 2), ["4", "5"], "{asked}");
    }
    // Where a stream is says nothing about topics that it does not listen to.
    assert_eq!(Browser::open(at, "/topics/t").parser.last_event_id, ids[4]);
    let mut browser = Browser::resume(at, "/topics/t", &of_another_topic);
    publish(at, "/topics/t", "6");
    assert_eq!(browser.next().data, "6");
}

#[test]
fn an_id_that_is_no_ascii_is_answered_with_a_reset_too() {
    let server = server();
    let at = server.address();
    publish_all(at, 0..1);
    for headers in ["Last-Event-ID: caf\u{e9}\r\n", "Last-Event-ID: \u{65e5}\u{672c}\r\n"] {
        let mut browser = Browser::open_with(at, "/topics/t", headers);
        assert_eq!((browser.next().event.as_str(), browser.next().data.as_str()), ("reset", "0"));
    }
    let mut browser = Browser::open(at, "/topics/t?last_event_id=a%0Aid:%20b%0A%0Adata:%20x");
    let reset = browser.next();
    assert_eq!(reset.json()["requested"], json!("a\nid: b\n\ndata: x"));
    assert_eq!(browser.next().data, "0");
}

#[test]
fn a_browser_that_saw_nothing_yet_misses_nothing_either() {
    let server = server();
    let at = server.address();
    let opened = |path: &str| Browser::open(at, path).parser.last_event_id;
    // On a server that has nothing yet, on a topic that has nothing yet, and behind what there is.
    let (empty, _) = (opened("/topics/t"), publish(at, "/topics/other", "no"));
    let (quiet, _) = (opened("/topics/t"), publish_all(at, 0..2));
    let behind = opened("/topics/t");
    let resumed = Browser::resume(at, "/topics/t", &behind).parser.last_event_id;
    publish_all(at, 2..4);
    for (id, wanted) in [(empty, 0..4), (quiet, 0..4), (behind, 2..4), (resumed, 2..4)] {
        let wanted: Vec<String> = wanted.map(|number| number.to_string()).collect();
        assert_eq!(next_data(&mut Browser::resume(at, "/topics/t", &id), wanted.len()), wanted);
    }
}

#[test]
fn a_quiet_topic_is_given_no_reset_for_what_others_have_lost() {
    let server = forgetful_server();
    let at = server.address();
    let empty = Browser::open(at, "/topics/empty").parser.last_event_id;
    let last = publish(at, "/topics/quiet", "seen");
    publish_all(at, 0..10);
    for (path, id) in [("/topics/quiet", &last), ("/topics/empty", &empty)] {
        let mut back = Browser::resume(at, path, id);
        let mut earliest = Browser::open(at, &format!("{path}?last_event_id=earliest"));
        publish(at, path, "next");
        assert_eq!((back.next().data.as_str(), earliest.next().data.as_str()), ("next", "next"), "{path}");
    }
}

#[test]
fn what_is_kept_is_bounded_by_count() {
    let server = forgetful_server();
    let at = server.address();
    publish_all(at, 0..10);
    assert_eq!(server.app().history.status().events, 3);
    let mut browser = Browser::resume(at, "/topics/t", "earliest");
    assert_eq!(next_data(&mut browser, 3), ["7", "8", "9"]);
}

#[test]
fn what_is_kept_is_bounded_by_bytes() {
    const BYTES_MAX: usize = 10_000;
    let server = server_with(|config| config.bounds.bytes_max = BYTES_MAX);
    let at = server.address();
    for number in 0..50 {
        publish(at, "/topics/t", format!("{number} {}", "x".repeat(1_000)));
        assert!(server.app().history.status().bytes <= BYTES_MAX);
    }
    let events = server.app().history.status().events;
    assert!((5..10).contains(&events), "{events} events of 1,000 bytes");
    let mut browser = Browser::resume(at, "/topics/t", "earliest");
    for number in 50 - events..50 {
        assert!(browser.next().data.starts_with(&format!("{number} ")));
    }
    joined(&server, 1);
    // An event that is larger than all that may be kept is not kept, and still delivered to live streams.
    publish(at, "/topics/t", "y".repeat(2 * BYTES_MAX));
    assert_eq!(browser.next().data.len(), 2 * BYTES_MAX);
    let status = server.app().history.status();
    assert_eq!((status.events, status.bytes), (0, 0));
}

#[test]
fn ids_only_grow_across_a_restart_too() {
    let mut ids = Vec::new();
    let mut opening = String::new();
    for _ in 0..2 {
        let program = Program::serve(&[]);
        let browser = Browser::open(program.address, "/topics/t");
        assert!(browser.parser.last_event_id > opening);
        ids.extend(publish_all(program.address, 0..100));
        opening = Browser::open(program.address, "/topics/t").parser.last_event_id;
    }
    assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 200);
}

#[test]
fn an_id_from_before_a_restart_is_answered_with_a_reset() {
    let before = Program::serve(&[]);
    let old = publish(before.address, "/topics/t", "lost");
    drop(before);
    let after = Program::serve(&[]);
    publish(after.address, "/topics/t", "new");
    let mut browser = Browser::resume(after.address, "/topics/t", &old);
    assert_eq!(browser.next().json()["requested"], old);
    assert_eq!(browser.next().data, "new");
}

/// Publishers of the flood, each with a topic of its own, and events of each.
const PUBLISHERS: usize = 4;
const FLOOD_EVENTS: usize = 2_000;

/// Streams of the flood: by its topics, by a prefix of them, by all.
const FLOOD: [&str; 3] =
    ["/topics?topic=t/0&topic=t/1&topic=t/2&topic=t/3", "/topics?topic=t/*", "/topics?topic=*"];

/// Reads everything until the end, and comes back as a browser does when the server hangs up because it
/// was too slow.
fn read_flood(at: SocketAddr, path: &str, last_event_id: &str) -> Vec<Seen> {
    let mut browser = Browser::resume(at, path, last_event_id);
    let mut seen = Vec::new();
    loop {
        match browser.next_or_end() {
            Some(event) if event.data == "end" => return seen,
            Some(event) => seen.push(event),
            None => browser = Browser::resume(at, path, &browser.parser.last_event_id),
        }
    }
}

/// Publishes as fast as it can be asked for: the requests are sent without waiting for answers. Gives
/// each id as it is acknowledged.
fn flood(at: SocketAddr, publisher: usize, ids: &mpsc::Sender<String>) {
    const PIPELINED: usize = 50;
    let mut raw = Raw::connect(at);
    for numbers in (0..FLOOD_EVENTS).collect::<Vec<_>>().chunks(PIPELINED) {
        let requests = numbers.iter().map(|number| {
            let data = format!("{publisher} {number}");
            let length = data.len();
            format!(
                "POST /topics/t/{publisher} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{data}"
            )
        });
        raw.send(requests.collect::<String>());
        for _ in numbers {
            ids.send(raw.answer().json()["id"].as_str().expect("an id").to_owned()).unwrap();
        }
    }
}

#[test]
fn joining_while_publishing_goes_on_at_full_speed_misses_nothing_and_doubles_nothing() {
    let server = server();
    let at = server.address();
    let (sender, ids) = mpsc::channel();
    std::thread::scope(|scope| {
        for publisher in 0..PUBLISHERS {
            let sender = sender.clone();
            scope.spawn(move || flood(at, publisher, &sender));
        }
        drop(sender);
        // Somebody joins each time another so many events are acknowledged: from the beginning, and
        // from right there, in each of the ways.
        let joiners: Vec<_> = ids
            .iter()
            .step_by(PUBLISHERS * FLOOD_EVENTS / 10)
            .flat_map(|id| ["earliest".to_owned(), id])
            .zip(FLOOD.into_iter().cycle())
            .map(|(id, path)| (id.clone(), scope.spawn(move || read_flood(at, path, &id))))
            .collect();
        publish(at, "/topics/t/0", "end");
        let all = read_flood(at, FLOOD[0], "earliest");
        assert_eq!(all.len(), PUBLISHERS * FLOOD_EVENTS);
        for publisher in 0..PUBLISHERS {
            let own = all.iter().filter_map(|seen| seen.data.strip_prefix(&format!("{publisher} ")));
            assert!(own.eq((0..FLOOD_EVENTS).map(|number| number.to_string())), "publisher {publisher}");
        }
        for (id, joiner) in joiners {
            let from = all.iter().position(|seen| seen.id == id).map_or(0, |index| index + 1);
            assert!(from > 0 || id == "earliest");
            assert!(joiner.join().expect("all events") == all[from..], "what came after {id}");
        }
    });
}
