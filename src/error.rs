//! What can go wrong, which HTTP status says so, and what the client is told: what was refused, why, and what to do.
//!
//! A caller that can act gets a kind of its own; everything else is [`ErrorKind::Internal`]. The texts are written for the
//! sender of the request. A cause that only the operator should see stays inside and goes to the log.

use http::StatusCode;
use serde::Serialize;
use std::fmt;

/// When a client that was answered 503 may try again.
const RETRY_AFTER_SECS: u64 = 5;

/// A refused request or a failed operation. Made with the reason; `Display` gives it back. A client is answered with the
/// [`Problem`]: what was refused, this reason, and a hint.
///
/// ```
/// use callout::{Error, ErrorKind};
///
/// let error = callout::Topic::new("").unwrap_err();
/// assert_eq!((error.kind(), error.status().as_u16()), (ErrorKind::Bad, 400));
/// assert_eq!(error.to_string(), "a topic has 1 to 256 bytes, this one has 0");
///
/// let full = Error::unavailable("all tables are taken").hint("come back after nine");
/// assert_eq!(full.problem().error, "the server cannot do this now");
/// assert_eq!(full.problem().hint, "come back after nine");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    reason: String,
    /// None where the kind's own hint is right.
    hint: Option<String>,
    more: More,
}

/// What an error has beside its texts.
#[derive(Debug, Clone, PartialEq, Eq)]
enum More {
    Nothing,
    /// The value of `Allow`.
    Allow(String),
    /// The value of `Retry-After`.
    RetryAfterSecs(u64),
    /// What the log says of an internal error.
    Cause(String),
}

/// What kind of error it is. Each has one status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// 400: the request, an event or a topic is not valid.
    Bad,
    /// 401: this needs a credential, and none came or it is not valid.
    Unauthorized,
    /// 403: the origin is not on the list, or the server does not allow this to the caller.
    Forbidden,
    /// 404: no route, file or object of that name.
    NotFound,
    /// 405: the path exists, but not with this method.
    Method,
    /// 408: the request did not arrive in time.
    Timeout,
    /// 409: something else is kept under the id that a publisher gave.
    Conflict,
    /// 411: the body's length is unknown.
    Length,
    /// 412: the post has changed since the version named in `If-Match`.
    Precondition,
    /// 413: a body or a value is over its limit.
    TooLarge,
    /// 415: the body is of a media type, coding or charset that is not taken.
    MediaType,
    /// 417: the request expects something other than `100-continue`.
    Expectation,
    /// 421: the request asks for a host that this server does not know as its own.
    Misdirected,
    /// 429: the caller has done this too often, and may again after some seconds.
    TooMany,
    /// 431: the head is over 16 KB, not counting up to 80 KB of its query, or has over 100 fields.
    HeadTooLarge,
    /// 500: a fault of the server. The cause is for the operator; the client learns only that it was not its own fault.
    Internal,
    /// 501: the body has a transfer coding other than `chunked`.
    Coding,
    /// 503: this cannot be done now. Nothing was done; a later try may succeed.
    Unavailable,
    /// 503: all permits for streams are in use. An `EventSource` is not given this status, since it would never
    /// come back: it gets an empty stream with a retry delay.
    Full,
    /// 505: the request is neither HTTP/1.0 nor HTTP/1.1.
    Version,
}

/// What a client is told of an error, as JSON: `{"error":"…","reason":"…","hint":"…"}`. No text is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Problem<'a> {
    /// What was refused: a short phrase, the same for all errors of a kind.
    pub error: &'a str,
    /// Why: what exactly was wrong.
    pub reason: &'a str,
    /// What to do.
    pub hint: &'a str,
}

impl Error {
    /// An error of this kind, for this reason. The hint is that of its kind.
    pub fn new(kind: ErrorKind, reason: impl Into<String>) -> Error {
        let more = match kind {
            ErrorKind::Unavailable | ErrorKind::Full | ErrorKind::TooMany => {
                More::RetryAfterSecs(RETRY_AFTER_SECS)
            }
            _ => More::Nothing,
        };
        let reason = Some(reason.into()).filter(|reason| !reason.is_empty());
        Error { kind, reason: reason.unwrap_or_else(|| kind.phrase().into()), hint: None, more }
    }

    /// A 400: the request, an event or a topic is not valid.
    pub fn bad(reason: impl Into<String>) -> Error {
        Error::new(ErrorKind::Bad, reason)
    }

    /// A 401: this needs a credential. The reason says what came instead, and never repeats a secret.
    pub fn unauthorized(reason: impl Into<String>) -> Error {
        Error::new(ErrorKind::Unauthorized, reason)
    }

    /// A 403: this caller may not do this.
    pub fn forbidden(reason: impl Into<String>) -> Error {
        Error::new(ErrorKind::Forbidden, reason)
    }

    /// A 404: no route, file or object of that name.
    pub fn not_found(reason: impl Into<String>) -> Error {
        Error::new(ErrorKind::NotFound, reason)
    }

    /// A 405. `allow` are the methods that the path takes, as the `Allow` header writes them.
    pub(crate) fn method(allow: String) -> Error {
        let error = Error::new(ErrorKind::Method, "this path does not take that method");
        let error = error.hint(format!("use one of the methods that it takes: {allow}"));
        Error { more: More::Allow(allow), ..error }
    }

    /// A 408: the head or the body did not arrive in time.
    pub(crate) fn timeout(what: &str) -> Error {
        Error::new(ErrorKind::Timeout, format!("the {what} did not arrive in time"))
    }

    /// A 409: something else is kept under the id that was given.
    pub fn conflict(reason: impl Into<String>) -> Error {
        Error::new(ErrorKind::Conflict, reason)
    }

    /// A 412: what was to be changed is no longer at the version that the request names.
    pub fn precondition(reason: impl Into<String>) -> Error {
        Error::new(ErrorKind::Precondition, reason)
    }

    /// A 413: a body or a value has more bytes than this.
    pub fn too_large(bytes_max: usize) -> Error {
        Error::new(ErrorKind::TooLarge, format!("at most {bytes_max} bytes are taken here"))
    }

    /// A 415: the body is of a media type, coding or charset that is not taken here.
    pub fn media_type(reason: impl Into<String>) -> Error {
        Error::new(ErrorKind::MediaType, reason)
    }

    /// A 429 with its `Retry-After`: the caller has done this too often, and may again after so many seconds.
    pub fn too_many(reason: impl Into<String>, retry_after_secs: u64) -> Error {
        let error = Error::new(ErrorKind::TooMany, reason);
        let seconds = if retry_after_secs == 1 { "second" } else { "seconds" };
        let error =
            error.hint(format!("wait {retry_after_secs} {seconds}, as `Retry-After` says, then try again"));
        Error { more: More::RetryAfterSecs(retry_after_secs), ..error }
    }

    /// A 431.
    pub(crate) fn head_too_large() -> Error {
        let most =
            "the request's head has more than 16 KB beside up to 80 KB of query, or more than 100 fields";
        Error::new(ErrorKind::HeadTooLarge, most)
    }

    /// A 500. The cause is for the log; the client learns only that it was not its own fault.
    pub fn internal(cause: impl Into<String>) -> Error {
        let error = Error::new(ErrorKind::Internal, "something failed inside the server");
        Error { more: More::Cause(cause.into()), ..error }
    }

    /// A 503: this cannot be done now, and nothing was done. A later try may succeed.
    pub fn unavailable(reason: impl Into<String>) -> Error {
        Error::new(ErrorKind::Unavailable, reason)
    }

    /// The same error with this hint, which says what to do. An empty one leaves the hint as it is.
    pub fn hint(mut self, hint: impl Into<String>) -> Error {
        self.hint = Some(hint.into()).filter(|hint| !hint.is_empty()).or(self.hint);
        self
    }

    /// What kind of error it is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The status that a client is answered with.
    pub fn status(&self) -> StatusCode {
        self.kind.status()
    }

    /// What a client is told.
    pub fn problem(&self) -> Problem<'_> {
        let hint = self.hint.as_deref().unwrap_or(self.kind.hint());
        Problem { error: self.kind.phrase(), reason: &self.reason, hint }
    }

    /// The methods that a 405 allows.
    pub(crate) fn allow(&self) -> Option<&str> {
        if let More::Allow(methods) = &self.more { Some(methods) } else { None }
    }

    /// In how many seconds the same request may succeed.
    pub(crate) fn retry_after_secs(&self) -> Option<u64> {
        if let More::RetryAfterSecs(secs) = self.more { Some(secs) } else { None }
    }

    /// What the log says of an internal error.
    pub(crate) fn cause(&self) -> Option<&str> {
        if let More::Cause(cause) = &self.more { Some(cause) } else { None }
    }
}

impl ErrorKind {
    /// The status of all errors of this kind.
    pub fn status(self) -> StatusCode {
        self.texts().0
    }

    fn phrase(self) -> &'static str {
        self.texts().1
    }

    fn hint(self) -> &'static str {
        self.texts().2
    }

    /// The one place that turns an error into an HTTP status, and says what it means and what to do.
    fn texts(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            ErrorKind::Bad => (
                StatusCode::BAD_REQUEST,
                "the request is not valid",
                "change what the reason names; the same request would be refused again",
            ),
            ErrorKind::Unauthorized => (
                StatusCode::UNAUTHORIZED,
                "this needs a credential",
                "send the header `Authorization: Bearer …` with a token that this server accepts",
            ),
            ErrorKind::Forbidden => (
                StatusCode::FORBIDDEN,
                "this is not allowed",
                "ask the operator of this server whether it can be allowed",
            ),
            ErrorKind::NotFound => (
                StatusCode::NOT_FOUND,
                "nothing is there",
                "check the path and the names in it: they are case-sensitive",
            ),
            ErrorKind::Method => (
                StatusCode::METHOD_NOT_ALLOWED,
                "the method is not allowed",
                "use one of the methods that the header `Allow` names",
            ),
            ErrorKind::Timeout => (
                StatusCode::REQUEST_TIMEOUT,
                "the request came too slowly",
                "connect again and send the request without pauses",
            ),
            ErrorKind::Conflict => (
                StatusCode::CONFLICT,
                "the id is taken",
                "give another id, or none: then the server gives one",
            ),
            ErrorKind::Length => (
                StatusCode::LENGTH_REQUIRED,
                "the length of the body is missing",
                "send `Content-Length` (0 if there is no body), or send the body in chunks with `Transfer-Encoding: chunked`",
            ),
            ErrorKind::Precondition => (
                StatusCode::PRECONDITION_FAILED,
                "the post has changed",
                "read it again, and send the change with its new `ETag` in `If-Match`",
            ),
            ErrorKind::TooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "too large",
                "send less in one request; for most routes the limit is the server's `--body-bytes`",
            ),
            ErrorKind::MediaType => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "the media type is not supported",
                "send the body in a form that this route takes, and name it in `Content-Type`",
            ),
            ErrorKind::Expectation => (
                StatusCode::EXPECTATION_FAILED,
                "the expectation cannot be met",
                "leave `Expect` out, or send `Expect: 100-continue`",
            ),
            ErrorKind::Misdirected => (
                StatusCode::MISDIRECTED_REQUEST,
                "the host is not one of this server's",
                "ask for this server under a name that it knows",
            ),
            ErrorKind::TooMany => (
                StatusCode::TOO_MANY_REQUESTS,
                "too many requests",
                "wait as long as `Retry-After` says, then try again",
            ),
            ErrorKind::HeadTooLarge => (
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "the head is too large",
                "send fewer and shorter header fields; many topics fit into the body of `QUERY /topics`",
            ),
            ErrorKind::Internal => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "a fault of the server",
                "tell the operator of this server: its log says what failed",
            ),
            ErrorKind::Coding => (
                StatusCode::NOT_IMPLEMENTED,
                "the transfer coding is not supported",
                "send the body with `Content-Length`, or with `Transfer-Encoding: chunked`",
            ),
            ErrorKind::Unavailable => (
                StatusCode::SERVICE_UNAVAILABLE,
                "the server cannot do this now",
                "wait as long as `Retry-After` says, then try again",
            ),
            ErrorKind::Full => (
                StatusCode::SERVICE_UNAVAILABLE,
                "the server is full",
                "wait as long as `Retry-After` says, or longer, then try again",
            ),
            ErrorKind::Version => {
                (StatusCode::HTTP_VERSION_NOT_SUPPORTED, "the HTTP version is not supported", "use HTTP/1.1")
            }
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_is_empty() {
        let error = Error::bad("").hint("first").hint("");
        assert_eq!((error.problem().reason, error.problem().hint), ("the request is not valid", "first"));
    }

    #[test]
    fn a_client_is_not_told_the_cause_of_an_internal_error() {
        let error = Error::internal("failed to read /srv/secret");
        assert_eq!(error.cause(), Some("failed to read /srv/secret"));
        assert!(!serde_json::to_string(&error.problem()).unwrap().contains("/srv"));
    }
}
