//! Trimming: commits that add events trim old ones, by count, bytes and age. A browser that comes from beyond the edge
//! is told, and the file does not grow much beyond what is kept.

use super::{Folder, draft, everything, selectors, serve, start};
use crate::support::{Browser, PATIENCE, Program, get, publish, until};
use callout::history::log::{Log, opener};
use callout::history::{Bounds, Durability, History, Start};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

/// What is kept in the long run: some 9 MB.
const KEPT: usize = 12_500;

/// Publishers at the same time. Few make many small commits, many make large ones.
const FEW: usize = 4;
const MANY: usize = 64;

/// In either way so many times as much is published as is kept.
const TIMES: usize = 5;

const EVENT_BYTES: std::ops::RangeInclusive<usize> = 100..=1_000;

/// The numbers of the events that are kept.
fn numbers(disk: &Log) -> Vec<usize> {
    let kept = everything(disk, &["t"]).into_iter();
    kept.map(|(_, seen)| seen.data.split(' ').next().unwrap().parse().expect("a number")).collect()
}

/// Publishes so many events with so many publishers, and checks after each that the bounds hold.
fn publish_all(disk: &Log, publishers: usize, count: usize, bounds: &Bounds) {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..publishers {
            scope.spawn(|| {
                while let Some(number) = Some(next.fetch_add(1, Relaxed)).filter(|number| *number < count) {
                    let data = format!("{number} {}", "x".repeat(fastrand::usize(EVENT_BYTES)));
                    disk.publish(draft(&["t"], None, &data)).expect("it is kept");
                    let status = disk.status();
                    assert!(status.events <= bounds.events_max && status.bytes <= bounds.bytes_max);
                }
            });
        }
    });
}

#[test]
fn after_ten_times_what_is_kept_the_files_are_below_one_and_a_quarter_of_what_is_kept() {
    let folder = Folder::new();
    let mut bounds = Bounds::default();
    bounds.events_max = KEPT;
    let disk = start(opener(folder.path()), bounds.clone(), Durability::Relaxed);
    for publishers in [FEW, MANY] {
        publish_all(&disk, publishers, TIMES * KEPT, &bounds);
        let (status, file_bytes) = (disk.status(), folder.log_bytes());
        let ratio = file_bytes as f64 / status.bytes as f64;
        println!(
            "{} events, {} bytes kept in a file of {file_bytes}: {ratio:.2}",
            status.events, status.bytes
        );
        assert_eq!(status.events, KEPT);
        assert!(ratio < 1.25, "{ratio}");
        assert_eq!(numbers(&disk).len(), KEPT);
    }
    disk.close(PATIENCE);
    println!("closed: {}", folder.log_bytes());
}

#[test]
fn bytes_bound_what_is_kept_and_the_newest_stay() {
    let folder = Folder::new();
    let mut bounds = Bounds::default();
    bounds.bytes_max = 100_000;
    let disk = start(opener(folder.path()), bounds.clone(), Durability::Relaxed);
    publish_all(&disk, MANY, 2_000, &bounds);
    let status = disk.status();
    let largest = EVENT_BYTES.end() + 300;
    assert!(status.bytes > bounds.bytes_max - largest, "no more goes than has to: {status:?}");
    assert_eq!(everything(&disk, &["t"]).len(), status.events);
    // An event that is larger than all that may be kept is not kept.
    disk.publish(draft(&["t"], None, &"x".repeat(bounds.bytes_max))).unwrap();
    until("it is let go", || disk.status().events == 0);
    assert_eq!(disk.status().bytes, 0);
}

#[test]
fn what_is_too_old_goes_with_the_next_event() {
    let folder = Folder::new();
    let mut bounds = Bounds::default();
    bounds.age_max = Duration::from_millis(300);
    let disk = start(opener(folder.path()), bounds, Durability::Relaxed);
    let old = disk.publish(draft(&["t"], None, "old")).unwrap().id;
    until("the old one is too old, and the new one is not", || {
        disk.publish(draft(&["u"], None, "new")).unwrap();
        everything(&disk, &["t"]).is_empty() && disk.status().events > 0
    });
    // A browser that saw it has missed nothing.
    assert!(!disk.resume(&Start::After(old), &selectors(&["t"])).unwrap().gap);
}

#[test]
fn what_is_too_old_goes_where_nothing_is_published() {
    let folder = Folder::new();
    let mut bounds = Bounds::default();
    bounds.age_max = Duration::from_millis(300);
    let disk = start(opener(folder.path()), bounds, Durability::Strict);
    disk.publish(draft(&["t"], None, "old")).unwrap();
    until("the old one is gone", || everything(&disk, &["t"]).is_empty() && disk.status().events == 0);
}

#[test]
fn whoever_comes_from_beyond_the_edge_is_told_and_gets_what_is_kept() {
    let folder = Folder::new();
    let first;
    let wanted: Vec<String> = (40..50).map(|number| number.to_string()).collect();
    {
        let program = serve(&folder, &["--keep-events", "10"]);
        first = publish(program.address, "/topics/t", "0");
        (1..50).for_each(|number| _ = publish(program.address, "/topics/t", number.to_string()));
        check_reset(&program, &first, &wanted);
    }
    // The same after a restart.
    check_reset(&serve(&folder, &["--keep-events", "10"]), &first, &wanted);
}

fn check_reset(program: &crate::support::Program, asked: &str, wanted: &[String]) {
    let mut browser = Browser::resume(program.address, "/topics/t", asked);
    let reset = browser.next();
    assert_eq!((reset.event.as_str(), &reset.json()["requested"]), ("reset", &asked.into()));
    let came: Vec<String> = wanted.iter().map(|_| browser.next().data).collect();
    assert_eq!(came, wanted);
}

#[test]
fn a_noisy_topic_does_not_push_out_the_newest_of_a_quiet_one_in_memory_and_on_disk_and_after_a_kill() {
    let folder = Folder::new();
    for data in ["memory", folder.text()] {
        let flags = ["--data", data, "--keep-events", "400", "--durability", "relaxed", "--log", "warn"];
        let mut program = Program::serve(&flags);
        let post = |program: &Program, topic: &str, data: String| {
            publish(program.address, &format!("/topics/{topic}"), data)
        };
        let first = post(&program, "quiet", "0".into());
        post(&program, "quiet", "1".into());
        (0..500).for_each(|number| _ = post(&program, "noisy", number.to_string()));
        for _ in 0..2 {
            let at = program.address;
            let kept = |topic: &str| {
                get(at, &format!("/history/{topic}")).json()["events"].as_array().unwrap().len()
            };
            assert_eq!(kept("quiet"), 2);
            assert_eq!(get(at, "/healthz").json()["history"]["events"], 400);
            // A browser that was there misses nothing, and one that asks for all is given both.
            assert_eq!(Browser::resume(at, "/topics/quiet", &first).next().data, "1");
            let mut both = Browser::open(at, "/topics?topic=quiet&topic=noisy&last_event_id=earliest");
            assert_eq!([both.next().data, both.next().data, both.next().data], ["0", "1", "102"], "{data}");
            let mut last = Browser::open(at, "/topics?topic=quiet&topic=noisy&last=399");
            assert_eq!([last.next().data, last.next().data], ["1", "102"], "{data}");
            if data == "memory" {
                break;
            }
            program.signal("KILL");
            program.wait();
            program = Program::serve(&flags);
        }
        // The reserve is of the newest ten, and what leaves it is lost.
        (2..12).for_each(|number| _ = post(&program, "quiet", number.to_string()));
        let mut late = Browser::resume(program.address, "/topics/quiet", &first);
        assert_eq!([late.next().event, late.next().data], ["reset", "2"], "{data}");
    }
}

#[test]
fn a_topic_with_bounds_of_its_own_is_held_to_them() {
    let folder = Folder::new();
    for data in ["memory", folder.text()] {
        let keep =
            ["--keep", "noisy/*=3 1h", "--keep", "large=1KB", "--keep", "short=1s", "--keep", "*=1000000"];
        let program = Program::serve(&[&["--data", data, "--log", "warn"][..], &keep].concat());
        let at = program.address;
        let kept =
            |topic: &str| get(at, &format!("/history/{topic}")).json()["events"].as_array().unwrap().len();
        publish(at, "/topics?topic=short&topic=noisy/a", "both");
        for number in 0..10 {
            publish(at, "/topics/noisy/a", number.to_string());
            publish(at, "/topics/noisy/b", number.to_string());
            publish(at, "/topics/other", number.to_string());
            publish(at, "/topics/large", "x".repeat(200));
        }
        assert_eq!(
            [kept("noisy%2Fa"), kept("noisy%2Fb"), kept("other"), kept("large")],
            [3, 3, 10, 2],
            "{data}"
        );
        // What is gone from one topic stays on another until that lets it go.
        until("it is too old", || {
            // In memory only looking at it shows that it is.
            get(at, "/healthz");
            kept("short") == 0
        });
        assert_eq!(get(at, "/healthz").json()["history"]["events"], 18);
    }
}
