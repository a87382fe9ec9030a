//! Why a credential is refused, and what to do about it.
//!
//! What a credential says is read out only to those who have a valid signature: before that a refusal tells no more
//! than its shape. No text contains a credential or a part of one.

use super::moment::Moment;
use crate::error::Error;
use std::fmt;

/// The longest text from a credential that a refusal shows, in characters.
const SHOWN_CHARS_MAX: usize = 64;

/// What a credential is, as its shape says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A secret that an operator gave to a program.
    Token,
    /// What callout signed for a user.
    Ticket,
    /// What an application signed for a user (RFC 7519).
    Jwt,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Token => "token",
            Kind::Ticket => "ticket",
            Kind::Jwt => "JWT",
        })
    }
}

/// Why a credential is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Two headers came: a proxy in front may have looked at the other one.
    Twice,
    /// It is longer than any that is taken.
    TooLong {
        /// What it is.
        kind: Kind,
        /// The limit in bytes.
        bytes_max: usize,
    },
    /// It is not what its shape says.
    Malformed {
        /// What it should be.
        kind: Kind,
        /// What is wrong with it.
        what: String,
    },
    /// No token is this one.
    Unknown,
    /// The server takes none of this kind.
    NotTaken(Kind),
    /// The keys of JWTs could not be fetched yet.
    NoKeys,
    /// The JWT names an algorithm that no key of the server has.
    Algorithm {
        /// What the JWT names.
        named: String,
        /// Those of the server's keys.
        taken: Vec<&'static str>,
    },
    /// The signature was made with another key, or the text was changed.
    Signature(Kind),
    /// Its time is over.
    Expired {
        /// What it is.
        kind: Kind,
        /// Since when.
        at: Moment,
        /// The present.
        now: Moment,
    },
    /// Its time has not come.
    NotYet {
        /// What it is.
        kind: Kind,
        /// When it comes.
        from: Moment,
        /// The present.
        now: Moment,
    },
    /// It lasts longer than tickets may.
    LastsTooLong {
        /// The longest, in days.
        days_max: u64,
    },
    /// The JWT is meant for somebody else.
    Audience {
        /// For whom it is; none where it does not say.
        given: Option<String>,
        /// For whom it should be.
        wanted: String,
    },
    /// It was taken back.
    Revoked(Kind),
}

impl Refusal {
    /// It is not what its shape says.
    pub(super) fn malformed(kind: Kind, what: impl Into<String>) -> Refusal {
        Refusal::Malformed { kind, what: what.into() }
    }

    /// Why, for those who sent it.
    pub fn reason(&self) -> String {
        match self {
            Refusal::Twice => "the header `Authorization` was sent more than once".into(),
            Refusal::TooLong { kind, bytes_max } => {
                format!("the {kind} is too long: at most {bytes_max} bytes are taken")
            }
            Refusal::Malformed { kind, what } => format!("this is no {kind}: {what}"),
            Refusal::Unknown => "the token is not known here".into(),
            Refusal::NotTaken(kind) => format!("this server takes no {kind}s"),
            Refusal::NoKeys => "this server has not fetched the keys of JWTs yet".into(),
            Refusal::Algorithm { named, taken } => format!(
                "the JWT names the algorithm `{}`, and the keys of this server have {}",
                shown(named),
                taken.join(", ")
            ),
            Refusal::Signature(kind) => format!(
                "the {kind} was signed with a key that this server does not have, or it was changed afterwards"
            ),
            Refusal::Expired { kind, at, now } => {
                format!("the {kind} ended at {at}, {} ago", lasting(now.since(*at).as_secs()))
            }
            Refusal::NotYet { kind, from, now } => {
                format!("the {kind} begins at {from}, in {}", lasting(from.since(*now).as_secs()))
            }
            Refusal::LastsTooLong { days_max } => {
                format!("the ticket lasts longer than {days_max} days after it was given")
            }
            Refusal::Audience { given: Some(given), wanted } => {
                format!("the JWT is for the audience `{}`, and this server is `{wanted}`", shown(given))
            }
            Refusal::Audience { given: None, wanted } => {
                format!("the JWT names no audience, and this server is `{wanted}`")
            }
            Refusal::Revoked(kind) => format!("the {kind} was taken back"),
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Refusal::Twice => "send it once".into(),
            Refusal::TooLong { kind: Kind::Ticket, .. } => {
                "name fewer topics in it, or prefixes (`rooms/*`)".into()
            }
            Refusal::TooLong { .. } => "leave out of it what callout does not need".into(),
            Refusal::Malformed { kind: Kind::Ticket, .. } => {
                "send the text of `ticket` in the answer of `POST /tickets`, whole and unchanged".into()
            }
            Refusal::Malformed { kind: Kind::Jwt, .. } => {
                "send what the application signed, whole; `callout token explain` reads it".into()
            }
            Refusal::Malformed { kind: Kind::Token, .. } => {
                "send the token as `callout token new` printed it".into()
            }
            Refusal::Unknown => {
                "compare it with what `callout token new` printed, and whether the server was told of it \
                 (a file that was changed is read on SIGHUP)"
                    .into()
            }
            Refusal::NotTaken(Kind::Ticket) => {
                "start callout with a key for tickets (`[tickets]` in its file)".into()
            }
            Refusal::NotTaken(Kind::Jwt) => {
                "name the key that they are signed with in `[[jwt]]` of callout's file".into()
            }
            Refusal::NotTaken(Kind::Token) => "start callout with a token (`[[token]]` in its file)".into(),
            Refusal::NoKeys => "try again in some seconds; if it stays so, the server's log says why".into(),
            Refusal::Algorithm { .. } => {
                "sign with the algorithm of a key in `[[jwt]]`, or add a key of this algorithm".into()
            }
            Refusal::Signature(Kind::Ticket) => {
                "ask this server, or another with its key, for a new ticket".into()
            }
            Refusal::Signature(_) => "sign with the key that stands in `[[jwt]]` of callout's file".into(),
            Refusal::Expired { .. } => "ask for a new one and come back with it".into(),
            Refusal::NotYet { .. } => {
                "wait until then; if it should hold by now, compare the clocks of both machines".into()
            }
            Refusal::LastsTooLong { days_max } => format!("give tickets for at most {days_max} days"),
            Refusal::Audience { wanted, .. } => format!("sign it with `\"aud\": \"{wanted}\"`"),
            Refusal::Revoked(Kind::Token) => "give the program a new secret".into(),
            Refusal::Revoked(_) => "sign in again, and come back with a new one".into(),
        }
    }
}

/// 401; and 503 where nobody knows yet whether it is valid.
impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Error {
        let error = match refusal {
            Refusal::NoKeys => Error::unavailable(refusal.reason()),
            _ => Error::unauthorized(refusal.reason()),
        };
        error.hint(refusal.hint())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason())
    }
}

/// Text from a credential, without what a terminal could take for a command, and not too long.
pub(super) fn shown(text: &str) -> String {
    text.chars().take(SHOWN_CHARS_MAX).flat_map(char::escape_debug).collect()
}

/// A span of time in its largest unit.
fn lasting(secs: u64) -> String {
    let (count, unit) = match secs {
        0..120 => (secs, "second"),
        120..7_200 => (secs / 60, "minute"),
        7_200..172_800 => (secs / 3_600, "hour"),
        _ => (secs / 86_400, "day"),
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_since_when() {
        let at = Moment::from_secs(1_700_000_000.0).unwrap();
        let now = Moment::from_secs(1_700_000_190.0).unwrap();
        let kind = Kind::Ticket;
        assert_eq!(
            Refusal::Expired { kind, at, now }.reason(),
            "the ticket ended at 2023-11-14T22:13:20Z, 3 minutes ago"
        );
        assert_eq!(
            Refusal::NotYet { kind: Kind::Jwt, from: now, now: at }.reason(),
            "the JWT begins at 2023-11-14T22:16:30Z, in 3 minutes"
        );
    }

    #[test]
    fn text_from_a_credential_is_escaped_and_cut() {
        let named = format!("\x1b[2J{}", "x".repeat(1000));
        let reason = Refusal::Algorithm { named, taken: vec!["HS256", "ES256"] }.reason();
        assert!(!reason.contains('\x1b') && reason.len() < 200, "{reason}");
        assert!(reason.ends_with("HS256, ES256"), "{reason}");
    }
}
