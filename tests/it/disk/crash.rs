//! Thousands of lives of a history, each of which ends with power cuts: what was acknowledged is there, in its order and
//! once, nothing else is, and no id comes a second time. Each life has a seed, with which it can be had again.

use super::{draft, everything, rounds, start, topics};
use crate::support::PATIENCE;
use crate::support::drive::{Drive, Survives};
use callout::history::log::Log;
use callout::history::{Bounds, Durability, History};
use fastrand::Rng;
use std::collections::HashMap;
use std::time::Instant;

/// Lives for each round of killing, so `make test-kill` has thousands; `CRASH_SEED` begins with a certain one.
const LIVES_EACH: u64 = 20;

/// Power cuts in a life, and the most that is done before each.
const CUTS: usize = 3;
const ACTS: usize = 24;

/// So few that events are let go, and so large that the log has several parts.
const KEEP_EVENTS: usize = 20;
const EVENT_BYTES: usize = 12_000;

const TOPICS: [&str; 2] = ["a", "b"];

/// What publishers were told, and when.
#[derive(Default)]
struct Told {
    /// Data and id of each event, and how many entries the drive's log had when it was acknowledged.
    events: Vec<(String, String, usize)>,
    /// Events that were taken back, by their data.
    retracted: Vec<(String, usize)>,
    /// All ids that were ever told, whatever became of their events; and when, as above.
    ids: HashMap<String, usize>,
    next: usize,
    /// How many events that tell of retractions were there after the last cut.
    telling: usize,
}

#[test]
fn in_thousands_of_lives_with_power_cuts_nothing_acknowledged_is_lost_or_comes_twice() {
    let first = std::env::var("CRASH_SEED").ok().map(|seed| seed.parse().expect("a number"));
    let (first, began) = (first.unwrap_or_else(|| fastrand::u64(..1 << 40)), Instant::now());
    let lives = LIVES_EACH * rounds() as u64;
    for seed in first..first + lives {
        // The output of a test that fails is shown.
        println!("CRASH_SEED={seed}");
        live(&mut Rng::with_seed(seed));
    }
    println!("{lives} lives in {:?}", began.elapsed());
}

fn live(random: &mut Rng) {
    let durability = if random.bool() { Durability::Strict } else { Durability::Relaxed };
    let mut bounds = Bounds::default();
    (bounds.events_max, bounds.reserve_events) = (KEEP_EVENTS, random.usize(..3));
    let (mut drive, mut told) = (Drive::default(), Told::default());
    for _ in 0..CUTS {
        let log = start(drive.opener(), bounds.clone(), durability);
        for _ in 0..random.usize(1..=ACTS) {
            act(random, &drive, &log, &mut told);
        }
        if random.u8(..3) == 0 {
            log.close(PATIENCE);
        }
        drop(log);
        let all = [Survives::Nothing, Survives::Everything, Survives::First, Survives::Some];
        let moment = random.usize(..=drive.log().len());
        let survives = *random.choice(&all).expect("there are four");
        let left = drive.cut_by(random, moment, survives);
        check(&left, &bounds, durability, &mut told, moment);
        // What is on disk now was before the next cut.
        let moment = left.log().len();
        drive = left.cut_by(random, moment, Survives::Everything);
    }
}

fn act(random: &mut Rng, drive: &Drive, log: &Log, told: &mut Told) {
    let topic = TOPICS[random.usize(..2)];
    if random.u8(..6) == 0
        && let Some((data, id, _)) = random.choice(&told.events)
        && log.retract(&topics(&[topic])[0], Some(id)).is_ok()
    {
        told.retracted.push((data.clone(), drive.log().len()));
        return;
    }
    let data = format!("{:06} {}", told.next, "x".repeat(random.usize(..EVENT_BYTES)));
    told.next += 1;
    let id = log.publish(draft(&[topic], None, &data)).expect("it is kept").id;
    let moment = drive.log().len();
    assert!(told.ids.insert(id.clone(), moment).is_none(), "{id} was given before");
    told.events.push((data, id, moment));
}

/// Checks what is there after a power cut at this moment, and forgets what was lost with it.
fn check(left: &Drive, bounds: &Bounds, durability: Durability, told: &mut Told, moment: usize) {
    // What was told after this moment never was.
    told.ids.retain(|_, at| *at <= moment);
    let log = start(left.opener(), bounds.clone(), durability);
    let kept = everything(&log, &TOPICS);
    assert!(kept.is_sorted_by(|(a, _), (b, _)| a < b) && kept.len() <= bounds.events_max);
    let events: Vec<_> = kept.iter().filter(|(_, seen)| seen.event == "message").collect();
    let is_there = |data: &str| events.iter().any(|(_, seen)| seen.data == *data);
    for (id, seen) in &events {
        let is_known = told.events.iter().any(|(data, known, _)| (data, known) == (&seen.data, &seen.id));
        assert!(is_known && *id.to_string() == seen.id, "{:.6} was never published so", seen.data);
    }
    // What was acknowledged before is there, unless newer ones took its place.
    let before: Vec<_> = told.events.iter().filter(|(.., at)| *at <= moment).collect();
    let retracted = |data: &str| told.retracted.iter().any(|(of, _)| of == data);
    // Events that tell of retractions take places too, and so does the reserve.
    let taken = told.telling + told.retracted.len() + bounds.events_max / 4;
    let newest = before.iter().rev().take(bounds.events_max.saturating_sub(taken));
    let newest: Vec<_> = newest.rev().filter(|(data, ..)| !retracted(data)).collect();
    let missing = newest.iter().position(|(data, ..)| !is_there(data));
    match (durability, missing) {
        (Durability::Strict, Some(missing)) => panic!("{:.6} is missing", newest[missing].0),
        // The end may be missing, nothing before it.
        (_, Some(missing)) => {
            let behind = newest[missing..].iter().find(|(data, ..)| is_there(data));
            assert!(behind.is_none(), "{:.6} is missing before {:.6?}", newest[missing].0, behind);
        }
        _ => {}
    }
    for (data, at) in &told.retracted {
        let must_be_gone = *at <= moment && durability == Durability::Strict;
        assert!(!must_be_gone || !is_there(data), "{data:.6} is there although it was retracted");
    }
    let data = format!("{:06} next", told.next);
    told.next += 1;
    let next = log.publish(draft(&["a"], None, &data)).expect("it goes on").id;
    assert!(told.ids.keys().all(|id| *id < next), "{next} may have been given before");
    told.ids.values_mut().for_each(|at| *at = 0);
    told.ids.insert(next, 0);
    let all = everything(&log, &TOPICS);
    assert_eq!(all.last().map(|(_, seen)| &seen.data), Some(&data));
    assert_eq!(log.status().events, all.len());
    log.close(PATIENCE);
    told.telling = all.iter().filter(|(_, seen)| seen.event == "retract").count();
    // From here on what is there is what counts.
    told.events = all
        .into_iter()
        .filter(|(_, seen)| seen.event == "message")
        .map(|(_, seen)| (seen.data, seen.id, 0))
        .collect();
    told.retracted.clear();
}
