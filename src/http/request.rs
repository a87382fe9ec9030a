//! A request: what a client asked for, complete with its body, and the readers of its parts.

use super::path::Captures;
use crate::access::Grant;
use crate::error::Error;
use crate::hub::chunk::Coding;
use http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, Method, Uri, Version};
use serde::de::DeserializeOwned;
use std::net::{IpAddr, SocketAddr};

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
    /// The other end of the connection. An IPv4 address that came mapped into IPv6 is IPv4 here.
    pub peer: SocketAddr,
    /// The address of the client: the peer's, or what a trusted proxy said of its own peer.
    pub client: IpAddr,
    /// What the route's pattern gave names to.
    pub(crate) captures: Captures,
    /// What access has granted; none until it was asked.
    pub(crate) grant: Option<Grant>,
}

impl Request {
    /// A request without a body, from the peer itself.
    pub(super) fn new(
        method: Method,
        uri: Uri,
        version: Version,
        headers: HeaderMap,
        peer: SocketAddr,
    ) -> Request {
        let (captures, client) = (Captures::default(), peer.ip());
        Request { method, uri, version, headers, body: Vec::new(), peer, client, captures, grant: None }
    }

    /// What delimits a stream that answers this request: HTTP/1.0 has no chunks.
    pub(super) fn stream_coding(&self) -> Coding {
        if self.version == Version::HTTP_10 { Coding::Identity } else { Coding::Chunked }
    }

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

    /// A header's value as text; none if the header is missing or its value is not plain ASCII.
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

    /// The body as JSON. `example` shows the sender of a wrong body what a right one looks like.
    /// [`Error::Bad`] if the body cannot be read as a `T`; [`Error::ContentCoding`] if it is compressed;
    /// [`Error::MediaType`] if its `Content-Type` is something else than JSON. The type that `curl -d` sends on its
    /// own counts as no type.
    pub fn json<T: DeserializeOwned>(&self, example: &str) -> Result<T, Error> {
        let value = self.headers.get(CONTENT_TYPE).map(|value| value.to_str().unwrap_or_default());
        let media_type =
            value.map(|text| text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
        let is_json = match media_type.as_deref() {
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

    /// Whether the client prefers an event stream to JSON (`Accept`; RFC 9110, section 12.5.1). Where it
    /// likes both equally, it gets the stream.
    pub fn wants_events(&self) -> bool {
        let quality = |range: &str| {
            let (media_type, parameters) = range.split_once(';').unwrap_or((range, ""));
            let quality = parameters.split(';').find_map(|parameter| parameter.trim().strip_prefix("q="));
            (media_type.trim().to_ascii_lowercase(), quality.map_or(1.0, |text| text.parse().unwrap_or(0.0)))
        };
        let values = self.headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let ranges: Vec<(String, f32)> = values.flat_map(|text| text.split(',')).map(quality).collect();
        let quality_of = |wanted: &str| {
            ranges.iter().find(|(media_type, _)| media_type == wanted).map_or(0.0, |(_, quality)| *quality)
        };
        let events = quality_of("text/event-stream");
        events > 0.0 && events >= quality_of("application/json")
    }

    /// Whether one of the values of a list header is this word (`Connection: close`).
    pub fn header_has(&self, name: HeaderName, word: &str) -> bool {
        let values = self.headers.get_all(name);
        let mut words =
            values.iter().filter_map(|value| value.to_str().ok()).flat_map(|text| text.split(','));
        words.any(|text| text.trim().eq_ignore_ascii_case(word))
    }
}
