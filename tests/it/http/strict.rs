//! HTTP/1.1 to the letter: the cases of `h1spec` (uNetworking), a list that servers are compared by.

use crate::support::hostile::exchange;
use crate::support::{Program, Raw, status};
use std::io::{BufRead, ErrorKind};
use std::time::Duration;

/// A whole request, which is sent in two parts, cut at each of the places below.
const WHOLE: &str = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// Where a request is cut: each place is named by the last bytes that were sent.
const CUTS: [&str; 15] = [
    "G",
    "GET ",
    "GET /healthz",
    "GET /healthz ",
    "GET /healthz HTTP",
    "GET /healthz HTTP/1.1",
    "GET /healthz HTTP/1.1\r",
    "GET /healthz HTTP/1.1\r\n",
    "GET /healthz HTTP/1.1\r\nHos",
    "GET /healthz HTTP/1.1\r\nHost:",
    "GET /healthz HTTP/1.1\r\nHost: ",
    "GET /healthz HTTP/1.1\r\nHost: localhost",
    "GET /healthz HTTP/1.1\r\nHost: localhost\r",
    "GET /healthz HTTP/1.1\r\nHost: localhost\r\n",
    "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r",
];

/// What is sent whole, and the status that answers it.
const REQUESTS: [(&str, &str, u16); 18] = [
    ("a request line without a version", "GET / \r\n\r\n", 505),
    (
        "a GET that waits for nothing",
        "GET / HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n\r\n",
        200,
    ),
    ("a GET", "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", 200),
    ("capitals, a tab, no value", "GET / HTTP/1.1\r\nhoST:\tlocalhost\r\nnone:\r\n\r\n", 200),
    ("a name with brackets", "GET / HTTP/1.1\r\nHost: localhost\r\nX-A[]: b\r\n\r\n", 400),
    ("no Host", "GET / HTTP/1.1\r\nContent-Length: 5\r\n\r\n", 400),
    ("two Hosts", "GET / HTTP/1.1\r\nHost: localhost\r\nHost: 127.0.0.1\r\n\r\n", 400),
    (
        "a length far below zero",
        "GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -987654321987654321987654321\r\n\r\n",
        400,
    ),
    ("a length below zero", "GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n", 400),
    ("a length in letters", "GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: five\r\n\r\n", 400),
    ("an empty value", "GET / HTTP/1.1\r\nHost: localhost\r\nX-None: \r\n\r\n", 200),
    ("a bell in a value", "GET / HTTP/1.1\r\nHost: localhost\r\nX-Bell: a\x07\r\n\r\n", 400),
    ("no such version", "GET / HTTP/7.3\r\nHost: localhost\r\n\r\n", 505),
    ("words before the method", "Some words GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    ("a lone CR behind the head", "GET / HTTP/1.1\r\nHost: localhost\r\n\rX-A: b\r\n\r\n", 400),
    ("a body", "POST /topics/t HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello", 200),
    (
        "a body where none is taken",
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello",
        405,
    ),
    (
        "chunks and a length",
        "GET / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
        400,
    ),
];

#[test]
fn a_request_that_is_cut_anywhere_is_waited_for_and_then_answered() {
    let program = Program::serve(&[]);
    let mut raws: Vec<(&str, Raw)> = CUTS.map(|cut| (cut, Raw::connect(program.address))).into();
    raws.iter_mut().for_each(|(cut, raw)| raw.send(cut));
    for (cut, raw) in &mut raws {
        raw.socket().set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let seen = raw.reader.fill_buf().map(<[u8]>::to_vec);
        assert!(seen.as_ref().is_err_and(|error| error.kind() == ErrorKind::WouldBlock), "{cut:?}: {seen:?}");
        raw.socket().set_read_timeout(Some(crate::support::PATIENCE)).unwrap();
        raw.send(WHOLE.strip_prefix(*cut).expect("it is the beginning"));
        assert_eq!(raw.answer().status, 200, "{cut:?}");
    }
}

#[test]
fn a_request_is_taken_or_refused_as_the_standard_has_it() {
    let program = Program::serve(&[]);
    for (what, request, expected) in REQUESTS {
        // What is refused ends the connection; the others are asked to.
        let request = match expected {
            200 | 405 => request.replacen("\r\n", "\r\nConnection: close\r\n", 1),
            _ => request.to_owned(),
        };
        assert_eq!(status(&exchange(program.address, request)), expected, "{what}");
    }
}
