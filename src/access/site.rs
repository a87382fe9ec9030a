//! Other sites: what their pages may not even send. Browsers let any page post text anywhere, open streams that it cannot
//! read, and load any address as a frame, an image or a script.

use super::Origins;
use super::origin::{is_of_host, origin_of};
use super::origins::text;
use crate::error::Error;
use http::header::{ACCEPT, ACCEPT_LANGUAGE, HOST, ORIGIN, REFERER, UPGRADE_INSECURE_REQUESTS, USER_AGENT};
use http::{HeaderMap, HeaderName, Method};

/// The most characters of an origin or a host that an error shows.
const SHOWN_CHARS_MAX: usize = 256;

/// Where a request comes from, and what for, as the browser itself says (Fetch Metadata, sections 2.2 and 2.3).
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// What to do for callout's own page behind a proxy, and for the page of another site.
const OWN_OR_OTHER: &str = "if this is callout's own page, the proxy in front has to pass the header `Host` on with its port \
                            (nginx: `proxy_set_header Host $http_host`, Apache: `ProxyPreserveHost On`); if it is another \
                            site that may, start callout with `--cors ORIGIN`";

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
    /// It changes who the browser is taken for.
    SignsIn,
}

impl Origins {
    /// Refuses what the page of another site may not even send. Browsers say themselves where a request comes from, in
    /// `Sec-Fetch-Site`. Over plain HTTP they say it only to this machine; there the page's origin tells, which for
    /// callout's own pages is the host that they ask.
    pub fn check_site(&self, method: &Method, headers: &HeaderMap, effect: Effect) -> Result<(), Error> {
        let (origin, host) = (text(headers, ORIGIN), text(headers, HOST));
        let origin =
            origin.or_else(|| text(headers, REFERER).filter(|_| effect != Effect::None).map(origin_of));
        let is_own = is_own(headers, origin).unwrap_or_else(|| !could_be_loaded(method, headers, effect));
        // A link may lead here, but a visit must not do anything.
        let mode = text(headers, SEC_FETCH_MODE);
        let is_visit = effect == Effect::None && method == Method::GET && mode == Some("navigate");
        // Where all sites are admitted, none of them may sign a browser in as somebody else.
        let is_listed =
            |origin| if effect == Effect::SignsIn { self.names(origin) } else { self.lists(origin) };
        if is_own || is_visit || origin.is_some_and(is_listed) {
            return Ok(());
        }
        let shown = |text: Option<&str>| {
            text.map_or("not given".into(), |text| text.chars().take(SHOWN_CHARS_MAX).collect())
        };
        let (origin, host): (String, String) = (shown(origin), shown(host));
        let error = Error::forbidden(format!(
            "pages of other sites may not do this here: the origin is {origin}, and the host is {host}"
        ));
        Err(error.hint(OWN_OR_OTHER))
    }

    /// Whether the cookies of a request count. Those that come from the page of another site do only if the site is listed
    /// by its name: where all sites are admitted, it is without their cookies.
    pub(super) fn take_cookies(&self, headers: &HeaderMap) -> bool {
        let origin = text(headers, ORIGIN).or_else(|| text(headers, REFERER).map(origin_of));
        // Elsewhere what the pages of other sites may not do is refused already.
        let Some(origin) = origin.filter(|_| self.are_all()) else { return true };
        is_own(headers, Some(origin)).unwrap_or_default() || self.names(origin)
    }
}

/// Whether a request comes from callout's own page, or from no page, as far as its header fields say it.
fn is_own(headers: &HeaderMap, origin: Option<&str>) -> Option<bool> {
    match text(headers, SEC_FETCH_SITE) {
        Some(site) => Some(matches!(site, "same-origin" | "none")),
        None => origin.map(|origin| is_of_host(origin, text(headers, HOST).unwrap_or_default())),
    }
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
