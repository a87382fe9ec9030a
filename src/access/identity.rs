//! Who is asking.

use std::net::IpAddr;

/// Who is asking, as far as a request's credentials say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Identity {
    /// A request without a valid credential.
    Anonymous,
    /// Whoever has the publish token.
    Token,
    /// The program itself: callout's own pages, or the program that embeds callout.
    Program,
}

/// An identity and where its request came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// Who is asking.
    pub identity: Identity,
    /// The client's address: that of the client behind a trusted proxy.
    pub address: IpAddr,
}
