//! A browser that reads all, stops, goes on, hangs up and comes back, and checks every byte that it gets.

use crate::direct::HEAD;
use crate::parser::{Parser, Seen};
use crate::world::{PATIENCE, World, data};
use std::collections::HashSet;
use std::io::{ErrorKind, Read};
use std::net::Shutdown;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How a connection ended.
enum Ended {
    /// The reader has all there will be, or hung up.
    ByReader,
    /// With the last chunk.
    Cleanly,
    /// By the server.
    Cut,
}

pub struct Reader {
    world: Arc<World>,
    random: fastrand::Rng,
    /// The number of the next event that is kept.
    next: usize,
    last_event_id: String,
    /// The newest ephemeral event or snapshot.
    now: usize,
    whispers: HashSet<usize>,
    /// How often it will still hang up.
    hang_ups: u8,
    /// When something new came last.
    came_at: Instant,
    /// Connections that the server cut although it stays.
    pub cut: u64,
}

impl Reader {
    pub fn new(world: Arc<World>, seed: u64) -> Reader {
        let mut random = fastrand::Rng::with_seed(seed);
        let (whispers, last_event_id) = (HashSet::new(), String::new());
        let (hang_ups, came_at) = (random.u8(0..4), Instant::now());
        Reader { world, random, next: 0, last_event_id, now: 0, whispers, hang_ups, came_at, cut: 0 }
    }

    /// Reads until it has everything or the server has ended, and says how often it was cut off.
    pub fn run(mut self) -> u64 {
        loop {
            match self.visit() {
                Ended::Cleanly => {
                    let told = self.world.drained_after().expect("only a drain ends a stream cleanly");
                    assert!(self.next >= told, "lost before a drain: {} of {told}", self.next);
                    return self.cut;
                }
                Ended::Cut if self.world.is_hung_up() => return self.cut,
                Ended::Cut => self.cut += 1,
                Ended::ByReader if self.has_all() && !self.world.will_end() => return self.cut,
                Ended::ByReader => {}
            }
        }
    }

    /// Whether nothing more will come.
    fn has_all(&self) -> bool {
        self.world.said().is_some_and(|(kept, now)| self.next == kept && self.now == now)
    }

    /// One connection.
    fn visit(&mut self) -> Ended {
        let mut socket = self.world.connect(&self.last_event_id);
        let mut body = Body::default();
        let mut half_closed = false;
        let mut bytes = vec![0; self.random.usize(50..3_000)];
        loop {
            if self.random.u8(..) < 8 {
                (0..self.random.u32(0..300)).for_each(|_| shuttle::thread::yield_now());
            }
            if self.random.u16(..) < 256 && self.hang_ups > 0 {
                self.hang_ups -= 1;
                if half_closed || self.random.bool() {
                    return Ended::ByReader;
                }
                half_closed = true;
                // It fails where the server has cut the connection.
                let _ = socket.shutdown(Shutdown::Write);
            }
            match socket.read(&mut bytes) {
                Ok(0) if body.has_ended => return Ended::Cleanly,
                Ok(0) if half_closed => return Ended::ByReader,
                Ok(0) => return Ended::Cut,
                Ok(count) => bytes[..count].iter().for_each(|&byte| self.take(&mut body, byte)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if self.has_all() && !self.world.will_end() {
                        return Ended::ByReader;
                    }
                    assert!(self.came_at.elapsed() < PATIENCE, "stuck: {}", self.state());
                    shuttle::thread::yield_now();
                    if self.random.u8(..) == 0 {
                        // The kernel's own clocks have to go on too.
                        std::thread::sleep(Duration::from_micros(50));
                    }
                }
                Err(_) if half_closed => return Ended::ByReader,
                Err(_) => return Ended::Cut,
            }
        }
    }

    fn state(&self) -> String {
        let (next, now, said) = (self.next, self.now, self.world.said());
        format!("a reader has {next} events and the state of {now}; said, if all is: {said:?}")
    }

    fn take(&mut self, body: &mut Body, byte: u8) {
        let Some(byte) = body.data(byte) else { return };
        let seen = body.parser.byte(byte);
        self.last_event_id.clone_from(&body.parser.last_event_id);
        let Some(Seen { event, data: seen, .. }) = seen else { return };
        let had = (self.next, self.now);
        let number: usize = seen.split(' ').next().and_then(|number| number.parse().ok()).expect("a number");
        assert!(seen == data(number), "mixed: event {number} has {} bytes", seen.len());
        match &*event {
            "message" => {
                assert_eq!(number, self.next, "lost, twice or out of order; {}", self.state());
                self.next += 1;
            }
            "whisper" => {
                assert!(self.whispers.insert(number), "{number} came twice");
                self.now = self.now.max(number);
            }
            "snapshot" => self.now = self.now.max(number),
            other => panic!("nobody says `{other}`"),
        }
        if had != (self.next, self.now) {
            self.came_at = Instant::now();
        }
    }
}

/// The body of an answer, byte by byte: chunks after a head, and nothing else.
#[derive(Default)]
struct Body {
    parser: Parser,
    head_bytes: usize,
    line: String,
    /// What is left of a chunk with its line end; none while its size is read.
    left: Option<usize>,
    is_last: bool,
    has_ended: bool,
}

impl Body {
    /// The byte, if it is of the stream.
    fn data(&mut self, byte: u8) -> Option<u8> {
        assert!(!self.has_ended, "bytes after the end");
        if let Some(&wanted) = HEAD.get(self.head_bytes) {
            assert_eq!(byte, wanted, "mixed into the head");
            self.head_bytes += 1;
            return None;
        }
        match &mut self.left {
            Some(left @ 1..) => {
                *left -= 1;
                match *left {
                    2.. => return Some(byte),
                    1 => assert_eq!(byte, b'\r', "mixed into a chunk"),
                    _ => {
                        assert_eq!(byte, b'\n', "mixed into a chunk");
                        (self.left, self.has_ended) = (None, self.is_last);
                    }
                }
            }
            _ => {
                self.line.push(char::from(byte));
                if let Some(size) = self.line.strip_suffix("\r\n") {
                    let size = usize::from_str_radix(size, 16).expect("the size of a chunk");
                    // The last chunk has no data, and its line end is the body's.
                    self.is_last = size == 0;
                    self.left = Some(size + 2);
                    self.line.clear();
                }
                assert!(self.line.len() < 8, "no size of a chunk: {}", self.line);
            }
        }
        None
    }
}
