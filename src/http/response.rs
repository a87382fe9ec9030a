//! A response, and its bytes.

use crate::error::Error;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Serialize;
use std::borrow::Cow;
use std::time::SystemTime;

/// When whoever was answered 503 may come back.
const RETRY_AFTER_SECS: &str = "5";

/// What is answered to a request: status, header fields and a body. Length, date and connection are
/// added when it is encoded.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The header fields.
    pub headers: HeaderMap,
    /// The body.
    pub body: Cow<'static, [u8]>,
}

impl Response {
    /// An answer without a body.
    pub fn empty(status: StatusCode) -> Response {
        Response { status, headers: HeaderMap::new(), body: Cow::Borrowed(b"") }
    }

    /// An answer in JSON, not to be cached.
    pub fn json(status: StatusCode, value: &impl Serialize) -> Response {
        match serde_json::to_vec(value) {
            Ok(body) => Response { body: body.into(), ..Response::empty(status) }
                .with(CONTENT_TYPE, "application/json")
                .with(CACHE_CONTROL, "no-store"),
            Err(error) => Response::error(&Error::Internal(format!("failed to write JSON: {error}"))),
        }
    }

    /// An error as JSON, `{"error":"…"}`, with what its status asks for beside it.
    pub fn error(error: &Error) -> Response {
        let response = Response::json(error.status(), &serde_json::json!({ "error": error.to_string() }));
        match error {
            Error::Method { allow } => response.with(ALLOW, allow),
            Error::Unauthorized => response.with(http::header::WWW_AUTHENTICATE, "Bearer"),
            Error::Unavailable(_) | Error::Full => response.with(RETRY_AFTER, RETRY_AFTER_SECS),
            _ => response,
        }
    }

    /// The head that opens a stream.
    pub fn stream() -> Response {
        Response::empty(StatusCode::OK)
            .with(CONTENT_TYPE, "text/event-stream")
            // no-transform keeps middle boxes from compressing, and so from holding back.
            .with(CACHE_CONTROL, "no-store, no-transform")
            // nginx's name for: pass on what comes when it comes.
            .with(HeaderName::from_static("x-accel-buffering"), "no")
    }

    /// The same with one more header field. A value that cannot stand in a header is left out.
    pub fn with(mut self, name: HeaderName, value: &str) -> Response {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }

    /// The head and, unless it is left out (HEAD), the body. `close` says that the connection ends
    /// after it.
    pub fn encode(&self, close: bool, with_body: bool) -> Vec<u8> {
        let mut bytes = self.start(close);
        if !matches!(self.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
            push(&mut bytes, b"content-length", self.body.len().to_string().as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        if with_body {
            bytes.extend_from_slice(&self.body);
        }
        bytes
    }

    /// The head alone, without a length: what follows ends when the connection does.
    pub fn encode_open(&self) -> Vec<u8> {
        let mut bytes = self.start(true);
        bytes.extend_from_slice(b"\r\n");
        bytes
    }

    fn start(&self, close: bool) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(256 + self.body.len());
        bytes.extend_from_slice(b"HTTP/1.1 ");
        bytes.extend_from_slice(self.status.as_str().as_bytes());
        bytes.push(b' ');
        bytes.extend_from_slice(self.status.canonical_reason().unwrap_or("Other").as_bytes());
        bytes.extend_from_slice(b"\r\n");
        for (name, value) in &self.headers {
            push(&mut bytes, name.as_str().as_bytes(), value.as_bytes());
        }
        push(&mut bytes, b"x-content-type-options", b"nosniff");
        push(&mut bytes, b"date", httpdate::fmt_http_date(SystemTime::now()).as_bytes());
        if close {
            push(&mut bytes, b"connection", b"close");
        }
        bytes
    }
}

fn push(bytes: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    bytes.extend_from_slice(name);
    bytes.extend_from_slice(b": ");
    bytes.extend_from_slice(value);
    bytes.extend_from_slice(b"\r\n");
}
