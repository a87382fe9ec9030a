//! Who may do what, asked in one place before any handler runs.
//!
//! Nothing is published, read or listed before `access` has said yes, and what it said is said again when it changes (a
//! token revoked, expired) to streams that are open. A route declares which topics it publishes to and subscribes to,
//! and which other right it needs; [`Access::grant`] answers with a [`Grant`]. The publisher and the streams take
//! nothing without one, and nobody outside this module can make one, so no handler can forget to ask. What was said does
//! not change: everybody may subscribe, and the one token is there from the start to the end.

mod base64;
pub mod claims;
pub mod credential;
mod hosts;
mod identity;
pub mod jwt;
pub mod key;
pub mod moment;
mod origin;
mod origins;
pub mod refusal;
pub mod revoked;
mod site;
pub mod ticket;
mod token;

pub use hosts::Hosts;
pub use identity::{Caller, Identity};
pub use origin::Origin;
pub use origins::Origins;
pub use site::Effect;
pub use token::Secret;

pub(crate) use token::is_token;

use crate::error::Error;
use crate::topic::Topic;
use http::HeaderMap;
use std::net::IpAddr;

/// A right that is not about publishing to a topic or subscribing to one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// Reading what is kept, topic by topic.
    History,
    /// Reading what callout's own pages keep.
    PageHistory,
    /// Taking a kept event back.
    Retract,
}

/// What a request asks for.
#[derive(Debug, Default)]
pub struct Wanted {
    /// Topics to publish to.
    pub publish: Vec<Topic>,
    /// Topics to subscribe to.
    pub subscribe: Vec<Topic>,
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
    subscribe: Vec<Topic>,
}

impl Grant {
    /// The program's own right to publish to these topics and to subscribe to them.
    pub(crate) fn of_program(topics: &[Topic]) -> Grant {
        let address = IpAddr::from([127, 0, 0, 1]);
        let caller = Caller { identity: Identity::Program, address, is_local: true };
        Grant { caller, publish: topics.to_vec(), subscribe: topics.to_vec() }
    }

    /// Who asked.
    pub fn caller(&self) -> Caller {
        self.caller
    }

    /// The topics that may be published to.
    pub fn publish_topics(&self) -> &[Topic] {
        &self.publish
    }

    /// The topics that may be subscribed to.
    pub fn subscribe_topics(&self) -> &[Topic] {
        &self.subscribe
    }

    /// Refuses topics that the grant does not cover, which is a fault of the route that declared it.
    pub(crate) fn check_publish(&self, topics: &[Topic]) -> Result<(), Error> {
        match topics.iter().find(|topic| !self.publish.contains(topic)) {
            None => Ok(()),
            Some(topic) => {
                Err(Error::Internal(format!("a route published to `{topic}` without declaring it")))
            }
        }
    }
}

/// The rules of one server.
#[derive(Debug, Default)]
pub struct Access {
    publish_token: Option<Secret>,
    hosts: Hosts,
    /// Other sites whose pages may read and publish.
    pub origins: Origins,
}

impl Access {
    /// Rules with this token, if there is one, these names of the server, and these origins.
    pub fn new(publish_token: Option<Secret>, hosts: Hosts, origins: Origins) -> Access {
        Access { publish_token, hosts, origins }
    }

    /// Refuses a request that asks for another host. To be asked before anything is answered.
    pub fn check_host(&self, headers: &HeaderMap, peer: IpAddr) -> Result<(), Error> {
        self.hosts.check(headers, peer)
    }

    /// Grants all that a request asks for, or refuses all of it: [`Error::Unauthorized`], [`Error::Forbidden`].
    pub fn grant(&self, headers: &HeaderMap, address: IpAddr, wanted: Wanted) -> Result<Grant, Error> {
        let is_local = identity::is_local(address, headers);
        let caller = Caller { identity: self.identify(headers), address, is_local };
        wanted.publish.iter().try_for_each(|topic| self.may_publish(caller, topic))?;
        wanted.subscribe.iter().try_for_each(|topic| self.may_subscribe(caller, topic))?;
        wanted.action.map_or(Ok(()), |action| self.may(caller, action))?;
        Ok(Grant { caller, publish: wanted.publish, subscribe: wanted.subscribe })
    }

    /// Grants publishing to further topics to whoever has this grant, or refuses it: for requests whose topics are known
    /// only when they are read.
    pub(crate) fn grant_publish(&self, grant: &Grant, topics: &[Topic]) -> Result<Grant, Error> {
        topics.iter().try_for_each(|topic| self.may_publish(grant.caller, topic))?;
        Ok(Grant { caller: grant.caller, publish: topics.to_vec(), subscribe: Vec::new() })
    }

    /// Whether the caller may publish to this topic. With a publish token it is needed for all topics but those
    /// of callout's own pages, which stay open; notifications need it too.
    pub fn may_publish(&self, caller: Caller, topic: &Topic) -> Result<(), Error> {
        let needs_token = !topic.is_reserved() || is_notification(topic);
        if needs_token { self.check_token(caller) } else { Ok(()) }
    }

    /// Whether the caller may subscribe to this topic: everybody may.
    pub fn may_subscribe(&self, _caller: Caller, _topic: &Topic) -> Result<(), Error> {
        Ok(())
    }

    /// Whether the caller has this right.
    pub fn may(&self, caller: Caller, action: Action) -> Result<(), Error> {
        self.check_token(caller)?;
        let is_open = self.publish_token.is_none() && caller.identity == Identity::Anonymous;
        match action {
            Action::PageHistory if is_open => Err(Error::Forbidden(
                "what callout's own pages keep is shown only with a publish token, and this server has none"
                    .into(),
            )),
            Action::Retract if is_open && !caller.is_local => Err(Error::Forbidden(
                "without a publish token, events are taken back only from the machine that callout runs on"
                    .into(),
            )),
            _ => Ok(()),
        }
    }

    /// Whether everybody may publish to all topics.
    pub fn is_open(&self) -> bool {
        self.publish_token.is_none()
    }

    fn identify(&self, headers: &HeaderMap) -> Identity {
        match (&self.publish_token, token::bearer(headers)) {
            (Some(token), Some(given)) if token.is(given) => Identity::Token,
            _ => Identity::Anonymous,
        }
    }

    fn check_token(&self, caller: Caller) -> Result<(), Error> {
        if self.is_open() || caller.identity != Identity::Anonymous {
            Ok(())
        } else {
            Err(Error::Unauthorized)
        }
    }
}

/// Notifications: `$users` for everybody, `$user/NAME` for one user.
fn is_notification(topic: &Topic) -> bool {
    topic.as_str() == "$users" || topic.as_str().starts_with("$user/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use http::header::AUTHORIZATION;

    const HERE: [u8; 4] = [127, 0, 0, 1];
    const AWAY: [u8; 4] = [192, 0, 2, 1];

    fn asks(token: Option<&str>, given: &str, address: [u8; 4], wanted: Wanted) -> Result<Grant, Error> {
        let access = Access::new(token.map(Secret::new), Hosts::default(), Origins::default());
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
            assert!(matches!(granted, Err(Error::Forbidden(_))), "{field}");
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
        let access = Access::new(Some(Secret::new("sesame")), Hosts::default(), Origins::default());
        assert!(!format!("{access:?}").contains("sesame"));
    }
}
