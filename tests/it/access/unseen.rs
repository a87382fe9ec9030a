//! What may not be read is never delivered: one generator of rules, identities, topics and publications against a real
//! server. Each secret is a text that occurs nowhere else, and is looked for in every byte that somebody receives who may
//! not know it.
//!
//! What the rules mean is written down here a second time, in the simplest way that there is.

use super::jwt::jwt;
use crate::support::{Raw, joined, server_with, status};
use callout::access::moment::Moment;
use callout::access::ticket::TicketDraft;
use callout::access::{Issuer, JwtKey, JwtKeys};
use callout::server::{Config, Server};
use callout::{Action, Address, Area, Digest, Durability, Key, Rule, TicketKeys, Who};
use fastrand::Rng;
use serde_json::json;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::io::Read;
use std::net::SocketAddr;
use std::time::Duration;

const SEEDS: u64 = 10;

/// Names with a secret in each.
const TOPICS: [&str; 9] = [
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

/// What rules and tickets may name.
const PATTERNS: [&str; 12] = [
    "open/*",
    "open/zQ1z",
    "rooms/*",
    "rooms/zQ2z",
    "rooms/zQ2z/*",
    "now/*",
    "deep/*",
    "zQ7*",
    "users/{user}",
    "users/{user}/*",
    "users/bob",
    "users/*",
];

/// What streams ask for.
const SELECTORS: [&str; 8] =
    ["*", "open/*", "rooms/*", "rooms/zQ2z/*", "users/*", "users/ann/*", "now/*", "zQ*"];

/// The tokens of which rules say what they may.
const READERS: [&str; 2] = ["reader0", "reader1"];

const TICKET_KEY: [u8; 32] = [1; 32];
const JWT_KEY: &str = "an application's key of enough bytes";

/// Somebody, and all that the rules give them.
#[derive(Clone, Default)]
struct Identity {
    name: String,
    /// A header line or none, and what stands in the query.
    header: String,
    query: String,
    user: Option<String>,
    /// A credential that is not valid gives nothing, not even what everybody may.
    is_void: bool,
    publish: Vec<String>,
    subscribe: Vec<String>,
    pages: Vec<Area>,
}

impl Identity {
    fn gain(&mut self, rule: &Rule) {
        self.publish.extend(rule.publish.iter().map(ToString::to_string));
        self.subscribe.extend(rule.subscribe.iter().map(ToString::to_string));
        self.pages.extend(&rule.pages);
    }

    /// The patterns with the user's name in them, and whether each is a prefix.
    fn resolved<'a>(&'a self, patterns: &'a [String]) -> impl Iterator<Item = (String, bool)> + 'a {
        let user = self.user.as_deref().filter(|user| !user.is_empty() && !user.contains('/'));
        patterns.iter().filter_map(move |pattern| {
            let is_prefix = pattern.ends_with('*');
            let text = pattern.trim_end_matches('*');
            let text = if text.contains("{user}") { text.replace("{user}", user?) } else { text.to_owned() };
            Some((text, is_prefix))
        })
    }

    fn covers(&self, patterns: &[String], asked: &str) -> bool {
        let (text, is_prefix) = (asked.trim_end_matches('*'), asked.ends_with('*'));
        self.resolved(patterns).any(|(pattern, reaches)| match reaches {
            true => text.starts_with(&pattern),
            false => !is_prefix && text == pattern,
        })
    }

    /// Whether they may subscribe to a topic or a prefix, also to a page's.
    fn may_read(&self, asked: &str) -> bool {
        let has = |area: Area| self.pages.contains(&area);
        if self.is_void {
            return false;
        }
        match asked {
            "$chat" => has(Area::Chat),
            "$wall" => has(Area::Wall),
            // Streams of posts show the state, which may skip one that was changed again.
            "$posts" | "$feeds" => has(Area::Posts),
            "$activity" => has(Area::Activity),
            _ => match asked.strip_prefix("$user/") {
                Some(name) => has(Area::Notifications) || self.covers_user(name),
                None => self.covers(&self.subscribe, asked),
            },
        }
    }

    /// Notifications are named as topics, which no wildcard reaches that begins earlier.
    fn covers_user(&self, name: &str) -> bool {
        let topic = format!("users/{name}");
        self.resolved(&self.subscribe).any(|(pattern, reaches)| match reaches {
            true => pattern == "users/",
            false => pattern == topic,
        })
    }

    fn may_notify(&self, name: &str) -> bool {
        let by_name = Identity { subscribe: self.publish.clone(), ..self.clone() };
        !self.is_void && (self.pages.contains(&Area::Notifications) || by_name.covers_user(name))
    }
}

/// What somebody may not learn: texts, each of which occurs in one thing only.
struct Secrets(BTreeSet<String>);

impl Secrets {
    /// Fails if one of the secrets occurs in what came, but for those in what was sent.
    fn check(&self, who: &Identity, sent: &str, came: &[u8], seed: u64) {
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
struct Published {
    secret: String,
    topics: Vec<String>,
    when: When,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    BeforeTheStreams,
    WithThem,
    /// After the rules have changed, by which some of the streams were ended.
    ByOtherRules,
}

/// A stream that was opened: by whom, on which topics, and what was sent.
struct Open {
    who: usize,
    names: Vec<String>,
    sent: String,
    head: String,
    raw: Raw,
}

struct World {
    seed: u64,
    random: Rng,
    server: Server,
    at: SocketAddr,
    /// With what their own credentials say.
    people: Vec<Identity>,
    /// With all that the rules give.
    identities: Vec<Identity>,
    events: Vec<Published>,
    /// Ids of kept events on the wire, with a topic of each.
    ids: Vec<(String, String)>,
}

fn some(random: &mut Rng, count: usize) -> Vec<&'static str> {
    (0..random.usize(..=count)).map(|_| *random.choice(&PATTERNS).unwrap()).collect()
}

fn random_rule(random: &mut Rng, who: Who) -> Rule {
    let mut rule = Rule::new(who);
    let gives = if matches!(rule.who, Who::Token { .. }) { 3 } else { 1 };
    rule.subscribe = some(random, gives).into_iter().map(|text| text.parse().unwrap()).collect();
    rule.publish = some(random, gives).into_iter().map(|text| text.parse().unwrap()).collect();
    if random.u8(..8) == 0 {
        rule.subscribe.push("*".parse().unwrap());
    }
    let pages = [Area::Chat, Area::Wall, Area::Posts, Area::Activity, Area::Notifications];
    rule.pages.extend(pages.into_iter().filter(|_| random.u8(..6) == 0));
    if gives > 1 {
        rule.may.extend([Action::History, Action::Retract].into_iter().filter(|_| random.bool()));
    }
    rule
}

/// Rules of a world: of who may write everything, of everybody, of everybody who is somebody, and of two readers.
fn random_rules(random: &mut Rng) -> Vec<Rule> {
    let mut writer = Rule::new(named("zQwriterz", "secret-of-writer"));
    writer.publish = ["*", "users/*"].map(|text| text.parse().unwrap()).into();
    writer.pages = vec![Area::Chat, Area::Wall, Area::Posts];
    writer.may = vec![Action::Retract, Action::Tickets];
    let mut rules = vec![writer, random_rule(random, Who::Anonymous), random_rule(random, Who::SignedIn)];
    rules.extend(READERS.map(|name| random_rule(random, named(name, &format!("secret-of-{name}")))));
    rules
}

/// What people may by these rules.
fn with_rules(people: &[Identity], rules: &[Rule]) -> Vec<Identity> {
    let may = |person: &Identity| {
        let mut identity = person.clone();
        identity.gain(&rules[1]);
        if !person.header.is_empty() || !person.query.is_empty() {
            identity.gain(&rules[2]);
        }
        let own = READERS.iter().position(|name| *name == person.name);
        own.into_iter().for_each(|index| identity.gain(&rules[3 + index]));
        identity
    };
    people.iter().map(may).collect()
}

fn named(name: &str, secret: &str) -> Who {
    Who::token(name, Digest::of(secret)).unwrap()
}

impl World {
    fn new(seed: u64) -> World {
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
    fn write(&self, head: &str, body: &str) -> String {
        let sent = format!(
            "{head} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer secret-of-writer\r\n\
             Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let came = String::from_utf8(exchange(self.at, &sent)).unwrap();
        assert!(came.starts_with("HTTP/1.1 20"), "{head} {body}: {came}");
        came
    }

    fn publish(&mut self, when: When) {
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
    fn retract(&mut self) {
        let Some((id, topic)) = self.random.choice(&self.ids).cloned() else { return };
        let which = if self.random.u8(..4) == 0 { String::new() } else { format!("?id={id}") };
        let sent = format!(
            "DELETE /topics/{topic}{which} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Authorization: Bearer secret-of-writer\r\n\r\n"
        );
        exchange(self.at, &sent);
    }

    /// What somebody may not know. Those who had other rights before may know what they got by them.
    fn secrets(&self, rights: &[(&Identity, &[When])]) -> Secrets {
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

    /// The streams that somebody asks for, and whether each is to be had.
    fn asked(&mut self, who: &Identity) -> Vec<(String, String, Vec<String>, bool)> {
        let mut lists: Vec<Vec<String>> =
            TOPICS.iter().chain(&SELECTORS).map(|name| vec![(*name).to_owned()]).collect();
        for _ in 0..4 {
            let names = (0..3).map(|_| *self.random.choice(&TOPICS).unwrap());
            let readable = names.filter(|name| who.may_read(name) || self.seed.is_multiple_of(2));
            lists.push(readable.map(Into::into).collect());
        }
        lists.retain(|names| !names.is_empty());
        let mut asked = Vec::new();
        for names in lists {
            let query: Vec<String> = names.iter().map(|name| format!("topic={name}")).collect();
            let start = match self.random.u8(..5) {
                0 => "&last_event_id=earliest".into(),
                1 => "&last=5".into(),
                2 => "&last_event_id=0123456789abcdef".into(),
                3 => self
                    .random
                    .choice(&self.ids)
                    .map_or(String::new(), |(id, _)| format!("&last_event_id={id}")),
                _ => String::new(),
            };
            let form = if self.random.bool() { "&with=topic" } else { "" };
            let allowed = names.iter().all(|name| who.may_read(name));
            let query = query.join("&");
            asked.push(match self.random.u8(..4) {
                0 => (format!("POST /subscribe?x=1{start}{form}"), query, names, allowed),
                1 => (format!("QUERY /topics?x=1{start}{form}"), query, names, allowed),
                _ => (format!("GET /topics?{query}{start}{form}"), String::new(), names, allowed),
            });
        }
        for (path, topic) in [
            ("/sse?user=seen", "$chat"),
            ("/messages?x=1", "$wall"),
            ("/api/posts?x=1", "$feeds"),
            ("/api/feeds?x=1", "$feeds"),
            ("/api/streams?x=1", "$activity"),
            ("/sse/ann?last=9", "$user/ann"),
            ("/sse/bob?last=9", "$user/bob"),
            ("/sse/eve?last=9", "$user/eve"),
        ] {
            asked.push((format!("GET {path}"), String::new(), vec![topic.to_owned()], who.may_read(topic)));
        }
        asked
    }

    /// All that can be asked for beside streams.
    fn questions(&self) -> Vec<(String, String)> {
        let mut questions: Vec<(String, String)> = Vec::new();
        let mut ask = |head: String, body: &str| questions.push((head, body.into()));
        ask("GET /history".into(), "");
        ask("GET /history?after=a".into(), "");
        for topic in TOPICS.into_iter().chain(["$chat", "$user/bob", "$posts", "$wall", "nothing"]) {
            ask(format!("GET /history/{topic}"), "");
            ask(format!("POST /topics/{topic}"), "x");
            ask(format!("POST /topics/{topic}?id=an-id-of-nobody"), "x");
            ask(format!("DELETE /topics/{topic}?id=an-id-of-nobody"), "");
        }
        for path in ["/api/posts", "/api/feeds", "/api/posts/1", "/healthz", "/", "/nowhere", "/time/bob"] {
            ask(format!("GET {path}"), "");
        }
        ask("POST /publish".into(), "{\"topic\":\"nothing\",\"data\":\"x\"}\n{\"topic\":\"deep/x\"}\n");
        ask("POST /notify/bob".into(), r#"{"data":"x"}"#);
        ask("POST /tickets".into(), r#"{"user":"ann","subscribe":["*","rooms/*"]}"#);
        ask("POST /revoke".into(), r#"{"token":"reader1"}"#);
        ask("OPTIONS /topics/x".into(), "");
        // Whoever may take something back.
        ask("DELETE /topics/open/x".into(), "");
        questions
    }

    /// Asks all that, and looks through the answers.
    fn question(&self, who: &Identity) {
        let secrets = self.secrets(&[(who, &BEFORE)]);
        for (head, body) in self.questions() {
            let length = format!("Connection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            let sent = head_of(who, &head) + &length;
            let came = exchange(self.at, &sent);
            secrets.check(who, &sent, &came, self.seed);
            let is_open_to_all = ["GET /", "GET /healthz", "OPTIONS /topics/x"].contains(&&*head);
            let is_done = came.starts_with(b"HTTP/1.1 2");
            let answer = String::from_utf8_lossy(&came);
            assert!(is_open_to_all || !who.is_void || !is_done, "seed {}: {head}: {answer}", self.seed);
        }
    }
}

fn folder(seed: u64) -> std::path::PathBuf {
    std::env::temp_dir().join(format!("callout-unseen-{}-{seed}", std::process::id()))
}

/// Sends this and gives all bytes until the server closes.
fn exchange(at: SocketAddr, sent: &str) -> Vec<u8> {
    let mut raw = Raw::connect(at);
    raw.send(sent);
    raw.everything().into_bytes()
}

fn head_of(who: &Identity, head: &str) -> String {
    let (method, path) = head.split_once(' ').unwrap();
    let query = match (who.query.is_empty(), path.contains('?')) {
        (true, _) => String::new(),
        (false, true) => format!("&{}", who.query),
        (false, false) => format!("?{}", who.query),
    };
    format!("{method} {path}{query} HTTP/1.1\r\nHost: localhost\r\n{}", who.header)
}

/// The body without the chunks' own lines, which could stand in the midst of a text.
fn without_chunks(mut rest: &str) -> String {
    let mut body = String::new();
    while let Some((size, behind)) = rest.split_once("\r\n") {
        let Ok(bytes @ 1..) = usize::from_str_radix(size, 16) else { break };
        body += &behind[..bytes];
        rest = behind[bytes..].trim_start_matches("\r\n");
    }
    body
}

const BEFORE: [When; 2] = [When::BeforeTheStreams, When::WithThem];

#[test]
fn what_may_not_be_read_reaches_nobody_by_any_way() {
    let (mut streams, mut refused, mut seen, mut ended) = (0, 0, 0, 0);
    for seed in 0..SEEDS {
        let mut world = World::new(seed);
        (0..15).for_each(|_| world.publish(When::BeforeTheStreams));
        world.retract();

        let mut open = Vec::new();
        for (index, who) in world.identities.clone().into_iter().enumerate() {
            for (head, body, names, allowed) in world.asked(&who) {
                let fields =
                    format!("Accept: text/event-stream\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                let sent = head_of(&who, &head) + &fields;
                let mut raw = Raw::connect(world.at);
                raw.send(&sent);
                let head = raw.head();
                let is_open = status(&head) == 200;
                assert_eq!(is_open, allowed, "seed {seed}: `{}`: {sent}: {head}", who.name);
                if is_open {
                    open.push(Open { who: index, names, sent, head, raw });
                    continue;
                }
                refused += 1;
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                let mut body = vec![0; length.unwrap().parse().unwrap()];
                raw.reader.read_exact(&mut body).unwrap();
                let came = [head.as_bytes(), &body].concat();
                world.secrets(&[(&who, &BEFORE)]).check(&who, &sent, &came, seed);
            }
        }
        joined(&world.server, open.len());
        streams += open.len();

        for _ in 0..12 {
            world.publish(When::WithThem);
            if world.random.u8(..4) == 0 {
                world.retract();
            }
        }
        for who in world.identities.clone() {
            world.question(&who);
        }

        // Other rules: some of the streams end, the others go on.
        let before = world.identities.clone();
        let rules = random_rules(&mut world.random);
        world.server.set_rules(&rules, None).unwrap();
        world.identities = with_rules(&world.people, &rules);
        let goes_on = |world: &World, stream: &Open| {
            stream.names.iter().all(|name| world.identities[stream.who].may_read(name))
        };
        joined(&world.server, open.iter().filter(|stream| goes_on(&world, stream)).count());
        (0..8).for_each(|_| world.publish(When::ByOtherRules));

        // The end of each stream comes behind all that it is sent.
        assert!(world.server.stop(Duration::from_secs(10)), "all streams have ended");
        for mut stream in open {
            let who = &before[stream.who];
            let goes_on = goes_on(&world, &stream);
            let body = without_chunks(&stream.raw.everything());
            let came = stream.head + &body;
            let now: (&Identity, &[When]) = (
                &world.identities[stream.who],
                if goes_on { &[When::WithThem, When::ByOtherRules] } else { &[] },
            );
            world.secrets(&[(who, &BEFORE), now]).check(who, &stream.sent, came.as_bytes(), seed);
            assert_eq!(body.contains("event: unauthorized"), !goes_on, "seed {seed}: {}: {body}", who.name);
            ended += usize::from(!goes_on);
            let is_on = |event: &&Published| {
                let is_asked = |topic: &String| stream.names.iter().any(|name| matches(name, topic));
                let is_due = event.when == When::WithThem || event.when == When::ByOtherRules && goes_on;
                is_due && event.topics.iter().any(is_asked)
            };
            for Published { secret, .. } in world.events.iter().filter(is_on) {
                assert!(body.contains(secret), "seed {seed}: {secret} is missing on {}: {body}", stream.sent);
                seen += 1;
            }
        }
        drop(world);
        _ = std::fs::remove_dir_all(folder(seed));
    }
    println!("{streams} streams, {refused} refused, {ended} ended, {seen} events that had to come");
    assert!(streams > 100 && refused > 100 && ended > 100 && seen > 100);
}

/// Whether a stream of this topic or prefix carries this topic.
fn matches(selector: &str, topic: &str) -> bool {
    match selector.strip_suffix('*') {
        Some(prefix) => !topic.starts_with('$') && topic.starts_with(prefix),
        None => selector == topic,
    }
}
