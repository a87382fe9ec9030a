//! The head of a request, parsed from bytes, and what it says about the body that follows.
//!
//! Everything here is a pure function of bytes. A head that could be read in two ways is refused, so that
//! nobody can smuggle a second request past a proxy that reads it in the other way.

use crate::error::{Error, ErrorKind};
use crate::http::{HEAD_BYTES_MAX, HEADERS_MAX, QUERY_BYTES_MAX, Request, Target};
use http::header::{CONTENT_LENGTH, EXPECT, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Version};
use memchr::{memchr, memchr_iter};
use std::mem::MaybeUninit;
use std::net::SocketAddr;

/// More fields than a request usually has: the room that is tried first.
const HEADERS_USUAL: usize = 24;

/// What to do where the bytes are no HTTP.
const SPEAK_HTTP: &str = "send an HTTP/1.1 request, without TLS unless a proxy in front takes it off";

type Field<'a> = httparse::Header<'a>;

/// What follows a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// A body of so many bytes, perhaps none.
    Length(usize),
    /// A body in chunks, of which the last one is empty.
    Chunked,
}

/// A parsed head.
#[derive(Debug)]
pub(super) struct Head {
    /// The request, its body still empty.
    pub(super) request: Request,
    /// What comes next.
    pub(super) framing: Framing,
    /// The client waits for `100 Continue` before it sends its body.
    pub(super) expects_continue: bool,
    /// How many of the bytes were the head.
    pub(super) bytes: usize,
}

impl Head {
    /// Parses the head at the beginning of `bytes`, which `peer` sent; none if it is not complete yet. After
    /// an error nobody knows where the next request begins, so the connection cannot go on.
    pub(super) fn parse(bytes: &[u8], peer: SocketAddr) -> Result<Option<Head>, Error> {
        let mut few = [const { MaybeUninit::uninit() }; HEADERS_USUAL];
        match Head::parse_into(bytes, peer, &mut few) {
            Err(error) if error.kind() == ErrorKind::HeadTooLarge => {
                // On the heap, because the part of a stack that was touched once stays with a stream for
                // its life.
                let mut many = Vec::with_capacity(HEADERS_MAX);
                Head::parse_into(bytes, peer, &mut many.spare_capacity_mut()[..HEADERS_MAX])
            }
            parsed => parsed,
        }
    }

    fn parse_into<'a>(
        bytes: &'a [u8],
        peer: SocketAddr,
        fields: &mut [MaybeUninit<Field<'a>>],
    ) -> Result<Option<Head>, Error> {
        let mut parsed = httparse::Request::new(&mut []);
        let head_bytes = match parsed.parse_with_uninit_headers(bytes, fields) {
            Ok(httparse::Status::Complete(head_bytes)) => head_bytes,
            Ok(httparse::Status::Partial) if bytes.len() >= bytes_max(bytes) => {
                return Err(Error::head_too_large());
            }
            Ok(httparse::Status::Partial) => return refuse_bare_lf(bytes).map(|()| None),
            Err(httparse::Error::TooManyHeaders) => return Err(Error::head_too_large()),
            // What was wrong with the line can be told when all of it is there.
            Err(httparse::Error::Version) if !bytes.contains(&b'\n') && bytes.len() < HEAD_BYTES_MAX => {
                return Ok(None);
            }
            Err(httparse::Error::Version) if has_blank_in_target(bytes) => {
                let error = Error::bad("a blank cannot stand in the request's target");
                return Err(error.hint("write it `%20` in a path or a query"));
            }
            Err(httparse::Error::Version) => {
                return Err(Error::new(ErrorKind::Version, "only HTTP/1.0 and HTTP/1.1 are spoken here"));
            }
            Err(error) => {
                return Err(Error::bad(format!("this is not an HTTP request: {error}")).hint(SPEAK_HTTP));
            }
        };
        if head_bytes > HEAD_BYTES_MAX && head_bytes > bytes_max(bytes) {
            return Err(Error::head_too_large());
        }
        refuse_bare_lf(&bytes[..head_bytes])?;
        let method = parsed
            .method
            .unwrap_or_default()
            .parse()
            .map_err(|_| Error::bad("the method is not a word").hint(SPEAK_HTTP))?;
        let target = Target::parse(parsed.path.unwrap_or_default())?;
        let version = if parsed.version == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 };
        let request = Request::new(method, target, version, headers(parsed.headers)?, peer);
        check_host(&request)?;
        let framing = framing(&request)?;
        let expects_continue = expects_continue(&request)?;
        Ok(Some(Head { request, framing, expects_continue, bytes: head_bytes }))
    }
}

/// Some take a lone LF for the end of a line, others do not.
fn refuse_bare_lf(bytes: &[u8]) -> Result<(), Error> {
    if memchr_iter(b'\n', bytes).any(|index| index == 0 || bytes[index - 1] != b'\r') {
        let error = Error::bad("a line of the head ends in LF; HTTP's line end is CRLF");
        return Err(error.hint("end each line of the head with CRLF"));
    }
    Ok(())
}

/// How long the head at the beginning of these bytes may be: its query has a limit of its own.
fn bytes_max(bytes: &[u8]) -> usize {
    let line = first_line(bytes);
    let query = memchr(b'?', line).map_or(&[][..], |begin| &line[begin..]);
    HEAD_BYTES_MAX + memchr(b' ', query).unwrap_or(query.len()).min(QUERY_BYTES_MAX)
}

/// Whether this is a request line of HTTP/1 but for blanks in its target, as programs send them that do not encode.
fn has_blank_in_target(bytes: &[u8]) -> bool {
    let line = first_line(bytes).trim_ascii_end();
    let is_ours = line.ends_with(b" HTTP/1.1") || line.ends_with(b" HTTP/1.0");
    is_ours && memchr_iter(b' ', line).count() > 2
}

fn first_line(bytes: &[u8]) -> &[u8] {
    &bytes[..memchr(b'\n', bytes).unwrap_or(bytes.len())]
}

fn headers(fields: &[Field]) -> Result<HeaderMap, Error> {
    let mut headers = HeaderMap::with_capacity(fields.len());
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes());
        let value = HeaderValue::from_bytes(field.value);
        match (name, value) {
            (Ok(name), Ok(value)) => headers.append(name, value),
            _ => return Err(Error::bad("a header field contains bytes that are not allowed there")),
        };
    }
    Ok(headers)
}

/// RFC 9112, section 3.2.
fn check_host(request: &Request) -> Result<(), Error> {
    match request.headers.get_all(HOST).iter().count() {
        0 if request.version == Version::HTTP_11 => {
            Err(Error::bad("HTTP/1.1 needs the header `Host`").hint("send `Host` with the server's name"))
        }
        0 | 1 => Ok(()),
        _ => Err(Error::bad("the header `Host` was sent more than once").hint("send it once")),
    }
}

/// RFC 9112, section 6.3, without the cases in which it lets a server guess.
fn framing(request: &Request) -> Result<Framing, Error> {
    let mut lengths = request.headers.get_all(CONTENT_LENGTH).iter();
    let mut codings = request.headers.get_all(TRANSFER_ENCODING).iter();
    match (lengths.next(), codings.next()) {
        (None, None) => Ok(Framing::Length(0)),
        (Some(_), Some(_)) => {
            let error = Error::bad("`Content-Length` and `Transfer-Encoding` exclude each other");
            Err(error.hint("send one of them"))
        }
        (Some(length), None) => {
            if lengths.next().is_some() {
                let error = Error::bad("the header `Content-Length` was sent more than once");
                return Err(error.hint("send it once"));
            }
            let digits = length.as_bytes();
            let text = length.to_str().unwrap_or_default();
            if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
                return Err(Error::bad("`Content-Length` is not a number of bytes"));
            }
            // A number that does not fit is more than any limit, and is refused as such.
            Ok(Framing::Length(text.parse().unwrap_or(usize::MAX)))
        }
        (None, Some(coding)) => {
            if request.version == Version::HTTP_10 {
                let error = Error::bad("HTTP/1.0 has no `Transfer-Encoding`");
                return Err(error.hint("send `Content-Length`, or use HTTP/1.1"));
            }
            if codings.next().is_some() || !coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
                return Err(Error::new(
                    ErrorKind::Coding,
                    "the only `Transfer-Encoding` understood here is `chunked`",
                ));
            }
            Ok(Framing::Chunked)
        }
    }
}

fn expects_continue(request: &Request) -> Result<bool, Error> {
    let mut expected = request.headers.get_all(EXPECT).iter().peekable();
    let expects = expected.peek().is_some();
    if expected.any(|value| !value.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
        return Err(Error::new(
            ErrorKind::Expectation,
            "the only `Expect` understood here is `100-continue`",
        ));
    }
    Ok(expects && request.version == Version::HTTP_11)
}
