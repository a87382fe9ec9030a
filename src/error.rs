//! What can go wrong, and which HTTP status says so.
//!
//! A caller that can act gets a variant of its own; everything else is [`Error::Internal`]. The text is written for
//! the sender of the request: it says what was wrong and what would be right. A cause that only the operator
//! should see stays inside `Internal` and goes to the log.

use http::StatusCode;
use std::fmt;

/// A refused request or a failed operation. `Display` is the part that the client may see.
///
/// ```
/// let error = callout::Topic::new("").unwrap_err();
/// assert_eq!(error.status(), 400);
/// assert_eq!(error.to_string(), "a topic has 1 to 256 bytes, this one has 0");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// 400: the request, an event or a topic is not valid.
    Bad(String),
    /// 401: this needs the publish token, and it is missing or wrong.
    Unauthorized,
    /// 403: the origin is not on the list, or the server does not allow this to the caller.
    Forbidden(String),
    /// 404: no route, file or object of that name.
    NotFound(String),
    /// 405: the path exists, but not with this method.
    Method {
        /// The allowed methods, as the `Allow` header writes them.
        allow: String,
    },
    /// 408: the request did not arrive in time.
    Timeout(&'static str),
    /// 409: something else is kept under the id that a publisher gave.
    Conflict(String),
    /// 411: the body's length is unknown.
    Length,
    /// 412: the post has changed since the version named in `If-Match`.
    Precondition(String),
    /// 413: a body or a value is over its limit.
    TooLarge {
        /// The limit in bytes.
        bytes_max: usize,
    },
    /// 415: the route takes no body of this media type.
    MediaType {
        /// The media type that it takes.
        wanted: &'static str,
    },
    /// 415: the body is compressed.
    ContentCoding,
    /// 415: the body is not in UTF-8.
    Charset,
    /// 415: the body is a multipart form.
    Multipart,
    /// 417: the request expects something other than `100-continue`.
    Expectation,
    /// 421: the request asks for a host that this server does not know as its own.
    Misdirected(String),
    /// 431: the head is over 16 KB, not counting up to 80 KB of its query, or has over 100 fields.
    HeadTooLarge,
    /// 501: the body has a transfer coding other than `chunked`.
    Coding,
    /// 503: this cannot be done now. Nothing was done; a later try may succeed.
    Unavailable(String),
    /// 503: all permits for streams are in use. An `EventSource` is not given this status, since it would never
    /// come back: it gets an empty stream with a retry delay.
    Full,
    /// 505: the request is neither HTTP/1.0 nor HTTP/1.1.
    Version,
    /// 500: a fault of the server. The cause is for the operator; the client learns only that it was not its own
    /// fault.
    Internal(String),
}

impl Error {
    /// A 400 with this explanation.
    pub fn bad(why: impl Into<String>) -> Error {
        Error::Bad(why.into())
    }

    /// The one place that turns an error into an HTTP status.
    pub fn status(&self) -> StatusCode {
        match self {
            Error::Bad(_) => StatusCode::BAD_REQUEST,
            Error::Unauthorized => StatusCode::UNAUTHORIZED,
            Error::Forbidden(_) => StatusCode::FORBIDDEN,
            Error::NotFound(_) => StatusCode::NOT_FOUND,
            Error::Method { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Error::Timeout(_) => StatusCode::REQUEST_TIMEOUT,
            Error::Conflict(_) => StatusCode::CONFLICT,
            Error::Length => StatusCode::LENGTH_REQUIRED,
            Error::Precondition(_) => StatusCode::PRECONDITION_FAILED,
            Error::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Error::MediaType { .. } | Error::ContentCoding | Error::Charset | Error::Multipart => {
                StatusCode::UNSUPPORTED_MEDIA_TYPE
            }
            Error::Expectation => StatusCode::EXPECTATION_FAILED,
            Error::Misdirected(_) => StatusCode::MISDIRECTED_REQUEST,
            Error::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Error::Coding => StatusCode::NOT_IMPLEMENTED,
            Error::Unavailable(_) | Error::Full => StatusCode::SERVICE_UNAVAILABLE,
            Error::Version => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Error::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Bad(why)
            | Error::Forbidden(why)
            | Error::NotFound(why)
            | Error::Conflict(why)
            | Error::Precondition(why)
            | Error::Misdirected(why)
            | Error::Unavailable(why) => f.write_str(why),
            Error::Unauthorized => {
                f.write_str("this needs the header `Authorization: Bearer …` with the server's publish token")
            }
            Error::Method { allow } => write!(f, "this path does not take that method; allowed are {allow}"),
            Error::Timeout(what) => write!(f, "the {what} did not arrive in time"),
            Error::TooLarge { bytes_max } => write!(f, "too large: at most {bytes_max} bytes are taken here"),
            Error::MediaType { wanted } => write!(f, "the body has to come with `Content-Type: {wanted}`"),
            Error::ContentCoding => {
                f.write_str("no `Content-Encoding` is understood here: the body has to come uncompressed")
            }
            Error::Length => f.write_str(
                "the length of the body is missing: send `Content-Length` (0 if there is no body), or send the body \
                 in chunks with `Transfer-Encoding: chunked`",
            ),
            Error::Charset => f.write_str(
                "only UTF-8 is understood here: the body has to come in UTF-8, with `charset=utf-8` or no charset",
            ),
            Error::Multipart => f.write_str(
                "multipart forms are not taken apart here: send the text or the JSON itself as the body (curl: \
                 `--data-binary`; PHP: a string as CURLOPT_POSTFIELDS, not an array; JavaScript: a string, not FormData)",
            ),
            Error::Expectation => f.write_str("the only `Expect` understood here is `100-continue`"),
            Error::HeadTooLarge => {
                f.write_str("the request's head is too large: at most 16 KB, beside up to 80 KB of query, and 100 fields")
            }
            Error::Coding => f.write_str("the only `Transfer-Encoding` understood here is `chunked`"),
            Error::Full => f.write_str("this server has no room for another stream now; come back later"),
            Error::Version => f.write_str("only HTTP/1.0 and HTTP/1.1 are spoken here"),
            Error::Internal(_) => f.write_str("something failed inside the server; its log says what"),
        }
    }
}

impl std::error::Error for Error {}
