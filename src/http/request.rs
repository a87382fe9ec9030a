//! A request: its head parsed from bytes, and the rules for what may follow the head.
//!
//! Everything here is a pure function of bytes. A head that could be read in two ways is refused, so
//! that nothing is smuggled past a proxy.

use super::path::Captures;
use crate::access::Grant;
use crate::error::Error;
use http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version};
use memchr::memchr_iter;
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;
use std::mem::MaybeUninit;
use std::net::IpAddr;

/// The longest head, in bytes. A longer one is answered 431 and the connection closed.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;

/// The most header fields. More are answered 431 and the connection closed.
pub const HEADERS_MAX: usize = 100;

/// More fields than a request usually has: what is tried first.
const HEADERS_USUAL: usize = 24;

type Field<'a> = httparse::Header<'a>;

/// A request, complete with its body.
#[derive(Debug)]
pub struct Request {
    /// The method as it was sent; `get` is not `GET`.
    pub method: Method,
    /// The target: path and query, still percent-encoded.
    pub uri: Uri,
    /// 1.0 or 1.1.
    pub version: Version,
    /// The header fields.
    pub headers: HeaderMap,
    /// The body, decoded if it came in chunks; empty if there was none.
    pub body: Vec<u8>,
    /// The client's address.
    pub client: IpAddr,
    /// What the route's pattern gave names to.
    pub(crate) captures: Captures,
    /// What access has granted; none until it was asked.
    pub(crate) grant: Option<Grant>,
}

impl Request {
    /// The path, percent-encoded as it came.
    pub fn path(&self) -> &str {
        self.uri.path()
    }

    /// The part of the path that the route's pattern calls by this name, decoded; empty if it has none.
    pub fn capture(&self, name: &str) -> &str {
        self.captures.get(name)
    }

    /// What access has granted this request. [`Error::Internal`] outside a route's handler.
    pub fn grant(&self) -> Result<&Grant, Error> {
        self.grant.as_ref().ok_or_else(|| Error::Internal("a request was handled without a grant".into()))
    }

    /// The first value of a query parameter, decoded.
    pub fn query(&self, name: &str) -> Option<String> {
        self.query_all(name).next()
    }

    /// All values of a query parameter, decoded, in their order.
    pub fn query_all(&self, name: &str) -> impl Iterator<Item = String> {
        let pairs = form_urlencoded::parse(self.uri.query().unwrap_or_default().as_bytes());
        pairs.filter(move |(key, _)| key == name).map(|(_, value)| value.into_owned())
    }

    /// A header's value as text. One that is missing, or not plain ASCII, is none.
    pub fn header(&self, name: HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as text. [`Error::Bad`] if it is not UTF-8; [`Error::ContentCoding`] if it is compressed.
    pub fn text(&self) -> Result<&str, Error> {
        std::str::from_utf8(self.plain_body()?).map_err(|_| Error::bad("the body is not UTF-8 text"))
    }

    fn plain_body(&self) -> Result<&[u8], Error> {
        match self.headers.get(CONTENT_ENCODING) {
            Some(coding) if !coding.as_bytes().eq_ignore_ascii_case(b"identity") => Err(Error::ContentCoding),
            _ => Ok(&self.body),
        }
    }

    /// The body as JSON. `example` shows in an error what it has to look like. [`Error::Bad`] if it does
    /// not; [`Error::ContentCoding`] if it is compressed; [`Error::MediaType`] if it is said to be something else than JSON. What `curl -d` says when it
    /// is told nothing counts as nothing said.
    pub fn json<T: DeserializeOwned>(&self, example: &str) -> Result<T, Error> {
        let said = self.headers.get(CONTENT_TYPE).map(|value| value.to_str().unwrap_or_default());
        let said = said.map(|text| text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
        let is_json = match said.as_deref() {
            None | Some("application/json" | "application/x-www-form-urlencoded") => true,
            Some(other) => other.starts_with("application/") && other.ends_with("+json"),
        };
        if !is_json {
            return Err(Error::MediaType { wanted: "application/json" });
        }
        let body = self.plain_body()?;
        // Some editors and shells put a byte order mark before what they write.
        serde_json::from_slice(body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body))
            .map_err(|error| Error::bad(format!("the body has to be JSON like {example}: {error}")))
    }

    /// Whether an event stream is what it would rather have than JSON (RFC 9110, section 12.5.1; of two
    /// that it likes equally, the stream).
    pub fn wants_events(&self) -> bool {
        let quality = |range: &str| {
            let (kind, parameters) = range.split_once(';').unwrap_or((range, ""));
            let quality = parameters.split(';').find_map(|parameter| parameter.trim().strip_prefix("q="));
            (kind.trim().to_ascii_lowercase(), quality.map_or(1.0, |text| text.parse().unwrap_or(0.0)))
        };
        let values = self.headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let ranges: Vec<(String, f32)> = values.flat_map(|text| text.split(',')).map(quality).collect();
        let of =
            |kind: &str| ranges.iter().find(|(named, _)| named == kind).map_or(0.0, |(_, quality)| *quality);
        of("text/event-stream") > 0.0 && of("text/event-stream") >= of("application/json")
    }

    /// Whether one of the values of a list header is this word (`Connection: close`).
    pub fn header_has(&self, name: HeaderName, word: &str) -> bool {
        let values = self.headers.get_all(name);
        let mut words =
            values.iter().filter_map(|value| value.to_str().ok()).flat_map(|text| text.split(','));
        words.any(|text| text.trim().eq_ignore_ascii_case(word))
    }
}

/// Decodes a part of a path. [`Error::Bad`] if that is not UTF-8.
pub fn percent_decode(text: &str) -> Result<String, Error> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(String::from).map_err(|_| Error::bad("the path is not percent-encoded UTF-8"))
}

/// What follows a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// So many bytes, perhaps none.
    Length(usize),
    /// Chunks, until an empty one.
    Chunked,
}

/// A parsed head.
#[derive(Debug)]
pub struct Head {
    /// The request, its body still empty.
    pub request: Request,
    /// What comes next.
    pub framing: Framing,
    /// The client waits for `100 Continue` before it sends its body.
    pub expects_continue: bool,
    /// How many of the bytes were the head.
    pub bytes: usize,
}

impl Head {
    /// Parses the head at the beginning of `bytes`; none if it is not complete yet. The errors are
    /// those after which a connection cannot go on.
    pub fn parse(bytes: &[u8]) -> Result<Option<Head>, Error> {
        let mut few = [const { MaybeUninit::uninit() }; HEADERS_USUAL];
        match Head::parse_into(bytes, &mut few) {
            Err(Error::HeadTooLarge) => {
                // On the heap, because a stack that was touched once stays with a stream for its life.
                let mut many = Vec::with_capacity(HEADERS_MAX);
                Head::parse_into(bytes, &mut many.spare_capacity_mut()[..HEADERS_MAX])
            }
            parsed => parsed,
        }
    }

    fn parse_into<'a>(bytes: &'a [u8], fields: &mut [MaybeUninit<Field<'a>>]) -> Result<Option<Head>, Error> {
        let mut parsed = httparse::Request::new(&mut []);
        let head_bytes = match parsed.parse_with_uninit_headers(bytes, fields) {
            Ok(httparse::Status::Complete(head_bytes)) => head_bytes,
            Ok(httparse::Status::Partial) if bytes.len() >= HEAD_BYTES_MAX => {
                return Err(Error::HeadTooLarge);
            }
            Ok(httparse::Status::Partial) => return refuse_bare_lf(bytes).map(|()| None),
            Err(httparse::Error::TooManyHeaders) => return Err(Error::HeadTooLarge),
            Err(httparse::Error::Version) => return Err(Error::Version),
            Err(error) => return Err(Error::bad(format!("this is not an HTTP request: {error}"))),
        };
        if head_bytes > HEAD_BYTES_MAX {
            return Err(Error::HeadTooLarge);
        }
        refuse_bare_lf(&bytes[..head_bytes])?;
        let request = Request {
            method: parsed.method.unwrap_or_default().parse().map_err(|_| Error::bad("not a method"))?,
            uri: target(parsed.path.unwrap_or_default())?,
            version: if parsed.version == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 },
            headers: headers(parsed.headers)?,
            body: Vec::new(),
            client: IpAddr::from([0, 0, 0, 0]),
            captures: Captures::default(),
            grant: None,
        };
        check_host(&request)?;
        let framing = framing(&request)?;
        let expects_continue = expects_continue(&request)?;
        Ok(Some(Head { request, framing, expects_continue, bytes: head_bytes }))
    }
}

/// A lone LF is a line end to some and none to others.
fn refuse_bare_lf(bytes: &[u8]) -> Result<(), Error> {
    if memchr_iter(b'\n', bytes).any(|place| place == 0 || bytes[place - 1] != b'\r') {
        return Err(Error::bad("a line of the head ends in LF; HTTP's line end is CRLF"));
    }
    Ok(())
}

fn target(text: &str) -> Result<Uri, Error> {
    let uri: Uri = text.parse().map_err(|_| Error::bad("the request's target is not a path"))?;
    let is_path = uri.path().starts_with('/') || uri.path() == "*";
    if is_path { Ok(uri) } else { Err(Error::bad("the request's target is not a path")) }
}

fn headers(fields: &[Field]) -> Result<HeaderMap, Error> {
    let mut headers = HeaderMap::with_capacity(fields.len());
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes());
        let value = HeaderValue::from_bytes(field.value);
        match (name, value) {
            (Ok(name), Ok(value)) => headers.append(name, value),
            _ => return Err(Error::bad("a header field has bytes that do not belong there")),
        };
    }
    Ok(headers)
}

/// RFC 9112, section 3.2.
fn check_host(request: &Request) -> Result<(), Error> {
    match request.headers.get_all(HOST).iter().count() {
        0 if request.version == Version::HTTP_11 => Err(Error::bad("HTTP/1.1 needs the header `Host`")),
        0 | 1 => Ok(()),
        _ => Err(Error::bad("`Host` stands there more than once")),
    }
}

/// RFC 9112, section 6.3, without the cases where it lets a server guess.
fn framing(request: &Request) -> Result<Framing, Error> {
    let mut lengths = request.headers.get_all(CONTENT_LENGTH).iter();
    let mut codings = request.headers.get_all(TRANSFER_ENCODING).iter();
    match (lengths.next(), codings.next()) {
        (None, None) => Ok(Framing::Length(0)),
        (Some(_), Some(_)) => Err(Error::bad("`Content-Length` and `Transfer-Encoding` exclude each other")),
        (Some(length), None) => {
            if lengths.next().is_some() {
                return Err(Error::bad("`Content-Length` stands there more than once"));
            }
            let digits = length.as_bytes();
            let text = length.to_str().unwrap_or_default();
            if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
                return Err(Error::bad("`Content-Length` is not a number of bytes"));
            }
            // More digits than fit are more bytes than are taken.
            Ok(Framing::Length(text.parse().unwrap_or(usize::MAX)))
        }
        (None, Some(coding)) => {
            if request.version == Version::HTTP_10 {
                return Err(Error::bad("HTTP/1.0 has no `Transfer-Encoding`"));
            }
            if codings.next().is_some() || !coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
                return Err(Error::Coding);
            }
            Ok(Framing::Chunked)
        }
    }
}

fn expects_continue(request: &Request) -> Result<bool, Error> {
    let mut expected = request.headers.get_all(EXPECT).iter().peekable();
    let expects = expected.peek().is_some();
    if expected.any(|value| !value.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
        return Err(Error::Expectation);
    }
    Ok(expects && request.version == Version::HTTP_11)
}
