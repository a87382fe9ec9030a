//! What was taken back, on a disk that fails and loses its power.

use crate::support::drive::{Drive, Survives};
use callout::access::claims::Claims;
use callout::access::moment::Moment;
use callout::access::refusal::Kind;
use callout::access::revoked::{Revoked, Taken};
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

fn open(drive: &Drive) -> Result<Revoked, String> {
    Revoked::open(Arc::new(drive.clone()))
}

fn ticket(user: &str, issued: Moment) -> Claims {
    Claims {
        kind: Kind::Ticket,
        user: Some(user.into()),
        publish: Vec::new(),
        subscribe: Vec::new(),
        issued: Some(issued),
        expires: Some(issued.after(Duration::from_secs(600))),
        by: None,
        id: format!("{user} {}", issued.micros()),
        signer: String::new(),
    }
}

fn take_back(revoked: &Revoked, user: &str) -> Result<Moment, String> {
    revoked.take_back(Taken::User(user.into()), None)
}

#[test]
fn after_a_power_cut_all_that_was_answered_for_is_void_and_later_tickets_are_later() {
    let mut cuts = 0;
    for seed in 0..20 {
        let mut random = fastrand::Rng::with_seed(seed);
        let drive = Drive::default();
        // What was answered for, and after how many entries of the drive's log.
        let (mut given, mut taken) = (Vec::new(), Vec::new());
        for sitting in 0..3 {
            let revoked = open(&drive).unwrap();
            for round in 0..random.usize(1..12) {
                let user = format!("u{sitting}-{round}-{}", "x".repeat(random.usize(0..240)));
                let ticket = ticket(&user, revoked.stamp().unwrap());
                given.push((drive.log().len(), ticket.clone()));
                if random.bool() {
                    take_back(&revoked, &user).unwrap();
                    taken.push((drive.log().len(), ticket));
                }
            }
        }
        for moment in 0..=drive.log().len() {
            for survives in [Survives::Nothing, Survives::Everything, Survives::First, Survives::Some] {
                let left = drive.cut_by(&mut random, moment, survives);
                let revoked =
                    open(&left).unwrap_or_else(|error| panic!("{seed} {moment} {survives:?}: {error}"));
                for (_, ticket) in taken.iter().filter(|(at, _)| *at <= moment) {
                    assert!(revoked.is_void(ticket), "{seed} {moment} {survives:?}");
                }
                let next = revoked.stamp().unwrap();
                for (_, ticket) in given.iter().filter(|(at, _)| *at <= moment) {
                    assert!(ticket.issued < Some(next), "{seed} {moment} {survives:?}");
                }
                cuts += 1;
            }
        }
    }
    println!("{cuts} power cuts");
}

#[test]
fn what_cannot_be_written_is_void_all_the_same_and_the_next_one_writes_both() {
    for (write_error, sync_error) in [(libc::ENOSPC, 0), (0, libc::EIO)] {
        let drive = Drive::default();
        let revoked = open(&drive).unwrap();
        let (ann, bob) = (ticket("ann", revoked.stamp().unwrap()), ticket("bob", revoked.stamp().unwrap()));
        drive.write_error.store(write_error, SeqCst);
        drive.sync_error.store(sync_error, SeqCst);
        assert!(take_back(&revoked, "ann").unwrap_err().contains("failed to write"));
        assert!(revoked.is_void(&ann));
        drive.write_error.store(0, SeqCst);
        drive.sync_error.store(0, SeqCst);
        take_back(&revoked, "bob").unwrap();
        // Nothing but what is safe.
        let left = drive.cut(drive.log().len(), Survives::Nothing);
        let again = open(&left).unwrap();
        assert!(again.is_void(&ann) && again.is_void(&bob));
    }
}

#[test]
fn on_a_full_disk_a_start_knows_what_was_taken_back_and_gives_no_ticket() {
    let drive = Drive::default();
    let ann = {
        let revoked = open(&drive).unwrap();
        let ann = ticket("ann", revoked.stamp().unwrap());
        take_back(&revoked, "ann").unwrap();
        ann
    };
    drive.write_error.store(libc::ENOSPC, SeqCst);
    let revoked = open(&drive).unwrap();
    assert!(revoked.is_void(&ann) && revoked.stamp().is_err());
    drive.write_error.store(0, SeqCst);
    let bob = ticket("bob", revoked.stamp().unwrap());
    take_back(&revoked, "bob").unwrap();
    let again = open(&drive.cut(drive.log().len(), Survives::Nothing)).unwrap();
    assert!(again.is_void(&ann) && again.is_void(&bob));
}

#[test]
fn no_ticket_is_given_that_could_not_be_written_down() {
    let drive = Drive::default();
    let revoked = open(&drive).unwrap();
    drive.sync_error.store(libc::EIO, SeqCst);
    assert!(revoked.stamp().is_err());
    drive.sync_error.store(0, SeqCst);
    assert!(revoked.stamp().is_ok());
}
