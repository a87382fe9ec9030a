//! Who may do what, asked in one place before any handler runs.
//!
//! Nothing is published, read or listed before `access` has said yes, and what it said is said again when it changes (a
//! token revoked, expired) to streams that are open. A route declares which topics it publishes to and subscribes to,
//! and which other right it needs; [`Access::grant`] answers with a [`Grant`]. The publisher and the streams take
//! nothing without one, and nobody outside this module can make one, so no handler can forget to ask. Handlers see who
//! asks, and no credential. [`Access::confirm`] asks again for a grant that was made before the rules changed.

mod action;
mod area;
mod base64;
pub mod claims;
pub mod credential;
mod denial;
mod hosts;
mod identity;
pub mod jwt;
pub mod key;
pub mod moment;
mod office;
mod origin;
mod origins;
mod pattern;
mod rates;
mod refresher;
pub mod refusal;
pub mod revoked;
mod rights;
mod rules;
mod site;
pub mod ticket;
mod token;
mod trust;
mod watch;

pub use action::Action;
pub use area::Area;
pub use claims::Claims;
pub use hosts::Hosts;
pub use identity::{Caller, Identity};
pub use jwt::{Algorithm, Issuer, JwtKey, JwtKeys};
pub use key::Key;
pub(crate) use office::{Revocation, TicketWish, no_cookie};
pub use origin::Origin;
pub use origins::Origins;
pub use pattern::Pattern;
pub use rates::{ClientLimits, Held, Kept, Key as ClientKey, Limit, Prefix, Rate, Rates, Refused, Room};
pub use revoked::Revoked;
pub use rights::Rights;
pub use rules::{Rule, Rules, Who};
pub use site::Effect;
pub use ticket::TicketKeys;
pub use token::{Digest, Secret};
pub use trust::Trust;
pub use watch::{Lose, Watch};

pub(crate) use token::is_token;

use crate::error::Error;
use crate::os::threads::Threads;
use crate::selector::Selector;
use crate::topic::Topic;
use credential::{Place, Presented};
use http::HeaderMap;
use http::header::{AUTHORIZATION, SET_COOKIE};
use identity::Credential;
use moment::Moment;
use origins::Field;
use parking_lot::RwLock;
use refresher::Refresher;
use refusal::{Kind, Refusal};
use revoked::Taken;
use rights::Act;
use std::collections::HashSet;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, LazyLock};
use watch::Watches;

/// What a request asks for.
#[derive(Debug, Default)]
pub struct Wanted {
    /// Topics to publish to.
    pub publish: Vec<Topic>,
    /// What to subscribe to.
    pub subscribe: Vec<Selector>,
    /// Another right.
    pub action: Option<Action>,
    /// Nothing that anybody could be refused: a page, or how the server is. So a credential that is not valid is none, or a
    /// browser whose cookie has ended could not even read a page.
    pub nothing: bool,
}

/// What one request may do: access has said yes before the handler runs. A handler gets it with
/// [`Request::grant`](crate::Request::grant), and cannot make one.
///
/// ```
/// use callout::{Answer, App, Draft, Error, Request, Topics, post};
///
/// /// Publishes the body to all topics that the query names: `POST /fan?to=a&to=b`.
/// fn fan(app: &App, request: &Request) -> Result<Answer, Error> {
///     let topics = request.grant()?.publish_topics().to_vec();
///     let data = request.text()?.to_owned();
///     Ok(Answer::json(&app.publish(request, Draft { topics, data, ..Draft::default() })?.id))
/// }
///
/// let route = post("/fan", fan).publishes(Topics::in_query("to"));
/// ```
#[derive(Debug, Clone)]
pub struct Grant {
    caller: Caller,
    publish: Vec<Topic>,
    subscribe: Vec<Selector>,
    action: Option<Action>,
}

impl Grant {
    /// The program's own right to publish to these topics and to subscribe to them.
    pub(crate) fn of_program(topics: &[Topic]) -> Grant {
        let subscribe = topics.iter().cloned().map(Selector::from).collect();
        Grant { caller: Caller::program(), publish: topics.to_vec(), subscribe, action: None }
    }

    /// Who asked.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// The topics that may be published to.
    pub fn publish_topics(&self) -> &[Topic] {
        &self.publish
    }

    /// What may be subscribed to.
    pub fn subscribe_selectors(&self) -> &[Selector] {
        &self.subscribe
    }

    /// Refuses topics that the grant does not cover, which is a fault of the route that declared it.
    pub(crate) fn check_publish(&self, topics: &[Topic]) -> Result<(), Error> {
        match topics.iter().find(|topic| !self.publish.contains(topic)) {
            None => Ok(()),
            Some(topic) => {
                Err(Error::internal(format!("a route published to `{topic}` without declaring it")))
            }
        }
    }
}

/// Who may do what on one server.
#[derive(Default)]
pub struct Access {
    /// Replaced as a whole when they are read again.
    rules: RwLock<Arc<Rules>>,
    /// Likewise.
    trust: RwLock<Arc<Trust>>,
    revoked: Revoked,
    watches: Watches,
    refresher: Refresher,
    hosts: Hosts,
    /// Other sites whose pages may read and publish.
    pub origins: Origins,
    /// Whether others than this machine can reach the server.
    is_exposed: bool,
    /// Whether rules may be changed while the server runs.
    may_change: bool,
}

impl Access {
    /// Access by these rules, under these names of the server, for pages of these origins. `is_exposed` says whether others
    /// than this machine can reach the server.
    pub fn new(rules: Rules, hosts: Hosts, origins: Origins, is_exposed: bool) -> Access {
        Access { rules: RwLock::new(Arc::new(rules)), hosts, origins, is_exposed, ..Access::default() }
    }

    /// The same, whose streams of those without a credential are watched too, if rules may change.
    pub fn that_may_change(self, may_change: bool) -> Access {
        Access { may_change, ..self }
    }

    /// The same, which takes these tickets and JWTs, but not those that were taken back.
    pub fn with_trust(self, trust: Trust, revoked: Revoked) -> Access {
        Access { trust: RwLock::new(Arc::new(trust)), revoked, ..self }
    }

    /// Puts other rules in the place of those that there are. Each decision is made by one or the other. Open streams whose
    /// right ends by it are ended.
    pub fn reload(&self, rules: Rules) {
        let before = std::mem::replace(&mut *self.rules.write(), Arc::new(rules));
        // A token's tickets fall with it.
        let rules = self.rules();
        let (before, now): (HashSet<_>, HashSet<_>) = (before.names().collect(), rules.names().collect());
        for name in before.difference(&now) {
            let taken = Taken::Token { name: name.to_string(), secrets: Vec::new() };
            if let Err(error) = self.revoked.take_back(taken, None) {
                log::error!(
                    "the tickets of the token {name} are void, but a restart might forget it: {error}"
                );
            }
        }
        self.watches.ask_again();
    }

    /// The same for keys.
    pub fn reload_trust(&self, trust: Trust) {
        trust.take_over(&self.trust());
        *self.trust.write() = Arc::new(trust);
        self.watches.ask_again();
    }

    /// Fetches the keys of issuers that have them at an address, now and then. Fails where there is no thread for it.
    pub(crate) fn fetch_keys(self: &Arc<Access>, threads: &Threads) -> io::Result<()> {
        if self.trust().issuers.iter().any(|issuer| issuer.is_remote()) {
            self.refresher.start(self, threads)?;
        }
        Ok(())
    }

    /// Makes void what was given until now, for good; open streams that have nothing else are ended. [`Error::unavailable`]
    /// if it could not be kept: then a restart might forget it.
    pub fn take_back(&self, taken: Taken, ends: Option<Moment>) -> Result<(), Error> {
        let kept = self.revoked.take_back(taken, ends);
        self.watches.ask_again();
        kept.map(drop).map_err(|error| {
            log::error!("{error}");
            Error::unavailable(
                "it is void, but a restart would forget that, since it could not be written down",
            )
            .hint("do it again; the server's log says what is wrong with its data folder")
        })
    }

    fn trust(&self) -> Arc<Trust> {
        self.trust.read().clone()
    }

    /// Watches over a stream with this grant, so that it ends when the grant does. None where nothing can take it away.
    pub(crate) fn watch(
        self: &Arc<Access>,
        grant: &Grant,
        threads: &Threads,
    ) -> Result<Option<Watch>, Error> {
        if !self.may_change && self.is_open() {
            return Ok(None);
        }
        let watch = self.watches.add(self, grant, threads)?;
        // What was taken back between the grant and this line was not told to a stream that was not there yet.
        self.confirm(grant)?;
        Ok(Some(watch))
    }

    /// The header fields of an answer to a request that was refused for its credential: a cookie that is not valid is
    /// taken from the browser, which would send it again and again.
    pub(crate) fn refused(&self, headers: &HeaderMap, query: Option<&str>) -> Vec<Field> {
        let first = self.presented(headers, query).next();
        let is_cookie = first.is_some_and(|presented| presented.place == Place::Cookie);
        is_cookie.then(|| (SET_COOKIE, no_cookie().into())).into_iter().collect()
    }

    /// Refuses a request that asks for another host. To be asked before anything is answered.
    pub fn check_host(&self, headers: &HeaderMap, peer: IpAddr) -> Result<(), Error> {
        self.hosts.check(headers, peer)
    }

    /// Grants all that a request asks for, or refuses all of it: [`Error::unauthorized`], [`Error::forbidden`].
    pub fn grant(
        &self,
        headers: &HeaderMap,
        query: Option<&str>,
        address: IpAddr,
        wanted: Wanted,
    ) -> Result<Grant, Error> {
        let rules = self.rules();
        let Wanted { publish, subscribe, action, nothing } = wanted;
        let caller = match self.identify(&rules, headers, query, address) {
            Err(_) if nothing => Caller::anonymous(address, headers),
            caller => caller?,
        };
        let grant = Grant { caller, publish, subscribe, action };
        self.check(&rules, &grant)?;
        Ok(grant)
    }

    /// Grants publishing to further topics to whoever has this grant, or refuses it: for requests whose topics are known
    /// only when they are read.
    pub(crate) fn grant_publish(&self, grant: &Grant, topics: &[Topic]) -> Result<Grant, Error> {
        let caller = grant.caller.clone();
        let grant = Grant { caller, publish: topics.to_vec(), subscribe: Vec::new(), action: None };
        self.check(&self.rules(), &grant)?;
        Ok(grant)
    }

    /// Says again what was said when the grant was made, by the rules that there are now.
    pub fn confirm(&self, grant: &Grant) -> Result<(), Error> {
        let rules = self.rules();
        self.check(&rules, grant)?;
        Ok(self.confirm_caller(&rules, &grant.caller)?)
    }

    /// Whether what the caller has shown is still valid.
    fn confirm_caller(&self, rules: &Rules, caller: &Caller) -> Result<(), Refusal> {
        if let Credential::Token(digest) = &caller.credential {
            let name = rules.token(digest).ok_or(Refusal::Unknown)?;
            return self.check_token(&name, digest);
        }
        let Some(claims) = caller.claims() else { return Ok(()) };
        let now = Moment::now();
        if let Some(at) = claims.expires.filter(|at| *at <= now) {
            return Err(Refusal::Expired { kind: claims.kind, at, now });
        }
        if !self.trust().still_trusts(claims) {
            return Err(Refusal::Signature(claims.kind));
        }
        if self.revoked.is_void(claims) { Err(Refusal::Revoked(claims.kind)) } else { Ok(()) }
    }

    fn check_token(&self, name: &str, digest: &Digest) -> Result<(), Refusal> {
        if self.revoked.is_token_void(name, &digest.text()) {
            Err(Refusal::Revoked(Kind::Token))
        } else {
            Ok(())
        }
    }

    /// Whether the caller may publish to this topic.
    pub fn may_publish(&self, caller: &Caller, topic: &Topic) -> Result<(), Error> {
        check_topic(&self.rules(), caller, Act::Publish, &topic.clone().into())
    }

    /// Whether the caller may subscribe to all topics that this selector names.
    pub fn may_subscribe(&self, caller: &Caller, selector: &Selector) -> Result<(), Error> {
        check_topic(&self.rules(), caller, Act::Subscribe, selector)
    }

    /// Whether the caller has this right.
    pub fn may(&self, caller: &Caller, action: Action) -> Result<(), Error> {
        self.check_action(&self.rules(), caller, action)
    }

    /// Whether there is no rule and no key of tickets or JWTs, so that everybody may publish and subscribe to all topics.
    pub fn is_open(&self) -> bool {
        self.rules().is_open()
    }

    /// Who sends a request with these header fields and this query. A credential that is there and not valid is refused,
    /// also where nobody needs one: whoever sends it believes to have rights, and would lose them without a word.
    fn identify(
        &self,
        rules: &Rules,
        headers: &HeaderMap,
        query: Option<&str>,
        address: IpAddr,
    ) -> Result<Caller, Refusal> {
        let mut caller = Caller::anonymous(address, headers);
        let trust = self.trust();
        // A server that takes no credentials has none to refuse: what comes is meant for a proxy in front.
        if !rules.has_tokens() && trust.is_empty() {
            return Ok(caller);
        }
        if headers.get_all(AUTHORIZATION).iter().nth(1).is_some() {
            return Err(Refusal::Twice);
        }
        for presented in self.presented(headers, query) {
            // So may be the name and the password of a site.
            let may_be_of_others = presented.place == Place::Basic && presented.kind() == Kind::Token;
            match self.accept(rules, &trust, &presented, &caller) {
                Err(Refusal::Unknown) if may_be_of_others => caller.credential = Credential::Unknown,
                accepted => return accepted,
            }
        }
        Ok(caller)
    }

    /// The credentials of a request that count, the first one first.
    fn presented(&self, headers: &HeaderMap, query: Option<&str>) -> impl Iterator<Item = Presented> {
        let takes_cookies = self.origins.take_cookies(headers);
        credential::find(headers, query)
            .filter(move |presented| takes_cookies || presented.place != Place::Cookie)
    }

    fn accept(
        &self,
        rules: &Rules,
        trust: &Trust,
        presented: &Presented,
        caller: &Caller,
    ) -> Result<Caller, Refusal> {
        // A secret in an address would end up in logs and histories.
        if matches!(presented.place, Place::Bearer | Place::Basic) {
            let digest = Digest::of(presented.text());
            if let Some(name) = rules.token(&digest) {
                self.check_token(&name, &digest)?;
                let (identity, credential) = (Identity::Token(name), Credential::Token(digest));
                return Ok(Caller { identity, credential, ..caller.clone() });
            }
        } else if presented.kind() == Kind::Token {
            return Err(Refusal::malformed(
                Kind::Ticket,
                "tokens are sent in the header `Authorization` only",
            ));
        }
        self.claims(trust, presented).map(|claims| caller.clone().claiming(claims))
    }

    /// What a ticket or a JWT says, if it is valid now and was not taken back.
    fn claims(&self, trust: &Trust, presented: &Presented) -> Result<Claims, Refusal> {
        let claims = trust.verify(presented, Moment::now(), self.revoked.last())?;
        if self.revoked.is_void(&claims) {
            return Err(Refusal::Revoked(claims.kind));
        }
        self.revoked.saw(&claims);
        Ok(claims)
    }

    fn rules(&self) -> Arc<Rules> {
        static CLOSED: LazyLock<Arc<Rules>> = LazyLock::new(|| Rules::closed().into());
        let rules = self.rules.read().clone();
        // Who takes tickets does not mean them to be needless.
        if rules.is_open() && !self.trust.read().is_empty() { CLOSED.clone() } else { rules }
    }

    fn check(&self, rules: &Rules, grant: &Grant) -> Result<(), Error> {
        let Grant { caller, publish, subscribe, action } = grant;
        for topic in publish {
            check_topic(rules, caller, Act::Publish, &topic.clone().into())?;
        }
        for selector in subscribe {
            check_topic(rules, caller, Act::Subscribe, selector)?;
        }
        action.map_or(Ok(()), |action| self.check_action(rules, caller, action))
    }

    fn check_action(&self, rules: &Rules, caller: &Caller, action: Action) -> Result<(), Error> {
        if rules.give(caller, action) {
            return Ok(());
        }
        if !rules.is_open() {
            return Err(denial::of_action(rules, caller, action));
        }
        match action {
            Action::History | Action::Metrics => Ok(()),
            Action::HistoryList if !self.is_exposed => Ok(()),
            Action::Retract | Action::Close if caller.is_local => Ok(()),
            Action::Tickets | Action::Admin if caller.is_local && !self.is_exposed => Ok(()),
            _ => Err(denial::without_rules(action, self.is_exposed)),
        }
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (rules, trust) = (self.rules(), self.trust());
        f.debug_struct("Access").field("rules", &rules).field("trust", &trust).finish_non_exhaustive()
    }
}

fn check_topic(rules: &Rules, caller: &Caller, act: Act, selector: &Selector) -> Result<(), Error> {
    let (text, is_prefix) = selector.parts();
    if rules.allow(caller, act, text, is_prefix) {
        return Ok(());
    }
    Err(denial::of_topic(rules, caller, act, selector))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use http::HeaderValue;

    const HERE: [u8; 4] = [127, 0, 0, 1];
    const AWAY: [u8; 4] = [192, 0, 2, 1];

    fn asks(token: Option<&str>, given: &str, address: [u8; 4], wanted: Wanted) -> Result<Grant, Error> {
        let rules = Rules::new(&[], token.map(Secret::new).as_ref()).unwrap();
        let access = Access::new(rules, Hosts::default(), Origins::default(), false);
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_str(given).unwrap());
        access.grant(&headers, None, address.into(), wanted)
    }

    fn publish(topic: &str) -> Wanted {
        Wanted { publish: vec![Topic::new(topic).unwrap()], ..Wanted::default() }
    }

    fn action(action: Action) -> Wanted {
        Wanted { action: Some(action), ..Wanted::default() }
    }

    #[test]
    fn a_request_that_was_forwarded_is_not_local() {
        for field in ["x-forwarded-for", "forwarded"] {
            let headers =
                HeaderMap::from_iter([(field.parse().unwrap(), HeaderValue::from_static("unknown"))]);
            let granted = Access::default().grant(&headers, None, HERE.into(), action(Action::Retract));
            assert!(granted.is_err_and(|error| error.kind() == ErrorKind::Forbidden), "{field}");
        }
    }

    #[test]
    fn who_may_do_what_with_a_token_and_without() {
        let (yes, wrong) = ("Bearer sesame", "Bearer sesam");
        for (token, given, from, wanted, allowed) in [
            (None, "", AWAY, publish("news"), true),
            (None, "", AWAY, publish("$user/ann"), true),
            (None, "", AWAY, action(Action::History), true),
            (None, "", HERE, action(Action::PageHistory), false),
            (None, "", AWAY, action(Action::Retract), false),
            (None, "", HERE, action(Action::Retract), true),
            (Some("sesame"), "", HERE, publish("news"), false),
            (Some("sesame"), wrong, HERE, publish("news"), false),
            (Some("sesame"), yes, AWAY, publish("news"), true),
            (Some("sesame"), "bearer  sesame ", AWAY, publish("news"), true),
            (Some("sesame"), "Basic sesame", AWAY, publish("news"), false),
            (Some("sesame"), "", AWAY, publish("$chat"), true),
            (Some("sesame"), "", AWAY, publish("$user/ann"), false),
            (Some("sesame"), "", AWAY, publish("$users"), false),
            (Some("sesame"), "", HERE, action(Action::Retract), false),
            (Some("sesame"), yes, AWAY, action(Action::Retract), true),
            (Some("sesame"), yes, AWAY, action(Action::PageHistory), true),
            (Some("sesame"), "", HERE, action(Action::History), false),
        ] {
            let case = format!("{token:?} {given:?} {from:?} {wanted:?}");
            assert_eq!(asks(token, given, from, wanted).is_ok(), allowed, "{case}");
        }
    }

    #[test]
    fn two_credentials_in_two_headers_are_refused_and_not_chosen_from() {
        let rules = Rules::new(&[], Some(&Secret::new("sesame"))).unwrap();
        let access = Access::new(rules, Hosts::default(), Origins::default(), false);
        for values in [["Bearer sesame", "Bearer other"], ["Basic eDp5", "Bearer sesame"]] {
            let values = values.map(|value| (AUTHORIZATION, HeaderValue::from_static(value)));
            let mut headers = HeaderMap::new();
            values.into_iter().for_each(|(name, value)| _ = headers.append(name, value));
            let error = access.grant(&headers, None, AWAY.into(), publish("news")).unwrap_err();
            assert_eq!(error.to_string(), "the header `Authorization` was sent more than once");
        }
    }

    #[test]
    fn a_secret_is_not_printed() {
        let rules = Rules::new(&[], Some(&Secret::new("sesame"))).unwrap();
        let access = Access::new(rules, Hosts::default(), Origins::default(), false);
        let (shown, digest) = (format!("{access:?}"), Digest::of("sesame").text());
        assert!(!shown.contains("sesame") && !shown.contains(&digest["sha256:".len()..]), "{shown}");
    }
}
