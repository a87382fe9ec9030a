//! The list in memory, and the records that make it.

use super::Taken;
use crate::access::claims::Claims;
use crate::access::moment::Moment;
use crate::access::ticket::TICKET_TTL_MAX;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::{BTreeSet, HashMap};

/// The most entries of the list. When it is full, a tenth of them is dropped, the oldest, and all that was given before the
/// last of these is void, whose it ever was: they have to sign in again. A JWT without `iat` is then void for good. Tokens
/// whose secret is void are not dropped; of these there are as many as the configuration ever had.
pub const REVOKED_MAX: usize = 50_000;

/// One change of the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub(super) enum Record {
    User {
        name: String,
        until: Moment,
        ends: Option<Moment>,
    },
    Ticket {
        id: String,
        until: Moment,
        ends: Option<Moment>,
    },
    Token {
        name: String,
        until: Moment,
        secrets: Vec<String>,
    },
    /// All that was given until then is void.
    Floor(Moment),
    /// Entries were dropped that would have ended; none is younger or ends later than this.
    Dropped {
        until: Moment,
        ends: Moment,
    },
    /// Tickets may have been given until then.
    Given(Moment),
}

impl Record {
    pub(super) fn of(taken: Taken, until: Moment, ends: Option<Moment>) -> Record {
        match taken {
            Taken::User(name) => Record::User { name, until, ends },
            Taken::Ticket(id) => Record::Ticket { id, until, ends },
            Taken::Token { name, secrets } => Record::Token { name, until, secrets },
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Until {
    until: Moment,
    ends: Option<Moment>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct List {
    users: HashMap<String, Until>,
    tickets: HashMap<String, Until>,
    /// With the hashes of the secrets that are void. One with a secret is never dropped: a secret has no end.
    tokens: HashMap<String, (Moment, BTreeSet<String>)>,
    floor: Option<Moment>,
    dropped: Option<(Moment, Moment)>,
    /// Tickets may have been given until then.
    pub(super) given: Moment,
}

impl List {
    pub(super) fn apply(&mut self, record: Record) {
        match record {
            Record::User { name, until, ends } => insert(&mut self.users, name, until, ends),
            Record::Ticket { id, until, ends } => insert(&mut self.tickets, id, until, ends),
            Record::Token { name, until, secrets } => {
                let entry = self.tokens.entry(name).or_default();
                entry.0 = until.max(entry.0);
                entry.1.extend(secrets);
            }
            Record::Floor(until) => self.floor = self.floor.max(Some(until)),
            Record::Dropped { until, ends } => {
                let (old_until, old_ends) = self.dropped.unwrap_or_default();
                self.dropped = Some((until.max(old_until), ends.max(old_ends)));
            }
            Record::Given(until) => self.given = self.given.max(until),
        }
    }

    /// Records from which the same list comes.
    pub(super) fn records(&self) -> impl Iterator<Item = Record> {
        let users = self.users.iter().map(|(name, at)| (Taken::User(name.clone()), at));
        let tickets = self.tickets.iter().map(|(id, at)| (Taken::Ticket(id.clone()), at));
        let tokens = self.tokens.iter().map(|(name, (until, secrets))| Record::Token {
            name: name.clone(),
            until: *until,
            secrets: secrets.iter().cloned().collect(),
        });
        let dropped = self.dropped.map(|(until, ends)| Record::Dropped { until, ends });
        let given = (self.given > Moment::default()).then_some(Record::Given(self.given));
        let entries = users.chain(tickets).map(|(taken, at)| Record::of(taken, at.until, at.ends));
        self.floor.map(Record::Floor).into_iter().chain(dropped).chain(given).chain(tokens).chain(entries)
    }

    pub(super) fn len(&self) -> usize {
        self.users.len() + self.tickets.len() + self.tokens.len()
    }

    /// The last moment that the list knows: new stamps have to come after it.
    pub(super) fn last(&self) -> Moment {
        let entries = self.users.values().chain(self.tickets.values()).map(|at| at.until);
        let tokens = self.tokens.values().map(|(until, _)| *until);
        let others = [self.given, self.floor.unwrap_or_default(), self.dropped.unwrap_or_default().0];
        entries.chain(tokens).chain(others).max().unwrap_or_default()
    }

    /// Drops entries where the list is full, and says whether it was. What was dropped stays void.
    pub(super) fn make_room(&mut self, now: Moment) -> bool {
        if self.len() < REVOKED_MAX {
            return false;
        }
        self.drop_ended(now);
        if self.len() < REVOKED_MAX {
            return true;
        }
        let entries = self.users.values().chain(self.tickets.values()).map(|at| at.until);
        let tokens = self.tokens.values().filter(|(_, secrets)| secrets.is_empty()).map(|(until, _)| *until);
        let mut untils: Vec<Moment> = entries.chain(tokens).collect();
        let Some(last) = untils.len().checked_sub(1) else { return true };
        let (_, floor, _) = untils.select_nth_unstable((REVOKED_MAX / 10).min(last));
        let floor = *floor;
        self.apply(Record::Floor(floor));
        self.users.retain(|_, at| at.until > floor);
        self.tickets.retain(|_, at| at.until > floor);
        self.tokens.retain(|_, (until, secrets)| !secrets.is_empty() || *until > floor);
        true
    }

    /// Drops entries of which all that they concern has ended, if the clock is right. If it is not, what was given before
    /// them and ends before them stays void.
    pub(super) fn drop_ended(&mut self, now: Moment) {
        let mut dropped = None;
        let mut is_to_stay = |until: Moment, ends: Option<Moment>| match ends.filter(|ends| *ends < now) {
            None => true,
            Some(ends) => {
                let (last_until, last) = dropped.unwrap_or_default();
                dropped = Some((until.max(last_until), ends.max(last)));
                false
            }
        };
        self.users.retain(|_, at| is_to_stay(at.until, at.ends));
        self.tickets.retain(|_, at| is_to_stay(at.until, at.ends));
        // Without its secret only its tickets are void, and a ticket ends.
        self.tokens.retain(|_, (until, secrets)| {
            !secrets.is_empty() || is_to_stay(*until, Some(until.after(TICKET_TTL_MAX)))
        });
        dropped.into_iter().for_each(|(until, ends)| self.apply(Record::Dropped { until, ends }));
    }

    pub(super) fn is_void(&self, claims: &Claims) -> bool {
        // What does not say when it was given may have been given before anything.
        let issued = claims.issued.unwrap_or_default();
        let is_reached = |until: Option<Moment>| until.is_some_and(|until| issued <= until);
        let user = claims.user.as_ref().and_then(|user| self.users.get(user)).map(|at| at.until);
        let by = claims.by.as_ref().and_then(|name| self.tokens.get(name)).map(|(until, _)| *until);
        let has_ended = |(until, ends)| issued <= until && claims.expires.is_some_and(|at| at <= ends);
        is_reached(user)
            || is_reached(by)
            || is_reached(self.floor)
            || self.tickets.contains_key(&claims.id)
            || self.dropped.is_some_and(has_ended)
    }

    pub(super) fn is_token_void(&self, name: &str, secret: &str) -> bool {
        self.tokens.get(name).is_some_and(|(_, void)| void.contains(secret))
    }
}

/// The later of two entries stays, and it ends with the last that either concerns.
fn insert(entries: &mut HashMap<String, Until>, name: String, until: Moment, ends: Option<Moment>) {
    let entry = entries.entry(name).or_insert(Until { until, ends });
    let ends = entry.ends.zip(ends).map(|(old, new)| old.max(new));
    *entry = Until { until: until.max(entry.until), ends };
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.micros())
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Moment, D::Error> {
        let wrong = || serde::de::Error::custom("a moment is in microseconds, before the year 10000");
        Moment::from_micros(u64::deserialize(deserializer)?).ok_or_else(wrong)
    }
}
