use super::*;

const NOW: f64 = 1_700_000_100.0;

/// Keys of each algorithm, and a JWT that each signed: `{"sub":"ann"}`, which begins at 1,700,000,000 and lasts 600 seconds.
const KEYS: [(Algorithm, &str, &str); 3] = [
    (Algorithm::Es256, include_str!("keys/es.pem"), include_str!("keys/es.jwt")),
    (Algorithm::Rs256, include_str!("keys/rs.pem"), include_str!("keys/rs.jwt")),
    (Algorithm::EdDsa, include_str!("keys/ed.pem"), include_str!("keys/ed.jwt")),
];

/// The JWTs of appendix A.2 and A.3 of RFC 7515, and A.4 of RFC 8037, each with its key.
const RFC: [(&str, &str); 3] = [
    (
        r#"{"kty":"RSA","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ","e":"AQAB"}"#,
        "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
    ),
    (
        r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#,
        "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
    ),
    (
        r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
        "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
    ),
];

fn issuers(keys: JwtKeys) -> [Arc<Issuer>; 1] {
    [Arc::new(Issuer::new(keys, None, "callout"))]
}

#[test]
fn the_jwts_of_the_rfcs_are_taken() {
    for (jwk, jwt) in RFC {
        let keys = JwtKeys::from_jwks(&format!(r#"{{"keys":[{jwk}]}}"#)).unwrap();
        let parts = Parts::of(jwt).unwrap();
        assert!(keys.signer(&parts.header, parts.signed.as_bytes(), &parts.signature).is_some(), "{jwt}");
        let longer = format!("{}A", parts.signed);
        assert!(keys.signer(&parts.header, longer.as_bytes(), &parts.signature).is_none(), "{jwt}");
    }
}

#[test]
fn each_key_takes_what_it_signed_and_nothing_else() {
    for (algorithm, pem, jwt) in KEYS {
        for (of, _, other) in KEYS {
            let issuers = issuers(JwtKeys::one(JwtKey::public(algorithm, pem).unwrap()));
            match verify(&issuers, other, at(NOW)) {
                Ok(claims) => assert!(of == algorithm && claims.user.as_deref() == Some("ann")),
                Err(refusal) => {
                    assert!(of != algorithm);
                    assert_eq!(
                        refusal,
                        Refusal::Algorithm { named: of.name().into(), taken: vec![algorithm.name()] }
                    );
                }
            }
        }
        let (head, _) = jwt.rsplit_once('.').unwrap();
        for signature in ["", "AA", &"A".repeat(86), &base64::encode(&[0; 256])] {
            let issuers = issuers(JwtKeys::one(JwtKey::public(algorithm, pem).unwrap()));
            let refusal = verify(&issuers, &format!("{head}.{signature}"), at(NOW)).unwrap_err();
            assert_eq!(refusal, Refusal::Signature(Kind::Jwt), "{signature}");
        }
    }
}

#[test]
fn a_public_key_is_no_secret() {
    for (algorithm, pem, _) in KEYS {
        // Whoever knows the public key signs with it as if it was the secret of HS256.
        for secret in [pem.as_bytes(), pem.trim_end().as_bytes()] {
            let signed = format!("{}.{}", base64::encode(HEADER.as_bytes()), base64::encode(b"{}"));
            let tag = Key::new(secret).unwrap().sign(signed.as_bytes());
            let jwt = format!("{signed}.{}", base64::encode(&tag));
            let refusal =
                verify(&issuers(JwtKeys::one(JwtKey::public(algorithm, pem).unwrap())), &jwt, at(NOW));
            let taken = vec![algorithm.name()];
            assert_eq!(refusal, Err(Refusal::Algorithm { named: "HS256".into(), taken }));
        }
    }
}

#[test]
fn a_set_of_keys_is_chosen_from_by_name() {
    let json = include_str!("keys/keys.jwks");
    let keys = JwtKeys::from_jwks(json).unwrap();
    let names: Vec<&str> = keys.algorithms().into_iter().map(Algorithm::name).collect();
    assert_eq!(names, ["ES256", "RS256", "EdDSA"], "others are left out");
    for (_, _, jwt) in KEYS {
        assert!(verify(&issuers(keys.clone()), jwt, at(NOW)).is_ok(), "{jwt}");
    }
    let renamed = JwtKeys::from_jwks(&json.replace("\"es256\"", "\"other\"")).unwrap();
    assert_eq!(verify(&issuers(renamed), KEYS[0].2, at(NOW)), Err(Refusal::Signature(Kind::Jwt)));
    let unnamed = JwtKeys::from_jwks(&json.replace("\"kid\": \"es256\",", "")).unwrap();
    assert!(verify(&issuers(unnamed), KEYS[0].2, at(NOW)).is_ok());

    // What is wrong with one key does not spoil the others.
    for odd in [r#"{"kty":"EC","kid":7}"#, r#"{"kty":null}"#, "7", r#"{"kty":"OKP","crv":[],"x":1}"#] {
        let with_odd = json.replacen("\"keys\": [", &format!("\"keys\": [{odd},"), 1);
        assert!(with_odd.contains(odd));
        assert!(JwtKeys::from_jwks(&with_odd).is_ok_and(|with_odd| with_odd.are(&keys)), "{odd}");
    }

    let oct = format!(r#"{{"keys":[{{"kty":"oct","k":"{}"}}]}}"#, base64::encode(&[1; 32]));
    for (jwks, error) in [
        ("", "this is no JWKS"),
        ("{}", "missing field `keys`"),
        (r#"{"keys":[]}"#, "no public key for ES256"),
        (&*oct, "no public key for ES256"),
        (&format!(r#"{{"keys":[{}{{}}]}}"#, "{},".repeat(100)), "more than 100 keys"),
    ] {
        let given = JwtKeys::from_jwks(jwks).unwrap_err();
        assert!(given.contains(error), "{given}");
    }
}

#[test]
fn a_file_that_holds_no_such_key_is_refused_with_the_reason() {
    let (_, es, _) = KEYS[0];
    let private = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEI\n-----END PRIVATE KEY-----\n";
    for (pem, error) in [
        ("", "this is no public key: it has no lines"),
        (private, "this is a private key"),
        (include_str!("keys/short.pem"), "RSA of 2048 bits or more"),
        (&es.replace("MFkw", "MFkx"), "no public key for ES256"),
        (&es.replace("-----END", "AAAA-----END"), "no lines|no public key"),
        (include_str!("keys/rs.pem"), "this is a key for RS256, not for ES256"),
    ] {
        let given = JwtKey::public(Algorithm::Es256, pem).unwrap_err();
        assert!(error.split('|').any(|error| given.contains(error)), "{given}");
    }
    assert!(JwtKey::public(Algorithm::Es256, &es.replace('\n', "\r\n")).is_ok());
}

proptest! {
    #[test]
    fn a_pem_with_any_byte_changed_does_not_panic(position: prop::sample::Index, byte: u8, which in 0..3usize) {
        let mut pem = KEYS[which].1.as_bytes().to_vec();
        let position = position.index(pem.len());
        pem[position] = byte;
        if let Ok(pem) = str::from_utf8(&pem) {
            let issuers = JwtKey::public(KEYS[which].0, pem).map(|key| issuers(JwtKeys::one(key)));
            _ = issuers.map(|issuers| verify(&issuers, KEYS[which].2, at(NOW)));
        }
    }
}
