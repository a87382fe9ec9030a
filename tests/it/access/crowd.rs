//! Taking back under load: a thousand streams with tickets, a steady flow of events, and a hundred at a time that lose their
//! right. They are told at once; the others lose nothing, are sent nothing twice, and wait for nothing.

use super::jwt::write;
use super::tickets::{bearer, folder};
use crate::support::{PATIENCE, Parser, Program, Raw, Seen, get, request, said, status};
use callout::access::moment::Moment;
use callout::access::ticket::TicketDraft;
use callout::{Key, TicketKeys};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::Range;
use std::time::{Duration, Instant};

const STREAMS: usize = 1_000;

/// From one event to the next.
const PACE: Duration = Duration::from_millis(50);

/// How long a stream may go on that has lost its right, and how old an event may be when it comes. Usually it is some
/// milliseconds; a machine that does much else at the same time takes longer. A stream that nobody tells would end no
/// earlier than its ticket, long after the test.
const AT_ONCE: Duration = Duration::from_secs(5);

/// How long the tickets of the last hundred are valid.
const SHORT: Duration = Duration::from_secs(8);

const BEFORE: &str = r#"
[[allow]]
anonymous = true
subscribe = ["news"]

[[allow]]
signed_in = true
subscribe = ["members"]

[[token]]
name = "wall"
hash = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
may = ["tickets"]

[[token]]
name = "shop"
secret_file = "shop.token"
publish = ["*"]
may = ["tickets"]

[tickets]
key_files = ["ticket.key"]
"#;

/// One of the streams. HTTP/1.0 has no chunks, so that each byte behind the head belongs to an event.
struct Member {
    path: String,
    socket: TcpStream,
    head: Vec<u8>,
    parser: Parser,
    /// The number of the event that comes next.
    next: usize,
    last_id: String,
    /// When it was told that it has lost its right, and why.
    lost: Option<(Instant, Value)>,
    has_ended: bool,
}

impl Member {
    fn open(address: SocketAddr, topics: &str, ticket: &str) -> Member {
        let path = format!("/topics?{topics}&ticket={ticket}");
        let mut socket = TcpStream::connect(address).unwrap();
        write!(socket, "GET {path} HTTP/1.0\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n")
            .unwrap();
        socket.set_nonblocking(true).unwrap();
        let (head, parser, last_id) = (Vec::new(), Parser::default(), String::new());
        Member { path, socket, head, parser, next: 0, last_id, lost: None, has_ended: false }
    }

    /// Whether its opening has come, after which it misses nothing.
    fn is_open(&self) -> bool {
        !self.parser.last_event_id.is_empty()
    }

    /// Reads what is there.
    fn read(&mut self, sent: &[Instant], room: &mut [u8]) {
        while !self.has_ended {
            let bytes = match self.socket.read(room) {
                Ok(0) => return self.has_ended = true,
                Ok(bytes) => bytes,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => panic!("{}: {error}", self.path),
            };
            for &byte in &room[..bytes] {
                if !self.head.ends_with(b"\r\n\r\n") {
                    self.head.push(byte);
                } else if let Some(seen) = self.parser.byte(byte) {
                    self.take(&seen, sent);
                }
            }
        }
    }

    fn take(&mut self, seen: &Seen, sent: &[Instant]) {
        assert!(self.lost.is_none(), "{seen:?} behind the end");
        if seen.event == "unauthorized" {
            self.lost = Some((Instant::now(), seen.json()));
            return;
        }
        assert_eq!((&*seen.event, &*seen.data), ("message", &*self.next.to_string()), "lost or doubled");
        assert!(seen.id > self.last_id, "ids only grow");
        let age = sent[self.next].elapsed();
        assert!(age < AT_ONCE, "{} had to wait for {age:?}", self.path);
        self.last_id.clone_from(&seen.id);
        self.next += 1;
    }
}

/// All streams, and who publishes.
struct Crowd {
    members: Vec<Member>,
    publisher: Raw,
    /// When each event was sent.
    sent: Vec<Instant>,
    room: Vec<u8>,
}

impl Crowd {
    /// Publishes if it is time, and reads what has come.
    fn turn(&mut self) {
        if self.sent.last().is_none_or(|last| last.elapsed() >= PACE) {
            let data = self.sent.len().to_string();
            self.sent.push(Instant::now());
            self.publisher.send(format!(
                "POST /topics/news HTTP/1.1\r\nHost: localhost\r\n{}\r\nContent-Length: {}\r\n\r\n{data}",
                bearer("secret-of-shop"),
                data.len()
            ));
            assert_eq!(self.publisher.answer().status, 200);
        }
        self.read();
    }

    fn read(&mut self) {
        self.members.iter_mut().for_each(|member| member.read(&self.sent, &mut self.room));
    }

    /// Goes on until these have been told that they have lost their right, and have ended; nobody else has. `wanted` is the
    /// reason, and the status of whoever comes back.
    fn lose(
        &mut self,
        address: SocketAddr,
        what: &str,
        which: Range<usize>,
        since: Instant,
        wanted: (&str, u16),
    ) {
        while !self.members[which.clone()].iter().all(|member| member.has_ended) {
            assert!(since.elapsed() < AT_ONCE, "{what}: some of them go on");
            self.turn();
        }
        let slowest = self.members[which.clone()].iter().map(|member| {
            let (at, told) = member.lost.as_ref().expect("it was told before it ended");
            assert!(told["reason"].as_str().unwrap().contains(wanted.0), "{what}: {told}");
            at.saturating_duration_since(since)
        });
        println!("{what}: the last of {} was told after {:?}", which.len(), slowest.max().unwrap());
        for member in &self.members[which.clone()] {
            let again = get(address, &member.path);
            assert_eq!(again.status, wanted.1, "{what}: {again:?}");
            assert!(said(&again).contains(wanted.0), "{what}: {}", said(&again));
        }
        // Whoever comes back is told a time of its own.
        let retries: HashSet<u64> =
            self.members[which.clone()].iter().filter_map(|member| member.parser.retry_millis).collect();
        assert!(retries.len() > which.len() / 2, "{what}: {retries:?}");
        assert!(retries.iter().all(|millis| (500..=3_000).contains(millis)), "{what}: {retries:?}");
        let disturbed =
            self.members[which.end..].iter().filter(|member| member.has_ended || member.lost.is_some());
        assert_eq!(disturbed.count(), 0, "{what}: of the others all go on");
    }
}

#[test]
fn a_hundred_of_a_thousand_streams_end_at_once_and_the_others_miss_double_and_wait_for_nothing() {
    let folder = folder("crowd");
    let config = folder.join("callout.toml");
    write(&folder, "callout.toml", BEFORE);
    let program = Program::serve(&["--config", config.to_str().unwrap(), "--streams", "1100"]);
    let address = program.address;
    let keys = TicketKeys::new(vec![Key::new(b"0123456789abcdef0123456789abcdef").unwrap()]);
    let issued = Moment::now();
    let ticket = |user: String, by: &str, lasts: Duration| {
        let expires = Moment::now().after(lasts);
        let by = Some(by.to_owned());
        keys.sign(&TicketDraft { user, issued, expires, by, ..TicketDraft::default() }).unwrap()
    };
    let mut tickets = Vec::new();
    let mut crowd = Crowd {
        members: Vec::new(),
        publisher: Raw::connect(address),
        sent: Vec::new(),
        room: vec![0; 64 * 1024],
    };
    let short_ends = Instant::now() + SHORT;
    let long = Duration::from_secs(3_600);
    for index in 0..STREAMS {
        let given = match index / 100 {
            0 => ticket(format!("u{}", index % 5), "shop", long),
            2 => ticket(format!("v{index}"), "wall", long),
            3 => ticket(format!("v{index}"), "shop", short_ends.saturating_duration_since(Instant::now())),
            _ => ticket(format!("v{index}"), "shop", long),
        };
        let topics = if index / 100 == 1 { "topic=news&topic=members" } else { "topic=news" };
        crowd.members.push(Member::open(address, topics, &given));
        tickets.push(given);
        // The sockets that wait to be accepted are bounded.
        let give_up = Instant::now() + PATIENCE;
        while crowd.members.iter().rev().take(100).filter(|member| !member.is_open()).count() > 50 {
            assert!(Instant::now() < give_up, "streams do not open");
            crowd.read();
        }
    }
    let give_up = Instant::now() + PATIENCE;
    while let Some(closed) = crowd.members.iter().find(|member| !member.is_open()) {
        assert!(Instant::now() < give_up, "{}", String::from_utf8_lossy(&closed.head));
        crowd.read();
    }
    assert!(crowd.members.iter().all(|member| status(&String::from_utf8_lossy(&member.head)) == 200));
    (0..10).for_each(|_| crowd.turn());

    // Five users with twenty streams each, of which those of the last are taken back ticket by ticket.
    let since = Instant::now();
    let users = (0..4).map(|user| json!({ "user": format!("u{user}") }));
    let own = (4..100).step_by(5).map(|index| json!({ "ticket": tickets[index] }));
    for what in users.chain(own) {
        let head = format!("POST /revoke HTTP/1.1\r\n{}", bearer("secret-of-shop"));
        assert_eq!(request(address, &head, what.to_string()).status, 200);
        crowd.turn();
    }
    crowd.lose(address, "taken back", 0..100, since, ("the ticket was taken back", 401));

    // A rule goes from the file.
    let without_rule = BEFORE.replace("subscribe = [\"members\"]", "");
    write(&folder, "callout.toml", &without_rule);
    let since = Instant::now();
    program.signal("HUP");
    crowd.lose(address, "by a rule that is gone", 100..200, since, ("does not cover `members`", 403));

    // A token goes, and with it the tickets that it asked for.
    let at = without_rule.find("[[token]]").unwrap();
    let until = without_rule.rfind("[[token]]").unwrap();
    write(&folder, "callout.toml", &[&without_rule[..at], &without_rule[until..]].concat());
    let since = Instant::now();
    program.signal("HUP");
    crowd.lose(address, "by a token that is gone", 200..300, since, ("the ticket was taken back", 401));

    // Tickets end.
    while Instant::now() + Duration::from_millis(200) < short_ends {
        crowd.turn();
    }
    assert!(crowd.members[300..400].iter().all(|member| member.lost.is_none()), "none ends before its time");
    let since = short_ends.max(Instant::now());
    crowd.lose(address, "ended", 300..400, since, ("the ticket ended at", 401));

    // All others have every event.
    let (events, give_up) = (crowd.sent.len(), Instant::now() + PATIENCE);
    while crowd.members[400..].iter().any(|member| member.next < events) {
        assert!(Instant::now() < give_up, "events are missing");
        crowd.read();
    }
    println!("{events} events to each of the others");
    std::fs::remove_dir_all(folder).unwrap();
}
