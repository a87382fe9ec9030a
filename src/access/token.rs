//! The publish token.

use http::HeaderMap;
use http::header::AUTHORIZATION;
use std::fmt;
use subtle::ConstantTimeEq;

/// A secret text. `Debug` does not print it.
///
/// ```
/// assert_eq!(format!("{:?}", callout::Secret::new("sesame")), "Secret(…)");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes the text as it is.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// Whether this is what a client can send as its bearer token: one or more visible ASCII characters. An empty one
    /// would leave a server open to everybody.
    pub(crate) fn is_token(&self) -> bool {
        is_token(&self.0)
    }

    /// Whether this is the same text. Takes the same time for every other one of the same length.
    pub(super) fn is(&self, given: &str) -> bool {
        self.0.as_bytes().ct_eq(given.as_bytes()).into()
    }
}

impl<T: Into<String>> From<T> for Secret {
    fn from(text: T) -> Secret {
        Secret::new(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Whether a client can send this as its bearer token; see [`Secret::is_token`].
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The token of `Authorization: Bearer TOKEN` (RFC 6750, section 2.1), if there is one.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
