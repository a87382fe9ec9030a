//! Trimming: commits that add events trim old ones, by count, bytes and age. A browser that comes from beyond the edge
//! is told, and the file does not grow much beyond what is kept.

use super::{Folder, draft, everything, serve, start, topics};
use crate::support::{Browser, PATIENCE, publish, until};
use callout::history::disk::{Disk, opener};
use callout::history::{Bounds, Durability, History, Start};
use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

/// What is kept in the long run. The store doubles its file when it is full, from 8 to 16 MB and then to 32 MB. This
/// is some 9 MB, so that a file of 16 MB is below twice as much and has room for what unsaved commits hold.
const KEPT: usize = 12_500;

/// Publishers at the same time. Few make many small commits, many make large ones.
const FEW: usize = 4;
const MANY: usize = 64;

/// In either way so many times as much is published as is kept.
const TIMES: usize = 5;

const EVENT_BYTES: std::ops::RangeInclusive<usize> = 100..=1_000;

/// The numbers of the events that are kept.
fn numbers(disk: &Disk) -> Vec<usize> {
    let kept = everything(disk, &["t"]).into_iter();
    kept.map(|(_, seen)| seen.data.split(' ').next().unwrap().parse().expect("a number")).collect()
}

/// Publishes so many events with so many publishers, and checks after each that the bounds hold.
fn publish_all(disk: &Disk, publishers: usize, count: usize, bounds: Bounds) {
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
fn after_ten_times_what_is_kept_the_file_is_below_twice_what_is_kept() {
    let folder = Folder::new();
    let mut bounds = Bounds::default();
    bounds.events_max = KEPT;
    let disk = start(opener(folder.path()), bounds, Durability::Relaxed);
    for publishers in [FEW, MANY] {
        publish_all(&disk, publishers, TIMES * KEPT, bounds);
        let (status, file_bytes) = (disk.status(), fs::metadata(folder.file()).unwrap().len());
        let ratio = file_bytes as f64 / status.bytes as f64;
        println!(
            "{} events, {} bytes kept in a file of {file_bytes}: {ratio:.2}",
            status.events, status.bytes
        );
        assert_eq!(status.events, KEPT);
        assert!(ratio < 2.0, "{ratio}");
        assert_eq!(numbers(&disk).len(), KEPT);
    }
    disk.close(PATIENCE);
    println!("closed: {}", fs::metadata(folder.file()).unwrap().len());
}

#[test]
fn bytes_bound_what_is_kept_and_the_newest_stay() {
    let folder = Folder::new();
    let mut bounds = Bounds::default();
    bounds.bytes_max = 100_000;
    let disk = start(opener(folder.path()), bounds, Durability::Relaxed);
    publish_all(&disk, MANY, 2_000, bounds);
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
    assert!(!disk.resume(&Start::After(old), &topics(&["t"])).unwrap().gap);
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
