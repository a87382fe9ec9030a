//! A power cut at any moment: the history is opened from what a disc might hold afterwards.

use super::{draft, everything, rounds, start, topics};
use crate::support::drive::{Drive, Entry, Survives};
use crate::support::{PATIENCE, until};
use callout::disk::Folder as _;
use callout::history::log::Log;
use callout::history::{Bounds, Durability, History};
use std::collections::HashSet;
use std::thread;

/// Publishers at the same time, and the events of each between two starts.
const PUBLISHERS: usize = 3;
const EVENTS: usize = 8;

/// The whole test once takes as long as so many rounds of killing.
const ROUNDS_EACH: usize = 15;

const TOPICS: [&str; 3] = ["t0", "t1", "t2"];

#[test]
fn after_a_power_cut_all_that_was_acknowledged_is_there_once_and_no_id_comes_again() {
    let (mut cuts, mut cuts_in_recovery) = (0, 0);
    for _ in 0..rounds().div_ceil(ROUNDS_EACH) {
        let disc = Drive::default();
        for sitting in 0..2 {
            let disk = start(disc.opener(), Bounds::default(), Durability::Strict);
            publish(&disc, &disk, sitting);
            disk.close(PATIENCE);
        }
        let log = disc.log();
        for (moment, entry) in log.iter().enumerate() {
            // A cut between two writes is covered by the part of them that survives.
            if matches!(entry, Entry::Write(..) | Entry::SetLength(..)) {
                continue;
            }
            let all = [Survives::Nothing, Survives::Everything, Survives::First, Survives::Some];
            let survives = fastrand::choice(all).expect("there are four");
            println!("cut at {moment} of {}, survives: {survives:?}", log.len());
            let left = disc.cut(moment, survives);
            check(&left, &log[..moment]);
            cuts += 1;
            if fastrand::bool() {
                // The power fails again while the store is repaired.
                let recovery = left.log();
                let moment_in_it = fastrand::usize(..=recovery.len());
                let again = left.cut(moment_in_it, Survives::Some);
                check(&again, &[&log[..moment], &recovery[..moment_in_it]].concat());
                cuts_in_recovery += 1;
            }
        }
    }
    println!("{cuts} power cuts, {cuts_in_recovery} more in the recovery");
}

/// Several publishers publish at once, some events with ids of their own, and data of all sizes; some they take back.
fn publish(disc: &Drive, disk: &Log, sitting: usize) {
    thread::scope(|scope| {
        for (publisher, topic) in TOPICS.iter().enumerate() {
            let seed = fastrand::u64(..);
            scope.spawn(move || {
                let mut random = fastrand::Rng::with_seed(seed);
                for number in 0..EVENTS {
                    let data =
                        format!("{publisher}-{sitting}-{number:02} {}", "x".repeat(random.usize(..6_000)));
                    let given = random.bool().then(|| format!("given-{publisher}-{sitting}-{number}"));
                    let receipt = disk.publish(draft(&[topic], given.as_deref(), &data)).expect("it is kept");
                    disc.acknowledge(&data, &receipt.id);
                    if random.u8(..4) == 0 {
                        disk.retract(&topics(&[topic])[0], Some(&receipt.id)).expect("it is kept");
                        disc.acknowledge_retraction(&receipt.id);
                    }
                }
            });
        }
    });
}

/// All that was acknowledged before is there, under its id, once and in its order; and publishing goes on.
fn check(disc: &Drive, before: &[Entry]) {
    let acknowledged: Vec<(&String, &String)> = before
        .iter()
        .filter_map(|entry| match entry {
            Entry::Acknowledged(data, id) => Some((data, id)),
            _ => None,
        })
        .collect();
    let disk = start(disc.opener(), Bounds::default(), Durability::Strict);
    let kept = everything(&disk, &TOPICS);
    let data: HashSet<&str> = kept.iter().map(|(_, seen)| seen.data.as_str()).collect();
    assert_eq!(data.len(), kept.len(), "an event is there twice");
    for (data, id) in &acknowledged {
        let is_kept = kept.iter().any(|(_, seen)| (&seen.data, &seen.id) == (*data, *id));
        let is_retracted = before.iter().any(|entry| matches!(entry, Entry::Retracted(of) if of == *id));
        let is_told = kept.iter().any(|(_, seen)| seen.event == "retract" && seen.json()["id"] == **id);
        // The power may have failed before a retraction was acknowledged.
        assert!(is_kept != is_told, "{data:.8} is there, or a `retract` event for it");
        assert!(is_told || !is_retracted, "{data:.8} was retracted");
    }
    // At most one more of each publisher, which waited for its answer, and of this check.
    assert!(kept.len() <= acknowledged.len() + PUBLISHERS + 1);
    for publisher in 0..PUBLISHERS {
        let own = |data: &&str| data.starts_with(&format!("{publisher}-"));
        let order: Vec<&str> = kept.iter().map(|(_, seen)| seen.data.as_str()).filter(own).collect();
        assert!(order.is_sorted(), "{order:.8?}");
    }
    let status = disk.status();
    assert_eq!(status.events, kept.len());
    let newest = kept.last().map(|(id, _)| id.to_string()).unwrap_or_default();
    let next = disk.publish(draft(&["t0"], None, "next")).expect("it goes on").id;
    disc.acknowledge("next", &next);
    assert!(next > newest && acknowledged.iter().all(|(_, id)| id.starts_with("given") || next > **id));
    // A publisher that was not answered publishes again.
    for (_, seen) in kept.iter().filter(|(_, seen)| seen.id.starts_with("given")) {
        let publisher = &seen.data[..1];
        let again = disk.publish(draft(&[&format!("t{publisher}")], Some(&seen.id), &seen.data));
        assert!(again.expect("it is answered").duplicate);
    }
    assert_eq!(everything(&disk, &TOPICS).len(), kept.len() + 1);
    disk.close(PATIENCE);
}

#[test]
fn however_often_the_power_is_cut_files_do_not_add_up() {
    let mut drive = Drive::default();
    for number in 0..100 {
        let disk = start(drive.opener(), Bounds::default(), Durability::Strict);
        disk.publish(draft(&["t0"], None, &number.to_string())).expect("it is kept");
        let kept = everything(&disk, &["t0"]);
        assert_eq!(kept.iter().map(|(_, seen)| seen.data.clone()).collect::<Vec<_>>(), numbers(number));
        if number == 99 {
            until("some were joined", || drive.names().expect("they are there").len() < 70);
        }
        drive = drive.cut(drive.log().len(), Survives::Nothing);
    }
}

fn numbers(last: usize) -> Vec<String> {
    (0..=last).map(|number| number.to_string()).collect()
}
