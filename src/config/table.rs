//! The tables of a file: `[[allow]]`, `[[token]]`, `[tickets]` and `[[jwt]]`.

use super::Value;
use super::keys::is_address;
use super::value::Values;
use crate::access::{Digest, Rule, Who, is_token};
use crate::error::Error;
use std::borrow::Cow;
use std::collections::HashMap;
use std::path::PathBuf;
use std::str::FromStr;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The largest file with a secret, in bytes. A larger one is refused.
const SECRET_BYTES_MAX: u64 = 4 * 1024;

/// The claim of a JWT that says what its user may, unless another is named.
const CLAIM: &str = "callout";

/// With what tickets are signed: the first key signs, all are taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tickets {
    /// At least one.
    pub key_files: Vec<PathBuf>,
}

/// Whose JWTs are taken, and what in them counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jwt {
    /// By which key, and so by which algorithm, they are signed.
    pub key: JwtKey,
    /// What `aud` has to name, if anything.
    pub audience: Option<String>,
    /// The claim that says what the user may.
    pub claim: String,
}

/// A key, which knows its algorithm.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum JwtKey {
    /// A shared secret.
    Hs256(PathBuf),
    /// A public key on the curve P-256.
    Es256(PathBuf),
    /// A public key of RSA.
    Rs256(PathBuf),
    /// A public key of Ed25519.
    EdDsa(PathBuf),
    /// A set of public keys: a file, or an `https://` address.
    Jwks(String),
}

/// Reads each table of a list of tables. Those that are wrong are left out.
pub(super) fn all<T>(
    values: &mut Values<'_>,
    key: &Spanned<Cow<'_, str>>,
    value: &Value<'_>,
    mut read: impl FnMut(&mut Values<'_>, &DeTable<'_>, usize) -> Option<T>,
) -> Vec<T> {
    let name = key.get_ref();
    let DeValue::Array(items) = value.get_ref() else {
        values
            .wrong(key.span().start, format!("there may be several of these, so it is written `[[{name}]]`"));
        return Vec::new();
    };
    let tables = items.iter().filter_map(|item| match item.get_ref() {
        DeValue::Table(table) => read(values, table, item.span().start),
        _ => {
            values.wrong(item.span().start, format!("this is a table, and is written `[[{name}]]`"));
            None
        }
    });
    tables.collect()
}

pub(super) fn allow(values: &mut Values<'_>, table: &DeTable<'_>, at: usize) -> Option<Rule> {
    values.only_keys(table, &["anonymous", "signed_in", "publish", "subscribe", "pages"]);
    let mut whom = Vec::new();
    for (name, who) in [("anonymous", Who::Anonymous), ("signed_in", Who::SignedIn)] {
        match table.get(name).map(|value| (value.get_ref(), value.span().start)) {
            None => {}
            Some((DeValue::Boolean(true), _)) => whom.push(who),
            Some((_, at)) => values.wrong(at, format!("`{name}` is `true`, or left out: rules only give")),
        }
    }
    match <[Who; 1]>::try_from(whom) {
        Ok([who]) => Some(rule(values, table, who)),
        Err(_) => {
            values.wrong(at, "`[[allow]]` says for whom: `anonymous = true` for everybody, or `signed_in = true` for users and tokens");
            None
        }
    }
}

/// Reads a token that has not the secret of one that was `seen`.
pub(super) fn token(
    seen: &mut HashMap<Digest, String>,
    values: &mut Values<'_>,
    table: &DeTable<'_>,
    at: usize,
) -> Option<Rule> {
    values.only_keys(table, &["name", "secret_file", "hash", "env", "publish", "subscribe", "pages", "may"]);
    let name = values.text_of(table, "name");
    if !table.contains_key("name") {
        values.wrong(at, "a token has a `name`, by which errors and the log call it");
    }
    let digest = digest(values, table, at);
    // Read even if there is no name or secret, so that all that is wrong is said.
    let rule = rule(values, table, Who::Anonymous);
    let ((name, at), digest) = (name?, digest?);
    let who = Who::token(&name, digest).map_err(|error| values.wrong(at, error.to_string())).ok()?;
    if let Some(other) = seen.insert(digest, name.clone()) {
        values.wrong(at, format!("the tokens `{other}` and `{name}` have the same secret"));
    }
    Some(Rule { who, ..rule })
}

/// What a rule gives.
fn rule(values: &mut Values<'_>, table: &DeTable<'_>, who: Who) -> Rule {
    let mut rule = Rule::new(who);
    rule.publish = values.list_of(table, "publish");
    rule.subscribe = values.list_of(table, "subscribe");
    rule.pages = values.list_of(table, "pages");
    rule.may = values.list_of(table, "may");
    rule
}

/// The digest of a token's secret, which stands in a file, in a variable, or nowhere.
fn digest(values: &mut Values<'_>, table: &DeTable<'_>, at: usize) -> Option<Digest> {
    let given: Vec<&str> =
        ["secret_file", "hash", "env"].into_iter().filter(|name| table.contains_key(*name)).collect();
    let [name] = given[..] else {
        values
            .wrong(at, "a token has one of `hash` (`callout token new` prints it), `secret_file` and `env`");
        return None;
    };
    let (text, at) = values.text_of(table, name)?;
    let digest = match name {
        "hash" => text.parse::<Digest>().map_err(|error| error.to_string()),
        "env" => match std::env::var(&text) {
            Ok(secret) => digest_of(&secret, &format!("the variable {text}")),
            Err(_) => Err(format!("the variable {text} is not set, or is not UTF-8")),
        },
        _ => secret_in(&values.path(&text)),
    };
    digest.map_err(|why| values.wrong(at, why)).ok()
}

/// The digest of the secret in a file, whose line end does not belong to it.
fn secret_in(path: &std::path::Path) -> Result<Digest, String> {
    let shown = path.display();
    let size = std::fs::metadata(path).map_err(|error| format!("failed to read `{shown}`: {error}"))?.len();
    if size > SECRET_BYTES_MAX {
        return Err(format!("`{shown}` has more than {SECRET_BYTES_MAX} bytes, so it is no secret"));
    }
    let text = std::fs::read_to_string(path).map_err(|error| format!("failed to read `{shown}`: {error}"))?;
    digest_of(text.trim_end_matches(['\r', '\n']), &format!("`{shown}`"))
}

fn digest_of(secret: &str, source: &str) -> Result<Digest, String> {
    if !is_token(secret) {
        return Err(format!("{source} has no secret: one or more visible ASCII characters, and no blanks"));
    }
    Ok(Digest::of(secret))
}

pub(super) fn tickets(values: &mut Values<'_>, value: &Value<'_>) -> Option<Tickets> {
    let at = value.span().start;
    let DeValue::Table(table) = value.get_ref() else {
        values.wrong(at, "`tickets` is one table, and is written `[tickets]`");
        return None;
    };
    values.only_keys(table, &["key_files"]);
    let files: Vec<Name> = values.list_of(table, "key_files");
    if files.is_empty() {
        values.wrong(at, "`[tickets]` names the files of its keys: `key_files = [\"new.key\", \"old.key\"]`");
        return None;
    }
    Some(Tickets { key_files: files.iter().map(|Name(file)| values.path(file)).collect() })
}

pub(super) fn jwt(values: &mut Values<'_>, table: &DeTable<'_>, at: usize) -> Option<Jwt> {
    const KEYS: [&str; 5] = ["hs256_file", "es256_file", "rs256_file", "eddsa_file", "jwks"];
    values.only_keys(table, &[&KEYS[..], &["audience", "claim"]].concat());
    let audience = values.text_of(table, "audience").map(|(text, _)| text);
    let claim = values.text_of(table, "claim").map_or_else(|| CLAIM.into(), |(text, _)| text);
    let given: Vec<&str> = KEYS.into_iter().filter(|name| table.contains_key(*name)).collect();
    let [name] = given[..] else {
        values.wrong(at, format!("`[[jwt]]` has one key: one of {}", KEYS.join(", ")));
        return None;
    };
    let (text, _) = values.text_of(table, name)?;
    let path = values.path(&text);
    let key = match name {
        "hs256_file" => JwtKey::Hs256(path),
        "es256_file" => JwtKey::Es256(path),
        "rs256_file" => JwtKey::Rs256(path),
        "eddsa_file" => JwtKey::EdDsa(path),
        _ if is_address(&text) => JwtKey::Jwks(text),
        _ => JwtKey::Jwks(path.to_string_lossy().into_owned()),
    };
    Some(Jwt { key, audience, claim })
}

/// The name of a file.
struct Name(String);

impl FromStr for Name {
    type Err = Error;

    fn from_str(text: &str) -> Result<Name, Error> {
        if text.is_empty() {
            return Err(Error::bad("a file has a name"));
        }
        Ok(Name(text.into()))
    }
}
