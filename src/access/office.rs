//! Where tickets are given and taken back: what [`Access`] does for those that may `tickets`.

use super::claims::is_user;
use super::credential::{Place, Presented, TICKET_COOKIE};
use super::moment::Moment;
use super::refusal::{Kind, Refusal};
use super::revoked::Taken;
use super::rights::Act;
use super::ticket::{TICKET_BYTES_MAX, TICKET_LEEWAY, TICKET_TTL_MAX, TicketDraft};
use super::{Access, Caller, Grant, Identity, check_topic, denial};
use crate::error::Error;
use crate::selector::Selector;
use std::time::Duration;

/// The shortest time that a ticket may last. A shorter one has ended before its bearer comes with it.
pub const TICKET_TTL_MIN: Duration = Duration::from_secs(1);

/// What a backend wants for one of its users.
#[derive(Debug)]
pub struct TicketWish {
    /// The user.
    pub user: String,
    /// What they are to publish to.
    pub publish: Vec<Selector>,
    /// What they are to subscribe to.
    pub subscribe: Vec<Selector>,
    /// For how long.
    pub ttl: Duration,
}

/// What is to be taken back, as somebody asks for it. It may hold a ticket, so nothing prints it.
pub enum Revocation {
    /// All that a user has.
    User(String),
    /// One ticket or JWT, as a text.
    Ticket(String),
    /// A token by its name, and the tickets that it asked for.
    Token(String),
}

impl Access {
    /// A ticket, and when it ends. Whoever asks gives what they may do themselves, and what the rules give to this user
    /// anyway; [`Error::forbidden`] names what is neither. [`Error::unavailable`] if it cannot be given now.
    pub(crate) fn give_ticket(&self, grant: &Grant, wish: TicketWish) -> Result<(String, Moment), Error> {
        let caller = grant.caller();
        let TicketWish { user, publish, subscribe, ttl } = wish;
        if !is_user(&user) {
            return Err(Error::bad("`user` is a name of 1 to 256 bytes, without control characters"));
        }
        if !(TICKET_TTL_MIN..=TICKET_TTL_MAX).contains(&ttl) {
            return Err(Error::bad("`ttl` is a time from 1s to 31days").hint("give a time like `10m`"));
        }
        self.check_given(caller, &user, Act::Publish, &publish)?;
        self.check_given(caller, &user, Act::Subscribe, &subscribe)?;
        let by = match &caller.identity {
            Identity::Token(name) => Some(name.to_string()),
            _ => None,
        };
        // Before the stamp, which is not earlier, so that no ticket lasts longer than it may.
        let expires = Moment::now().after(ttl);
        let issued = self.revoked.stamp().map_err(|error| {
            log::error!("{error}");
            Error::unavailable("no ticket can be given now, since it could not be written down that one was")
                .hint("try again later; the server's log says what is wrong with its data folder")
        })?;
        // A token that was taken back before this stamp may not give what is later than that; what is taken back after it
        // takes the ticket too.
        self.confirm(grant)?;
        let draft = TicketDraft { user, publish, subscribe, issued, expires, by };
        match self.trust().tickets.sign(&draft) {
            Ok(ticket) => Ok((ticket, expires)),
            Err(Refusal::NotTaken(_)) => Err(Error::forbidden("this server has no key to sign tickets with")
                .hint("name a file with one in the configuration file: `[tickets]`, `key_files = [\"ticket.key\"]`")),
            Err(refusal) => Err(Error::bad(refusal.reason()).hint(refusal.hint())),
        }
    }

    fn check_given(
        &self,
        caller: &Caller,
        user: &str,
        act: Act,
        selectors: &[Selector],
    ) -> Result<(), Error> {
        let rules = self.rules();
        let named = Caller { identity: Identity::User(user.into()), ..caller.clone() };
        for selector in selectors {
            let (text, is_prefix) = selector.parts();
            if !rules.allow_signed_in(&named, act, text, is_prefix)
                && check_topic(&rules, caller, act, selector).is_err()
            {
                return Err(denial::of_gift(&rules, caller, user, act, selector));
            }
        }
        Ok(())
    }

    /// Makes void what was given until now. Says whether that survives a restart. [`Error::bad`] if it is no ticket of this
    /// server; [`Error::unavailable`] if it is void and could not be kept.
    pub(crate) fn revoke(&self, revocation: Revocation) -> Result<bool, Error> {
        let (now, trust) = (Moment::now(), self.trust());
        let (taken, ends) = match revocation {
            Revocation::User(user) => {
                if !is_user(&user) {
                    return Err(Error::bad("`user` is a name of 1 to 256 bytes, without control characters"));
                }
                // What applications sign may last for ever.
                let last = now.max(self.revoked.last()).after(TICKET_LEEWAY).after(TICKET_TTL_MAX);
                (Taken::User(user), trust.issuers.is_empty().then_some(last))
            }
            Revocation::Ticket(text) => {
                match trust.verify(&Presented::of(text), now, self.revoked.last()) {
                    Ok(claims) => (Taken::Ticket(claims.id), claims.expires),
                    // It is void already, and needs no entry.
                    Err(Refusal::Expired { .. }) => return Ok(self.revoked.is_kept()),
                    Err(refusal) => return Err(Error::bad(refusal.reason()).hint(refusal.hint())),
                }
            }
            Revocation::Token(name) => {
                super::rules::check_token_name(&name)?;
                let secrets = self.rules().digests_of(&name).map(|digest| digest.text()).collect();
                (Taken::Token { name, secrets }, None)
            }
        };
        self.take_back(taken, ends)?;
        Ok(self.revoked.is_kept())
    }

    /// The value of `Set-Cookie` that gives a browser this ticket or JWT for as long as it is valid, out of reach of the
    /// page's scripts and of pages of other sites. `is_secure` says whether the browser came over TLS.
    pub(crate) fn cookie(&self, text: &str, is_secure: bool) -> Result<String, Error> {
        let presented = Presented::new(Place::Cookie, text.into());
        if presented.kind() == Kind::Token {
            return Err(Refusal::malformed(Kind::Ticket, "it begins neither as a ticket nor as a JWT").into());
        }
        if text.len() > TICKET_BYTES_MAX {
            return Err(Refusal::TooLong { kind: presented.kind(), bytes_max: TICKET_BYTES_MAX }.into());
        }
        let claims = self.claims(&self.trust(), &presented)?;
        let age = claims.expires.map(|at| format!("; Max-Age={}", at.since(Moment::now()).as_secs().max(1)));
        let secure = if is_secure { "; Secure" } else { "" };
        Ok(format!(
            "{TICKET_COOKIE}={text}; Path=/{}; HttpOnly; SameSite=Strict{secure}",
            age.unwrap_or_default()
        ))
    }
}

/// The value of `Set-Cookie` that takes the cookie from a browser.
pub(crate) fn no_cookie() -> String {
    format!("{TICKET_COOKIE}=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict")
}

#[cfg(test)]
mod tests {
    use super::super::{
        Action, Digest, Hosts, Key, Origins, Revoked, Rule, Rules, TicketKeys, Trust, Wanted, Who,
    };
    use super::*;
    use crate::error::ErrorKind;
    use http::header::AUTHORIZATION;
    use http::{HeaderMap, HeaderValue};

    fn rules() -> Rules {
        let mut rule = Rule::new(Who::token("shop", Digest::of("sesame")).unwrap());
        rule.may.push(Action::Tickets);
        let other = Rule::new(Who::token("wall", Digest::of("open")).unwrap());
        Rules::new(&[rule, other], None).unwrap()
    }

    fn access() -> Access {
        let tickets = TicketKeys::new(vec![Key::new(&[1; 32]).unwrap()]);
        let trust = Trust { tickets, issuers: Vec::new() };
        Access::new(rules(), Hosts::default(), Origins::default(), false)
            .with_trust(trust, Revoked::default())
    }

    fn grant(access: &Access) -> Grant {
        let headers = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static("Bearer sesame"))]);
        let wanted = Wanted { action: Some(Action::Tickets), ..Wanted::default() };
        access.grant(&headers, None, [192, 0, 2, 1].into(), wanted).unwrap()
    }

    /// The longest that there is.
    fn give(access: &Access, grant: &Grant) -> Result<String, Error> {
        let (publish, subscribe) = (Vec::new(), Vec::new());
        let wish = TicketWish { user: "ann".into(), publish, subscribe, ttl: TICKET_TTL_MAX };
        access.give_ticket(grant, wish).map(|(ticket, _)| ticket)
    }

    #[test]
    fn the_longest_ticket_is_given_at_any_moment() {
        let access = access();
        let granted = grant(&access);
        assert!((0..1_000).all(|_| give(&access, &granted).is_ok()));
    }

    #[test]
    fn a_token_that_is_taken_back_while_it_asks_gives_no_ticket_any_more() {
        let access = access();
        let granted = grant(&access);
        assert!(give(&access, &granted).is_ok());
        access.revoke(Revocation::Token("shop".into())).unwrap();
        let error = give(&access, &granted).unwrap_err();
        assert_eq!(
            (error.kind(), error.to_string()),
            (ErrorKind::Unauthorized, "the token was taken back".into())
        );
    }

    #[test]
    fn a_token_is_taken_back_with_all_its_secrets() {
        let of = |secret: &str| Rule::new(Who::token("shop", Digest::of(secret)).unwrap());
        let rules = Rules::new(&["old", "new", "newest"].map(of), None).unwrap();
        let access = Access::new(rules, Hosts::default(), Origins::default(), false);
        access.revoke(Revocation::Token("shop".into())).unwrap();
        for credential in ["Bearer old", "Bearer new", "Bearer newest"] {
            let headers = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_str(credential).unwrap())]);
            let asked = access.grant(&headers, None, [192, 0, 2, 1].into(), Wanted::default());
            assert_eq!(asked.unwrap_err().to_string(), "the token was taken back", "{credential}");
        }
    }

    #[test]
    fn a_token_that_leaves_the_rules_while_it_asks_gives_no_ticket_any_more() {
        let access = access();
        let granted = grant(&access);
        access.reload(Rules::new(&[Rule::new(Who::Anonymous)], None).unwrap());
        assert!(give(&access, &granted).is_err());
    }
}
