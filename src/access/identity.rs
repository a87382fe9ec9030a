//! Who is asking.

use super::claims::Claims;
use super::rights::Rights;
use super::token::Digest;
use http::header::FORWARDED;
use http::{HeaderMap, HeaderName};
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, LazyLock};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// What a credential gives that names no topic.
static NOTHING: LazyLock<Arc<Rights>> = LazyLock::new(Arc::default);

/// The most characters of a name that an error shows.
const SHOWN_CHARS_MAX: usize = 64;

/// Who is asking, as far as a request's credentials say. Cloning shares the name.
///
/// ```
/// use callout::{Error, Identity, Request};
///
/// /// Lets only requests pass that bear a token of the server.
/// fn check(request: &Request) -> Result<(), Error> {
///     match request.grant()?.caller().identity {
///         Identity::Token(_) => Ok(()),
///         _ => Err(Error::unauthorized("only a publisher may see this")),
///     }
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Identity {
    /// A request without a valid credential.
    Anonymous,
    /// A request with the token of this name.
    Token(Arc<str>),
    /// A user of this name, as a credential says that was made for them. A JWT without `sub` has none.
    User(Arc<str>),
    /// The program itself: callout's own pages, or the program that embeds callout.
    Program,
}

impl Identity {
    /// What `{user}` stands for in a rule: the user's name, if it can be one segment of a topic.
    pub(super) fn user(&self) -> Option<&str> {
        match self {
            Identity::User(name) => Some(&**name).filter(|name| !name.is_empty() && !name.contains('/')),
            _ => None,
        }
    }
}

/// As errors name it.
impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |name: &str| -> String { name.chars().take(SHOWN_CHARS_MAX).collect() };
        match self {
            Identity::Anonymous => f.write_str("a request without a credential"),
            Identity::Token(name) => write!(f, "the token `{}`", shown(name)),
            Identity::User(name) if name.is_empty() => f.write_str("a JWT without `sub`"),
            Identity::User(name) => write!(f, "the user `{}`", shown(name)),
            Identity::Program => f.write_str("the program"),
        }
    }
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
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Caller {
    /// Who is asking.
    pub identity: Identity,
    /// The client's address: that of the client behind a trusted proxy.
    pub address: IpAddr,
    /// Whether the request was made on the machine that callout runs on.
    pub is_local: bool,
    pub(super) credential: Credential,
}

/// What a caller has shown, and what it gives by itself.
#[derive(Debug, Clone)]
pub(super) enum Credential {
    None,
    /// One that is none of this server's.
    Unknown,
    /// A token, whose rule is looked up anew for each decision, so that it may change meanwhile.
    Token(Digest),
    /// One that says itself what it gives: these rights and those of everybody who is somebody.
    Carried(Arc<Rights>, Option<Arc<Claims>>),
}

impl Caller {
    /// The program itself, which may do everything.
    pub(super) fn program() -> Caller {
        let address = IpAddr::from([127, 0, 0, 1]);
        Caller { identity: Identity::Program, address, is_local: true, credential: Credential::None }
    }

    /// Whoever sent a request with these header fields from this address, before its credentials are looked at.
    pub fn anonymous(address: IpAddr, headers: &HeaderMap) -> Caller {
        let is_local = is_local(address, headers);
        Caller { identity: Identity::Anonymous, address, is_local, credential: Credential::None }
    }

    /// The same caller with a credential that says who it is and carries these rights.
    pub fn carrying(self, identity: Identity, rights: Arc<Rights>) -> Caller {
        Caller { identity, credential: Credential::Carried(rights, None), ..self }
    }

    /// The same caller with a ticket or a JWT that says this.
    pub(super) fn claiming(self, claims: Claims) -> Caller {
        let identity = Identity::User(claims.user.as_deref().unwrap_or_default().into());
        // Many name nothing themselves, since the rules give it, and a stream keeps what its caller has shown.
        let rights = match (&*claims.publish, &*claims.subscribe) {
            ([], []) => NOTHING.clone(),
            (publish, subscribe) => Rights::carried(publish, subscribe).into(),
        };
        let credential = Credential::Carried(rights, Some(claims.into()));
        Caller { identity, credential, ..self }
    }

    /// What the caller's ticket or JWT says.
    pub(crate) fn claims(&self) -> Option<&Claims> {
        match &self.credential {
            Credential::Carried(_, claims) => claims.as_deref(),
            _ => None,
        }
    }
}

/// Whether a request from this address was made on this machine. A proxy on the same machine has a loopback
/// address too, so a request that was forwarded does not count as local, whether its proxy is trusted or not.
fn is_local(address: IpAddr, headers: &HeaderMap) -> bool {
    address.is_loopback() && !headers.contains_key(X_FORWARDED_FOR) && !headers.contains_key(FORWARDED)
}
