//! A browser: an open stream, and the events that come on it.

use super::{PATIENCE, Parser, Raw, Seen, status};
use std::io::{self, BufRead, ErrorKind, Read};
use std::net::SocketAddr;
use std::time::Instant;

/// An open stream.
pub struct Browser {
    pub raw: Raw,
    /// The head of the answer, in lower case.
    pub head: String,
    pub parser: Parser,
    /// Bytes left of the chunk that is being read; none where the stream comes without chunks.
    chunk_bytes: Option<usize>,
    /// Whether the stream has ended with the chunk that says so, and was not cut off.
    pub has_ended: bool,
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
        raw.send(format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n{headers}\r\n"
        ));
        Browser::asked_on(raw)
    }

    /// The same on a connection on which the stream was requested already.
    pub fn asked_on(mut raw: Raw) -> Browser {
        let head = raw.head();
        assert_eq!(status(&head), 200, "{head}");
        let mut browser = Browser::over(raw, head);
        while browser.parser.last_event_id.is_empty() {
            let seen = browser.step().expect("the stream's opening");
            assert_eq!(seen, None, "an event before the opening's id");
        }
        browser
    }

    /// A stream whose head was read already.
    pub fn over(raw: Raw, head: String) -> Browser {
        let chunk_bytes = head.contains("\r\ntransfer-encoding: chunked").then_some(0);
        Browser { raw, head, parser: Parser::default(), chunk_bytes, has_ended: false }
    }

    /// Opens a stream that continues after an id.
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

    /// The next event of this name; others are skipped. Fails the test if the event does not come in time,
    /// whatever else comes.
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

    /// Reads one byte, and gives the event that it completes; none at the end of the stream.
    fn step(&mut self) -> Option<Option<Seen>> {
        match self.read_byte() {
            Ok(byte) => byte.map(|byte| self.parser.byte(byte)),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => None,
            Err(error) => panic!("no event in time: {error}"),
        }
    }

    /// The next byte of the body; none at its end (RFC 9112, section 7.1).
    fn read_byte(&mut self) -> io::Result<Option<u8>> {
        if self.chunk_bytes == Some(0) {
            let mut line = String::new();
            // A chunk before has left its line end.
            while self.raw.reader.read_line(&mut line)? > 0 && line.trim().is_empty() {
                line.clear();
            }
            let Some(size) = line.strip_suffix("\r\n") else { return Ok(None) };
            let bytes = usize::from_str_radix(size, 16).unwrap_or_else(|_| panic!("no chunk size: {size:?}"));
            self.chunk_bytes = Some(bytes);
            if bytes == 0 {
                self.has_ended = true;
                return Ok(None);
            }
        }
        let mut byte = [0];
        if self.raw.reader.read(&mut byte)? == 0 {
            return Ok(None);
        }
        self.chunk_bytes = self.chunk_bytes.map(|bytes| bytes - 1);
        Ok(Some(byte[0]))
    }
}
