//! Crowds: hundreds (`CROWD=5000`: thousands) who are slow in each of the ways that there are. Whoever is not is served at
//! once, every deadline is kept, and the threads stay within their bound.

use crate::disk::Folder;
use crate::support::witness::AT_ONCE;
use crate::support::{Browser, PATIENCE, Program, Raw, get, narrow_socket, publish, status, until};
use std::collections::HashSet;
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// How many of each kind in `cargo test`.
const CROWD: usize = 500;

/// The threads of requests and streams, and those of the hub, the listener and the pages.
const THREADS_MAX: usize = 256;
const OTHER_THREADS: usize = 16;

/// The deadlines of the program as it is started here, and the least pause after which a test believes in one: the clocks
/// of both sides do not begin at the same moment.
const HEAD_DEADLINE: Duration = Duration::from_secs(10);
const IDLE_DEADLINE: Duration = Duration::from_secs(10);
const WRITE_DEADLINE: Duration = Duration::from_secs(30);
const EARLY: Duration = Duration::from_millis(500);

/// How often those who are slow send a byte.
const DRIP: Duration = Duration::from_secs(1);

/// Less than the kernel takes at once, and more.
const SMALL_FILE_BYTES: usize = 15_000;
const LARGE_FILE_BYTES: usize = 2_000_000;

fn crowd() -> usize {
    std::env::var("CROWD").map_or(CROWD, |crowd| crowd.parse().expect("a number"))
}

/// The ways to be slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Sends its head byte by byte.
    Head,
    /// Sends its body byte by byte.
    Body,
    /// Does not read a large answer.
    LargeAnswer,
    /// Does not read many small answers.
    SmallAnswers,
    /// Does not read its replay.
    Replay,
    /// Says nothing after its request.
    Idle,
}

use Kind::{Body, Head, Idle, LargeAnswer, Replay, SmallAnswers};

impl Kind {
    /// After which time without progress it is cut off.
    fn deadline(self) -> Duration {
        match self {
            Head | Body => HEAD_DEADLINE,
            Idle => IDLE_DEADLINE,
            LargeAnswer | SmallAnswers | Replay => WRITE_DEADLINE,
        }
    }

    fn request(self) -> String {
        let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        match self {
            Head => "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: ".into(),
            Body => {
                "POST /topics/attacked HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n".into()
            }
            LargeAnswer => get("/large.bin"),
            SmallAnswers => get("/small.bin").repeat(100),
            Replay => {
                get("/topics/replayed?last_event_id=earliest").replace("\r\n\r\n", "\r\nAccept: */*\r\n\r\n")
            }
            Idle => get("/healthz/live"),
        }
    }
}

/// Somebody who is slow.
struct Slow {
    kind: Kind,
    socket: TcpStream,
    since: Instant,
}

impl Slow {
    fn begin(address: SocketAddr, kind: Kind) -> Slow {
        let mut raw = Raw::over(narrow_socket(address));
        let since = Instant::now();
        raw.send(kind.request());
        if kind == Idle {
            assert_eq!(raw.answer().status, 200);
        }
        let socket = raw.reader.into_inner();
        socket.set_nonblocking(true).unwrap();
        Slow { kind, socket, since }
    }

    fn drip(&mut self) {
        if matches!(self.kind, Head | Body) {
            // It may have been refused by now.
            let _ = self.socket.write(b"x");
        }
    }

    /// What it was told, once its connection is over: a status, or nothing. The server's own side of it is looked at where
    /// the other side is full: then it hears of its end only when it reads.
    fn end(&self, established: &HashSet<u16>) -> Option<Option<u16>> {
        let mut line = [0; 12];
        let peeked = self.socket.peek(&mut line);
        let told = || status(&String::from_utf8_lossy(&line));
        match (self.kind, peeked) {
            (Head | Body, Ok(1..)) => Some(Some(told())),
            (LargeAnswer, Ok(12)) if told() == 503 => Some(Some(503)),
            _ => {
                let port = self.socket.local_addr().unwrap().port();
                (!established.contains(&port)).then_some(None)
            }
        }
    }
}

/// The other sides' ports of the connections that a server has.
fn established(server: SocketAddr) -> HashSet<u16> {
    let table = fs::read_to_string("/proc/net/tcp").expect("Linux");
    let port =
        |address: &str| address.split_once(':').and_then(|(_, port)| u16::from_str_radix(port, 16).ok());
    let rows = table.lines().map(|row| row.split_whitespace().collect::<Vec<_>>());
    // 01 is a connection that is established.
    let own = rows.filter(|row| row[3] == "01" && port(row[1]) == Some(server.port()));
    own.filter_map(|row| port(row[2])).collect()
}

/// Whoever is not slow: how long each publication and each answer took.
struct Quick {
    program: Program,
    witness: Browser,
    took: Vec<Duration>,
    threads: usize,
}

impl Quick {
    fn start(flags: &[&str]) -> Quick {
        let program = Program::serve(&[&["--log", "warn"], flags].concat());
        let witness = Browser::open(program.address, "/topics/witness");
        Quick { program, witness, took: Vec::new(), threads: 0 }
    }

    /// Fails unless a newcomer is answered and a publication arrives at once, with no more threads than there may be.
    fn look(&mut self) {
        let address = self.program.address;
        let began = Instant::now();
        assert_eq!(get(address, "/healthz").status, 200);
        let asked = began.elapsed();
        let id = publish(address, "/topics/witness", "x");
        assert_eq!(self.witness.next().id, id);
        let said = began.elapsed() - asked;
        assert!(asked.max(said) < AT_ONCE, "an answer after {asked:?}, an event after {said:?}");
        self.took.extend([asked, said]);
        let pid = self.program.child.id();
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("it runs").count();
        self.threads = self.threads.max(tasks);
        assert!(tasks <= THREADS_MAX + OTHER_THREADS, "{tasks} threads");
    }

    fn tell(&mut self, what: &str) {
        self.took.sort_unstable();
        let (median, longest) = (self.took[self.took.len() / 2], self.took[self.took.len() - 1]);
        println!("{what}: served in {median:.1?}, at most {longest:.1?}; {} threads at most", self.threads);
        (self.took, self.threads) = (Vec::new(), 0);
    }
}

/// Has so many of each of these kinds be slow at once, until each has met its deadline.
fn be_slow(quick: &mut Quick, kinds: &[Kind], count: usize) {
    let address = quick.program.address;
    let mut slow = Vec::new();
    for number in 0..count {
        slow.extend(kinds.iter().map(|&kind| Slow::begin(address, kind)));
        if number % 100 == 0 {
            quick.look();
        }
    }
    let mut dripped = Instant::now();
    let mut refused = 0;
    while !slow.is_empty() {
        quick.look();
        if dripped.elapsed() >= DRIP {
            slow.iter_mut().for_each(Slow::drip);
            dripped = Instant::now();
        }
        let established = established(address);
        slow.retain(|slow| {
            let (kind, waited) = (slow.kind, slow.since.elapsed());
            let Some(told) = slow.end(&established) else {
                assert!(waited < kind.deadline() + PATIENCE, "{kind:?} is still there after {waited:?}");
                return true;
            };
            match (kind, told) {
                // Others have what all may have together.
                (LargeAnswer, Some(503)) => refused += 1,
                (Head | Body, Some(408)) | (LargeAnswer | SmallAnswers | Replay | Idle, None) => {
                    assert!(waited > kind.deadline() - EARLY, "{kind:?} was cut off after {waited:?}");
                }
                other => panic!("it was told {other:?}"),
            }
            false
        });
        // So that the looks do not take the processor from those who are looked at.
        std::thread::sleep(Duration::from_millis(20));
    }
    if kinds.contains(&LargeAnswer) {
        assert!(refused > 0 && refused < count, "{refused} of {count} large answers were refused");
    }
    quick.tell(&format!("{count} of {kinds:?}"));
}

#[test]
fn crowds_that_are_slow_in_any_way_meet_their_deadlines_and_everybody_else_is_served_at_once() {
    let folder = Folder::new();
    fs::create_dir(folder.path()).unwrap();
    fs::write(folder.path().join("large.bin"), vec![b'x'; LARGE_FILE_BYTES]).unwrap();
    fs::write(folder.path().join("small.bin"), vec![b'x'; SMALL_FILE_BYTES]).unwrap();
    let mut quick = Quick::start(&["--www", folder.text(), "--idle", "10s"]);
    for _ in 0..200 {
        publish(quick.program.address, "/topics/replayed", "x".repeat(8_000));
    }
    let kinds = [Head, Body, LargeAnswer, SmallAnswers, Replay, Idle];
    // All at once, as far as this process may have descriptors.
    let at_once = if crowd() > CROWD { 1 } else { kinds.len() };
    kinds.chunks(at_once).for_each(|kinds| be_slow(&mut quick, kinds, crowd()));
}

#[test]
fn idle_streams_take_no_threads_and_get_their_heartbeats_and_events_and_neither_do_they_when_all_are_behind()
{
    let mut quick = Quick::start(&["--heartbeat", "2s"]);
    let address = quick.program.address;
    let open = |_| Browser::open_on(Raw::over(narrow_socket(address)), "/topics/idle", "");
    let mut streams: Vec<Browser> = (0..crowd()).map(open).collect();
    quick.look();
    streams.iter_mut().for_each(Browser::next_comment);
    quick.look();
    let id = publish(address, "/topics/idle", "to all");
    streams.iter_mut().for_each(|stream| assert_eq!(stream.next().id, id));
    (0..5).for_each(|_| quick.look());
    quick.tell(&format!("{} idle streams", crowd()));
    // Twice as much as their sockets take, and less than makes them go.
    for _ in 0..10 {
        publish(address, "/topics/idle", "x".repeat(40_000));
        quick.look();
    }
    quick.tell(&format!("{} streams that are behind", crowd()));
}

/// The events of a stall: more than the queue of one who does not read.
const EVENTS: usize = 400;
/// After so many of them some read again. It is more than a socket takes, and less than a queue.
const STALL_EVENTS: usize = 100;
/// After so many of them those who read have to have them.
const STEP: usize = 5;

/// The length of `id: …`, `data: …` and what ends them.
const EVENT_BYTES: usize = 21 + 6 + DATA_BYTES + 2;
const DATA_BYTES: usize = 4_000;

fn numbered(number: usize) -> String {
    format!("{number:08} {}", "x".repeat(DATA_BYTES - 9))
}

/// Whoever reads in blocks, and checks that each event is the next one.
struct Reader {
    address: SocketAddr,
    socket: TcpStream,
    /// Of the answer: the rest of its head, of a chunk's size or of an event.
    text: Vec<u8>,
    body: Vec<u8>,
    is_head_read: bool,
    is_open: bool,
    chunk_bytes: usize,
    next: usize,
    last_event_id: String,
    /// How often it came back.
    returns: usize,
}

impl Reader {
    fn open(address: SocketAddr, socket: TcpStream) -> Reader {
        let mut reader = Reader {
            address,
            socket,
            text: Vec::new(),
            body: Vec::new(),
            is_head_read: false,
            is_open: false,
            chunk_bytes: 0,
            next: 0,
            last_event_id: String::new(),
            returns: 0,
        };
        reader.ask();
        until("the stream has opened", || {
            reader.read();
            reader.is_open
        });
        reader
    }

    fn ask(&mut self) {
        let id = if self.returns == 0 {
            String::new()
        } else {
            format!("Last-Event-ID: {}\r\n", self.last_event_id)
        };
        let head = format!("GET /topics/stalled HTTP/1.1\r\nHost: localhost\r\n{id}Accept: */*\r\n\r\n");
        self.socket.write_all(head.as_bytes()).unwrap();
        self.socket.set_nonblocking(true).unwrap();
    }

    fn come_back(&mut self) {
        let socket = TcpStream::connect(self.address).expect("the server listens");
        (self.socket, self.text, self.body) = (socket, Vec::new(), Vec::new());
        (self.is_head_read, self.is_open, self.chunk_bytes) = (false, false, 0);
        self.returns += 1;
        self.ask();
    }

    /// Reads what there is, and comes back where it was cut off.
    fn read(&mut self) {
        let mut bytes = [0; 16 * 1024];
        loop {
            match self.socket.read(&mut bytes) {
                Ok(count @ 1..) => self.take(&bytes[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                _ => self.come_back(),
            }
        }
    }

    fn take(&mut self, mut bytes: &[u8]) {
        while let Some((&first, rest)) = bytes.split_first() {
            if self.chunk_bytes > 0 {
                let (data, rest) = bytes.split_at(self.chunk_bytes.min(bytes.len()));
                self.chunk_bytes -= data.len();
                self.body.extend_from_slice(data);
                self.check();
                bytes = rest;
                continue;
            }
            self.text.push(first);
            bytes = rest;
            if !self.is_head_read {
                if self.text.ends_with(b"\r\n\r\n") {
                    assert!(self.text.starts_with(b"HTTP/1.1 200 "), "{:?}", str::from_utf8(&self.text));
                    (self.is_head_read, self.text) = (true, Vec::new());
                }
            } else if self.text.len() > 2 && self.text.ends_with(b"\r\n") {
                // The line end of the chunk before stands first.
                let size = str::from_utf8(&self.text).expect("a size").trim();
                self.chunk_bytes = usize::from_str_radix(size, 16).expect("a size");
                self.text.clear();
            }
        }
    }

    fn check(&mut self) {
        if !self.is_open {
            let Some(end) = self.body.windows(2).position(|end| end == b"\n\n") else { return };
            let opening: Vec<u8> = self.body.drain(..end + 2).collect();
            let opening = String::from_utf8(opening).expect("text");
            let id = opening.lines().find_map(|line| line.strip_prefix("id: "));
            (self.is_open, self.last_event_id) = (true, id.expect("an id").into());
        }
        while self.body.len() >= EVENT_BYTES {
            let event: Vec<u8> = self.body.drain(..EVENT_BYTES).collect();
            let event = String::from_utf8(event).expect("text");
            let wanted = format!("\ndata: {}\n\n", numbered(self.next));
            let id = event.strip_prefix("id: ").and_then(|event| event.strip_suffix(&wanted));
            let id = id.unwrap_or_else(|| panic!("event {} is {:?}", self.next, &event[..60]));
            (self.last_event_id, self.next) = (id.into(), self.next + 1);
        }
    }
}

#[test]
fn when_many_stop_reading_those_who_read_get_everything_and_the_others_lose_nothing() {
    let mut quick = Quick::start(&["--heartbeat", "1h"]);
    let address = quick.program.address;
    let open = |count, narrow: bool| -> Vec<Reader> {
        let connect = || TcpStream::connect(address).expect("the server listens");
        let socket = || if narrow { narrow_socket(address) } else { connect() };
        (0..count).map(|_| Reader::open(address, socket())).collect()
    };
    let part = crowd() / 16;
    let (mut reading, mut pausing, mut gone) = (open(2 * part, false), open(part, true), open(part, true));
    let mut publisher = Raw::connect(address);
    for number in 0..EVENTS {
        let head = "POST /topics/stalled HTTP/1.1\r\nHost: localhost";
        publisher.send(format!("{head}\r\nContent-Length: {DATA_BYTES}\r\n\r\n{}", numbered(number)));
        assert_eq!(publisher.answer().status, 200);
        if number % STEP == STEP - 1 {
            until("those who read have everything", || {
                reading.iter_mut().for_each(Reader::read);
                reading.iter().all(|reader| reader.next > number)
            });
            quick.look();
        }
        if number == STALL_EVENTS {
            until("those who paused have everything", || {
                pausing.iter_mut().for_each(Reader::read);
                pausing.iter().all(|reader| reader.next > number)
            });
            reading.append(&mut pausing);
        }
    }
    until("everybody has everything", || {
        gone.iter_mut().for_each(Reader::read);
        gone.iter().all(|reader| reader.next == EVENTS)
    });
    let returns = |readers: &[Reader]| readers.iter().filter(|reader| reader.returns > 0).count();
    let (reading, gone) = (returns(&reading[..2 * part]), returns(&gone));
    assert_eq!((reading, gone), (0, part), "who reads stays, and who does not comes back");
    quick.tell(&format!("{} streams, of which half stop reading", 4 * part));
}
