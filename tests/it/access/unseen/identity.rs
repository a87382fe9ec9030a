//! Somebody, and what the rules give them: written down here a second time, in the simplest way that there is.

use callout::{Action, Area, Digest, Rule, Who};
use fastrand::Rng;

/// What rules and tickets may name.
pub const PATTERNS: [&str; 12] = [
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

/// The tokens of which rules say what they may.
pub const READERS: [&str; 2] = ["reader0", "reader1"];

/// Somebody, and all that the rules give them.
#[derive(Clone, Default)]
pub struct Identity {
    pub name: String,
    /// A header line or none, and what stands in the query.
    pub header: String,
    pub query: String,
    pub user: Option<String>,
    /// A credential that is not valid gives nothing, not even what everybody may.
    pub is_void: bool,
    pub publish: Vec<String>,
    pub subscribe: Vec<String>,
    pub pages: Vec<Area>,
}

impl Identity {
    pub fn gain(&mut self, rule: &Rule) {
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

    pub fn covers(&self, patterns: &[String], asked: &str) -> bool {
        let (text, is_prefix) = (asked.trim_end_matches('*'), asked.ends_with('*'));
        self.resolved(patterns).any(|(pattern, reaches)| match reaches {
            true => text.starts_with(&pattern),
            false => !is_prefix && text == pattern,
        })
    }

    /// Whether they may subscribe to a topic or a prefix, also to a page's.
    pub fn may_read(&self, asked: &str) -> bool {
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
    pub fn covers_user(&self, name: &str) -> bool {
        let topic = format!("users/{name}");
        self.resolved(&self.subscribe).any(|(pattern, reaches)| match reaches {
            true => pattern == "users/",
            false => pattern == topic,
        })
    }

    pub fn may_notify(&self, name: &str) -> bool {
        let by_name = Identity { subscribe: self.publish.clone(), ..self.clone() };
        !self.is_void && (self.pages.contains(&Area::Notifications) || by_name.covers_user(name))
    }
}

pub fn some(random: &mut Rng, count: usize) -> Vec<&'static str> {
    (0..random.usize(..=count)).map(|_| *random.choice(&PATTERNS).unwrap()).collect()
}

pub fn random_rule(random: &mut Rng, who: Who) -> Rule {
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
pub fn random_rules(random: &mut Rng) -> Vec<Rule> {
    let mut writer = Rule::new(named("zQwriterz", "secret-of-writer"));
    writer.publish = ["*", "users/*"].map(|text| text.parse().unwrap()).into();
    writer.pages = vec![Area::Chat, Area::Wall, Area::Posts];
    writer.may = vec![Action::Retract, Action::Tickets];
    let mut rules = vec![writer, random_rule(random, Who::Anonymous), random_rule(random, Who::SignedIn)];
    rules.extend(READERS.map(|name| random_rule(random, named(name, &format!("secret-of-{name}")))));
    rules
}

/// What people may by these rules.
pub fn with_rules(people: &[Identity], rules: &[Rule]) -> Vec<Identity> {
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

pub fn named(name: &str, secret: &str) -> Who {
    Who::token(name, Digest::of(secret)).unwrap()
}

/// Whether a stream of this topic or prefix carries this topic.
pub fn matches(selector: &str, topic: &str) -> bool {
    match selector.strip_suffix('*') {
        Some(prefix) => !topic.starts_with('$') && topic.starts_with(prefix),
        None => selector == topic,
    }
}
