//! Bytes that no proper client sends, and ways in which none sends or reads them.

use super::witness::AT_ONCE;
use super::{Raw, status};
use std::io::{BufRead, ErrorKind, Read};
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

/// The longest body that a server with the default limits takes.
pub const BODY_BYTES_MAX: usize = 64 * 1024;

/// The pause between two bytes that drip, or two sips.
const PAUSE: Duration = Duration::from_millis(20);

/// How much is read with one sip: together half of the least rate.
const SIP_BYTES: usize = 10;

/// A request that would be answered and would publish, if it were taken for one.
pub const HIDDEN: &str =
    "POST /topics/attacked HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8\r\n\r\nsmuggled";

/// A request that should publish nothing, with these header fields.
pub fn attack(fields: &str, body: &str) -> String {
    format!("POST /topics/attacked HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n\r\n{body}")
}

/// The same with a body in chunks.
pub fn chunked(chunks: &str) -> String {
    attack("Transfer-Encoding: chunked", chunks)
}

/// Sends these bytes, and gives all that comes back until the server closes, which it has to do at once
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

/// Sends each of these requests at the same time: its head at once, and the rest so that it drips. Each is refused with
/// 408, once.
pub fn assert_dripping_is_refused(address: SocketAddr, requests: Vec<(String, String)>) {
    let send = |(head, rest): (String, String)| {
        thread::spawn(move || {
            let mut raw = Raw::connect(address);
            raw.send(head);
            drip(&mut raw, rest.as_bytes());
            raw.everything()
        })
    };
    for thread in requests.into_iter().map(send).collect::<Vec<_>>() {
        let everything = thread.join().unwrap();
        assert_eq!((status(&everything), responses(&everything)), (408, 1));
    }
}

/// Reads a little now and then for as long as this holds. Fails the test if that never ends.
pub fn sip_while(raw: &mut Raw, holds: impl Fn() -> bool) {
    let until = Instant::now() + AT_ONCE;
    while holds() {
        assert!(Instant::now() < until, "a client that sips is served without end");
        // The connection may end during a read, which is what is waited for.
        let _ = raw.reader.get_mut().read(&mut [0; SIP_BYTES]);
        thread::sleep(PAUSE);
    }
}
