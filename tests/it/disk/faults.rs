//! A disc that fails: publishing and retracting are refused with the reason, nothing else stops, and nothing that was
//! refused ever appears.

use super::{draft, everything, selectors, start, topics};
use crate::support::drive::{Drive, Survives};
use crate::support::{Browser, PATIENCE, Raw, grant, until};
use callout::client::{Client, Pace, Stream};
use callout::event::Id;
use callout::history::log::Log;
use callout::history::{Bounds, Durability, History, Retracted, Start};
use callout::hub::chunk::Coding;
use callout::hub::wire::Wire;
use callout::hub::{Dispatch, Hub};
use callout::os::threads::Threads;
use callout::{Error, ErrorKind};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// Events that are published, and readers, while the disc fails.
const REFUSALS: usize = 3_000;
const READERS: usize = 4;

fn start_on(disc: &Drive) -> Log {
    start(disc.opener(), Bounds::default(), Durability::Strict)
}

/// What is kept, in its order.
fn data(disk: &Log) -> Vec<String> {
    everything(disk, &["t"]).into_iter().map(|(_, seen)| seen.data).collect()
}

fn publish(disk: &Log, data: &str) -> String {
    disk.publish(draft(&["t"], None, data)).expect("it is kept").id
}

/// In how many ways [`fail`] lets a disc fail; the first is that only syncing does.
const WAYS: usize = 4;

/// Lets the disc fail in one of the ways in which discs do, and gives the words that the operator is told.
fn fail(disc: &Drive, way: usize) -> &'static str {
    let ways: [_; WAYS] = [
        (&disc.sync_error, libc::EIO, "Input/output error"),
        (&disc.write_error, libc::EIO, "Input/output error"),
        (&disc.write_error, libc::ENOSPC, "No space left on device"),
        (&disc.write_error, libc::EROFS, "Read-only file system"),
    ];
    let (errors, number, words) = ways[way];
    errors.store(number, SeqCst);
    words
}

fn mend(disc: &Drive) {
    disc.sync_error.store(0, SeqCst);
    disc.write_error.store(0, SeqCst);
}

/// Publishes until it is acknowledged, as a publisher would.
fn publish_when_it_can(disk: &Log, given: &str, data: &str) {
    until("the history works again", || match disk.publish(draft(&["t"], Some(given), data)) {
        Ok(receipt) => {
            assert!(!receipt.duplicate, "what was refused was not kept");
            true
        }
        Err(_) => false,
    });
}

#[test]
fn publishing_is_refused_with_the_reason_while_the_disc_fails_and_works_again_by_itself() {
    for way in 0..WAYS {
        let disc = Drive::default();
        let disk = start_on(&disc);
        let first = publish(&disk, "before");
        let words = fail(&disc, way);
        for number in 0..3 {
            let refused = disk.publish(draft(&["t"], Some("mine"), &format!("refused {number}")));
            match refused {
                Err(error) if error.kind() == ErrorKind::Unavailable => {
                    assert!(error.to_string().contains(words), "{error}");
                }
                other => panic!("{other:?}"),
            }
            let failure = disk.status().failure.expect("it is known");
            assert!(failure.contains(words), "{failure}");
        }
        let live =
            disk.resume(&Start::Live, &selectors(&["t"])).expect("a stream that wants nothing old begins");
        assert!((live.gap, live.position) == (false, first.clone()));
        mend(&disc);
        publish_when_it_can(&disk, "mine", "after");
        assert_eq!(disk.status().failure, None);
        assert_eq!((data(&disk), disk.status().events), (vec!["before".into(), "after".into()], 2));
        assert!(publish(&disk, "last") > first);
        disk.close(PATIENCE);
        assert_eq!(data(&start_on(&disc)), ["before", "after", "last"], "after opening it again");
    }
}

#[test]
fn what_was_refused_does_not_appear_when_the_process_ends_before_the_disc_is_well() {
    for way in 1..WAYS {
        assert_eq!(data_after_refusal_and_end(way), ["before"], "way {way}");
    }
}

#[test]
fn what_was_refused_does_not_appear_when_the_process_ends_while_syncing_still_fails() {
    assert_eq!(data_after_refusal_and_end(0), ["before"]);
}

/// What the next process finds after this one refused an event and was killed.
fn data_after_refusal_and_end(way: usize) -> Vec<String> {
    let disc = Drive::default();
    let disk = start_on(&disc);
    publish(&disk, "before");
    fail(&disc, way);
    disk.publish(draft(&["t"], None, "refused")).expect_err("the disc fails");
    let left = disc.cut(disc.log().len(), Survives::Everything);
    data(&start_on(&left))
}

#[test]
fn what_was_refused_does_not_appear_after_one_sync_that_failed_and_a_kill() {
    let disc = Drive::default();
    let disk = start_on(&disc);
    publish(&disk, "before");
    disc.fail_one_sync();
    disk.publish(draft(&["t"], None, "refused")).expect_err("the disc fails");
    let left = disc.cut(disc.log().len(), Survives::Everything);
    assert_eq!(data(&start_on(&left)), ["before"]);
}

/// A history that keeps an event that is going to be retracted, and one that stays.
fn start_with_two(disc: &Drive) -> Log {
    let disk = start_on(disc);
    disk.publish(draft(&["t", "u"], Some("mine"), "first")).expect("it is kept");
    publish(&disk, "second");
    disk
}

fn retract(disk: &Log) -> Result<Retracted, Error> {
    disk.retract(&topics(&["t"])[0], Some("mine"))
}

/// Nothing was retracted: every read finds the event as before.
fn check_not_retracted(disk: &Log) {
    assert_eq!((data(disk), disk.status().events), (vec!["first".into(), "second".into()], 2));
    assert_eq!(everything(disk, &["u"]).len(), 1);
    let selectors = selectors(&["t"]);
    let resumed = disk.resume(&Start::After("mine".into()), &selectors).expect("it can be read");
    let part = disk.read(resumed.after, Id::MAX, &selectors).expect("it can be read");
    assert_eq!((resumed.gap, part.events.len()), (false, 1));
}

fn check_retracted(disk: &Log) {
    let told = |topic: &str| format!(r#"{{"topic":"{topic}","id":"mine"}}"#);
    // Each topic is told in an event of its own.
    assert_eq!((data(disk), disk.status().events), (vec!["second".into(), told("t")], 3));
    let on_u: Vec<String> = everything(disk, &["u"]).into_iter().map(|(_, seen)| seen.data).collect();
    assert_eq!(on_u, [told("u")]);
}

#[test]
fn a_retraction_that_is_refused_takes_nothing_back() {
    for way in 0..WAYS {
        let disc = Drive::default();
        let disk = start_with_two(&disc);
        let words = fail(&disc, way);
        match retract(&disk) {
            Err(error) if error.kind() == ErrorKind::Unavailable => {
                assert!(error.to_string().contains(words), "{error}");
            }
            other => panic!("{other:?}"),
        }
        check_not_retracted(&start_on(&disc.cut(disc.log().len(), Survives::Everything)));
        mend(&disc);
        until("the history can be read again", || disk.topics("").is_ok());
        check_not_retracted(&disk);
        until("the history can be written again", || retract(&disk).is_ok());
        check_retracted(&disk);
        disk.close(PATIENCE);
        check_retracted(&start_on(&disc));
    }
}

#[test]
fn a_retraction_is_refused_or_done_as_a_whole_whichever_sync_fails() {
    let mut refused = 0;
    for sync in 1..=6 {
        let disc = Drive::default();
        let disk = start_with_two(&disc);
        disc.fail_sync(sync);
        let answer = retract(&disk);
        let left = start_on(&disc.cut(disc.log().len(), Survives::Everything));
        until("the history can be read again", || disk.topics("").is_ok());
        for disk in [&disk, &left] {
            match answer {
                Ok(_) => check_retracted(disk),
                Err(_) => check_not_retracted(disk),
            }
        }
        refused += usize::from(answer.is_err());
        // What was retracted may be published again under its id, and what was not is known as before.
        until("the history can be written again", || {
            let again = disk.publish(draft(&["t", "u"], Some("mine"), "first"));
            again.is_ok_and(|receipt| {
                assert_eq!(receipt.duplicate, answer.is_err());
                true
            })
        });
    }
    assert!((1..6).contains(&refused), "some were refused and some done: {refused}");
}

#[test]
fn many_who_publish_and_read_while_the_disc_fails_do_not_lock_each_other_up() {
    let (done, is_done) = mpsc::channel();
    let disc = Drive::default();
    let disk = Arc::new(start_on(&disc));
    let old = publish(&disk, "before");
    fail(&disc, 0);
    let publishing = Arc::new(AtomicBool::new(true));
    for _ in 0..READERS {
        let (disk, done, old, publishing) = (disk.clone(), done.clone(), old.clone(), publishing.clone());
        thread::spawn(move || {
            while publishing.load(SeqCst) {
                // The history may be readable or not, but it has to answer.
                let _ = disk.resume(&Start::After(old.clone()), &selectors(&["t"]));
            }
            done.send(()).expect("the test waits");
        });
    }
    thread::spawn(move || {
        for _ in 0..REFUSALS {
            disk.publish(draft(&["t"], None, "refused")).expect_err("the disc fails");
        }
        assert!(disk.status().failure.is_some());
        publishing.store(false, SeqCst);
        done.send(()).expect("the test waits");
    });
    for _ in 0..=READERS {
        is_done.recv_timeout(PATIENCE).expect("everyone is answered");
    }
}

#[test]
fn streams_and_heartbeats_and_ephemeral_events_go_on_while_the_disc_fails() {
    let disc = Drive::default();
    let threads = Threads::default();
    let hub = Hub::start(&threads).expect("a thread");
    let disk = Log::start(disc.opener(), hub.clone(), &threads, Bounds::default(), Durability::Strict);
    let disk = disk.expect("it opens");
    let disk = Arc::new(disk);
    let open = |start: Start| stream(&hub, &disk, start);
    let mut before = open(Start::Live);
    let first = publish(&disk, "before");
    assert_eq!(before.next().data, "before");
    fail(&disc, 0);
    disk.publish(draft(&["t"], None, "refused")).expect_err("the disc fails");

    let mut newcomer = open(Start::Live);
    for browser in [&mut before, &mut newcomer] {
        browser.next_comment();
        browser.next_comment();
    }
    let event = draft(&["t"], None, "now");
    hub.broadcast(Dispatch::ephemeral(&event));
    assert_eq!([before.next().data, newcomer.next().data], ["now", "now"]);
    // What is on disk can still be read.
    let mut late = open(Start::After(first.clone()));
    late.next_comment();
    assert_eq!(open(Start::Earliest).next().data, "before");

    mend(&disc);
    publish_when_it_can(&disk, "mine", "after");
    assert_eq!([before.next().data, newcomer.next().data, late.next().data], ["after", "after", "after"]);
    assert_eq!(open(Start::After(first)).next().data, "after");
}

/// A stream on `t`, over a real socket.
fn stream(hub: &Hub, disk: &Arc<Log>, start: Start) -> Browser {
    Browser::open_on(stream_raw(hub, disk, start), "/", "")
}

fn stream_raw(hub: &Hub, disk: &Arc<Log>, start: Start) -> Raw {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let raw = Raw::connect(listener.local_addr().unwrap());
    let (socket, _) = listener.accept().unwrap();
    let (hub, disk) = (hub.clone(), disk.clone());
    thread::spawn(move || {
        let mut pace = Pace::default();
        (pace.heartbeat, pace.write_deadline) = (Duration::from_millis(1), PATIENCE);
        let stream = Stream::new(&grant(topics(&["t"])), start);
        let head = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
        Client::new(Wire::Writer(Box::new(socket)), Coding::Identity, pace, head, stream, None)
            .run(&hub, &*disk)
    });
    raw
}

#[test]
fn what_was_acknowledged_before_a_sync_that_fails_is_written_once_more_and_survives() {
    let disc = Drive::default();
    let disk = start(disc.opener(), Bounds::default(), Durability::Relaxed);
    disk.publish(draft(&["t"], Some("mine"), "first")).expect("it is kept");
    publish(&disk, "second");
    disk.retract(&topics(&["t"])[0], Some("mine")).expect("it is kept");
    let words = fail(&disc, 0);
    publish(&disk, "third");
    until("the failure is known", || disk.status().failure.is_some_and(|failure| failure.contains(words)));
    disk.publish(draft(&["t"], None, "refused")).expect_err("the disc fails");
    let told = r#"{"topic":"t","id":"mine"}"#;
    let wanted = ["second", told, "third"];
    assert_eq!(data(&disk), wanted);
    // A process that is started meanwhile finds all of it.
    assert_eq!(data(&start_on(&disc.cut(disc.log().len(), Survives::Everything))), wanted);
    mend(&disc);
    until("the history works again", || disk.status().failure.is_none());
    // And so does one after a power cut, now that the disc works again.
    assert_eq!(data(&start_on(&disc.cut(disc.log().len(), Survives::Nothing))), wanted);
    assert_eq!(data(&disk), wanted);
    publish(&disk, "last");
    disk.close(PATIENCE);
    assert_eq!(data(&start_on(&disc)), ["second", told, "third", "last"]);
}
