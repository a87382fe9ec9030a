//! Origins: which pages of other sites may read and publish here (CORS; the Fetch standard, section 3.3).

use super::Origin;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderName};
use std::borrow::Cow;

/// How long a browser may remember what a preflight allowed, in seconds.
const PREFLIGHT_SECS: &str = "86400";

/// The response headers that pages of listed origins may read beside the CORS-safelisted ones.
const EXPOSED: &str = "etag, location, retry-after";

/// The longest list of header fields that a preflight may ask for, in bytes. Of a longer one nothing is allowed.
const ASKED_BYTES_MAX: usize = 1024;

/// A header field of a response.
pub type Field = (HeaderName, Cow<'static, str>);

/// Origins whose pages may read and publish.
#[derive(Debug, Clone, Default)]
pub struct Origins(Vec<Origin>);

impl Origins {
    /// These origins.
    pub fn new(origins: Vec<Origin>) -> Origins {
        Origins(origins)
    }

    /// The header fields that let the page of a listed origin read the answer. An origin that is not listed is
    /// never echoed, so its page cannot read anything.
    pub fn allow(&self, headers: &HeaderMap) -> Vec<Field> {
        if self.0.is_empty() {
            return Vec::new();
        }
        let mut fields: Vec<Field> = vec![(VARY, "origin".into())];
        let Some(origin) = text(headers, ORIGIN) else { return fields };
        if self.names(origin) {
            // Named in full, so that cookies may come along; `*` would forbid them.
            fields.push((ACCESS_CONTROL_ALLOW_ORIGIN, origin.to_owned().into()));
            fields.push((ACCESS_CONTROL_ALLOW_CREDENTIALS, "true".into()));
        } else if self.is_listed(headers) {
            fields.push((ACCESS_CONTROL_ALLOW_ORIGIN, "*".into()));
        } else {
            return fields;
        }
        fields.push((ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED.into()));
        fields
    }

    /// The header fields that answer a preflight of a listed origin for a path that takes these methods. Those
    /// of [`Origins::allow`] come beside them.
    pub fn preflight(&self, headers: &HeaderMap, methods: &str) -> Vec<Field> {
        if !headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD) || !self.is_listed(headers) {
            return Vec::new();
        }
        let mut fields: Vec<Field> = vec![
            (ACCESS_CONTROL_ALLOW_METHODS, methods.to_owned().into()),
            (ACCESS_CONTROL_MAX_AGE, PREFLIGHT_SECS.into()),
        ];
        // A listed origin may send what it asks for: libraries for tracing and the like add fields of their own.
        let asked = text(headers, ACCESS_CONTROL_REQUEST_HEADERS).filter(|asked| is_field_list(asked));
        fields.extend(asked.map(|asked| (ACCESS_CONTROL_ALLOW_HEADERS, asked.to_owned().into())));
        fields
    }

    fn is_listed(&self, headers: &HeaderMap) -> bool {
        text(headers, ORIGIN).is_some_and(|origin| self.lists(origin))
    }

    /// Whether all are listed.
    pub(super) fn are_all(&self) -> bool {
        self.0.iter().any(Origin::is_any)
    }

    /// Whether this origin is listed by its name, and not because all are.
    pub(super) fn names(&self, origin: &str) -> bool {
        self.0.iter().any(|listed| !listed.is_any() && listed.matches(origin))
    }

    /// Whether the pages of this origin may read and publish.
    pub(super) fn lists(&self, origin: &str) -> bool {
        self.0.iter().any(|listed| listed.matches(origin))
    }
}

/// Whether it is a list of header fields, and not too long to be echoed.
fn is_field_list(asked: &str) -> bool {
    let is_name = |name: &str| HeaderName::from_bytes(name.trim().as_bytes()).is_ok();
    asked.len() <= ASKED_BYTES_MAX && asked.split(',').all(is_name)
}

/// A header's value as text. One that is missing, or not plain ASCII, is none.
pub(super) fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}
