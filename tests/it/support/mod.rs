//! What the tests talk with: real servers on port 0, raw sockets, and an event stream parser of their
//! own. Nothing here sleeps; what does not come within [`PATIENCE`] fails the test.

use callout::Topic;
use callout::access::{Access, Grant, Wanted};
use callout::event::Id;
use callout::hub::{Hub, Survey};
use callout::os::threads::Threads;
use callout::server::{Config, Server};
use http::HeaderMap;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Once;
use std::time::{Duration, Instant};

/// How long anything may take that has to happen.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A server in this process, with the default configuration on a free port.
pub fn server() -> Server {
    server_with(|_| {})
}

/// The same, after `change` had its way with the configuration.
pub fn server_with(change: impl FnOnce(&mut Config)) -> Server {
    raise_descriptor_limit();
    let mut config = Config::default();
    config.listen = SocketAddr::from(([127, 0, 0, 1], 0));
    change(&mut config);
    Server::builder().config(config).start().expect("a free port")
}

/// A hub that goes on after this id, as a history starts one.
pub fn hub_after(last: Id) -> std::io::Result<Hub> {
    let hub = Hub::start(&Threads::default())?;
    hub.begin_after(last);
    Ok(hub)
}

/// What lets a stream subscribe to these topics.
pub fn grant(subscribe: Vec<Topic>) -> Grant {
    let wanted = Wanted { subscribe, ..Wanted::default() };
    Access::default().grant(&HeaderMap::new(), [127, 0, 0, 1].into(), wanted).expect("everybody may")
}

/// All tests share this process, and some hold both ends of a thousand connections: more than the soft limit
/// that systems begin with. Whoever starts a server calls it, so that it does not matter who is first.
fn raise_descriptor_limit() {
    static RAISED: Once = Once::new();
    RAISED.call_once(|| _ = rlimit::increase_nofile_limit(u64::MAX).expect("up to the hard limit one may"));
}

/// A whole response.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// The head as it came, in lower case.
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    /// The value of a header, in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }
}

/// The value of a header, which stands there once or not at all.
fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut values = head.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let value = values.next().map(str::trim);
    assert_eq!(values.next(), None, "`{name}` stands there twice: {head}");
    value
}

/// A connection to a server, to say anything on.
pub struct Raw {
    pub reader: BufReader<TcpStream>,
}

impl Raw {
    pub fn connect(address: SocketAddr) -> Raw {
        Raw::over(TcpStream::connect(address).expect("the server listens"))
    }

    pub fn over(socket: TcpStream) -> Raw {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_nodelay(true).unwrap();
        Raw { reader: BufReader::new(socket) }
    }

    pub fn socket(&self) -> &TcpStream {
        self.reader.get_ref()
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        // A server that has refused already may have closed.
        let _ = self.reader.get_mut().write_all(bytes.as_ref());
    }

    /// A head, up to and without its empty line, in lower case; empty if the connection ended.
    pub fn head(&mut self) -> String {
        let mut head = String::new();
        loop {
            let mut line = String::new();
            self.reader.read_line(&mut line).expect("a head within the time");
            if line.trim_end().is_empty() {
                return head.to_lowercase();
            }
            head += &line;
        }
    }

    /// A response with the body that its length announces.
    pub fn answer(&mut self) -> Answer {
        let head = self.head();
        let bytes = header(&head, "content-length").map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; bytes];
        self.reader.read_exact(&mut body).expect("the whole body");
        Answer { status: status(&head), head, body }
    }

    /// True if nothing more comes and the connection is closed.
    pub fn is_closed(&mut self) -> bool {
        let mut rest = Vec::new();
        // A reset is a way of closing too.
        self.reader
            .read_to_end(&mut rest)
            .map_or_else(|error| error.kind() != std::io::ErrorKind::WouldBlock, |_| rest.is_empty())
    }
}

pub fn status(head: &str) -> u16 {
    head.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or_else(|| panic!("no status: {head:?}"))
}

/// One request on a connection of its own. `head` is the request line and header lines, CRLF between
/// them and none at the end; the length is added.
pub fn request(address: SocketAddr, head: &str, body: impl AsRef<[u8]>) -> Answer {
    let mut raw = Raw::connect(address);
    let body = body.as_ref();
    raw.send(format!("{head}\r\nHost: test\r\nContent-Length: {}\r\n\r\n", body.len()));
    raw.send(body);
    if head.starts_with("HEAD ") {
        let head = raw.head();
        return Answer { status: status(&head), head, body: Vec::new() };
    }
    raw.answer()
}

pub fn get(address: SocketAddr, path: &str) -> Answer {
    request(address, &format!("GET {path} HTTP/1.1"), "")
}

pub fn post(address: SocketAddr, path: &str, body: impl AsRef<[u8]>) -> Answer {
    request(address, &format!("POST {path} HTTP/1.1"), body)
}

/// Publishes and gives the id.
pub fn publish(address: SocketAddr, path: &str, data: impl AsRef<[u8]>) -> String {
    let answer = post(address, path, data);
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["id"].as_str().expect("an id").to_owned()
}

/// An event as a browser would see it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    pub id: String,
    pub event: String,
    pub data: String,
}

impl Seen {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }
}

/// An event stream, parsed as the HTML standard, section 9.2.6, says: bytes in, events out.
#[derive(Debug, Default)]
pub struct Parser {
    line: Vec<u8>,
    after_cr: bool,
    id: String,
    event: String,
    data: String,
    pub last_event_id: String,
    pub retry_millis: Option<u64>,
    pub comments: usize,
}

impl Parser {
    /// Takes one byte; gives the event that it completes.
    pub fn byte(&mut self, byte: u8) -> Option<Seen> {
        let was_cr = std::mem::replace(&mut self.after_cr, byte == b'\r');
        match byte {
            b'\n' if was_cr => None,
            b'\n' | b'\r' => {
                let line = String::from_utf8(std::mem::take(&mut self.line)).expect("UTF-8");
                self.line(&line)
            }
            _ => {
                self.line.push(byte);
                None
            }
        }
    }

    fn line(&mut self, line: &str) -> Option<Seen> {
        if line.is_empty() {
            let (event, data) = (std::mem::take(&mut self.event), std::mem::take(&mut self.data));
            // Only now: the id of an event that is not complete is not yet the last one.
            self.last_event_id.clone_from(&self.id);
            let data = data.strip_suffix('\n')?.to_owned();
            let event = if event.is_empty() { "message".into() } else { event };
            return Some(Seen { id: self.last_event_id.clone(), event, data });
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "" => self.comments += 1,
            "event" => self.event = value.into(),
            "data" => self.data += &format!("{value}\n"),
            "id" if !value.contains('\0') => self.id = value.into(),
            "retry" if value.bytes().all(|b| b.is_ascii_digit()) => self.retry_millis = value.parse().ok(),
            _ => {}
        }
        None
    }
}

/// A browser: an open stream.
pub struct Browser {
    pub raw: Raw,
    pub head: String,
    pub parser: Parser,
}

impl Browser {
    /// Opens a stream and waits until the server has answered with its opening comment and id.
    pub fn open(address: SocketAddr, path: &str) -> Browser {
        Browser::open_with(address, path, "")
    }

    /// The same with more header lines, each with its CRLF.
    pub fn open_with(address: SocketAddr, path: &str, headers: &str) -> Browser {
        Browser::open_on(Raw::connect(address), path, headers)
    }

    /// The same on a connection that is there already.
    pub fn open_on(mut raw: Raw, path: &str, headers: &str) -> Browser {
        raw.send(format!("GET {path} HTTP/1.1\r\nHost: test\r\nAccept: text/event-stream\r\n{headers}\r\n"));
        Browser::asked_on(raw)
    }

    /// The same where it is asked for already.
    pub fn asked_on(mut raw: Raw) -> Browser {
        let head = raw.head();
        assert_eq!(status(&head), 200, "{head}");
        let mut browser = Browser { raw, head, parser: Parser::default() };
        while browser.parser.last_event_id.is_empty() {
            let seen = browser.step().expect("the stream's opening");
            assert_eq!(seen, None, "an event before the opening's id");
        }
        browser
    }

    /// Opens a stream that goes on after an id.
    pub fn resume(address: SocketAddr, path: &str, last_event_id: &str) -> Browser {
        Browser::open_with(address, path, &format!("Last-Event-ID: {last_event_id}\r\n"))
    }

    /// The next event. Fails the test if none comes in time.
    pub fn next(&mut self) -> Seen {
        self.next_or_end().expect("the stream goes on")
    }

    /// The next event, or none if the stream ends before it is complete.
    pub fn next_or_end(&mut self) -> Option<Seen> {
        // Heartbeats keep the socket's own timeout from coming.
        let give_up = Instant::now() + PATIENCE;
        loop {
            if let Some(seen) = self.step()? {
                return Some(seen);
            }
            assert!(Instant::now() < give_up, "no event in time");
        }
    }

    /// Waits for the next comment. Fails the test if an event comes first.
    pub fn next_comment(&mut self) {
        let comments = self.parser.comments;
        while self.parser.comments == comments {
            assert_eq!(self.step(), Some(None), "an event or the end instead of a comment");
        }
    }

    /// The next event of this name, passing over others. Fails the test if it does not come in time, whatever
    /// else comes.
    pub fn next_named(&mut self, event: &str) -> Seen {
        let give_up = Instant::now() + PATIENCE;
        loop {
            let seen = self.next();
            if seen.event == event {
                return seen;
            }
            assert!(Instant::now() < give_up, "no `{event}` in time");
        }
    }

    /// All events until the stream ends.
    pub fn rest(&mut self) -> Vec<Seen> {
        std::iter::from_fn(|| self.step()).flatten().collect()
    }

    /// One byte: none at the end of the stream.
    fn step(&mut self) -> Option<Option<Seen>> {
        let mut byte = [0];
        match self.raw.reader.read(&mut byte) {
            Ok(0) => None,
            Ok(_) => Some(self.parser.byte(byte[0])),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => None,
            Err(error) => panic!("no event in time: {error}"),
        }
    }
}

/// The `callout` program, ended by its number when the test is over.
pub struct Program {
    pub child: Child,
    pub address: SocketAddr,
}

impl Program {
    /// `callout serve` on a free port with these further flags.
    pub fn serve(flags: &[&str]) -> Program {
        let mut command = Command::new(env!("CARGO_BIN_EXE_callout"));
        command.args(["serve", "--listen", "127.0.0.1:0"]).args(flags);
        Program::start(command)
    }

    /// Starts a command that ends up being `callout serve` (behind `strace`, or a shell with limits). It
    /// keeps its history in memory unless its flags say where.
    pub fn start(mut command: Command) -> Program {
        raise_descriptor_limit();
        command.env("CALLOUT_DATA", "memory");
        // None of the three is a terminal, so that it does not matter where the tests are run.
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let mut line = String::new();
        let stdout = child.stdout.as_mut().expect("it is piped");
        BufReader::new(stdout).read_line(&mut line).expect("a line that says where it listens");
        let address = line.trim().rsplit("http://").next().and_then(|address| address.parse().ok());
        Program { child, address: address.unwrap_or_else(|| panic!("no address: {line:?}")) }
    }

    /// Sends a signal by name (`TERM`).
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &pid]).status().expect("kill").success());
    }

    /// Waits for the end and gives the code, and what it wrote to standard error.
    pub fn wait(mut self) -> (Option<i32>, String) {
        let mut log = String::new();
        let mut stderr = self.child.stderr.take().expect("it is piped");
        stderr.read_to_string(&mut log).expect("a log in UTF-8");
        (self.child.wait().expect("it ends").code(), log)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already, which is what was wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for something that can only be asked for, again and again; fails the test if it does not come
/// to hold in time.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let give_up = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < give_up, "in vain: {what}");
        // Nothing would wake this thread, so it leaves the processor to others for a moment.
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Waits until the hub has so many streams and none of them is behind: one that has only just opened is not
/// passed anything yet, it reads what it misses from the history; and until it has caught up, what is only
/// true now passes it by.
pub fn joined(server: &Server, streams: usize) {
    let all = Survey { clients: streams, behind: 0 };
    until("the streams have joined", || server.app().hub.survey() == all);
}

/// A socket that a server can put only little into (some 100 KB instead of megabytes): small segments
/// keep the sender's buffer small, and the receive buffer is as small as it gets.
pub fn narrow_socket(address: SocketAddr) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None);
    let socket = socket.expect("a descriptor");
    socket.set_recv_buffer_size(1).unwrap();
    socket.set_tcp_mss(536).unwrap();
    socket.connect(&address.into()).expect("the server listens");
    socket.into()
}

impl Raw {
    /// Everything that comes until the connection ends, by a reset too. Fails the test if it does not end.
    pub fn everything(&mut self) -> String {
        let mut bytes = Vec::new();
        let read = self.reader.read_to_end(&mut bytes);
        let is_open = read.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
        let text = String::from_utf8(bytes).expect("UTF-8");
        assert!(!is_open, "the connection is still open after {text:?}");
        text
    }
}

/// The names of a head's fields, sorted.
pub fn header_names(head: &str) -> Vec<String> {
    let fields = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    let mut names: Vec<String> = fields.map(|(name, _)| name.to_lowercase()).collect();
    names.sort();
    names
}
