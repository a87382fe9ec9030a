//! Who is asking.

use http::header::FORWARDED;
use http::{HeaderMap, HeaderName};
use std::net::IpAddr;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Who is asking, as far as a request's credentials say.
///
/// ```
/// use callout::{Error, Identity, Request};
///
/// /// Lets only requests pass that bear the publish token.
/// fn check(request: &Request) -> Result<(), Error> {
///     match request.grant()?.caller().identity {
///         Identity::Token => Ok(()),
///         _ => Err(Error::unauthorized("only a publisher may see this")),
///     }
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Identity {
    /// A request without a valid credential.
    Anonymous,
    /// A request with the publish token.
    Token,
    /// The program itself: callout's own pages, or the program that embeds callout.
    Program,
}

/// An identity and where its request came from.
///
/// ```
/// use callout::{Answer, App, Error, Request};
///
/// /// Tells a client what the server takes it for.
/// fn whoami(_app: &App, request: &Request) -> Result<Answer, Error> {
///     let caller = request.grant()?.caller();
///     Ok(Answer::json(&serde_json::json!({ "address": caller.address, "is_local": caller.is_local })))
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Caller {
    /// Who is asking.
    pub identity: Identity,
    /// The client's address: that of the client behind a trusted proxy.
    pub address: IpAddr,
    /// Whether the request was made on the machine that callout runs on.
    pub is_local: bool,
}

/// Whether a request from this address was made on this machine. A proxy on the same machine has a loopback
/// address too, so a request that was forwarded does not count as local, whether its proxy is trusted or not.
pub(super) fn is_local(address: IpAddr, headers: &HeaderMap) -> bool {
    address.is_loopback() && !headers.contains_key(X_FORWARDED_FOR) && !headers.contains_key(FORWARDED)
}
