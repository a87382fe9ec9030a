//! The keys of an issuer: one, or a set in JSON (JWKS, RFC 7517).

use super::header::Header;
use super::{Algorithm, JwtKey};

/// The most keys that a set may have. A larger one is refused as a whole.
#[cfg(feature = "jwt")]
const KEYS_MAX: usize = 100;

/// Keys, each with its name if it has one.
#[derive(Debug, Clone, Default)]
pub struct JwtKeys(Vec<(Option<String>, JwtKey)>);

impl JwtKeys {
    /// One key, whatever JWTs call it.
    pub fn one(key: JwtKey) -> JwtKeys {
        JwtKeys(vec![(None, key)])
    }

    /// The public keys of a JWKS that callout can use; others in it are left out, as section 5 of RFC 7517 wants it. The error
    /// is for the operator.
    #[cfg(feature = "jwt")]
    pub fn from_jwks(json: &str) -> Result<JwtKeys, String> {
        let set: jwks::Set =
            serde_json::from_str(json).map_err(|error| format!("this is no JWKS: {error}"))?;
        if set.keys.len() > KEYS_MAX {
            return Err(format!("this JWKS has more than {KEYS_MAX} keys"));
        }
        let keys: Vec<_> = set.keys.iter().filter_map(jwks::usable).collect();
        if keys.is_empty() {
            return Err("this JWKS has no public key for ES256 (EC, P-256), RS256 (RSA of 2048 bits or more) or EdDSA \
                 (OKP, Ed25519)"
                .into());
        }
        Ok(JwtKeys(keys))
    }

    /// This build has no public keys.
    #[cfg(not(feature = "jwt"))]
    pub fn from_jwks(_json: &str) -> Result<JwtKeys, String> {
        Err("this build has no JWKS; rebuild with --features jwt".into())
    }

    /// What the keys are for.
    pub fn algorithms(&self) -> Vec<Algorithm> {
        self.0.iter().map(|(_, key)| key.algorithm()).collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether these are the same keys under the same names.
    pub(super) fn are(&self, others: &JwtKeys) -> bool {
        let names = |keys: &JwtKeys| -> Vec<_> {
            keys.0.iter().map(|(name, key)| (name.clone(), key.id().to_owned())).collect()
        };
        names(self) == names(others)
    }

    /// Whether there may be a key of this name; a key without a name may be meant by any.
    pub(super) fn knows(&self, kid: Option<&str>) -> bool {
        self.0.iter().any(|(name, _)| is_meant(name.as_deref(), kid))
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &JwtKey> {
        self.0.iter().map(|(_, key)| key)
    }

    /// The key that signed this message. A header only chooses among those of the algorithm that it names.
    pub(super) fn signer(&self, header: &Header, message: &[u8], signature: &[u8]) -> Option<&JwtKey> {
        let meant = |name: &Option<String>, key: &JwtKey| {
            key.algorithm().name() == header.alg && is_meant(name.as_deref(), header.kid.as_deref())
        };
        let mut keys = self.0.iter().filter(|(name, key)| meant(name, key));
        keys.find(|(_, key)| key.verify(message, signature)).map(|(_, key)| key)
    }
}

fn is_meant(name: Option<&str>, kid: Option<&str>) -> bool {
    name.is_none() || kid.is_none() || name == kid
}

#[cfg(feature = "jwt")]
mod jwks {
    use super::{Algorithm, JwtKey};
    use crate::access::base64::{self, Alphabet};
    use crate::access::jwt::spki;
    use serde::Deserialize;
    use serde_json::Value;

    #[derive(Deserialize)]
    pub(super) struct Set {
        pub(super) keys: Vec<Value>,
    }

    /// What callout reads of a key.
    #[derive(Deserialize)]
    pub(super) struct Jwk {
        #[serde(default)]
        kty: String,
        kid: Option<String>,
        alg: Option<String>,
        #[serde(rename = "use")]
        usage: Option<String>,
        crv: Option<String>,
        x: Option<String>,
        y: Option<String>,
        n: Option<String>,
        e: Option<String>,
    }

    /// A key that is for signatures, of a kind that is known here.
    pub(super) fn usable(jwk: &Value) -> Option<(Option<String>, JwtKey)> {
        let jwk = Jwk::deserialize(jwk).ok()?;
        if jwk.usage.as_deref().is_some_and(|usage| usage != "sig") {
            return None;
        }
        let bytes = |field: &Option<String>| base64::decode(field.as_deref()?, Alphabet::Url);
        let (algorithm, key) = match (&*jwk.kty, jwk.crv.as_deref()) {
            ("EC", Some("P-256")) => (Algorithm::Es256, spki::point(&bytes(&jwk.x)?, &bytes(&jwk.y)?)?),
            ("OKP", Some("Ed25519")) => (Algorithm::EdDsa, bytes(&jwk.x).filter(|key| key.len() == 32)?),
            ("RSA", _) => (Algorithm::Rs256, spki::rsa(&bytes(&jwk.n)?, &bytes(&jwk.e)?)?),
            _ => return None,
        };
        let is_for_it =
            |name: &str| name == algorithm.name() || (name == "Ed25519" && algorithm == Algorithm::EdDsa);
        let is_usable = jwk.alg.as_deref().is_none_or(is_for_it);
        is_usable.then(|| (jwk.kid.clone(), JwtKey::of_bytes(algorithm, key)))
    }
}
