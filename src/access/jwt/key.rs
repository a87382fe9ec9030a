//! A key that verifies JWTs with the one algorithm that it is for.

use crate::access::key::Key;
use std::fmt;

/// An algorithm of RFC 7518, section 3.1, or RFC 8037.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// HMAC with SHA-256: signer and verifier have the same secret.
    Hs256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// EdDSA on Ed25519.
    EdDsa,
}

impl Algorithm {
    /// As the header of a JWT names it.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Hs256 => "HS256",
            Algorithm::Es256 => "ES256",
            Algorithm::Rs256 => "RS256",
            Algorithm::EdDsa => "EdDSA",
        }
    }
}

/// A key and its algorithm. `Debug` prints the algorithm.
#[derive(Clone)]
pub struct JwtKey {
    material: Material,
    /// Tells the key from others.
    id: String,
}

#[derive(Clone)]
enum Material {
    Secret(Key),
    #[cfg(feature = "jwt")]
    Public(Algorithm, ring::signature::UnparsedPublicKey<Vec<u8>>),
}

impl JwtKey {
    /// A secret, for HS256.
    pub fn secret(key: Key) -> JwtKey {
        JwtKey { id: key.id().into(), material: Material::Secret(key) }
    }

    /// The public key of a PEM file (RFC 7468, section 13), for this algorithm and no other. The error is for the operator.
    #[cfg(feature = "jwt")]
    pub fn public(algorithm: Algorithm, pem: &str) -> Result<JwtKey, String> {
        let (found, key) = super::spki::parse_pem(pem)?;
        if found == algorithm {
            Ok(JwtKey::of_bytes(algorithm, key))
        } else {
            Err(format!("this is a key for {}, not for {}", found.name(), algorithm.name()))
        }
    }

    /// The public key of a PEM file, for the algorithm that it is for.
    #[cfg(feature = "jwt")]
    pub(crate) fn of_pem(pem: &str) -> Result<JwtKey, String> {
        super::spki::parse_pem(pem).map(|(algorithm, key)| JwtKey::of_bytes(algorithm, key))
    }

    /// This build has no public keys.
    #[cfg(not(feature = "jwt"))]
    pub(crate) fn of_pem(_pem: &str) -> Result<JwtKey, String> {
        Err("this build has no public keys for JWTs; rebuild with --features jwt".into())
    }

    /// This build has no public keys.
    #[cfg(not(feature = "jwt"))]
    pub fn public(algorithm: Algorithm, _pem: &str) -> Result<JwtKey, String> {
        Err(format!("this build has no {}; rebuild with --features jwt", algorithm.name()))
    }

    /// A public key in the form that `ring` takes: the point, the modulus and the exponent, or the 32 bytes of Ed25519.
    #[cfg(feature = "jwt")]
    pub(super) fn of_bytes(algorithm: Algorithm, key: Vec<u8>) -> JwtKey {
        use ring::signature;
        let verification: &'static dyn signature::VerificationAlgorithm = match algorithm {
            Algorithm::Es256 => &signature::ECDSA_P256_SHA256_FIXED,
            Algorithm::EdDsa => &signature::ED25519,
            // A public key is never a secret: `spki` and `keys` find no key for HS256.
            Algorithm::Rs256 | Algorithm::Hs256 => &signature::RSA_PKCS1_2048_8192_SHA256,
        };
        let id = crate::access::claims::hash(&key);
        JwtKey {
            material: Material::Public(algorithm, signature::UnparsedPublicKey::new(verification, key)),
            id,
        }
    }

    /// What it is for.
    pub fn algorithm(&self) -> Algorithm {
        match &self.material {
            Material::Secret(_) => Algorithm::Hs256,
            #[cfg(feature = "jwt")]
            Material::Public(algorithm, _) => *algorithm,
        }
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Whether it signed this message.
    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.material {
            Material::Secret(key) => key.verify(message, signature),
            #[cfg(feature = "jwt")]
            Material::Public(_, key) => key.verify(message, signature).is_ok(),
        }
    }
}

impl fmt::Debug for JwtKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JwtKey({})", self.algorithm().name())
    }
}
