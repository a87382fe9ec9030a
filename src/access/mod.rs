//! Who may do what, asked in one place before any handler runs.
//!
//! Nothing is published, read or listed before `access` has said yes, and what it said is said again when it changes (a
//! token revoked, expired) to streams that are open. A route declares which topics it publishes to and subscribes to,
//! and which other right it needs; [`Access::grant`] answers with a [`Grant`]. The publisher and the streams take
//! nothing without one, and nobody outside this module can make one, so no handler can forget to ask. Handlers see who
//! asks, and no credential. [`Access::confirm`] asks again for a grant that was made before the rules changed.

mod action;
mod area;
mod denial;
mod hosts;
mod identity;
mod origin;
mod origins;
mod pattern;
mod rates;
mod rights;
mod rules;
mod site;
mod token;

pub use action::Action;
pub use area::Area;
pub use hosts::Hosts;
pub use identity::{Caller, Identity};
pub use origin::Origin;
pub use origins::Origins;
pub use pattern::Pattern;
pub use rates::{ClientLimits, Held, Kept, Key, Limit, Prefix, Rate, Rates, Refused, Room};
pub use rights::Rights;
pub use rules::{Rule, Rules, Who};
pub use site::Effect;
pub use token::{Digest, Secret};

pub(crate) use token::is_token;

use crate::error::Error;
use crate::selector::Selector;
use crate::topic::Topic;
use http::HeaderMap;
use identity::Credential;
use parking_lot::RwLock;
use rights::Act;
use std::net::IpAddr;
use std::sync::Arc;

/// What a request asks for.
#[derive(Debug, Default)]
pub struct Wanted {
    /// Topics to publish to.
    pub publish: Vec<Topic>,
    /// What to subscribe to.
    pub subscribe: Vec<Selector>,
    /// Another right.
    pub action: Option<Action>,
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
#[derive(Debug, Default)]
pub struct Access {
    /// Replaced as a whole when they are read again.
    rules: RwLock<Arc<Rules>>,
    hosts: Hosts,
    /// Other sites whose pages may read and publish.
    pub origins: Origins,
    /// Whether others than this machine can reach the server.
    is_exposed: bool,
}

impl Access {
    /// Access by these rules, under these names of the server, for pages of these origins. `is_exposed` says whether others
    /// than this machine can reach the server.
    pub fn new(rules: Rules, hosts: Hosts, origins: Origins, is_exposed: bool) -> Access {
        Access { rules: RwLock::new(Arc::new(rules)), hosts, origins, is_exposed }
    }

    /// Puts other rules in the place of those that there are. Each decision is made by one or the other.
    pub fn reload(&self, rules: Rules) {
        *self.rules.write() = Arc::new(rules);
    }

    /// Refuses a request that asks for another host. To be asked before anything is answered.
    pub fn check_host(&self, headers: &HeaderMap, peer: IpAddr) -> Result<(), Error> {
        self.hosts.check(headers, peer)
    }

    /// Grants all that a request asks for, or refuses all of it: [`Error::unauthorized`], [`Error::forbidden`].
    pub fn grant(&self, headers: &HeaderMap, address: IpAddr, wanted: Wanted) -> Result<Grant, Error> {
        let rules = self.rules();
        let Wanted { publish, subscribe, action } = wanted;
        let caller = identify(&rules, headers, address);
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
        self.check(&self.rules(), grant)
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

    /// Whether there is no rule, so that everybody may publish and subscribe to all topics.
    pub fn is_open(&self) -> bool {
        self.rules().is_open()
    }

    fn rules(&self) -> Arc<Rules> {
        self.rules.read().clone()
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

/// Who sends a request with these header fields.
fn identify(rules: &Rules, headers: &HeaderMap, address: IpAddr) -> Caller {
    let caller = Caller::anonymous(address, headers);
    let Some(given) = token::bearer(headers).filter(|_| rules.has_tokens()) else { return caller };
    let digest = Digest::of(given);
    match rules.token(&digest) {
        Some(name) => {
            Caller { identity: Identity::Token(name), credential: Credential::Token(digest), ..caller }
        }
        None => Caller { credential: Credential::Unknown, ..caller },
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
    use http::header::AUTHORIZATION;

    const HERE: [u8; 4] = [127, 0, 0, 1];
    const AWAY: [u8; 4] = [192, 0, 2, 1];

    fn asks(token: Option<&str>, given: &str, address: [u8; 4], wanted: Wanted) -> Result<Grant, Error> {
        let rules = Rules::new(&[], token.map(Secret::new).as_ref()).unwrap();
        let access = Access::new(rules, Hosts::default(), Origins::default(), false);
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_str(given).unwrap());
        access.grant(&headers, address.into(), wanted)
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
            let granted = Access::default().grant(&headers, HERE.into(), action(Action::Retract));
            assert!(matches!(granted, Err(error) if error.kind() == ErrorKind::Forbidden), "{field}");
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
    fn a_secret_is_not_printed() {
        let rules = Rules::new(&[], Some(&Secret::new("sesame"))).unwrap();
        let access = Access::new(rules, Hosts::default(), Origins::default(), false);
        let (shown, digest) = (format!("{access:?}"), Digest::of("sesame").text());
        assert!(!shown.contains("sesame") && !shown.contains(&digest["sha256:".len()..]), "{shown}");
    }
}
