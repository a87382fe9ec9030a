//! Keys that are fetched from an address, and are others after a while.

use crate::support::{Browser, Program, request};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use parking_lot::Mutex;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::thread;

/// Whoever signs, and the address at which the keys are.
struct Application {
    keys: Arc<Mutex<Vec<(String, Ed25519KeyPair)>>>,
    url: String,
}

impl Application {
    fn start() -> Application {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/keys", listener.local_addr().unwrap());
        let keys: Arc<Mutex<Vec<(String, Ed25519KeyPair)>>> = Arc::default();
        let shared = keys.clone();
        thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                let lines = BufReader::new(&socket).lines().map_while(Result::ok);
                lines.take_while(|line| !line.is_empty()).for_each(drop);
                let keys = shared.lock();
                let jwk = |(kid, key): &(String, Ed25519KeyPair)| {
                    let x = BASE64.encode(key.public_key());
                    json!({ "kty": "OKP", "crv": "Ed25519", "kid": kid, "x": x })
                };
                let body = json!({ "keys": keys.iter().map(jwk).collect::<Vec<Value>>() }).to_string();
                let status = if keys.is_empty() { "503 Not now" } else { "200 OK" };
                let length = body.len();
                let answer = format!(
                    "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
                );
                _ = (&socket).write_all(answer.as_bytes());
            }
        });
        Application { keys, url }
    }

    fn add(&self, kid: &str) {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        let key = Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap();
        self.keys.lock().push((kid.into(), key));
    }

    fn sign(&self, kid: &str) -> String {
        let header = json!({ "alg": "EdDSA", "kid": kid }).to_string();
        let signed = format!("{}.{}", BASE64.encode(header), BASE64.encode(r#"{"sub":"ann"}"#));
        let keys = self.keys.lock();
        let (_, key) = keys.iter().find(|(name, _)| name == kid).unwrap();
        format!("{signed}.{}", BASE64.encode(key.sign(signed.as_bytes())))
    }
}

#[test]
fn until_the_keys_were_fetched_a_browser_is_told_to_come_back_and_keeps_its_cookie() {
    let application = Application::start();
    let folder = std::env::temp_dir().join(format!("callout-no-jwks-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let config = folder.join("callout.toml");
    let text = format!(
        "[[allow]]\nsigned_in = true\nsubscribe = [\"a\"]\n[[jwt]]\njwks = \"{}\"\n",
        application.url
    );
    std::fs::write(&config, text).unwrap();
    application.add("first");
    let jwt = application.sign("first");
    // The application is away.
    application.keys.lock().clear();
    let program = Program::serve(&["--config", config.to_str().unwrap(), "--heartbeat", "100ms"]);
    let ask = |fields: &str| {
        let head = format!("GET /topics/a HTTP/1.1\r\nCookie: callout_ticket={jwt}{fields}");
        request(program.address, &head, "")
    };
    let answer = ask("");
    assert_eq!(
        (answer.status, answer.header("retry-after"), answer.header("set-cookie")),
        (503, Some("5"), None)
    );
    let answer = ask("\r\nAccept: text/event-stream");
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/event-stream")));
    assert!(answer.body.starts_with(b"event: drain\nretry: "), "{answer:?}");
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn keys_are_fetched_and_those_that_go_take_their_streams_with_them() {
    let application = Application::start();
    application.add("first");
    let folder = std::env::temp_dir().join(format!("callout-jwks-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let config = folder.join("callout.toml");
    let text = format!(
        "[[allow]]\nsigned_in = true\nsubscribe = [\"users/{{user}}/*\"]\n[[jwt]]\njwks = \"{}\"\n",
        application.url
    );
    std::fs::write(&config, text).unwrap();
    let program = Program::serve(&["--config", config.to_str().unwrap()]);
    let ask = |jwt: &str| {
        request(
            program.address,
            &format!("HEAD /topics/users/ann/1 HTTP/1.1\r\nAuthorization: Bearer {jwt}"),
            "",
        )
        .status
    };
    let first = application.sign("first");
    crate::support::until("the keys were fetched", || ask(&first) == 200);
    let mut browser = Browser::open(program.address, &format!("/topics/users/ann/1?ticket={first}"));

    // A key that is not known yet is asked for, and one that is not there any more counts for nothing.
    application.add("second");
    application.keys.lock().remove(0);
    let second = application.sign("second");
    crate::support::until("the other keys were fetched", || ask(&second) == 200);
    assert!(
        browser.next_named("unauthorized").data.contains("signed with a key that this server does not have")
    );
    assert_eq!(ask(&first), 401);
    // What was fetched stays when the file is read again, and when the application is away.
    application.keys.lock().clear();
    program.signal("HUP");
    let mut browser = Browser::open(program.address, &format!("/topics/users/ann/1?ticket={second}"));
    browser.next_comment();
    assert_eq!(ask(&second), 200);
    std::fs::remove_dir_all(folder).unwrap();
}
