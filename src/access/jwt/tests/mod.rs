#[cfg(feature = "jwt")]
mod public;

use super::*;
use crate::access::claims::is_user;
use crate::access::key::Key;
use proptest::prelude::*;

/// Appendix A.1 of RFC 7515.
const RFC_KEY: &str =
    "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
const RFC_JWT: &str = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.\
     eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.\
     dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

fn at(secs: f64) -> Moment {
    Moment::from_secs(secs).unwrap()
}

fn key() -> Key {
    Key::new(&[1; 32]).unwrap()
}

fn issuers(audience: Option<&str>) -> Vec<Arc<Issuer>> {
    let keys = JwtKeys::one(JwtKey::secret(key()));
    vec![Arc::new(Issuer::new(keys, audience.map(str::to_owned), "callout"))]
}

/// A JWT of these parts, well signed.
fn signed(header: &str, payload: &str) -> String {
    let signed = format!("{}.{}", base64::encode(header.as_bytes()), base64::encode(payload.as_bytes()));
    format!("{signed}.{}", base64::encode(&key().sign(signed.as_bytes())))
}

fn said(payload: &str) -> Result<Claims, Refusal> {
    verify(&issuers(None), &signed(HEADER, payload), at(1000.0))
}

#[test]
fn the_jwt_of_rfc_7515_is_taken() {
    let key = Key::new(&base64::decode(RFC_KEY, Alphabet::Url).unwrap()).unwrap();
    let issuers = [Arc::new(Issuer::new(JwtKeys::one(JwtKey::secret(key)), None, "callout"))];
    let claims = verify(&issuers, RFC_JWT, at(1_300_819_379.0)).unwrap();
    assert_eq!((claims.user, claims.expires), (None, Some(at(1_300_819_380.0))));
    let (at, now) = (at(1_300_819_380.0), at(1_300_819_380.0));
    assert_eq!(verify(&issuers, RFC_JWT, now), Err(Refusal::Expired { kind: Kind::Jwt, at, now }));
    let others = super::tests::issuers(None);
    assert_eq!(verify(&others, RFC_JWT, now), Err(Refusal::Signature(Kind::Jwt)));
}

#[test]
fn a_jwt_says_who_and_what() {
    let payload = r#"{"sub":"ann","iat":900.5,"nbf":900,"exp":1000.25,"iss":"x","deep":[[[{"a":1,"a":2}]]],
        "callout":{"publish":["rooms/*"],"subscribe":["news","users/ann/*"],"more":1}}"#;
    let claims = said(payload).unwrap();
    assert_eq!(claims.user.as_deref(), Some("ann"));
    assert_eq!(claims.publish, ["rooms/*".parse().unwrap()]);
    assert_eq!(claims.subscribe, ["news".parse().unwrap(), "users/ann/*".parse().unwrap()]);
    assert_eq!((claims.issued, claims.expires), (Some(at(900.5)), Some(at(1000.25))));
    assert_eq!((claims.by.as_deref(), claims.kind), (None, Kind::Jwt));

    let nothing = said("{}").unwrap();
    assert_eq!((nothing.user, nothing.issued, nothing.expires), (None, None, None));
    assert!(nothing.publish.is_empty() && nothing.subscribe.is_empty());

    let (alg, read) = read_unverified(&signed(r#"{"alg":"none"}"#, payload), "callout").unwrap();
    assert_eq!((&*alg, read.user.as_deref()), ("none", Some("ann")));
}

#[test]
fn the_audience_is_a_text_or_a_list_of_texts() {
    let audiences = |payload: &str| verify(&issuers(Some("callout")), &signed(HEADER, payload), at(0.0));
    assert!(audiences(r#"{"aud":"callout"}"#).is_ok());
    assert!(audiences(r#"{"aud":["shop","callout"]}"#).is_ok());
    let wanted = || "callout".to_owned();
    for (payload, given) in [
        (r#"{"aud":"shop"}"#, Some("shop".to_owned())),
        (r#"{"aud":"callout2"}"#, Some("callout2".into())),
        (r#"{"aud":["shop","chat"]}"#, Some("shop, chat".into())),
        (r#"{"aud":[]}"#, None),
        ("{}", None),
    ] {
        assert_eq!(audiences(payload), Err(Refusal::Audience { given, wanted: wanted() }), "{payload}");
    }
    assert!(said(r#"{"aud":"shop"}"#).is_ok(), "no audience was asked for");
}

#[test]
fn times_have_a_leeway_at_their_beginning_and_none_at_their_end() {
    for (payload, is_taken) in [
        (r#"{"exp":1000}"#, false),
        (r#"{"exp":1000.001}"#, true),
        (r#"{"exp":9e10}"#, true),
        (r#"{"nbf":1010}"#, true),
        (r#"{"nbf":1010.5}"#, false),
        (r#"{"iat":1010}"#, true),
        (r#"{"iat":1011}"#, false),
        (r#"{"iat":0}"#, true),
    ] {
        assert_eq!(said(payload).is_ok(), is_taken, "{payload}: {:?}", said(payload));
    }
}

#[test]
fn what_is_no_jwt_is_refused() {
    let good = signed(HEADER, "{}");
    let (head, tag) = good.rsplit_once('.').unwrap();
    let (header, payload) = head.split_once('.').unwrap();
    let none = base64::encode(br#"{"alg":"none"}"#);
    let latin = base64::encode(b"{\"alg\":\"\xff\"}");
    let spoiled = format!("{}A", &tag[..tag.len() - 1]);
    for (jwt, reason) in [
        (String::new(), "not three parts"),
        ("..".into(), "no JSON object"),
        ("...".into(), "not three parts"),
        (format!("{good}."), "not three parts"),
        (format!("{header}.{payload}"), "not three parts"),
        (format!("{header}.{payload}."), "signed with a key"),
        (format!("{none}.{payload}."), "algorithm `none`"),
        (format!("{none}.{payload}.{tag}"), "algorithm `none`"),
        (format!("{header}.{payload}.{tag}="), "not base64url"),
        (format!("{header}=.{payload}.{tag}"), "not base64url"),
        (format!("{header}.{payload}.{tag}\n"), "not base64url"),
        (format!("{header}.{payload}.{spoiled}"), "signed with a key|not base64url"),
        (format!("{header}.{payload}.{}", &tag[..tag.len() - 3]), "signed with a key"),
        (format!("{latin}.{payload}.{tag}"), "not UTF-8"),
        (format!("{header}.{}.{tag}", "A".repeat(JWT_BYTES_MAX)), "too long"),
        (signed(r#"{"alg":"none"}"#, "{}"), "algorithm `none`"),
        (signed(r#"{"alg":"hs256"}"#, "{}"), "algorithm `hs256`"),
        (signed(r#"{"alg":"HS512"}"#, "{}"), "algorithm `HS512`"),
        (signed(r#"{"alg":"RS256"}"#, "{}"), "algorithm `RS256`, and the keys of this server have HS256"),
        (signed(r#"{"alg":["HS256"]}"#, "{}"), "`alg`: invalid type"),
        (signed(r#"{"alg":null}"#, "{}"), "`alg`: invalid type"),
        (signed("{}", "{}"), "no `alg`"),
        (signed(r#"{"alg":"HS256","alg":"none"}"#, "{}"), "`alg` stands in it twice"),
        (signed(r#"{"alg":"HS256","crit":["exp"],"exp":1}"#, "{}"), "`crit`"),
        (signed(r#"{"alg":"HS256","b64":false}"#, "{}"), "`b64`"),
        (signed("[]", "{}"), "header is no JSON object"),
        (signed("\u{feff}{}", "{}"), "header is no JSON object"),
        (signed(HEADER, ""), "payload is no JSON object"),
        (signed(HEADER, "[]"), "payload is no JSON object"),
        (signed(HEADER, "{} {}"), "payload is no JSON object"),
        (signed(HEADER, r#"{"sub":"ann","sub":"bob"}"#), "`sub` stands in it twice"),
        (signed(HEADER, r#"{"sub":"ann","\u0073ub":"bob"}"#), "`sub` stands in it twice"),
        (signed(HEADER, r#"{"exp":2000,"exp":1}"#), "`exp` stands in it twice"),
        (signed(HEADER, r#"{"callout":{"publish":[],"publish":["*"]}}"#), "duplicate field"),
        (signed(HEADER, r#"{"sub":""}"#), "1 to 256 bytes"),
        (signed(HEADER, r#"{"sub":"a\nb"}"#), "control characters"),
        (signed(HEADER, r#"{"sub":7}"#), "`sub`: invalid type"),
        (signed(HEADER, r#"{"sub":"\ud800"}"#), "`sub`: "),
        (signed(HEADER, r#"{"exp":"2000"}"#), "`exp`: invalid type"),
        (signed(HEADER, r#"{"exp":null}"#), "`exp`: invalid type"),
        (signed(HEADER, r#"{"exp":1e400}"#), "`exp`: number out of range"),
        (signed(HEADER, r#"{"exp":1e300}"#), "`exp` is not in seconds"),
        (signed(HEADER, r#"{"exp":18446744073709551616}"#), "`exp` is not in seconds"),
        (signed(HEADER, r#"{"exp":-1}"#), "`exp` is not in seconds"),
        (signed(HEADER, r#"{"exp":NaN}"#), "payload is no JSON object"),
        (signed(HEADER, r#"{"iat":-0.5}"#), "`iat` is not in seconds"),
        (signed(HEADER, r#"{"nbf":"now"}"#), "`nbf`: invalid type"),
        (signed(HEADER, r#"{"callout":{"publish":"*"}}"#), "`callout`: invalid type"),
        (signed(HEADER, r#"{"callout":{"publish":["$*"]}}"#), "no wildcard"),
        (
            signed(HEADER, &format!(r#"{{"x":{}1{}}}"#, "[".repeat(2000), "]".repeat(2000))),
            "ended|begins|taken",
        ),
    ] {
        let refused = verify(&issuers(None), &jwt, at(1000.0));
        let reason_given = refused.map_or_else(|refusal| refusal.reason(), |_| "taken".into());
        assert!(reason.split('|').any(|part| reason_given.contains(part)), "{jwt}: {reason_given}");
        assert!(jwt.len() < 3 || !reason_given.contains(&jwt), "{reason_given}");
    }
    assert_eq!(verify(&[], &good, at(0.0)), Err(Refusal::NotTaken(Kind::Jwt)));
}

#[test]
fn with_several_issuers_each_is_asked_for_what_it_wants() {
    let issuer = |byte, audience: &str, claim: &str| {
        let keys = JwtKeys::one(JwtKey::secret(Key::new(&[byte; 32]).unwrap()));
        Arc::new(Issuer::new(keys, Some(audience.to_owned()), claim))
    };
    let issuers = [issuer(2, "a", "x"), issuer(1, "b", "y")];
    let payload = r#"{"aud":"b","x":{"publish":["*"]},"y":{"publish":["news"]}}"#;
    let claims = verify(&issuers, &signed(HEADER, payload), at(0.0)).unwrap();
    assert_eq!(claims.publish, ["news".parse().unwrap()]);
    let refusal = verify(&issuers, &signed(HEADER, r#"{"aud":"a"}"#), at(0.0)).unwrap_err();
    assert_eq!(refusal, Refusal::Audience { given: Some("a".into()), wanted: "b".into() });

    issuers[1].replace_keys(JwtKeys::one(JwtKey::secret(Key::new(&[3; 32]).unwrap())));
    assert_eq!(verify(&issuers, &signed(HEADER, payload), at(0.0)), Err(Refusal::Signature(Kind::Jwt)));
}

#[test]
fn a_key_may_be_there_for_several_audiences() {
    let issuer = |audience: &str| {
        Arc::new(Issuer::new(JwtKeys::one(JwtKey::secret(key())), Some(audience.to_owned()), "callout"))
    };
    let issuers = [issuer("a"), issuer("b")];
    for (payload, is_taken) in [(r#"{"aud":"a"}"#, true), (r#"{"aud":"b"}"#, true), (r#"{"aud":"c"}"#, false)]
    {
        assert_eq!(verify(&issuers, &signed(HEADER, payload), at(0.0)).is_ok(), is_taken, "{payload}");
    }
}

#[test]
fn whose_keys_were_not_fetched_yet_is_not_told_that_the_key_is_wrong() {
    let other = JwtKeys::one(JwtKey::secret(Key::new(&[2; 32]).unwrap()));
    let issuers = [other, JwtKeys::default()].map(|keys| Arc::new(Issuer::new(keys, None, "callout")));
    assert_eq!(verify(&issuers, &signed(HEADER, "{}"), at(0.0)), Err(Refusal::NoKeys));
    let error = crate::error::Error::from(Refusal::NoKeys);
    assert_eq!(error.status().as_u16(), 503, "a 401 would end an EventSource, and take a cookie away");
}

#[test]
fn a_jwt_is_told_by_its_shape() {
    assert!(is_jwt(RFC_JWT) && is_jwt(&signed(HEADER, "{}")));
    for other in ["", "ey", "eyJ0.eyJ0", "ct1.a.b.c", "a.b.c", "eyJ0.a.b.c"] {
        assert!(!is_jwt(other), "{other}");
    }
}

#[test]
fn a_key_is_not_printed() {
    assert_eq!(format!("{:?}", JwtKey::secret(key())), "JwtKey(HS256)");
    assert!(!format!("{:?}", issuers(Some("a"))).contains("[1, 1"));
}

proptest! {
    #[test]
    fn a_jwt_with_any_bit_changed_is_refused(position: prop::sample::Index, bit in 0..8u8) {
        let mut jwt = signed(HEADER, r#"{"sub":"ann","exp":2000}"#).into_bytes();
        let position = position.index(jwt.len());
        jwt[position] ^= 1 << bit;
        if let Ok(jwt) = str::from_utf8(&jwt) {
            prop_assert!(verify(&issuers(None), jwt, at(1000.0)).is_err(), "{}", jwt);
        }
    }

    #[test]
    fn any_text_is_refused_without_a_panic(text in "(ey)?\\PC{0,30}(\\.\\PC{0,30}){0,3}") {
        prop_assert!(verify(&issuers(None), &text, at(0.0)).is_err());
    }

    #[test]
    fn any_payload_is_refused_or_says_what_it_says(
        payload in "\\{\"(sub|exp|callout|aud)\":(\"[a*$/]{0,4}\"|[0-9.eE+-]{1,8}|\\{\"publish\":\\[(\"[a*$]{1,3}\")?\\]\\})\\}"
    ) {
        if let Ok(claims) = said(&payload) {
            prop_assert!(claims.user.is_none_or(|user| is_user(&user)));
            prop_assert!(claims.expires.is_none_or(|expires| expires > at(1000.0)));
        }
    }
}
