//! Origins: which pages of other sites may read and publish here (CORS; the Fetch standard, section 3.3).

use crate::error::Error;
use http::header::{
    ACCEPT, ACCEPT_LANGUAGE, ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS,
    ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS,
    ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, HOST, ORIGIN,
    REFERER, UPGRADE_INSECURE_REQUESTS, USER_AGENT, VARY,
};
use http::{HeaderMap, HeaderName, Method};
use std::borrow::Cow;
use std::str::FromStr;

/// How long a browser may remember what a preflight allowed, in seconds.
const PREFLIGHT_SECS: &str = "86400";

/// The response headers that pages of listed origins may read beside the CORS-safelisted ones.
const EXPOSED: &str = "etag, location, retry-after";

/// The longest list of header fields that a preflight may ask for, in bytes. Of a longer one nothing is allowed.
const ASKED_BYTES_MAX: usize = 1024;

/// The most characters of an origin or a host that an error shows.
const SHOWN_CHARS_MAX: usize = 256;

/// Where a request comes from, and what for, as the browser itself says (Fetch Metadata, sections 2.2 and 2.3).
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// What a browser accepts where it loads a frame, an image, a style sheet, sound or pictures that move.
const LOADED: [&str; 5] = ["application/xhtml+xml", "image/", "text/css", "audio/", "video/"];

/// What a request does beside reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    None,
    /// It opens a stream, which takes a permit and may show that somebody is there.
    Subscribes,
    /// It publishes.
    Publishes,
}

/// A header field of a response.
pub type Field = (HeaderName, Cow<'static, str>);

/// An origin, or several that differ in the subdomain: `https://example.org`, `https://*.example.org`, `null`, `*`.
///
/// ```
/// let mut config = callout::Config::default();
/// config.origins.push("https://*.example.org".parse().unwrap());
/// assert!("example.org".parse::<callout::Origin>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(Kind);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Any,
    Exact(String),
    /// The scheme with its `://`, and what follows the first label of the host, beginning with a dot.
    Subdomains {
        scheme: String,
        rest: String,
    },
}

impl Origin {
    /// Whether it means this origin, as a browser sends it.
    fn matches(&self, origin: &str) -> bool {
        match &self.0 {
            Kind::Any => true,
            Kind::Exact(listed) => listed == origin,
            Kind::Subdomains { scheme, rest } => {
                let host = origin.strip_prefix(scheme.as_str());
                let subdomain = host.and_then(|host| host.strip_suffix(rest.as_str()));
                subdomain
                    .is_some_and(|subdomain| !subdomain.is_empty() && !subdomain.contains(['/', ':', '@']))
            }
        }
    }
}

impl FromStr for Origin {
    type Err = Error;

    /// Reads an origin: scheme, host and, if it is not the scheme's own, port. [`Error::Bad`] says what is valid.
    fn from_str(text: &str) -> Result<Origin, Error> {
        let wrong = || {
            Error::bad(
                "an origin is `*`, `null`, or like https://example.org or https://*.example.org, without a path",
            )
        };
        let text = text.to_ascii_lowercase();
        if text == "*" {
            return Ok(Origin(Kind::Any));
        }
        if text == "null" {
            return Ok(Origin(Kind::Exact(text)));
        }
        let (scheme, host) = text.split_once("://").ok_or_else(wrong)?;
        let scheme_chars = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
        let is_scheme =
            scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.chars().all(scheme_chars);
        if !is_scheme || host.is_empty() || host.contains(['/', '?', '#', '@', ' ']) {
            return Err(wrong());
        }
        let origin = format!("{scheme}://{}", without_default_port(scheme, host));
        match host.strip_prefix("*.") {
            Some(rest) if !rest.is_empty() && !rest.contains('*') => {
                let rest = format!(".{}", without_default_port(scheme, rest));
                Ok(Origin(Kind::Subdomains { scheme: format!("{scheme}://"), rest }))
            }
            _ if host.contains('*') => Err(wrong()),
            _ => Ok(Origin(Kind::Exact(origin))),
        }
    }
}

/// A host without the port that its scheme has anyway.
fn without_default_port<'a>(scheme: &str, host: &'a str) -> &'a str {
    let port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => return host,
    };
    host.strip_suffix(port).unwrap_or(host)
}

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
        if self.0.iter().any(|listed| listed.0 != Kind::Any && listed.matches(origin)) {
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

    /// Refuses what the page of another site may not even send: browsers let any page post text anywhere, open streams
    /// that it cannot read, and load any address as a frame, an image or a script. They say so themselves, in
    /// `Sec-Fetch-Site`. Over plain HTTP they say it only to this machine; there the page's origin tells, which for
    /// callout's own pages is the host that they ask.
    pub fn check_site(&self, method: &Method, headers: &HeaderMap, effect: Effect) -> Result<(), Error> {
        let (origin, host) = (text(headers, ORIGIN), text(headers, HOST));
        let origin =
            origin.or_else(|| text(headers, REFERER).filter(|_| effect != Effect::None).map(origin_of));
        let is_own = match text(headers, SEC_FETCH_SITE) {
            Some(site) => matches!(site, "same-origin" | "none"),
            None => match origin {
                Some(origin) => is_of_host(origin, host.unwrap_or_default()),
                None => !could_be_loaded(method, headers, effect),
            },
        };
        // A link may lead here, but a visit must not do anything.
        let mode = text(headers, SEC_FETCH_MODE);
        let is_visit = effect == Effect::None && method == Method::GET && mode == Some("navigate");
        if is_own || is_visit || origin.is_some_and(|origin| self.lists(origin)) {
            return Ok(());
        }
        let shown = |text: Option<&str>| {
            text.map_or("not given".into(), |text| text.chars().take(SHOWN_CHARS_MAX).collect())
        };
        let (origin, host): (String, String) = (shown(origin), shown(host));
        Err(Error::Forbidden(format!(
            "pages of other sites may not do this here: the origin is {origin}, and the host is {host}. If this is \
             callout's own page, the proxy in front has to pass the header `Host` on with its port (nginx: \
             `proxy_set_header Host $http_host`, Apache: `ProxyPreserveHost On`); if it is another site that may, start callout with `--cors ORIGIN`"
        )))
    }

    fn is_listed(&self, headers: &HeaderMap) -> bool {
        text(headers, ORIGIN).is_some_and(|origin| self.lists(origin))
    }

    fn lists(&self, origin: &str) -> bool {
        self.0.iter().any(|listed| listed.matches(origin))
    }
}

/// The origin of an address: what stands before its path.
fn origin_of(address: &str) -> &str {
    let host = address.find("://").map_or(0, |end| end + 3);
    let host_bytes = address[host..].find(['/', '?', '#']).unwrap_or(address.len() - host);
    &address[..host + host_bytes]
}

/// Whether a request that names no origin could be what a browser loads for the page of another site that keeps its
/// address to itself. Posting and cross-site `EventSource` always name the origin; loading a frame, an image or a script
/// need not, and is told by what it accepts, or by what only browsers send.
fn could_be_loaded(method: &Method, headers: &HeaderMap, effect: Effect) -> bool {
    if effect == Effect::None || !matches!(*method, Method::GET | Method::HEAD) {
        return false;
    }
    let accept = text(headers, ACCEPT).unwrap_or_default().to_ascii_lowercase();
    if effect == Effect::Subscribes && accept.contains("text/event-stream") {
        return false;
    }
    let is_browser = text(headers, USER_AGENT).is_some_and(|agent| agent.starts_with("Mozilla/"))
        && headers.contains_key(ACCEPT_LANGUAGE);
    is_browser
        || headers.contains_key(UPGRADE_INSECURE_REQUESTS)
        || LOADED.iter().any(|media_type| accept.contains(media_type))
}

/// Whether a page of this origin was served by this host. Capitals and default ports make no difference.
fn is_of_host(origin: &str, host: &str) -> bool {
    let Some((scheme, name)) = origin.split_once("://") else { return false };
    let plain = |host: &str| without_default_port(scheme, &host.to_ascii_lowercase()).to_owned();
    plain(name) == plain(host)
}

/// Whether it is a list of header fields, and not too long to be echoed.
fn is_field_list(asked: &str) -> bool {
    let is_name = |name: &str| HeaderName::from_bytes(name.trim().as_bytes()).is_ok();
    asked.len() <= ASKED_BYTES_MAX && asked.split(',').all(is_name)
}

/// A header's value as text. One that is missing, or not plain ASCII, is none.
fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_means_itself_and_a_star_its_subdomains() {
        for (listed, meant, others) in [
            (
                "https://example.org",
                &["https://example.org"][..],
                &["http://example.org", "https://a.example.org"][..],
            ),
            ("HTTPS://Example.org:443", &["https://example.org"], &["https://example.org:443"]),
            ("http://example.org:8080", &["http://example.org:8080"], &["http://example.org"]),
            (
                "https://*.example.org",
                &["https://a.example.org", "https://a.b.example.org"],
                &[
                    "https://example.org",
                    "https://.example.org",
                    "https://evil.example/.example.org",
                    "http://a.example.org",
                ],
            ),
            ("https://*.example.org:8443", &["https://a.example.org:8443"], &["https://a.example.org"]),
            ("capacitor://localhost", &["capacitor://localhost"], &["http://localhost"]),
            ("tauri://localhost", &["tauri://localhost"], &[]),
            ("chrome-extension://abc", &["chrome-extension://abc"], &["chrome-extension://abd"]),
            ("null", &["null"], &["https://null"]),
            ("*", &["https://example.org", "null"], &[]),
        ] {
            let parsed: Origin = listed.parse().unwrap();
            meant.iter().for_each(|origin| assert!(parsed.matches(origin), "{listed} {origin}"));
            others.iter().for_each(|origin| assert!(!parsed.matches(origin), "{listed} {origin}"));
        }
        for wrong in [
            "example.org",
            "https://",
            "https://a/b",
            "https://*.*.org",
            "https://a*.org",
            "://x",
            "https://*.",
        ] {
            assert!(wrong.parse::<Origin>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_page_is_callouts_own_if_its_origin_is_the_host() {
        for (origin, host, is_own) in [
            ("http://lan.example:8081", "lan.example:8081", true),
            ("http://LAN.example", "lan.example:80", true),
            ("https://lan.example", "lan.example:443", true),
            ("http://lan.example", "Lan.Example", true),
            ("http://lan.example:8081", "lan.example", false),
            ("https://lan.example", "lan.example:80", false),
            ("null", "lan.example", false),
        ] {
            assert_eq!(is_of_host(origin, host), is_own, "{origin} {host}");
        }
    }
}
