//! What the hostile cases share: bytes sent as they are, and a witness who sees whether the server
//! stayed calm.

use crate::support::{Browser, Program, Raw, get, post};
use callout::server::Server;
use std::collections::HashSet;
use std::fs;
use std::io::{BufRead, ErrorKind, Read};
use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

/// Shorter than any deadline of a server with the default limits: what takes longer has waited for one.
pub const AT_ONCE: Duration = Duration::from_secs(8);

/// The longest body that a server with the default limits takes.
pub const BODY_BYTES_MAX: usize = 64 * 1024;

/// The pause between two bytes that drip, and between two looks at what a server still holds.
const PAUSE: Duration = Duration::from_millis(20);

/// A request that would be answered and would publish, if it were taken for one.
pub const HIDDEN: &str = "POST /topics/attacked HTTP/1.1\r\nHost: test\r\nContent-Length: 8\r\n\r\nsmuggled";

/// A request that should publish nothing, with these header fields.
pub fn attack(fields: &str, body: &str) -> String {
    format!("POST /topics/attacked HTTP/1.1\r\nHost: test\r\n{fields}\r\n\r\n{body}")
}

/// The same with a body in chunks.
pub fn chunked(chunks: &str) -> String {
    attack("Transfer-Encoding: chunked", chunks)
}

/// What is sipped at once.
const SIP_BYTES: usize = 16 * 1024;

/// Sends these bytes and gives all that comes back until the server closes, which it has to do at once
/// although this side stays open.
pub fn exchange(address: SocketAddr, bytes: impl AsRef<[u8]>) -> String {
    let bytes = bytes.as_ref();
    println!("{:.200}", bytes.escape_ascii().to_string());
    let mut raw = Raw::connect(address);
    raw.socket().set_read_timeout(Some(AT_ONCE)).unwrap();
    raw.send(bytes);
    raw.everything()
}

/// How many responses there are in what came back.
pub fn responses(everything: &str) -> usize {
    let follows = everything.split("HTTP/1.1 ").skip(1);
    follows.filter(|rest| rest.starts_with(|first: char| first.is_ascii_digit())).count()
}

/// Sends one byte after the other with a pause in between, until the server answers or closes. Gives the
/// number of bytes sent; fails the test if the server takes them all.
pub fn drip(raw: &mut Raw, bytes: &[u8]) -> usize {
    for (sent, byte) in bytes.iter().enumerate() {
        raw.send([*byte]);
        raw.socket().set_read_timeout(Some(PAUSE)).unwrap();
        match raw.reader.fill_buf() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            _ => {
                raw.socket().set_read_timeout(Some(AT_ONCE)).unwrap();
                return sent;
            }
        }
    }
    panic!("the server went on taking bytes: {}", bytes.len());
}

/// Reads a little now and then, for so long as this holds. Fails the test if it never ends.
pub fn sip_while(raw: &mut Raw, holds: impl Fn() -> bool) {
    let until = Instant::now() + AT_ONCE;
    while holds() {
        assert!(Instant::now() < until, "whoever sips is served and served");
        // It may end while it is read, which is what is waited for.
        let _ = raw.reader.get_mut().read(&mut [0; SIP_BYTES]);
        std::thread::sleep(PAUSE);
    }
}

/// Whether `strace` is there to let system calls fail. Where CI runs everything, it has to be.
pub fn has_strace() -> bool {
    let is_there = Command::new("strace").arg("-V").output().is_ok_and(|output| output.status.success());
    assert!(is_there || std::env::var("CI").as_deref() != Ok("true"), "strace is not installed");
    if !is_there {
        println!("skipped: strace is not installed");
    }
    is_there
}

/// `callout serve` on a free port with these flags, with these options of strace around it.
pub fn under_strace(options: &[&str], flags: &[&str]) -> Program {
    let mut command = Command::new("strace");
    // -D: callout is the child, strace beside it, so that ending the child ends both.
    command.args(["-D", "-f", "-qq"]).args(options).arg(env!("CARGO_BIN_EXE_callout"));
    command.args(["serve", "--listen", "127.0.0.1:0"]).args(flags);
    Program::start(command)
}

/// A browser that was there before the hostile case. Its topics are `witness` and `attacked`: an event
/// on the latter, where the attackers publish, would be one that should not be.
pub struct Witness {
    address: SocketAddr,
    process: u32,
    browser: Browser,
    held: Held,
    streams: u64,
    /// How often it was asked.
    round: usize,
}

/// What the server holds: it has to be the same before and after.
#[derive(Debug, PartialEq, Eq)]
struct Held {
    descriptors: usize,
    /// None for a server in this process, whose threads cannot be told from those of others.
    threads: Option<usize>,
}

impl Witness {
    pub fn of_program(program: &Program) -> Witness {
        Witness::new(program.address, program.child.id())
    }

    pub fn of_server(server: &Server) -> Witness {
        Witness::new(server.address(), std::process::id())
    }

    fn new(address: SocketAddr, process: u32) -> Witness {
        let mut raw = Raw::connect(address);
        // The chat starts a thread when it is first asked for. Both requests go at once, for a server with a
        // short deadline closes a connection that is silent in between.
        let chat = "HEAD /sse?user=witness HTTP/1.1\r\nHost: test\r\n\r\n";
        raw.send(format!("{chat}GET /topics?topic=witness&topic=attacked HTTP/1.1\r\nHost: test\r\n\r\n"));
        raw.head();
        let browser = Browser::asked_on(raw);
        browser.raw.socket().set_read_timeout(Some(AT_ONCE)).unwrap();
        let held = Held::settled(address, process);
        Witness { address, process, browser, held, streams: streams(address), round: 0 }
    }

    /// What the witness receives next, which has to be there at once.
    pub fn next_data(&mut self) -> String {
        self.browser.next().data
    }

    /// Fails unless a newcomer is served at once, the witness's stream is undisturbed (its next event is
    /// the next that was published to it, and nothing was published by the attackers), and streams,
    /// threads and descriptors are back where they were.
    pub fn assert_calm(&mut self) {
        let mut newcomer = Raw::connect(self.address);
        newcomer.socket().set_read_timeout(Some(AT_ONCE)).unwrap();
        newcomer.send("GET /healthz HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
        assert_eq!(newcomer.answer().status, 200);
        let mut newcomer = Browser::open(self.address, "/topics/witness");
        self.round += 1;
        let data = format!("round {}", self.round);
        assert_eq!(post(self.address, "/topics/witness", &data).status, 200);
        assert_eq!((self.next_data(), newcomer.next().data), (data.clone(), data));
        drop(newcomer);
        self.assert_nothing_is_left();
    }

    fn assert_nothing_is_left(&self) {
        let until = Instant::now() + AT_ONCE;
        loop {
            let held = Held::after_a_pause(self.address, self.process);
            // Asking takes a thread and a descriptor for a while, so it comes last.
            if held == self.held && streams(self.address) == self.streams {
                return;
            }
            assert!(Instant::now() < until, "the server held {:?} before and holds {held:?}", self.held);
        }
    }
}

/// Here a test looks again and again: nothing tells when a thread has ended.
impl Held {
    /// What is held when nothing changes: a server that has just started may still be reading a file.
    fn settled(address: SocketAddr, process: u32) -> Held {
        let until = Instant::now() + AT_ONCE;
        let mut before = Held::after_a_pause(address, process);
        loop {
            let held = Held::after_a_pause(address, process);
            if held == before {
                return held;
            }
            assert!(Instant::now() < until, "the server held {before:?} and now holds {held:?}");
            before = held;
        }
    }

    fn after_a_pause(address: SocketAddr, process: u32) -> Held {
        std::thread::sleep(PAUSE);
        Held { descriptors: descriptors(address, process), threads: threads(process) }
    }
}

/// The streams that are open.
pub fn streams(address: SocketAddr) -> u64 {
    get(address, "/healthz").json()["streams"].as_u64().expect("a number")
}

/// The descriptors of a program; of a server in this process, its sockets, which are known by their port.
fn descriptors(address: SocketAddr, process: u32) -> usize {
    let own = process == std::process::id();
    let sockets = if own { sockets(address.port()) } else { HashSet::new() };
    let entries = fs::read_dir(format!("/proc/{process}/fd")).expect("the process runs");
    let links = entries.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    links.filter(|link| !own || sockets.contains(&*link.to_string_lossy())).count()
}

/// The sockets on this side's port, as the links in `/proc/PID/fd` name them.
fn sockets(port: u16) -> HashSet<String> {
    let table = fs::read_to_string("/proc/net/tcp").expect("Linux");
    let local = format!(":{port:04X}");
    let rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    rows.filter(|row| row[1].ends_with(&local)).map(|row| format!("socket:[{}]", row[9])).collect()
}

fn threads(process: u32) -> Option<usize> {
    (process != std::process::id()).then(|| fs::read_dir(format!("/proc/{process}/task")).unwrap().count())
}
