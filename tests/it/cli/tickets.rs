//! `callout ticket` and `callout token explain`: made and read without a server.

use super::commands::{complaint, output, text};
use std::fs;
use std::path::PathBuf;
use std::process::Output;

/// A folder with keys and a configuration that names them.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let folder = std::env::temp_dir().join(format!("callout-explain-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let folder = Folder(folder);
        folder.write("ticket.key", "0123456789abcdef0123456789abcdef\n");
        folder.write("other.key", "fedcba9876543210fedcba9876543210\n");
        folder.write("app.key", "an application's key of enough bytes\n");
        folder.write("shop.token", "secret-of-shop\n");
        folder.write(
            "callout.toml",
            "[[token]]\nname = \"shop\"\nsecret_file = \"shop.token\"\nmay = [\"tickets\"]\n\
             [tickets]\nkey_files = [\"ticket.key\"]\n\
             [[jwt]]\nhs256_file = \"app.key\"\naudience = \"callout\"\n",
        );
        folder
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.join(name), text).unwrap();
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    fn ticket(&self, flags: &[&str]) -> String {
        let key = self.path("ticket.key");
        let made = output(&[&["ticket", "--key-file", &key, "--user", "ann"][..], flags].concat());
        assert_eq!(made.status.code(), Some(0), "{}", text(&made.stderr));
        text(&made.stdout).trim_end().to_owned()
    }

    fn explain(&self, credential: &str, flag: &str, name: &str) -> Output {
        output(&["token", "explain", credential, flag, &self.path(name)])
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.0);
    }
}

/// What was printed, and what was said of a failure.
fn said(output: &Output) -> (Option<i32>, String, String) {
    (output.status.code(), text(&output.stdout).to_owned(), text(&output.stderr).to_owned())
}

#[test]
fn a_ticket_that_was_made_is_explained() {
    let folder = Folder::new("ticket");
    let ticket = folder.ticket(&["--subscribe", "users/ann/*", "--subscribe", "news", "--ttl", "1h"]);
    for (flag, name) in [("--key-file", "ticket.key"), ("--config", "callout.toml")] {
        let (code, printed, _) = said(&folder.explain(&ticket, flag, name));
        assert_eq!(code, Some(0));
        for line in [
            "a ticket of callout",
            "for        `ann`",
            "subscribe  `users/ann/*`, `news`",
            "It is valid, unless",
        ] {
            assert!(printed.contains(line), "{printed}");
        }
        assert!(!printed.contains(&ticket[ticket.len() - 20..]), "{printed}");
    }
    let (code, printed, error) = said(&folder.explain(&ticket, "--key-file", "other.key"));
    assert_eq!(code, Some(1));
    assert!(
        printed.contains("for        `ann`") && error.contains("not valid: the ticket was signed with a key"),
        "{error}"
    );
    let (code, printed, _) = said(&output(&["token", "explain", &ticket]));
    assert_eq!(code, Some(0));
    assert!(printed.contains("only the key tells"), "{printed}");
    let error = complaint(&output(&["token", "explain", &ticket[..40]]), 1);
    assert!(error.contains("this is no ticket"), "{error}");
}

#[test]
fn a_jwt_is_explained_with_what_is_wrong_with_it() {
    let folder = Folder::new("jwt");
    let none = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbm4ifQ.";
    let (code, printed, error) = said(&folder.explain(none, "--config", "callout.toml"));
    assert_eq!(code, Some(1));
    assert!(
        printed.contains("a JWT that names the algorithm none") && printed.contains("for        `ann`"),
        "{printed}"
    );
    assert!(
        error.contains(
            "not valid: the JWT names the algorithm `none`, and the keys of this server have HS256"
        ),
        "{error}"
    );
    let (code, _, error) = said(&output(&[
        "token",
        "explain",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4iLCJleHAiOjE3MDAwMDA2MDB9.AAAA",
    ]));
    assert_eq!(code, Some(1));
    assert!(error.contains("the JWT ended at 2023-11-14T22:23:20Z"), "{error}");
}

#[test]
fn a_token_is_known_by_the_configuration() {
    let folder = Folder::new("token");
    let (code, printed, _) = said(&folder.explain("secret-of-shop", "--config", "callout.toml"));
    assert_eq!(code, Some(0));
    assert!(printed.contains("It is the token `shop`") && !printed.contains("secret-of-shop"), "{printed}");
    let error = complaint(&folder.explain("secret-of-nobody", "--config", "callout.toml"), 1);
    assert!(error.contains("the token is not known here") && !error.contains("secret"), "{error}");
    let (code, printed, _) = said(&output(&["token", "explain", "secret-of-shop"]));
    assert_eq!(code, Some(0));
    assert!(printed.contains("neither a ticket nor a JWT"), "{printed}");
}

#[test]
fn mistakes_are_named_and_keys_are_not_shown() {
    let folder = Folder::new("mistakes");
    folder.write("short.key", "sesame");
    let key = folder.path("ticket.key");
    folder.write("wrong.toml", "log = \"warn\"\nheartbeat = 9\n[tickets]\nkey_files = [\"short.key\"]\n");
    let checked = output(&["check-config", &folder.path("wrong.toml")]);
    assert_eq!(text(&checked.stdout).lines().count(), 1, "{}", text(&checked.stdout));
    assert!(
        text(&checked.stdout).contains("at least 32 bytes, and this one has 6"),
        "{}",
        text(&checked.stdout)
    );
    for (args, code, complains) in [
        (vec!["ticket", "--user", "ann"], 2, "ticket needs --key-file"),
        (vec!["ticket", "--key-file", &key], 2, "ticket needs --user"),
        (
            vec!["ticket", "--key-file", &folder.path("short.key"), "--user", "ann"],
            1,
            "at least 32 bytes, and this one has 6",
        ),
        (
            vec!["ticket", "--key-file", &folder.path("none.key"), "--user", "ann"],
            1,
            "failed to read the key",
        ),
        (vec!["ticket", "--key-file", &key, "--user", "ann", "--ttl", "32days"], 2, "from 1s to 31days"),
        (
            vec!["ticket", "--key-file", &key, "--user", "ann", "--subscribe", "$*"],
            2,
            "no value for --subscribe",
        ),
        (vec!["ticket", "--key-file", &key, "--user", "a\tb"], 1, "without control characters"),
        (vec!["token", "explain"], 2, "callout token explain TOKEN"),
    ] {
        let error = complaint(&output(&args), code);
        assert!(error.contains(complains) && !error.contains("sesame"), "{error}");
    }
}
