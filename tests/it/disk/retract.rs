//! Retraction, as browsers see it and as the file has it: in memory and on disk, live and for those who come back.

use super::{Folder, draft, everything, start, topics};
use crate::support::{Browser, PATIENCE, Seen, joined, post, publish, said, server_with, until};
use callout::history::log::opener;
use callout::history::{Address, Bounds, Durability, History, Retracted};
use callout::server::Server;
use callout::{ErrorKind, Topic};
use std::fs;
use std::time::Duration;

/// A server that keeps its history at this address.
fn serve(address: &Address) -> Server {
    server_with(|config| config.data = address.clone())
}

fn topic(name: &str) -> Topic {
    topics(&[name]).remove(0)
}

fn retract(server: &Server, name: &str, id: Option<&str>) -> Retracted {
    server.app().history.retract(&topic(name), id).expect("it is retracted")
}

/// The event that tells of a retraction.
fn told(id: &str, topic: &str, retracted: Option<&str>) -> Seen {
    let retracted = retracted.map_or("null".into(), |id| format!("\"{id}\""));
    let data = format!("{{\"topic\":\"{topic}\",\"id\":{retracted}}}");
    Seen { id: id.into(), event: "retract".into(), data }
}

/// Runs a test with a history in memory and with one on disk.
fn with_both(test: impl Fn(&Address)) {
    let folder = Folder::new();
    [Address::Memory, Address::Folder(folder.path())].iter().for_each(test);
}

#[test]
fn browsers_are_told_live_and_when_they_come_back_with_the_id_that_was_retracted() {
    with_both(|address| {
        let mut server = serve(address);
        let first = publish(server.address(), "/topics/t", "first");
        for (path, id) in [("/topics/t", None), ("/topics/t?id=mine", Some("mine"))] {
            let mut listener = Browser::open(server.address(), "/topics/t");
            joined(&server, 1);
            let id = id.map_or_else(
                || publish(server.address(), path, "wrong"),
                |id| {
                    assert_eq!(publish(server.address(), path, "wrong"), id);
                    id.to_owned()
                },
            );
            let Retracted { count, id: telling } = retract(&server, "t", Some(&id));
            let telling = telling.expect("it was published");
            let wanted = told(&telling, "t", Some(&id));
            assert_eq!((count, listener.next().data.as_str(), listener.next()), (1, "wrong", wanted.clone()));
            // Before and after a restart.
            for _ in 0..2 {
                let at = server.address();
                assert_eq!(Browser::resume(at, "/topics/t", &id).next(), wanted);
                let mut from_before = Browser::resume(at, "/topics/t", &first);
                let came = std::iter::from_fn(|| Some(from_before.next())).find(|seen| seen.id == telling);
                assert_eq!(came, Some(wanted.clone()));
                if *address != Address::Memory {
                    server.stop(Duration::ZERO);
                    server = serve(address);
                }
            }
        }
    });
}

#[test]
fn an_event_on_several_topics_is_gone_from_all_of_them_and_all_are_told() {
    with_both(|address| {
        let server = serve(address);
        let history = &server.app().history;
        history.publish(draft(&["a", "b"], Some("mine"), "on both")).unwrap();
        history.publish(draft(&["c"], None, "on another")).unwrap();
        let telling = retract(&server, "b", Some("mine")).id.expect("it was published");
        // Each is told by its own name: who may read the one may not know the other.
        for name in ["a", "b"] {
            let path = format!("/topics/{name}?last_event_id=earliest");
            let seen = Browser::open(server.address(), &path).next();
            assert_eq!(seen, told(&seen.id, name, Some("mine")));
            assert!(
                name == "a" || seen.id == telling,
                "the answer names that of the topic that was asked for"
            );
        }
        let counts: Vec<_> = history.topics("").unwrap().into_iter().map(|s| (s.topic, s.events)).collect();
        assert_eq!(counts, [("a".into(), 1), ("b".into(), 1), ("c".into(), 1)]);
    });
}

#[test]
fn all_of_a_topic_is_taken_back_and_one_event_that_says_so_is_left() {
    with_both(|address| {
        let server = serve(address);
        let at = server.address();
        assert_eq!(retract(&server, "t", None), Retracted { count: 0, id: None });
        for number in 0..3 {
            publish(at, "/topics/t", number.to_string());
        }
        server.app().history.publish(draft(&["t", "u"], Some("mine"), "on both")).unwrap();
        let last = publish(at, "/topics/t", "3");
        retract(&server, "t", Some(&last));
        let Retracted { count, id } = retract(&server, "t", None);
        let id = id.expect("it was published");
        let of_all = told(&id, "t", None);
        assert_eq!(count, 4);
        let mut browser = Browser::open(at, "/topics/t?last_event_id=earliest");
        assert_eq!(browser.next(), of_all);
        assert_eq!(Browser::resume(at, "/topics/t", &last).next(), of_all);
        let of_one = Browser::open(at, "/topics/u?last_event_id=earliest").next();
        assert_eq!(of_one, told(&of_one.id, "u", Some("mine")), "the other topic is told of its event");
        // Where only that is left there is nothing to take back.
        assert_eq!(retract(&server, "t", None), Retracted { count: 0, id: None });
    });
}

#[test]
fn what_is_not_kept_on_the_topic_cannot_be_retracted() {
    with_both(|address| {
        let server = serve(address);
        let at = server.address();
        let history = &server.app().history;
        let id = publish(at, "/topics/t", "kept");
        publish(at, "/topics/t?id=mine", "kept");
        for (name, asked) in
            [("u", id.as_str()), ("u", "mine"), ("t", "other"), ("t", "0123456789abcdef"), ("t", "")]
        {
            match history.retract(&topic(name), Some(asked)) {
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    assert!(error.to_string().contains("no event with this id"), "{error}");
                }
                other => panic!("{other:?}"),
            }
        }
        let telling = retract(&server, "t", Some(&id)).id.expect("it was published");
        assert!(
            matches!(history.retract(&topic("t"), Some(&id)), Err(error) if error.kind() == ErrorKind::NotFound),
            "only once"
        );
        match history.retract(&topic("t"), Some(&telling)) {
            Err(error) if error.kind() == ErrorKind::Bad => {
                assert!(error.to_string().contains("`retract`"), "{error}");
            }
            other => panic!("{other:?}"),
        }
        let refused = post(at, "/topics/t?event=retract", "x");
        assert_eq!(refused.status, 400);
        assert!(said(&refused).contains("`retract`"));
    });
}

#[test]
fn an_id_that_was_retracted_may_be_used_again_and_says_then_not_what_was_seen() {
    with_both(|address| {
        let server = serve(address);
        let at = server.address();
        assert_eq!(publish(at, "/topics/t?id=mine", "wrong"), "mine");
        retract(&server, "t", Some("mine"));
        let again = post(at, "/topics/t?id=mine", "right").json();
        assert_eq!(again, serde_json::json!({ "id": "mine" }));
        // A browser that saw the first must not miss the second.
        let mut browser = Browser::resume(at, "/topics/t", "mine");
        let came = [browser.next().event, browser.next().event, browser.next().data];
        assert_eq!(came, ["reset", "retract", "right"]);
    });
}

#[test]
fn the_text_of_a_retracted_event_goes_with_the_part_of_the_log_that_it_stands_in() {
    for durability in [Durability::Strict, Durability::Relaxed] {
        let folder = Folder::new();
        // Parts of 64 KB.
        let mut bounds = Bounds::default();
        bounds.bytes_max = 512 * 1024;
        let disk = start(opener(folder.path()), bounds, durability);
        let holds = |words: &str| {
            let read = |path| {
                fs::read(path).is_ok_and(|file| file.windows(words.len()).any(|w| w == words.as_bytes()))
            };
            folder.segments().iter().any(read)
        };
        disk.publish(draft(&["t"], Some("mine"), "secret words")).unwrap();
        disk.publish(draft(&["t"], None, "other words")).unwrap();
        disk.retract(&topic("t"), Some("mine")).unwrap();
        assert!(everything(&disk, &["t"]).iter().all(|(_, seen)| !seen.data.contains("secret")));
        // More than is kept of another topic: what is in reserve is copied, and the text is not.
        for number in 0..900 {
            disk.publish(draft(&["noisy"], None, &format!("{number} {}", "x".repeat(1_000)))).unwrap();
        }
        until("its part is gone", || !holds("secret words"));
        assert!(holds("other words"));
        assert_eq!(everything(&disk, &["t"]).len(), 2);
        // Its id is known for as long as the event would have been kept.
        disk.close(PATIENCE);
    }
}
