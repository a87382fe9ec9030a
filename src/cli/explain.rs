//! `callout token explain`: what a token, a ticket or a JWT is, whether it is valid, and why not. Nothing is sent
//! anywhere, and nothing is shown that is secret.

use super::output::print;
use super::serve::file;
use super::{Failure, Flags};
use crate::access::credential::Presented;
use crate::access::moment::Moment;
use crate::access::refusal::{Kind, Refusal};
use crate::access::{Claims, Digest, Issuer, JwtKey, JwtKeys, Key, TicketKeys, Trust, Who, jwt, ticket};
use crate::config::Configuration;
use crate::selector::Selector;
use std::fmt::Write;
use std::io::{Read, stdin};
use std::path::Path;
use std::sync::Arc;

/// The claim of a JWT that says what may be done, where no configuration says another.
const CLAIM: &str = "callout";

/// The longest credential that is read from standard input, in bytes.
const CREDENTIAL_BYTES_MAX: u64 = 64 * 1024;

pub(super) fn run(flags: &Flags, given: &str) -> Result<(), Failure> {
    let text = if given == "-" { from_stdin()? } else { given.to_owned() };
    let configuration = match flags.text("config") {
        None => None,
        Some(path) => Some(file::parse(Path::new(path)).map_err(|faults| {
            Failure::Work(faults.first().map_or_else(|| format!("{path} is wrong"), ToString::to_string))
        })?),
    };
    let presented = Presented::of(text);
    let claim = configuration.iter().flat_map(|configuration| &configuration.jwts).map(|jwt| &*jwt.claim);
    let claim = claim.into_iter().next().unwrap_or(CLAIM);
    let claims = match presented.kind() {
        Kind::Token => return token(&presented, configuration.as_ref()),
        Kind::Ticket => {
            ticket::read_unverified(presented.text()).map(|claims| ("a ticket of callout".into(), claims))
        }
        Kind::Jwt => jwt::read_unverified(presented.text(), claim).map(|(algorithm, claims)| {
            (format!("a JWT that names the algorithm {}", algorithm.escape_debug()), claims)
        }),
    };
    let (what, claims) = claims.map_err(refused)?;
    print(&told(&what, &claims))?;
    let trust = trust(flags, configuration.as_ref(), presented.kind())?;
    let now = Moment::now();
    match &trust {
        Some(trust) => trust.verify(&presented, now, Moment::default()).map_err(refused)?,
        None => match claims.expires.filter(|at| *at <= now) {
            Some(at) => return Err(refused(Refusal::Expired { kind: claims.kind, at, now })),
            None => {
                return print("Whether it is valid only the key tells: --key-file or --config names it.\n");
            }
        },
    };
    print("It is valid, unless the server was told that it is taken back.\n")
}

fn from_stdin() -> Result<String, Failure> {
    let mut text = String::new();
    let read = stdin().take(CREDENTIAL_BYTES_MAX).read_to_string(&mut text);
    read.map_err(|error| Failure::Work(format!("failed to read standard input: {error}")))?;
    Ok(text.trim().to_owned())
}

fn refused(refusal: Refusal) -> Failure {
    Failure::Work(format!("not valid: {}; {}", refusal.reason(), refusal.hint()))
}

/// With which keys it is to be verified; none where none were named.
fn trust(flags: &Flags, configuration: Option<&Configuration>, kind: Kind) -> Result<Option<Trust>, Failure> {
    if let Some(path) = flags.text("key-file").map(Path::new) {
        let trust = match kind {
            Kind::Ticket => Trust {
                tickets: TicketKeys::new(vec![Key::read(path).map_err(Failure::Work)?]),
                issuers: Vec::new(),
            },
            _ => {
                let issuer = Issuer::new(jwt_keys(path).map_err(Failure::Work)?, None, CLAIM);
                Trust { tickets: TicketKeys::default(), issuers: vec![Arc::new(issuer)] }
            }
        };
        return Ok(Some(trust));
    }
    let Some(configuration) = configuration else { return Ok(None) };
    let (tickets, issuers) = configuration.keys().map_err(Failure::Work)?;
    Ok(Some(Trust { tickets, issuers }))
}

/// A file says itself what it holds: a set of keys, a public key, or a secret.
fn jwt_keys(path: &Path) -> Result<JwtKeys, String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let named = |error| format!("`{}`: {error}", path.display());
    if text.trim_start().starts_with('{') {
        JwtKeys::from_jwks(&text).map_err(named)
    } else if text.contains("-----BEGIN ") {
        JwtKey::of_pem(&text).map(JwtKeys::one).map_err(named)
    } else {
        Key::read(path).map(JwtKey::secret).map(JwtKeys::one)
    }
}

fn told(what: &str, claims: &Claims) -> String {
    let list = |selectors: &[Selector]| {
        let texts: Vec<String> = selectors.iter().map(|selector| format!("`{selector}`")).collect();
        if texts.is_empty() { "nothing".into() } else { texts.join(", ") }
    };
    let moment = |at: Option<Moment>| at.map_or_else(|| "it does not say".into(), |at| at.to_string());
    let user = claims
        .user
        .as_ref()
        .map_or("nobody in particular".into(), |user| format!("`{}`", user.escape_debug()));
    let mut text = format!("It is {what}.\n");
    // Writing to a text cannot fail.
    let _ = writeln!(text, "  for        {user}");
    let _ = writeln!(text, "  publish    {}, beside what the rules give", list(&claims.publish));
    let _ = writeln!(text, "  subscribe  {}, beside what the rules give", list(&claims.subscribe));
    let _ = writeln!(text, "  given      {}", moment(claims.issued));
    if let Some(by) = &claims.by {
        let _ = writeln!(text, "  asked by   the token `{}`", by.escape_debug());
    }
    let _ = writeln!(text, "  ends       {}", moment(claims.expires));
    text
}

/// What can be said of a secret: whose it is by the configuration.
fn token(presented: &Presented, configuration: Option<&Configuration>) -> Result<(), Failure> {
    let Some(configuration) = configuration else {
        return print(
            "It is neither a ticket nor a JWT: perhaps a token. Whose it is only the configuration tells: --config names it.\n",
        );
    };
    let digest = Digest::of(presented.text());
    let name = configuration.rules.iter().find_map(|rule| match &rule.who {
        Who::Token { name, digest: known } if *known == digest => Some(name),
        _ => None,
    });
    match name {
        Some(name) => print(&format!(
            "It is the token `{name}`, unless the server was told that it is taken back. `callout check-config` lists what it may.\n"
        )),
        None => Err(refused(Refusal::Unknown)),
    }
}
