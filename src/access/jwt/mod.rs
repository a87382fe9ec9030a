//! JWT: what an application signed for its own users (RFC 7519), as a compact JWS (RFC 7515).
//!
//! A key knows its algorithm. What the header of a JWT names is only compared with that, so nobody can choose how their own
//! signature is verified.

mod body;
mod header;
mod key;
mod keys;
mod remote;
#[cfg(feature = "jwt")]
mod spki;

pub use key::{Algorithm, JwtKey};
pub use keys::JwtKeys;

use super::base64::{self, Alphabet};
use super::claims::Claims;
use super::moment::Moment;
use super::refusal::{Kind, Refusal};
use header::Header;
use parking_lot::RwLock;
use remote::Remote;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// The longest JWT, in bytes. It fits into a request's head beside other fields.
pub const JWT_BYTES_MAX: usize = 8 * 1024;

/// How much later than this machine's the clock of an application may be: for `nbf` and `iat`. `exp` has no leeway, so that a
/// stream ends when its JWT says.
pub const JWT_LEEWAY: Duration = Duration::from_secs(10);

/// An application that signs JWTs: its keys, and what it has to say.
#[derive(Debug)]
pub struct Issuer {
    /// Replaced as a whole when they are fetched again.
    keys: RwLock<Arc<JwtKeys>>,
    audience: Option<String>,
    /// The claim that says what may be published and subscribed to.
    claim: String,
    /// Where its keys are fetched; none where they do not change.
    remote: Option<Remote>,
}

impl Issuer {
    /// An issuer with these keys. With an audience, only JWTs for it are taken.
    pub fn new(keys: JwtKeys, audience: Option<String>, claim: impl Into<String>) -> Issuer {
        Issuer { keys: RwLock::new(Arc::new(keys)), audience, claim: claim.into(), remote: None }
    }

    /// The same whose keys are at this `https://` address, as a JWKS, or at an `http://` address of this machine. A server
    /// fetches them; until then it takes none of its JWTs. The error is for the operator: what is wrong with the address,
    /// or that the build cannot fetch it.
    pub fn remote(url: &str, audience: Option<String>, claim: impl Into<String>) -> Result<Issuer, String> {
        let issuer = Issuer::new(JwtKeys::default(), audience, claim);
        Ok(Issuer { remote: Some(Remote::new(url)?), ..issuer })
    }

    /// Takes the keys that another issuer has fetched from the same address.
    pub(super) fn take_over(&self, other: &Issuer) {
        if let (Some(own), Some(others)) = (&self.remote, &other.remote)
            && own.is_at(others)
        {
            *self.keys.write() = other.keys();
        }
    }

    /// Whether its keys are fetched.
    pub(super) fn is_remote(&self) -> bool {
        self.remote.is_some()
    }

    /// A JWT came that none of the keys signed. If it names one that is not there, the keys are fetched soon.
    fn miss(&self, header: &Header) {
        if let Some(remote) = self.remote.as_ref().filter(|_| !self.keys().knows(header.kid.as_deref())) {
            remote.is_wanted.store(true, Relaxed);
        }
    }

    /// Takes other keys from now on.
    pub fn replace_keys(&self, keys: JwtKeys) {
        *self.keys.write() = Arc::new(keys);
    }

    /// Whether one of its keys signed this, and what it wants has not changed since.
    pub fn has(&self, signer: &str) -> bool {
        self.keys().all().any(|key| self.signer(key) == signer)
    }

    fn signer(&self, key: &JwtKey) -> String {
        format!("{} {} {}", key.id(), self.claim, self.audience.as_deref().unwrap_or_default())
    }

    /// The keys of this moment.
    pub fn keys(&self) -> Arc<JwtKeys> {
        Arc::clone(&self.keys.read())
    }
}

/// What a JWT says, if one of the issuers signed it, it is for this server, and its time is now.
pub fn verify(issuers: &[Arc<Issuer>], jwt: &str, now: Moment) -> Result<Claims, Refusal> {
    if issuers.is_empty() {
        return Err(Refusal::NotTaken(Kind::Jwt));
    }
    let parts = Parts::of(jwt)?;
    let keys: Vec<Arc<JwtKeys>> = issuers.iter().map(|issuer| issuer.keys()).collect();
    let mut is_for_another = None;
    for (issuer, keys) in issuers.iter().zip(&keys) {
        if let Some(key) = keys.signer(&parts.header, parts.signed.as_bytes(), &parts.signature) {
            match body::claims(&parts, issuer.audience.as_deref(), &issuer.claim, now) {
                Ok(claims) => return Ok(Claims { signer: issuer.signer(key), ..claims }),
                // One key may stand in the configuration for several audiences.
                Err(refusal @ Refusal::Audience { .. }) => _ = is_for_another.get_or_insert(refusal),
                Err(refusal) => return Err(refusal),
            }
        }
    }
    if let Some(refusal) = is_for_another {
        return Err(refusal);
    }
    issuers.iter().for_each(|issuer| issuer.miss(&parts.header));
    // It may be of one whose keys are still to come.
    if keys.iter().any(|keys| keys.is_empty()) {
        return Err(Refusal::NoKeys);
    }
    let mut taken: Vec<&'static str> =
        keys.iter().flat_map(|keys| keys.algorithms()).map(Algorithm::name).collect();
    taken.sort_unstable();
    taken.dedup();
    if taken.contains(&&*parts.header.alg) {
        Err(Refusal::Signature(Kind::Jwt))
    } else {
        Err(Refusal::Algorithm { named: parts.header.alg, taken })
    }
}

/// What a JWT says, whoever signed it, with the algorithm that it names: nothing may be granted for it.
pub fn read_unverified(jwt: &str, claim: &str) -> Result<(String, Claims), Refusal> {
    let parts = Parts::of(jwt)?;
    let claims = body::claims_at_any_time(&parts, claim)?;
    Ok((parts.header.alg, claims))
}

/// Whether the text has the shape of a JWT: three parts, the first of which begins as JSON in base64url does.
pub fn is_jwt(text: &str) -> bool {
    text.starts_with("ey") && text.bytes().filter(|byte| *byte == b'.').count() == 2
}

/// The parts of a compact JWS.
struct Parts<'a> {
    header: Header,
    /// Header and payload, as they were signed.
    signed: &'a str,
    payload: String,
    signature: Vec<u8>,
}

impl Parts<'_> {
    fn of(jwt: &str) -> Result<Parts<'_>, Refusal> {
        if jwt.len() > JWT_BYTES_MAX {
            return Err(Refusal::TooLong { kind: Kind::Jwt, bytes_max: JWT_BYTES_MAX });
        }
        let parts: Vec<&str> = jwt.split('.').collect();
        let [header, payload, signature] = parts[..] else {
            return Err(malformed("it is not three parts with dots between them"));
        };
        let decode = |part, name| {
            base64::decode(part, Alphabet::Url)
                .ok_or_else(|| malformed(format!("its {name} is not base64url")))
        };
        let text = |part, name| {
            String::from_utf8(decode(part, name)?).map_err(|_| malformed(format!("its {name} is not UTF-8")))
        };
        Ok(Parts {
            header: Header::parse(&text(header, "header")?)?,
            signed: &jwt[..header.len() + 1 + payload.len()],
            payload: text(payload, "payload")?,
            signature: decode(signature, "signature")?,
        })
    }
}

fn malformed(what: impl Into<String>) -> Refusal {
    Refusal::malformed(Kind::Jwt, what)
}

#[cfg(test)]
mod tests;
