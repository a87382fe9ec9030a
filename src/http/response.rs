//! A response, and its bytes.

use crate::error::Error;
use http::StatusCode;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, RETRY_AFTER};
use httpdate::HttpDate;
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
    pub headers: Vec<(HeaderName, Cow<'static, str>)>,
    /// The body, or its beginning if it is open.
    pub body: Cow<'static, [u8]>,
    /// The body has no length: it ends when the connection does.
    pub is_open: bool,
}

impl Response {
    /// An answer without a body.
    pub fn empty(status: StatusCode) -> Response {
        Response { status, headers: Vec::new(), body: Cow::Borrowed(b""), is_open: false }
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
            Error::Method { allow } => response.with(ALLOW, allow.clone()),
            Error::Unauthorized => response.with(http::header::WWW_AUTHENTICATE, "Bearer"),
            Error::Unavailable(_) | Error::Full => response.with(RETRY_AFTER, RETRY_AFTER_SECS),
            _ => response,
        }
    }

    /// The head that opens a stream.
    pub fn stream() -> Response {
        Response { is_open: true, ..Response::empty(StatusCode::OK) }
            .with(CONTENT_TYPE, "text/event-stream")
            // no-transform keeps middle boxes from compressing, and so from holding back.
            .with(CACHE_CONTROL, "no-store, no-transform")
            // nginx's name for: pass on what comes when it comes.
            .with(HeaderName::from_static("x-accel-buffering"), "no")
    }

    /// The same with one more header field. A value with control characters cannot stand in a header
    /// and is left out.
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

    /// The head and, unless it is left out (HEAD), the body. `close` says that the connection ends
    /// after it, as it has to after an open body.
    pub fn encode(&self, close: bool, with_body: bool) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(256 + self.body.len());
        let mut push = |part: &str| bytes.extend_from_slice(part.as_bytes());
        push("HTTP/1.1 ");
        push(self.status.as_str());
        push(" ");
        push(self.status.canonical_reason().unwrap_or("Other"));
        for (name, value) in &self.headers {
            push("\r\n");
            push(name.as_str());
            push(": ");
            push(value);
        }
        push("\r\nx-content-type-options: nosniff\r\ndate: ");
        // A clock that is not set yet may be before 1970, which this header cannot say.
        push(&HttpDate::from(SystemTime::now().max(SystemTime::UNIX_EPOCH)).to_string());
        if close {
            push("\r\nconnection: close");
        }
        let has_no_body = matches!(self.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        if !self.is_open && !has_no_body {
            push("\r\ncontent-length: ");
            push(&self.body.len().to_string());
        }
        push("\r\n\r\n");
        if with_body {
            bytes.extend_from_slice(&self.body);
        }
        bytes
    }
}
