//! `callout token new NAME`: a secret for a backend, and the rule that knows it. `callout token explain TOKEN`: what a
//! credential is.

use super::output::print;
use super::{Command, Failure, Flag, Flags, Usage, explain};
use crate::access::{Action, Area, Digest, Pattern, Who};
use crate::os::random;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use std::io::Write;

/// As long as the digest by which it is known: nobody guesses it.
const SECRET_BYTES: usize = 32;

/// What a secret begins with, so that it is recognised where it should not be.
const SECRET_PREFIX: &str = "callout_";

pub(super) static COMMAND: Command = Command {
    name: "token",
    arguments: "new NAME | explain TOKEN",
    about: "print a new secret and its rule, or say what a token, a ticket or a JWT is",
    flags: &[
        Flag {
            name: "publish",
            value: "TOPIC",
            help: "a topic that it may publish to, or `orders/*`; repeatable",
        },
        Flag { name: "subscribe", value: "TOPIC", help: "a topic that it may subscribe to; repeatable" },
        Flag {
            name: "pages",
            value: "NAMES",
            help: "pages that it may read and write, with commas between them",
        },
        Flag {
            name: "may",
            value: "RIGHT",
            help: "history, tickets, retract, close, metrics or admin; repeatable",
        },
        Flag {
            name: "key-file",
            value: "FILE",
            help: "explain: the key that signed it (a secret, PEM or JWKS)",
        },
        Flag { name: "config", value: "FILE", help: "explain: the configuration with its keys, and tokens" },
    ],
};

pub(super) fn run(flags: &Flags) -> Result<(), Failure> {
    let name = match flags.arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["new", name] => name.to_owned(),
        ["explain", token] => return explain::run(flags, token),
        _ => {
            return Err(
                Usage("it is `callout token new NAME` or `callout token explain TOKEN`".into()).into()
            );
        }
    };
    let bytes: [u8; SECRET_BYTES] =
        random::bytes().map_err(|error| Failure::Work(format!("failed to read random bytes: {error}")))?;
    let secret = format!("{SECRET_PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(bytes));
    let digest = Digest::of(&secret);
    Who::token(&name, digest).map_err(wrong)?;
    let mut rule = format!("[[token]]\nname = {}\nhash = {}\n", quoted(&name), quoted(&digest.text()));
    rule += &line(flags, "publish", |text| text.parse::<Pattern>().map(|_| ()))?;
    rule += &line(flags, "subscribe", |text| text.parse::<Pattern>().map(|_| ()))?;
    rule += &line(flags, "pages", |text| text.parse::<Area>().map(|_| ()))?;
    rule += &line(flags, "may", |text| text.parse::<Action>().map(|_| ()))?;
    // If nobody reads it, the secret would be of no use.
    let mut stderr = std::io::stderr();
    let written = stderr.write_all(rule.as_bytes());
    written.map_err(|error| Failure::Work(format!("failed to write the rule: {error}")))?;
    print(&format!("{secret}\n"))
}

/// A line of the rule, if the flag was given.
fn line(
    flags: &Flags,
    name: &str,
    check: impl Fn(&str) -> Result<(), crate::Error>,
) -> Result<String, Failure> {
    let texts = flags.list(name);
    texts.iter().try_for_each(|text| check(text)).map_err(wrong)?;
    let texts: Vec<String> = texts.iter().map(|text| quoted(text)).collect();
    Ok(if texts.is_empty() { String::new() } else { format!("{name} = [{}]\n", texts.join(", ")) })
}

fn wrong(error: crate::Error) -> Failure {
    Usage(error.to_string()).into()
}

/// A text as TOML writes it. What stands in a rule has no control characters.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
