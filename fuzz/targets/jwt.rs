//! JWTs: any text, and sets and files of keys.
#![no_main]

use callout::access::jwt::{is_jwt, read_unverified, verify};
use callout::access::moment::Moment;
use callout::{Algorithm, Issuer, JwtKey, JwtKeys, Key};
use libfuzzer_sys::fuzz_target;
use std::sync::{Arc, LazyLock};

static ISSUERS: LazyLock<Vec<Arc<Issuer>>> = LazyLock::new(|| {
    let secret = JwtKeys::one(JwtKey::secret(Key::new(&[1; 32]).expect("a key")));
    let public = JwtKeys::from_jwks(include_str!("../../src/access/jwt/tests/keys/keys.jwks")).expect("keys");
    [secret, public].map(|keys| Arc::new(Issuer::new(keys, None, "callout"))).into()
});

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = str::from_utf8(bytes) else { return };
    assert!(verify(&ISSUERS, text, Moment::now()).is_err(), "nobody can guess a signature");
    if let Ok((_, claims)) = read_unverified(text, "callout") {
        assert!(claims.user.is_none_or(|user| !user.is_empty() && !user.contains('\n')));
    }
    _ = is_jwt(text);
    if let Ok(keys) = JwtKeys::from_jwks(text) {
        assert!(!keys.algorithms().contains(&Algorithm::Hs256), "a public key is no secret");
    }
    for algorithm in [Algorithm::Es256, Algorithm::Rs256, Algorithm::EdDsa] {
        _ = JwtKey::public(algorithm, text);
    }
});
