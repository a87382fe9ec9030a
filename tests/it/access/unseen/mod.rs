//! What may not be read is never delivered: one generator of rules, identities, topics and publications against a real
//! server. Each secret is a text that occurs nowhere else, and is looked for in every byte that somebody receives who may
//! not know it.

mod asks; // all that may be asked for
mod identity; // who may what, said a second time
mod world; // a server with random rules, and what is published

use crate::support::{Raw, joined, status};
use asks::head_of;
use identity::{Identity, matches, random_rules, with_rules};
use std::io::Read;
use std::time::Duration;
use world::{Published, When, World, folder};

const SEEDS: u64 = 10;

const BEFORE: [When; 2] = [When::BeforeTheStreams, When::WithThem];

/// A stream that was opened: by whom, on which topics, and what was sent.
struct Open {
    who: usize,
    names: Vec<String>,
    sent: String,
    head: String,
    raw: Raw,
}

#[test]
fn what_may_not_be_read_reaches_nobody_by_any_way() {
    let (mut streams, mut refused, mut seen, mut ended) = (0, 0, 0, 0);
    for seed in 0..SEEDS {
        let mut world = World::new(seed);
        (0..15).for_each(|_| world.publish(When::BeforeTheStreams));
        world.retract();

        let mut open = Vec::new();
        for (index, who) in world.identities.clone().into_iter().enumerate() {
            for (head, body, names, allowed) in world.asked(&who) {
                let fields =
                    format!("Accept: text/event-stream\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                let sent = head_of(&who, &head) + &fields;
                let mut raw = Raw::connect(world.at);
                raw.send(&sent);
                let head = raw.head();
                let is_open = status(&head) == 200;
                assert_eq!(is_open, allowed, "seed {seed}: `{}`: {sent}: {head}", who.name);
                if is_open {
                    open.push(Open { who: index, names, sent, head, raw });
                    continue;
                }
                refused += 1;
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                let mut body = vec![0; length.unwrap().parse().unwrap()];
                raw.reader.read_exact(&mut body).unwrap();
                let came = [head.as_bytes(), &body].concat();
                world.secrets(&[(&who, &BEFORE)]).check(&who, &sent, &came, seed);
            }
        }
        joined(&world.server, open.len());
        streams += open.len();

        for _ in 0..12 {
            world.publish(When::WithThem);
            if world.random.u8(..4) == 0 {
                world.retract();
            }
        }
        for who in world.identities.clone() {
            world.question(&who);
        }

        // Other rules: some of the streams end, the others go on.
        let before = world.identities.clone();
        let rules = random_rules(&mut world.random);
        world.server.set_rules(&rules, None).unwrap();
        world.identities = with_rules(&world.people, &rules);
        let goes_on = |world: &World, stream: &Open| {
            stream.names.iter().all(|name| world.identities[stream.who].may_read(name))
        };
        joined(&world.server, open.iter().filter(|stream| goes_on(&world, stream)).count());
        (0..8).for_each(|_| world.publish(When::ByOtherRules));

        // The end of each stream comes behind all that it is sent.
        assert!(world.server.stop(Duration::from_secs(10)), "all streams have ended");
        for mut stream in open {
            let who = &before[stream.who];
            let goes_on = goes_on(&world, &stream);
            let body = without_chunks(&stream.raw.everything());
            let came = stream.head + &body;
            let now: (&Identity, &[When]) = (
                &world.identities[stream.who],
                if goes_on { &[When::WithThem, When::ByOtherRules] } else { &[] },
            );
            world.secrets(&[(who, &BEFORE), now]).check(who, &stream.sent, came.as_bytes(), seed);
            assert_eq!(body.contains("event: unauthorized"), !goes_on, "seed {seed}: {}: {body}", who.name);
            ended += usize::from(!goes_on);
            let is_on = |event: &&Published| {
                let is_asked = |topic: &String| stream.names.iter().any(|name| matches(name, topic));
                let is_due = event.when == When::WithThem || event.when == When::ByOtherRules && goes_on;
                is_due && event.topics.iter().any(is_asked)
            };
            for Published { secret, .. } in world.events.iter().filter(is_on) {
                assert!(body.contains(secret), "seed {seed}: {secret} is missing on {}: {body}", stream.sent);
                seen += 1;
            }
        }
        drop(world);
        _ = std::fs::remove_dir_all(folder(seed));
    }
    println!("{streams} streams, {refused} refused, {ended} ended, {seen} events that had to come");
    assert!(streams > 100 && refused > 100 && ended > 100 && seen > 100);
}

/// The body without the chunks' own lines, which could stand in the midst of a text.
fn without_chunks(mut rest: &str) -> String {
    let mut body = String::new();
    while let Some((size, behind)) = rest.split_once("\r\n") {
        let Ok(bytes @ 1..) = usize::from_str_radix(size, 16) else { break };
        body += &behind[..bytes];
        rest = behind[bytes..].trim_start_matches("\r\n");
    }
    body
}
