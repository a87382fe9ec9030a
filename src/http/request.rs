//! A request: what a client asked for, complete with its body, and the readers of its parts.

use super::media;
use super::path::{Captures, Target};
use crate::access::Grant;
use crate::error::Error;
use crate::hub::chunk::Coding;
use http::header::{ACCEPT, ORIGIN};
use http::{HeaderMap, HeaderName, Method, Version};
use serde::de::DeserializeOwned;
use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// A request, complete with its body.
///
/// ```
/// use callout::{Answer, App, Error, Request};
///
/// /// `POST /rooms/{room}/moves?player=ann`, with a body like `{"x":1,"y":2}`.
/// fn make_move(_app: &App, request: &Request) -> Result<Answer, Error> {
///     let room = request.capture("room");
///     let player = request.query("player").ok_or_else(|| Error::bad("`player` is missing"))?;
///     let to: std::collections::BTreeMap<String, u32> = request.json(r#"{"x":1,"y":2}"#)?;
///     Ok(Answer::json(&format!("{player} moves to {to:?} in {room}")))
/// }
/// ```
pub struct Request {
    /// The method as it was sent; `get` is not `GET`.
    pub method: Method,
    /// Path and query, percent-encoded as they came.
    pub target: Target,
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
    /// Whether a trusted proxy says that the client came over TLS.
    pub(super) is_forwarded_tls: bool,
    /// The address for which the request counts; none where it is this machine's own, or a proxy's.
    pub(crate) counted: Option<IpAddr>,
    /// What the route's pattern gave names to.
    pub(crate) captures: Captures,
    /// What access has granted; none until it was asked.
    pub(crate) grant: Option<Grant>,
}

/// Without query, header fields and body, where credentials stand.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Request");
        shown.field("method", &self.method).field("path", &self.path()).field("client", &self.client);
        shown.finish_non_exhaustive()
    }
}

impl Request {
    /// A request without a body, from the peer itself.
    pub(super) fn new(
        method: Method,
        target: Target,
        version: Version,
        headers: HeaderMap,
        peer: SocketAddr,
    ) -> Request {
        let (captures, client) = (Captures::default(), peer.ip());
        Request {
            method,
            target,
            version,
            headers,
            body: Vec::new(),
            peer,
            client,
            is_forwarded_tls: false,
            counted: None,
            captures,
            grant: None,
        }
    }

    /// Whether the client came over TLS: a trusted proxy says so, or a browser names its page's origin. A client that lies
    /// about that deceives only itself.
    pub(crate) fn is_secure(&self) -> bool {
        self.is_forwarded_tls || self.header(ORIGIN).is_some_and(|origin| origin.starts_with("https://"))
    }

    /// What delimits a stream that answers this request: HTTP/1.0 has no chunks.
    pub(super) fn stream_coding(&self) -> Coding {
        if self.version == Version::HTTP_10 { Coding::Identity } else { Coding::Chunked }
    }

    /// The path, percent-encoded as it came.
    pub fn path(&self) -> &str {
        self.target.path()
    }

    /// The part of the path that the route's pattern calls by this name, decoded; empty if it has none.
    pub fn capture(&self, name: &str) -> &str {
        self.captures.get(name)
    }

    /// What access has granted this request. [`Error::internal`] outside a route's handler.
    pub fn grant(&self) -> Result<&Grant, Error> {
        self.grant.as_ref().ok_or_else(|| Error::internal("a request was handled without a grant"))
    }

    /// The first value of a query parameter, decoded.
    pub fn query(&self, name: &str) -> Option<String> {
        self.query_all(name).next()
    }

    /// All values of a query parameter, decoded, in their order.
    pub fn query_all(&self, name: &str) -> impl Iterator<Item = String> {
        self.query_pairs().filter(move |(key, _)| key == name).map(|(_, value)| value.into_owned())
    }

    /// All query parameters, decoded, in their order.
    pub fn query_pairs(&self) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
        form_urlencoded::parse(self.target.query().as_bytes())
    }

    /// A header's value as text; none if the header is missing or its value is not plain ASCII.
    pub fn header(&self, name: HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as text. [`Error::bad`] if it is not UTF-8; [`Error::media_type`] if it was not sent as plain
    /// UTF-8; a 411 if its length is not known.
    pub fn text(&self) -> Result<&str, Error> {
        media::check_text(&self.headers)?;
        std::str::from_utf8(&self.body).map_err(|_| {
            Error::bad("the body is not UTF-8 text")
                .hint("send text in UTF-8; other bytes can be sent in Base64")
        })
    }

    /// The body as JSON. `example` shows the sender of a wrong body what a right one looks like.
    /// [`Error::bad`] if the body cannot be read as a `T`; [`Error::media_type`] if its `Content-Type` is plainly
    /// something else than JSON; other errors as [`Request::text`].
    pub fn json<T: DeserializeOwned>(&self, example: &str) -> Result<T, Error> {
        media::check_text(&self.headers)?;
        media::check_json(&self.headers)?;
        // Some editors and shells put a byte order mark before what they write.
        let json = self.body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&self.body);
        serde_json::from_slice(json)
            .map_err(|error| Error::bad(format!("the body is not the JSON that is taken here: {error}")))
            .map_err(|error| error.hint(format!("send JSON like {example}")))
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

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use http::header::AUTHORIZATION;

    #[test]
    fn no_credential_of_a_request_is_printed() {
        let target = Target::parse("/topics/a?ticket=sesame").unwrap();
        let headers = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static("Bearer sesame"))]);
        let peer = ([192, 0, 2, 1], 80).into();
        let mut request = Request::new(Method::GET, target, Version::HTTP_11, headers, peer);
        request.body = b"sesame".to_vec();
        let shown = format!("{request:?}");
        assert_eq!(shown, r#"Request { method: GET, path: "/topics/a", client: 192.0.2.1, .. }"#);
        assert_eq!(format!("{:?}", request.target), r#"Target("/topics/a")"#);
    }
}
