//! A connection on which a test can say anything, and whole requests on it.

use super::PATIENCE;
use serde_json::Value;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

/// A whole response.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// The head, in lower case.
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

/// A connection to a server.
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

    /// The next line, with its line end.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.reader.read_line(&mut line).expect("a line within the time");
        line
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

    /// Whether the connection is closed and nothing more comes. A reset is a way of closing too.
    pub fn is_closed(&mut self) -> bool {
        let mut rest = Vec::new();
        self.reader
            .read_to_end(&mut rest)
            .map_or_else(|error| error.kind() != ErrorKind::WouldBlock, |_| rest.is_empty())
    }

    /// Everything that comes until the connection ends, by a reset too. Fails the test if it does not end.
    pub fn everything(&mut self) -> String {
        let mut bytes = Vec::new();
        let read = self.reader.read_to_end(&mut bytes);
        let is_open = read.is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
        let text = String::from_utf8(bytes).expect("UTF-8");
        assert!(!is_open, "the connection is still open after {text:?}");
        text
    }
}

/// One request on a connection of its own. `head` is the request line and header lines, CRLF between them and
/// none at the end; the length is added.
pub fn request(address: SocketAddr, head: &str, body: impl AsRef<[u8]>) -> Answer {
    let mut raw = Raw::connect(address);
    let body = body.as_ref();
    raw.send(format!("{head}\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", body.len()));
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

/// Publishes, and gives the id of the event.
pub fn publish(address: SocketAddr, path: &str, data: impl AsRef<[u8]>) -> String {
    let answer = post(address, path, data);
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["id"].as_str().expect("an id").to_owned()
}

/// The status in a head.
pub fn status(head: &str) -> u16 {
    head.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or_else(|| panic!("no status: {head:?}"))
}

/// The names of a head's fields, sorted.
pub fn header_names(head: &str) -> Vec<String> {
    let fields = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    let mut names: Vec<String> = fields.map(|(name, _)| name.to_lowercase()).collect();
    names.sort();
    names
}

/// The value of a header. Fails the test if the header was sent more than once.
fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut values = head.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let value = values.next().map(str::trim);
    assert_eq!(values.next(), None, "`{name}` was sent twice: {head}");
    value
}

/// A socket that takes only little from a server that it does not read from (some 100 KB instead of
/// megabytes): small segments keep the sender's buffer small, and the receive buffer is as small as it gets.
pub fn narrow_socket(address: SocketAddr) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None);
    let socket = socket.expect("a descriptor");
    socket.set_recv_buffer_size(1).unwrap();
    socket.set_tcp_mss(536).unwrap();
    socket.connect(&address.into()).expect("the server listens");
    socket.into()
}
