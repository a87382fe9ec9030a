//! Whose tickets and JWTs are taken: the keys of this server, and the applications that sign for their own users.

use super::claims::Claims;
use super::credential::Presented;
use super::jwt::{self, Issuer};
use super::moment::Moment;
use super::refusal::{Kind, Refusal};
use super::ticket::TicketKeys;
use std::sync::Arc;

/// See the module. Replaced as a whole when the configuration is read again.
#[derive(Debug, Default)]
pub struct Trust {
    /// The keys of tickets.
    pub tickets: TicketKeys,
    /// Who signs JWTs.
    pub issuers: Vec<Arc<Issuer>>,
}

impl Trust {
    /// Keys that were fetched before stay until they are fetched again.
    pub(super) fn take_over(&self, before: &Trust) {
        for issuer in &self.issuers {
            before.issuers.iter().for_each(|other| issuer.take_over(other));
        }
    }

    /// Whether neither tickets nor JWTs are taken.
    pub fn is_empty(&self) -> bool {
        self.tickets.is_empty() && self.issuers.is_empty()
    }

    /// What a ticket or a JWT says, if it is valid now. The last moment that this server gave a ticket may be later than the
    /// present, where the clock was set back.
    pub fn verify(&self, credential: &Presented, now: Moment, last: Moment) -> Result<Claims, Refusal> {
        match credential.kind() {
            Kind::Ticket => self.tickets.verify(credential.text(), now, last),
            Kind::Jwt => jwt::verify(&self.issuers, credential.text(), now),
            Kind::Token => Err(Refusal::Unknown),
        }
    }

    /// Whether what was verified before would be verified with the keys of now, at another time.
    pub fn still_trusts(&self, claims: &Claims) -> bool {
        match claims.kind {
            Kind::Ticket => self.tickets.has(&claims.signer),
            Kind::Jwt => self.issuers.iter().any(|issuer| issuer.has(&claims.signer)),
            Kind::Token => false,
        }
    }
}
