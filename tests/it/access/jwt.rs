//! JWTs that an application signs for its own users, and keys that are read again.

use crate::support::{Browser, Program, get, request, said, until};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use callout::access::moment::Moment;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

const CONFIG: &str = r#"
[[allow]]
signed_in = true
subscribe = ["users/{user}/*"]

[[token]]
name = "shop"
secret_file = "shop.token"
publish = ["*"]
may = ["tickets"]

[[jwt]]
hs256_file = "app.key"
audience = "callout"

[[jwt]]
hs256_file = "other.key"
claim = "push"
"#;

const KEY: &str = "an application's key of enough bytes";
const OTHER: &str = "another application's, of enough bytes";

struct Shop {
    folder: PathBuf,
    program: Program,
}

impl Shop {
    fn start(name: &str, data: &str) -> Shop {
        let folder = std::env::temp_dir().join(format!("callout-jwt-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        write(&folder, "callout.toml", CONFIG);
        write(&folder, "shop.token", "secret-of-shop");
        write(&folder, "app.key", KEY);
        write(&folder, "other.key", OTHER);
        let config = folder.join("callout.toml");
        let program = Program::serve(&["--config", config.to_str().unwrap(), "--data", data]);
        Shop { folder, program }
    }

    fn open(&self, topic: &str, jwt: &str) -> Browser {
        Browser::open(self.program.address, &format!("/topics/{topic}?ticket={jwt}"))
    }

    fn status(&self, jwt: &str) -> u16 {
        // What is asked needs a right that no user has: 403 with a good credential, 401 with another.
        get(self.program.address, &format!("/history/x?ticket={jwt}")).status
    }

    fn publish(&self, topic: &str) {
        let head = format!("POST /topics/{topic} HTTP/1.1\r\nAuthorization: Bearer secret-of-shop");
        assert_eq!(request(self.program.address, &head, "hi").status, 200);
    }

    fn revoke(&self, what: &Value) -> Value {
        let head = "POST /revoke HTTP/1.1\r\nAuthorization: Bearer secret-of-shop";
        let answer = request(self.program.address, head, what.to_string());
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.folder);
    }
}

pub fn write(folder: &Path, name: &str, text: &str) {
    fs::write(folder.join(name), text).unwrap();
}

fn secs(ahead: i64) -> i64 {
    Moment::now().micros() as i64 / 1_000_000 + ahead
}

pub fn jwt(key: &str, claims: &Value) -> String {
    let signed = format!("{}.{}", BASE64.encode(r#"{"alg":"HS256"}"#), BASE64.encode(claims.to_string()));
    let mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).unwrap().chain_update(&signed);
    format!("{signed}.{}", BASE64.encode(mac.finalize().into_bytes()))
}

#[test]
fn users_of_an_application_read_what_rules_and_their_jwt_give() {
    let shop = Shop::start("rights", "memory");
    let ann = jwt(
        KEY,
        &json!({ "sub": "ann", "aud": "callout", "exp": secs(60), "callout": { "subscribe": ["rooms/*"] } }),
    );
    for topic in ["users/ann/orders", "rooms/1"] {
        let mut browser = shop.open(topic, &ann);
        shop.publish(topic);
        assert_eq!(browser.next().data, "hi");
    }
    let other = jwt(OTHER, &json!({ "push": { "subscribe": ["news"] } }));
    let mut browser = shop.open("news", &other);
    shop.publish("news");
    assert_eq!(browser.next().data, "hi");
    let refused = get(shop.program.address, &format!("/topics/users/ann/1?ticket={other}"));
    assert_eq!(refused.status, 403);
    assert!(
        said(&refused).contains("a JWT without `sub` does not cover `users/ann/1`"),
        "{}",
        said(&refused)
    );
    for (claims, reason) in [
        (json!({ "sub": "ann" }), "names no audience"),
        (json!({ "sub": "ann", "aud": "shop" }), "is for the audience `shop`"),
        (json!({ "sub": "ann", "aud": "callout", "exp": secs(-5) }), "the JWT ended at"),
        (json!({ "sub": "ann", "aud": "callout", "nbf": secs(60) }), "the JWT begins at"),
    ] {
        let refused = get(shop.program.address, &format!("/topics/users/ann/1?ticket={}", jwt(KEY, &claims)));
        assert_eq!(refused.status, 401);
        assert!(said(&refused).contains(reason), "{}", said(&refused));
    }
}

#[test]
fn a_stream_ends_when_its_jwt_does() {
    let shop = Shop::start("exp", "memory");
    let exp = Moment::now().after(Duration::from_millis(1_200)).micros() as f64 / 1e6;
    let ann = jwt(KEY, &json!({ "sub": "ann", "aud": "callout", "exp": exp }));
    let mut browser = shop.open("users/ann/1", &ann);
    let last = browser.next_named("unauthorized");
    assert!(last.data.contains("the JWT ended at"), "{}", last.data);
    assert!(Moment::now().micros() as f64 / 1e6 >= exp);
    assert_eq!(browser.next_or_end(), None);
}

#[test]
fn a_jwt_falls_with_its_user_and_one_without_iat_for_good() {
    let folder = std::env::temp_dir().join(format!("callout-jwt-data-{}", std::process::id()));
    let shop = Shop::start("iat", folder.to_str().unwrap());
    let of = |claims: Value| {
        let mut all = json!({ "sub": "ann", "aud": "callout" });
        all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
        jwt(KEY, &all)
    };
    let (with, without) = (of(json!({ "iat": secs(0) })), of(json!({})));
    let mut browsers = [&with, &without].map(|jwt| shop.open("users/ann/1", jwt));
    let bobs = jwt(KEY, &json!({ "sub": "bob", "aud": "callout" }));
    let mut bob = shop.open("users/bob/1", &bobs);
    assert_eq!(shop.revoke(&json!({ "user": "ann" })), json!({ "revoked": true, "kept": true }));
    for browser in &mut browsers {
        assert!(browser.next_named("unauthorized").data.contains("the JWT was taken back"));
    }
    // What is signed later holds, to the fraction of a second that it says.
    let later = of(json!({ "iat": Moment::now().micros() as f64 / 1e6 }));
    let check = |shop: &Shop| {
        assert_eq!([&with, &without, &later].map(|jwt| shop.status(jwt)), [401, 401, 403]);
    };
    check(&shop);
    // One alone, also where nothing tells when it was signed or ends.
    shop.revoke(&json!({ "ticket": bobs }));
    assert!(bob.next_named("unauthorized").data.contains("the JWT was taken back"));
    drop(shop);
    let shop = Shop::start("iat", folder.to_str().unwrap());
    check(&shop);
    assert_eq!(shop.status(&bobs), 401);
    drop(shop);
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn keys_that_are_read_again_end_no_stream_of_those_who_keep_their_right() {
    let shop = Shop::start("reload", "memory");
    let ann = jwt(KEY, &json!({ "sub": "ann", "aud": "callout" }));
    let bob = jwt(OTHER, &json!({ "sub": "bob" }));
    let (mut anns, mut bobs) = (shop.open("users/ann/1", &ann), shop.open("users/bob/1", &bob));
    write(&shop.folder, "other.key", "a key that replaces the other one");
    shop.program.signal("HUP");
    assert!(
        bobs.next_named("unauthorized").data.contains("signed with a key that this server does not have")
    );
    shop.publish("users/ann/1");
    assert_eq!(anns.next().data, "hi");
    // A file that is wrong changes nothing.
    write(&shop.folder, "app.key", "short");
    shop.program.signal("HUP");
    let after = jwt("a key that replaces the other one", &json!({ "sub": "bob" }));
    until("the file was read", || shop.status(&after) == 403);
    shop.publish("users/ann/1");
    assert_eq!(anns.next().data, "hi");
    assert_eq!(shop.status(&ann), 403);
}
