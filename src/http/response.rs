//! A response, and its bytes.

use crate::error::{Error, ErrorKind};
use crate::hub::chunk::Coding;
use crate::os::clock::now;
use http::StatusCode;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, RETRY_AFTER, TRANSFER_ENCODING, WWW_AUTHENTICATE,
};
use httpdate::HttpDate;
use serde::Serialize;
use std::borrow::Cow;
use std::io::Write;

/// The room for the head and the opening of a stream, so that the buffer need not grow.
const OPENING_BYTES: usize = 1024;

/// What a request is answered with: status, header fields and a body. Length, date and connection are added
/// when the response is encoded.
///
/// ```
/// use callout::Response;
/// use http::StatusCode;
/// use http::header::{CONTENT_TYPE, LOCATION};
///
/// let moved = Response::empty(StatusCode::SEE_OTHER).with(LOCATION, "/poll.html");
/// assert_eq!(moved.status, 303);
///
/// let mut table = Response::empty(StatusCode::OK).with(CONTENT_TYPE, "text/csv; charset=utf-8");
/// table.body = b"choice,votes\ntea,3\n".into();
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The header fields.
    pub headers: Vec<(HeaderName, Cow<'static, str>)>,
    /// The body; of an open one, its beginning.
    pub body: Cow<'static, [u8]>,
    /// Whether the body is open: it has no length, and the rest of it is written later.
    pub is_open: bool,
    /// Whether it refuses what was asked for, although its status may not say so. The log has one line a second of those.
    pub(crate) is_refusal: bool,
}

impl Response {
    /// A response without a body.
    pub fn empty(status: StatusCode) -> Response {
        Response { status, headers: Vec::new(), body: Cow::Borrowed(b""), is_open: false, is_refusal: false }
    }

    /// A response in JSON, which no cache keeps.
    pub fn json(status: StatusCode, value: &impl Serialize) -> Response {
        match serde_json::to_vec(value) {
            Ok(body) => Response { body: body.into(), ..Response::empty(status) }
                .with(CONTENT_TYPE, "application/json")
                .with(CACHE_CONTROL, "no-store"),
            Err(error) => Response::error(&Error::internal(format!("failed to write JSON: {error}"))),
        }
    }

    /// An error as JSON, `{"error":"…","reason":"…","hint":"…"}` ([`Problem`](crate::Problem)), with the header field that
    /// its status requires, if any.
    pub fn error(error: &Error) -> Response {
        let mut response = Response::json(error.status(), &error.problem());
        response.is_refusal =
            matches!(error.kind(), ErrorKind::Unauthorized | ErrorKind::Forbidden | ErrorKind::TooMany);
        if error.kind() == ErrorKind::Unauthorized {
            response = response.with(WWW_AUTHENTICATE, "Bearer");
        }
        if let Some(methods) = error.allow() {
            response = response.with(ALLOW, methods.to_owned());
        }
        if let Some(secs) = error.retry_after_secs() {
            response = response.with(RETRY_AFTER, secs.to_string());
        }
        response
    }

    /// The head that opens a stream.
    pub fn stream() -> Response {
        Response { is_open: true, ..Response::empty(StatusCode::OK) }
            .with(CONTENT_TYPE, "text/event-stream")
            // no-transform keeps proxies from compressing, which would hold events back.
            .with(CACHE_CONTROL, "no-store, no-transform")
            // Tells nginx not to buffer.
            .with(HeaderName::from_static("x-accel-buffering"), "no")
    }

    /// The same with one more header field. A value with control characters is not allowed in a header, so
    /// the field is left out.
    pub fn with(mut self, name: HeaderName, value: impl Into<Cow<'static, str>>) -> Response {
        let value = value.into();
        if !value.bytes().any(|byte| byte.is_ascii_control()) {
            self.headers.push((name, value));
        }
        self
    }

    /// The same with these header fields too.
    pub(crate) fn with_all(self, fields: Vec<(HeaderName, Cow<'static, str>)>) -> Response {
        fields.into_iter().fold(self, |response, (name, value)| response.with(name, value))
    }

    /// The head of a stream in this coding, in a buffer with room for the stream's opening.
    pub(super) fn encode_open(&self, coding: Coding) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(OPENING_BYTES);
        self.encode_head(&mut bytes, true, (coding == Coding::Chunked).then_some("chunked"));
        bytes
    }

    /// The bytes of the head and, unless a HEAD request leaves it out, of the body. `close` tells the client
    /// that the connection ends afterwards, as it must after an open body.
    pub fn encode(&self, close: bool, with_body: bool) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(256 + self.body.len());
        self.encode_head(&mut bytes, close, None);
        if with_body {
            bytes.extend_from_slice(&self.body);
        }
        bytes
    }

    fn encode_head(&self, bytes: &mut Vec<u8>, close: bool, transfer_coding: Option<&str>) {
        let mut push = |part: &str| bytes.extend_from_slice(part.as_bytes());
        push("HTTP/1.1 ");
        push(self.status.as_str());
        push(" ");
        push(self.status.canonical_reason().unwrap_or("Other"));
        let own = self.headers.iter().map(|(name, value)| (name, &**value));
        for (name, value) in own.chain(transfer_coding.map(|coding| (&TRANSFER_ENCODING, coding))) {
            push("\r\n");
            push(name.as_str());
            push(": ");
            push(value);
        }
        let date = HttpDate::from(now());
        // Writing to a Vec cannot fail.
        let _ = write!(bytes, "\r\nx-content-type-options: nosniff\r\ndate: {date}");
        if close {
            bytes.extend_from_slice(b"\r\nconnection: close");
        }
        let has_no_body = matches!(self.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        if !self.is_open && !has_no_body {
            let _ = write!(bytes, "\r\ncontent-length: {}", self.body.len());
        }
        bytes.extend_from_slice(b"\r\n\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::LOCATION;

    #[test]
    fn a_header_field_with_control_characters_is_left_out() {
        for value in ["/a\r\nSet-Cookie: b=c", "/a\nb", "/a\rb", "/a\0", "/a\tb", "/a\x7f"] {
            let bytes = Response::empty(StatusCode::CREATED).with(LOCATION, value).encode(false, true);
            let head = String::from_utf8(bytes).unwrap();
            assert!(!head.contains("location") && !head.contains("/a"), "{value:?} in {head}");
        }
        let bytes = Response::empty(StatusCode::CREATED).with(LOCATION, "/a").encode(false, true);
        assert!(String::from_utf8(bytes).unwrap().contains("\r\nlocation: /a\r\n"));
    }
}
