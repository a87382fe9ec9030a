//! A witness: a browser that sees whether the server stayed calm while others were hostile to it.

use super::{Browser, Program, Raw, get, post};
use callout::server::Server;
use std::collections::HashSet;
use std::fs;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Shorter than any deadline of a server with the default limits: what takes longer has waited for one.
pub const AT_ONCE: Duration = Duration::from_secs(8);

/// The pause between two looks at what a server still holds.
const PAUSE: Duration = Duration::from_millis(20);

/// A browser that was there before the hostile case. Its topics are `witness` and `attacked`: the attackers
/// publish to the latter, and any event there would be one that should not exist.
pub struct Witness {
    address: SocketAddr,
    process: u32,
    browser: Browser,
    held: Held,
    streams: u64,
    /// How often the witness was asked.
    round: usize,
}

/// What the server holds, which has to be the same before and after.
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
        // The chat starts a thread at its first request. Both requests are sent at once, because a server with
        // a short deadline closes a connection that is silent in between.
        let chat = "HEAD /sse?user=witness HTTP/1.1\r\nHost: localhost\r\n\r\n";
        raw.send(format!(
            "{chat}GET /topics?topic=witness&topic=attacked HTTP/1.1\r\nHost: localhost\r\n\r\n"
        ));
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
        newcomer.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
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
            // A thread of the start may have been there still when this was asked first.
            let is_back = held.descriptors == self.held.descriptors && held.threads <= self.held.threads;
            if is_back && streams(self.address) == self.streams {
                return;
            }
            assert!(Instant::now() < until, "the server held {:?} before and holds {held:?}", self.held);
        }
    }
}

/// This asks again and again, because nothing tells another process when a thread has ended.
impl Held {
    /// What is held once nothing changes any more: a server that has just started may still be reading a file.
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

/// The threads of a program, without those for connections: they are bounded, and end when they find nothing to do for a
/// while.
fn threads(process: u32) -> Option<usize> {
    let own = process == std::process::id();
    let tasks = || fs::read_dir(format!("/proc/{process}/task")).expect("the process runs");
    // A thread may end between the two looks.
    let name = |task: fs::DirEntry| fs::read_to_string(task.path().join("comm")).unwrap_or_default();
    let lasts = |task: &String| !task.is_empty() && task.trim() != "connection";
    (!own).then(|| tasks().filter_map(|task| Some(name(task.ok()?))).filter(lasts).count())
}
