//! Origins: which pages of other sites may read and publish here (CORS; the Fetch standard, section 3.3).

use crate::error::Error;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, HOST, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderName, Method};
use std::borrow::Cow;

/// How long a browser may remember what a preflight allowed, in seconds.
const PREFLIGHT_SECS: &str = "86400";

/// What a page of another site may send along.
const HEADERS: &str = "authorization, content-type, last-event-id, cache-control, if-match";

/// Where a request comes from, and what for, as the browser itself says (Fetch Metadata, sections 2.2 and 2.3).
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// A header field of a response.
pub type Field = (HeaderName, Cow<'static, str>);

/// Origins whose pages may read and publish (`https://example.org`); `*` stands for all.
#[derive(Debug, Clone, Default)]
pub struct Origins(Vec<String>);

impl Origins {
    /// These origins, as browsers send them.
    pub fn new(origins: Vec<String>) -> Origins {
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
        if self.0.iter().any(|listed| listed == origin) {
            // Named in full, so that cookies may come along; `*` would forbid them.
            fields.push((ACCESS_CONTROL_ALLOW_ORIGIN, origin.to_owned().into()));
            fields.push((ACCESS_CONTROL_ALLOW_CREDENTIALS, "true".into()));
        } else if self.is_listed(headers) {
            fields.push((ACCESS_CONTROL_ALLOW_ORIGIN, "*".into()));
        }
        fields
    }

    /// The header fields that answer a preflight of a listed origin for a path that takes these methods. Those
    /// of [`Origins::allow`] come beside them.
    pub fn preflight(&self, headers: &HeaderMap, methods: &str) -> Vec<Field> {
        if !headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD) || !self.is_listed(headers) {
            return Vec::new();
        }
        vec![
            (ACCESS_CONTROL_ALLOW_METHODS, methods.to_owned().into()),
            (ACCESS_CONTROL_ALLOW_HEADERS, HEADERS.into()),
            (ACCESS_CONTROL_MAX_AGE, PREFLIGHT_SECS.into()),
        ]
    }

    /// Refuses what the page of another site may not even send: browsers let any page post text anywhere and
    /// open streams that it cannot read. They say so themselves, in `Sec-Fetch-Site`. Over plain HTTP they say
    /// it only to this machine, but name the page's origin, which for callout's own pages is the host they ask.
    pub fn check_site(&self, method: &Method, headers: &HeaderMap) -> Result<(), Error> {
        let (origin, host) = (text(headers, ORIGIN), text(headers, HOST));
        let is_own = match text(headers, SEC_FETCH_SITE) {
            Some(site) => matches!(site, "same-origin" | "none"),
            None => origin.is_none_or(|origin| origin.split_once("://").map(|(_, host)| host) == host),
        };
        let is_visit = method == Method::GET && text(headers, SEC_FETCH_MODE) == Some("navigate");
        if is_own || is_visit || self.is_listed(headers) {
            return Ok(());
        }
        Err(Error::Forbidden(
            "pages of other sites may not do this here; `--cors ORIGIN` would allow one (if this is callout's \
             own page, the proxy in front has to pass the header `Host` on)"
                .into(),
        ))
    }

    fn is_listed(&self, headers: &HeaderMap) -> bool {
        let Some(origin) = text(headers, ORIGIN) else { return false };
        self.0.iter().any(|listed| listed == origin || listed == "*")
    }
}

/// A header's value as text. One that is missing, or not plain ASCII, is none.
fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}
