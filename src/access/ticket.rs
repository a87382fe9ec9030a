//! A ticket: what a user may do until a certain moment, signed, so that the server need not remember it.
//!
//! `ct1.KEY.CLAIMS.TAG`: a version, the id of the key, JSON, and an HMAC-SHA-256 of all that stands before its dot, each in
//! base64url without padding. So it needs no quoting in an address, a header or a cookie, and an application that has the
//! key can make one itself (`docs/access.md` shows how).
//!
//! A ticket has one text: whatever is changed in it, it is refused.

use super::base64::{self, Alphabet};
use super::claims::{self, Claims, is_user};
use super::key::{Key, TAG_BYTES};
use super::moment::Moment;
use super::refusal::{Kind, Refusal, shown};
use crate::selector::Selector;
use crate::topic::TOPICS_MAX;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What tickets begin with. A later form will have another number.
const VERSION: &str = "ct1.";

/// The longest ticket, in bytes. It fits into a cookie, for which browsers have 4,096 bytes with its name and attributes.
pub const TICKET_BYTES_MAX: usize = 3_900;

/// Days that a ticket may last. What is taken back is remembered for as long as any ticket that it concerns.
pub const TICKET_DAYS_MAX: u64 = 31;

/// The longest time that a ticket may last.
pub const TICKET_TTL_MAX: Duration = Duration::from_secs(TICKET_DAYS_MAX * 24 * 3600);

/// How much later than this machine's the clock of another that gives tickets may be. A ticket from further ahead is
/// refused until its time comes.
pub const TICKET_LEEWAY: Duration = Duration::from_secs(60);

/// What a ticket is to say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TicketDraft {
    /// The user.
    pub user: String,
    /// What may be published to.
    pub publish: Vec<Selector>,
    /// What may be subscribed to.
    pub subscribe: Vec<Selector>,
    /// When it is given.
    pub issued: Moment,
    /// When it ends.
    pub expires: Moment,
    /// The name of the token that asked for it.
    pub by: Option<String>,
}

/// The JSON in a ticket. The times are in microseconds since 1970.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    user: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    publish: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    subscribe: Vec<String>,
    issued: u64,
    expires: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by: Option<String>,
}

/// The keys of a server: the first signs, all are taken. So a key can be changed without a break.
#[derive(Debug, Clone, Default)]
pub struct TicketKeys(Vec<Key>);

impl TicketKeys {
    /// These keys; with none, no ticket is given or taken.
    pub fn new(keys: Vec<Key>) -> TicketKeys {
        TicketKeys(keys)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the key is there that signed this ticket.
    pub fn has(&self, signer: &str) -> bool {
        self.0.iter().any(|key| key.id() == signer)
    }

    /// Signs a ticket. Refuses what [`TicketKeys::verify`] would refuse.
    pub fn sign(&self, draft: &TicketDraft) -> Result<String, Refusal> {
        let key = self.0.first().ok_or(Refusal::NotTaken(Kind::Ticket))?;
        let texts = |selectors: &[Selector]| selectors.iter().map(Selector::to_string).collect();
        let body = Body {
            user: draft.user.clone(),
            publish: texts(&draft.publish),
            subscribe: texts(&draft.subscribe),
            issued: draft.issued.micros(),
            expires: draft.expires.micros(),
            by: draft.by.clone(),
        };
        let json = serde_json::to_vec(&body).map_err(|error| malformed(error.to_string()))?;
        let signed = format!("{VERSION}{}.{}", key.id(), base64::encode(&json));
        let ticket = format!("{signed}.{}", base64::encode(&key.sign(signed.as_bytes())));
        // The clock may have been set back since other tickets were given: then the end comes before the beginning.
        self.verify(&ticket, Moment::default(), draft.issued).map(|_| ticket)
    }

    /// What a ticket says, if it was signed with one of the keys, and its time is now. The last moment that this server
    /// gave one may be later than the present, where the clock was set back.
    pub fn verify(&self, ticket: &str, now: Moment, last: Moment) -> Result<Claims, Refusal> {
        if self.is_empty() {
            return Err(Refusal::NotTaken(Kind::Ticket));
        }
        let parts = Parts::of(ticket)?;
        let mut keys = self.0.iter().filter(|key| key.id() == parts.key);
        if !keys.any(|key| key.verify(parts.signed.as_bytes(), &parts.tag)) {
            return Err(Refusal::Signature(Kind::Ticket));
        }
        let (claims, issued, expires) = parts.claims()?;
        if expires <= now {
            return Err(Refusal::Expired { kind: Kind::Ticket, at: expires, now });
        }
        if issued > now.max(last).after(TICKET_LEEWAY) {
            return Err(Refusal::NotYet { kind: Kind::Ticket, from: issued, now });
        }
        if expires > issued.after(TICKET_TTL_MAX) {
            return Err(Refusal::LastsTooLong { days_max: TICKET_DAYS_MAX });
        }
        Ok(claims)
    }
}

/// Whether the text has the shape of a ticket.
pub fn is_ticket(text: &str) -> bool {
    text.starts_with(VERSION)
}

/// What a ticket says, whoever signed it: nothing may be granted for it.
pub fn read_unverified(ticket: &str) -> Result<Claims, Refusal> {
    Ok(Parts::of(ticket)?.claims()?.0)
}

struct Parts<'a> {
    key: &'a str,
    /// All that stands before the tag and its dot.
    signed: &'a str,
    body: Vec<u8>,
    tag: Vec<u8>,
}

impl Parts<'_> {
    fn of(ticket: &str) -> Result<Parts<'_>, Refusal> {
        if ticket.len() > TICKET_BYTES_MAX {
            return Err(Refusal::TooLong { kind: Kind::Ticket, bytes_max: TICKET_BYTES_MAX });
        }
        let rest = ticket.strip_prefix(VERSION).ok_or_else(|| malformed("it does not begin with `ct1.`"))?;
        let incomplete = || malformed("it is not four parts with dots between them");
        let (key, rest) = rest.split_once('.').ok_or_else(incomplete)?;
        let (body, tag) = rest.split_once('.').ok_or_else(incomplete)?;
        let decode =
            |text| base64::decode(text, Alphabet::Url).ok_or_else(|| malformed("a part is not base64url"));
        let (body, tag_bytes) = (decode(body)?, decode(tag)?);
        if tag_bytes.len() != TAG_BYTES {
            return Err(malformed("it was cut off"));
        }
        Ok(Parts { key, signed: &ticket[..ticket.len() - tag.len() - 1], body, tag: tag_bytes })
    }

    /// What it says, and when it was given and ends.
    fn claims(&self) -> Result<(Claims, Moment, Moment), Refusal> {
        let body: Body =
            serde_json::from_slice(&self.body).map_err(|error| malformed(shown(&error.to_string())))?;
        if !is_user(&body.user) {
            return Err(malformed("a user has 1 to 256 bytes, without control characters"));
        }
        if body.publish.len() + body.subscribe.len() > TOPICS_MAX {
            return Err(malformed(format!("it names more than {TOPICS_MAX} topics")));
        }
        let moment =
            |micros| Moment::from_micros(micros).ok_or_else(|| malformed("a time is after the year 9999"));
        let (issued, expires) = (moment(body.issued)?, moment(body.expires)?);
        let claims = Claims {
            kind: Kind::Ticket,
            user: Some(body.user),
            publish: selectors(&body.publish)?,
            subscribe: selectors(&body.subscribe)?,
            issued: Some(issued),
            expires: Some(expires),
            by: body.by,
            id: claims::id(self.signed),
            signer: self.key.into(),
        };
        Ok((claims, issued, expires))
    }
}

fn malformed(what: impl Into<String>) -> Refusal {
    Refusal::malformed(Kind::Ticket, what)
}

fn selectors(texts: &[String]) -> Result<Vec<Selector>, Refusal> {
    let parse = |text: &String| {
        text.parse().map_err(|error| malformed(format!("it names the topic `{}`: {error}", shown(text))))
    };
    texts.iter().map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn keys(bytes: &[u8]) -> TicketKeys {
        TicketKeys::new(bytes.iter().map(|byte| Key::new(&[*byte; 32]).unwrap()).collect())
    }

    fn draft() -> TicketDraft {
        let issued = Moment::from_secs(1_700_000_000.0).unwrap();
        TicketDraft {
            user: "ann".into(),
            publish: Vec::new(),
            subscribe: vec!["users/ann/*".parse().unwrap(), "news".parse().unwrap()],
            issued,
            expires: issued.after(Duration::from_secs(600)),
            by: Some("shop".into()),
        }
    }

    /// A ticket with this JSON, well signed.
    fn signed(json: &str) -> String {
        let key = Key::new(&[1; 32]).unwrap();
        let signed = format!("{VERSION}{}.{}", key.id(), base64::encode(json.as_bytes()));
        format!("{signed}.{}", base64::encode(&key.sign(signed.as_bytes())))
    }

    #[test]
    fn a_ticket_says_what_it_was_told_until_it_ends() {
        let (keys, draft) = (keys(&[1]), draft());
        let ticket = keys.sign(&draft).unwrap();
        assert!(is_ticket(&ticket) && ticket.len() < 300, "{ticket}");
        assert!(
            ticket.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)),
            "{ticket}"
        );
        let claims = keys.verify(&ticket, draft.issued, draft.issued).unwrap();
        assert_eq!(claims.user.as_deref(), Some("ann"));
        assert_eq!((&claims.publish, &claims.subscribe), (&draft.publish, &draft.subscribe));
        assert_eq!((claims.issued, claims.expires), (Some(draft.issued), Some(draft.expires)));
        assert_eq!(claims.by.as_deref(), Some("shop"));
        assert_eq!(read_unverified(&ticket), Ok(claims));

        let at = |now| keys.verify(&ticket, now, Moment::default());
        let kind = Kind::Ticket;
        assert_eq!(at(draft.expires), Err(Refusal::Expired { kind, at: draft.expires, now: draft.expires }));
        assert!(at(Moment::from_micros(draft.expires.micros() - 1).unwrap()).is_ok());
        let early = Moment::from_micros(draft.issued.micros() - TICKET_LEEWAY.as_micros() as u64).unwrap();
        assert!(at(early).is_ok());
        let earlier = Moment::from_micros(early.micros() - 1).unwrap();
        assert_eq!(at(earlier), Err(Refusal::NotYet { kind, from: draft.issued, now: earlier }));
        assert!(keys.verify(&ticket, earlier, draft.issued).is_ok(), "the clock was set back");
    }

    #[test]
    fn the_first_key_signs_and_all_are_taken() {
        let draft = draft();
        let (old, both, new) = (keys(&[1]), keys(&[2, 1]), keys(&[2]));
        let (before, after) = (old.sign(&draft).unwrap(), both.sign(&draft).unwrap());
        let takes =
            |keys: &TicketKeys, ticket: &str| keys.verify(ticket, draft.issued, draft.issued).map(|_| ());
        assert_eq!(takes(&both, &before), Ok(()));
        assert_eq!(takes(&both, &after), Ok(()));
        assert_eq!(takes(&new, &after), Ok(()));
        assert_eq!(takes(&new, &before), Err(Refusal::Signature(Kind::Ticket)));
        assert_eq!(takes(&old, &after), Err(Refusal::Signature(Kind::Ticket)));
        assert_eq!(takes(&TicketKeys::default(), &after), Err(Refusal::NotTaken(Kind::Ticket)));
        assert_eq!(TicketKeys::default().sign(&draft), Err(Refusal::NotTaken(Kind::Ticket)));
    }

    #[test]
    fn what_is_no_ticket_is_refused() {
        let good = signed(r#"{"user":"ann","issued":0,"expires":1}"#);
        assert!(keys(&[1]).verify(&good, Moment::default(), Moment::default()).is_ok());
        let (head, tag) = good.rsplit_once('.').unwrap();
        let long = format!("{head}.{}", "A".repeat(TICKET_BYTES_MAX));
        for (ticket, reason) in [
            (String::new(), "does not begin with `ct1.`"),
            ("ct1.".into(), "not four parts"),
            ("ct1.a.b".into(), "not four parts"),
            ("ct2.AAAA.AAAA.AAAA".into(), "does not begin"),
            (format!("{good}."), "not base64url"),
            (format!("{good}="), "not base64url"),
            (format!("{good}\n"), "not base64url"),
            (format!(" {good}"), "does not begin"),
            (good[..good.len() - 3].into(), "cut off"),
            (head.into(), "not four parts"),
            (format!("{head}."), "cut off"),
            (long, "too long"),
            (format!("ct1.AAAA.AAAA.{tag}"), "another key|signed with a key"),
            (signed("[]"), "invalid type|invalid length"),
            (signed("{}"), "missing field"),
            (signed("\u{feff}{}"), "expected value"),
            (signed(r#"{"user":"","issued":0,"expires":1}"#), "1 to 256 bytes"),
            (signed(r#"{"user":"a\u0000","issued":0,"expires":1}"#), "control characters"),
            (signed(r#"{"user":"ann","user":"bob","issued":0,"expires":1}"#), "duplicate field"),
            (signed(r#"{"user":"ann","issued":0,"expires":1,"admin":true}"#), "unknown field"),
            (signed(r#"{"user":"ann","issued":-1,"expires":1}"#), "invalid value"),
            (signed(r#"{"user":"ann","issued":0,"expires":1e3}"#), "invalid type"),
            (signed(r#"{"user":"ann","issued":0,"expires":18446744073709551615}"#), "year 9999"),
            (signed(r#"{"user":"ann","issued":0,"expires":18446744073709551616}"#), "invalid type"),
            (signed(r#"{"user":"ann","issued":0,"expires":2678400000001}"#), "longer than 31 days"),
            (signed(r#"{"user":"ann","issued":0,"expires":1,"subscribe":["$*"]}"#), "no wildcard"),
            (signed(r#"{"user":"ann","issued":0,"expires":1,"publish":["a\nb"]}"#), "control characters"),
            (signed(&format!("{}{}", "[".repeat(1000), "]".repeat(1000))), "recursion|invalid type"),
        ] {
            let refusal = keys(&[1]).verify(&ticket, Moment::default(), Moment::default()).unwrap_err();
            let reason_given = refusal.reason();
            assert!(reason.split('|').any(|part| reason_given.contains(part)), "{ticket}: {reason_given}");
            assert!(ticket.is_empty() || !reason_given.contains(&ticket), "{reason_given}");
        }
        let many = vec!["\"a\""; TOPICS_MAX + 1].join(",");
        let many = signed(&format!(r#"{{"user":"ann","issued":0,"expires":1,"publish":[{many}]}}"#));
        let refusal = keys(&[1]).verify(&many, Moment::default(), Moment::default()).unwrap_err();
        assert!(refusal.reason().contains("more than 100 topics"), "{refusal}");
    }

    #[test]
    fn no_ticket_is_signed_that_would_be_refused() {
        let keys = keys(&[1]);
        let days = |days: u64| draft().issued.after(Duration::from_secs(days * 86_400));
        assert!(keys.sign(&TicketDraft { expires: days(31), ..draft() }).is_ok());
        let long = keys.sign(&TicketDraft { expires: days(32), ..draft() });
        assert_eq!(long, Err(Refusal::LastsTooLong { days_max: 31 }));
        assert!(keys.sign(&TicketDraft { user: "a\nb".into(), ..draft() }).is_err());
        let subscribe = (0..50).map(|index| format!("{index:0200}").parse().unwrap()).collect();
        let long = keys.sign(&TicketDraft { subscribe, ..draft() });
        assert_eq!(long, Err(Refusal::TooLong { kind: Kind::Ticket, bytes_max: TICKET_BYTES_MAX }));
    }

    proptest! {
        #[test]
        fn a_ticket_with_any_bit_changed_is_refused(position: prop::sample::Index, bit in 0..8u8) {
            let (keys, draft) = (keys(&[1, 2]), draft());
            let mut ticket = keys.sign(&draft).unwrap().into_bytes();
            let position = position.index(ticket.len());
            ticket[position] ^= 1 << bit;
            if let Ok(ticket) = str::from_utf8(&ticket) {
                prop_assert!(keys.verify(ticket, draft.issued, draft.issued).is_err(), "{}", ticket);
            }
        }

        #[test]
        fn any_text_is_refused_without_a_panic(text in "(ct1\\.)?\\PC{0,30}(\\.\\PC{0,30}){0,3}") {
            prop_assert!(keys(&[1]).verify(&text, Moment::default(), Moment::default()).is_err());
        }

        #[test]
        fn a_ticket_with_any_json_is_refused_or_says_it(json in "\\{(\"(user|by)\":\"[a*/$]{0,3}\",?)*\"issued\":[0-9]{1,3},\"expires\":[0-9e.]{1,6}\\}") {
            if let Ok(claims) = keys(&[1]).verify(&signed(&json), Moment::default(), Moment::default()) {
                prop_assert!(claims.user.is_some_and(|user| is_user(&user)));
            }
        }
    }
}
