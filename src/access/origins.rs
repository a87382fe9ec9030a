//! CORS: which pages of other sites may read and publish here (the Fetch standard, section 3.3).

use crate::error::Error;
use crate::http::{Request, Response};
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, HOST, ORIGIN, VARY,
};
use http::{HeaderName, Method};

/// How long a browser may remember what a preflight allowed, in seconds.
const PREFLIGHT_SECS: &str = "86400";

/// What a page of another site may send along.
const HEADERS: &str = "authorization, content-type, last-event-id, cache-control, if-match";

/// Where a request comes from, and what for, as the browser itself says (Fetch Metadata, sections 2.2 and 2.3).
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// Adds what lets an allowed origin read the answer. An origin that is not on the list is never
/// echoed, so its page cannot read anything.
pub fn allow(origins: &[String], request: &Request, response: Response) -> Response {
    if origins.is_empty() {
        return response;
    }
    let response = response.with(VARY, "origin");
    let Some(origin) = request.header(ORIGIN) else { return response };
    if origins.iter().any(|allowed| allowed == origin) {
        // Named in full, so that cookies may come along; `*` would forbid them.
        return response
            .with(ACCESS_CONTROL_ALLOW_ORIGIN, origin.to_owned())
            .with(ACCESS_CONTROL_ALLOW_CREDENTIALS, "true");
    }
    if origins.iter().any(|allowed| allowed == "*") {
        return response.with(ACCESS_CONTROL_ALLOW_ORIGIN, "*");
    }
    response
}

/// Adds what a preflight asks. Whether the origin is let in at all is said by [`allow`].
pub fn preflight(origins: &[String], request: &Request, methods: &str, response: Response) -> Response {
    let asks = request.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    if !asks || !is_listed(origins, request) {
        return response;
    }
    response
        .with(ACCESS_CONTROL_ALLOW_METHODS, methods.to_owned())
        .with(ACCESS_CONTROL_ALLOW_HEADERS, HEADERS)
        .with(ACCESS_CONTROL_MAX_AGE, PREFLIGHT_SECS)
}

/// Refuses what a page of another site may not even send: browsers let any page post text anywhere and open
/// streams that it cannot read. They say so themselves, in `Sec-Fetch-Site`; over plain HTTP only to this
/// machine, but there they name the page's origin, which for callout's own pages is the host they ask.
pub fn check_site(origins: &[String], request: &Request) -> Result<(), Error> {
    let (origin, host) = (request.header(ORIGIN), request.header(HOST));
    let is_own = match request.header(SEC_FETCH_SITE) {
        Some(site) => matches!(site, "same-origin" | "none"),
        None => origin.is_none_or(|origin| origin.split_once("://").map(|(_, host)| host) == host),
    };
    let is_visit = request.header(SEC_FETCH_MODE) == Some("navigate") && request.method == Method::GET;
    if is_own || is_visit || is_listed(origins, request) {
        return Ok(());
    }
    Err(Error::Forbidden(
        "pages of other sites may not do this here; `--cors ORIGIN` would allow one (if this is callout's own \
         page, the proxy in front has to pass the header `Host` on)"
            .into(),
    ))
}

fn is_listed(origins: &[String], request: &Request) -> bool {
    let Some(origin) = request.header(ORIGIN) else { return false };
    origins.iter().any(|allowed| allowed == origin || allowed == "*")
}
