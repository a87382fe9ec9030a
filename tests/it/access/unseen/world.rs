//! A server with random rules, people of each kind, and what is published there.

use super::identity::{Identity, READERS, random_rules, some, with_rules};
use crate::access::jwt::jwt;
use crate::support::{Raw, server_with};
use callout::access::moment::Moment;
use callout::access::ticket::TicketDraft;
use callout::access::{Issuer, JwtKey, JwtKeys};
use callout::server::{Config, Server};
use callout::{Address, Durability, Key, TicketKeys};
use fastrand::Rng;
use serde_json::json;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::SocketAddr;
use std::time::Duration;

/// Names with a secret in each.
pub const TOPICS: [&str; 9] = [
    "open/zQ0z",
    "open/zQ1z",
    "rooms/zQ2z",
    "rooms/zQ2z/zQ3z",
    "users/ann/zQ4z",
    "users/bob/zQ5z",
    "now/zQ6z",
    "zQ7z",
    "deep/er/zQ8z",
];

const TICKET_KEY: [u8; 32] = [1; 32];
const JWT_KEY: &str = "an application's key of enough bytes";

/// What somebody may not learn: texts, each of which occurs in one thing only.
pub struct Secrets(BTreeSet<String>);

impl Secrets {
    /// Fails if one of the secrets occurs in what came, but for those in what was sent.
    pub fn check(&self, who: &Identity, sent: &str, came: &[u8], seed: u64) {
        let came = String::from_utf8_lossy(came);
        for secret in self.0.iter().filter(|secret| !sent.contains(&***secret)) {
            assert!(
                !came.contains(&**secret),
                "seed {seed}: `{}` was told `{secret}` by the answer to {sent:?}: {came}",
                who.name
            );
        }
    }
}

/// An event: the secret in it, and its topics.
pub struct Published {
    pub secret: String,
    pub topics: Vec<String>,
    pub when: When,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum When {
    BeforeTheStreams,
    WithThem,
    /// After the rules have changed, by which some of the streams were ended.
    ByOtherRules,
}

pub struct World {
    pub seed: u64,
    pub random: Rng,
    pub server: Server,
    pub at: SocketAddr,
    /// With what their own credentials say.
    pub people: Vec<Identity>,
    /// With all that the rules give.
    pub identities: Vec<Identity>,
    pub events: Vec<Published>,
    /// Ids of kept events on the wire, with a topic of each.
    pub ids: Vec<(String, String)>,
}

impl World {
    pub fn new(seed: u64) -> World {
        let mut random = Rng::with_seed(seed);
        let mut config = Config::default();
        // Small enough in some worlds that events are let go, which streams are told by `reset`.
        config.bounds.events_max = if seed.is_multiple_of(3) { 16 } else { 1_000 };
        config.ephemeral = vec!["now/*".parse().unwrap()];
        config.rules = random_rules(&mut random);
        let mut people = vec![Identity { name: "nobody".into(), ..Identity::default() }];
        people.extend(READERS.map(|name| Identity {
            name: name.into(),
            header: format!("Authorization: Bearer secret-of-{name}\r\n"),
            ..Identity::default()
        }));
        let keys = TicketKeys::new(vec![Key::new(&TICKET_KEY).unwrap()]);
        let now = Moment::now();
        for (user, lasts) in [("ann", 600), ("bob", 600), ("*", 600), ("eve", 600), ("old", 0)] {
            let own = some(&mut random, 1);
            let own: Vec<&str> = own.into_iter().filter(|text| !text.contains('{')).collect();
            let draft = TicketDraft {
                user: user.into(),
                subscribe: own.iter().map(|text| text.parse().unwrap()).collect(),
                issued: now,
                expires: now.after(Duration::from_micros(1) + Duration::from_secs(lasts)),
                ..TicketDraft::default()
            };
            people.push(Identity {
                name: format!("the ticket of {user}"),
                query: format!("ticket={}", keys.sign(&draft).unwrap()),
                user: Some(user.into()),
                is_void: matches!(user, "eve" | "old"),
                subscribe: own.iter().map(ToString::to_string).collect(),
                ..Identity::default()
            });
        }
        for user in ["ann", "cat"] {
            let own = if random.bool() { "rooms/*" } else { "open/zQ0z" };
            let claims = json!({ "sub": user, "callout": { "subscribe": [own] } });
            people.push(Identity {
                name: format!("the JWT of {user}"),
                header: format!("Cookie: callout_ticket={}\r\n", jwt(JWT_KEY, &claims)),
                user: Some(user.into()),
                subscribe: vec![own.into()],
                ..Identity::default()
            });
        }
        let identities = with_rules(&people, &config.rules);
        let server = server_with(|given| {
            given.bounds.events_max = config.bounds.events_max;
            given.bounds.reserve_events = 0;
            (given.ephemeral, given.rules) = (config.ephemeral, config.rules);
            given.tickets = keys;
            let issuer = Issuer::new(
                JwtKeys::one(JwtKey::secret(Key::new(JWT_KEY.as_bytes()).unwrap())),
                None,
                "callout",
            );
            given.issuers = vec![issuer.into()];
            if seed % 4 == 1 {
                given.data = Address::Folder(folder(seed));
                given.durability = Durability::Relaxed;
            }
        });
        let at = server.address();
        let (events, ids) = (Vec::new(), Vec::new());
        let world = World { seed, random, server, at, people, identities, events, ids };
        world.write("POST /revoke", r#"{"user":"eve"}"#);
        world
    }

    /// A request of whoever may write everything; gives the body of the answer.
    pub fn write(&self, head: &str, body: &str) -> String {
        let sent = format!(
            "{head} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer secret-of-writer\r\n\
             Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let came = String::from_utf8(exchange(self.at, &sent)).unwrap();
        assert!(came.starts_with("HTTP/1.1 20"), "{head} {body}: {came}");
        came
    }

    pub fn publish(&mut self, when: When) {
        let secret = format!("zQevent{}z", self.events.len());
        let (body, topics) = match self.random.u8(..10) {
            0 => (
                self.write("POST /sse/message", &json!({"user": "wri", "message": secret}).to_string()),
                vec!["$chat".to_owned()],
            ),
            1 => (
                self.write("POST /messages", &json!({"type": "red", "data": secret}).to_string()),
                vec!["$wall".into()],
            ),
            2 => {
                let post =
                    json!({"title": secret, "content": format!("{secret} #{secret}"), "author": secret});
                (self.write("POST /api/posts", &post.to_string()), vec!["$posts".into()])
            }
            3 => {
                let name = *self.random.choice(&["ann", "bob", "eve"]).unwrap();
                let body = json!({"event": secret, "data": secret}).to_string();
                (self.write(&format!("POST /notify/{name}"), &body), vec![format!("$user/{name}")])
            }
            kind => {
                let mut topics: Vec<&str> =
                    (0..self.random.usize(1..=3)).map(|_| *self.random.choice(&TOPICS).unwrap()).collect();
                topics.dedup();
                let is_kept = topics.iter().any(|topic| !topic.starts_with("now/"));
                let id = (is_kept && self.random.bool()).then(|| format!("{secret}id"));
                let body = if kind < 6 {
                    let line = json!({"topics": topics, "data": secret, "event": secret, "id": id});
                    self.write("POST /publish", &format!("{line}\n"))
                } else {
                    let mut path = format!("POST /topics?event={secret}");
                    topics.iter().for_each(|topic| write!(path, "&topic={topic}").unwrap());
                    id.iter().for_each(|id| write!(path, "&id={id}").unwrap());
                    self.write(&path, &secret)
                };
                let topics: Vec<String> = topics.into_iter().map(Into::into).collect();
                if let Some((_, id)) = body.rsplit_once("\"id\":\"").filter(|_| is_kept) {
                    self.ids.push((id.split('"').next().unwrap().into(), topics[0].clone()));
                }
                (body, topics)
            }
        };
        drop(body);
        self.events.push(Published { secret, topics, when });
    }

    /// Takes one event back, or all of a topic.
    pub fn retract(&mut self) {
        let Some((id, topic)) = self.random.choice(&self.ids).cloned() else { return };
        let which = if self.random.u8(..4) == 0 { String::new() } else { format!("?id={id}") };
        let sent = format!(
            "DELETE /topics/{topic}{which} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Authorization: Bearer secret-of-writer\r\n\r\n"
        );
        exchange(self.at, &sent);
    }

    /// What somebody may not know. Those who had other rights before may know what they got by them.
    pub fn secrets(&self, rights: &[(&Identity, &[When])]) -> Secrets {
        let mut secrets: BTreeSet<String> = (0..TOPICS.len()).map(|index| format!("zQ{index}z")).collect();
        secrets.extend(["zQwriterz".into(), "secret-of-".into(), "\"reached\"".into()]);
        secrets.extend(self.events.iter().map(|event| event.secret.clone()));
        let known = |secret: &String, who: &Identity, times: &[When]| {
            TOPICS.iter().any(|topic| topic.contains(&**secret) && who.may_read(topic))
                // A refusal lists what whoever asks was given.
                || who.publish.iter().chain(&who.subscribe).any(|pattern| pattern.contains(&**secret))
                || self.events.iter().any(|event| {
                    event.secret == *secret
                        && times.contains(&event.when)
                        && event.topics.iter().any(|topic| who.may_read(topic))
                })
        };
        secrets.retain(|secret| !rights.iter().any(|(who, times)| known(secret, who, times)));
        if ["ann", "bob"].iter().any(|name| rights.iter().any(|(who, _)| who.may_notify(name))) {
            secrets.remove("\"reached\"");
        }
        Secrets(secrets)
    }
}

pub fn folder(seed: u64) -> std::path::PathBuf {
    std::env::temp_dir().join(format!("callout-unseen-{}-{seed}", std::process::id()))
}

/// Sends this and gives all bytes until the server closes.
pub fn exchange(at: SocketAddr, sent: &str) -> Vec<u8> {
    let mut raw = Raw::connect(at);
    raw.send(sent);
    raw.everything().into_bytes()
}
