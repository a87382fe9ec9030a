//! Rules: what the operator has written down, and the rights that follow.
//!
//! Without a rule everything is open. With one, everything is closed that no rule opens.

use super::action::Action;
use super::area::{Area, Areas};
use super::identity::{Caller, Credential, Identity};
use super::pattern::Pattern;
use super::rights::{Act, Rights};
use super::token::{Digest, Secret};
use crate::error::Error;
use std::collections::HashMap;
use std::sync::Arc;

/// The name of the token that `--publish-token` gives.
const PUBLISH_TOKEN: &str = "publish-token";

/// The longest name of a token, in bytes.
const NAME_BYTES_MAX: usize = 64;

/// Whom a rule is about.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Who {
    /// Everybody: nobody is asked who they are.
    Anonymous,
    /// Everybody who is somebody: users and tokens.
    SignedIn,
    /// Whoever has the secret of this digest.
    Token {
        /// What errors and the log call it.
        name: Arc<str>,
        /// Of the secret itself.
        digest: Digest,
    },
}

impl Who {
    /// Whoever has the secret of this digest. [`Error::bad`] says what is wrong with the name.
    pub fn token(name: &str, digest: Digest) -> Result<Who, Error> {
        check_name(name)?;
        Ok(Who::Token { name: name.into(), digest })
    }
}

/// A rule: who may do what. Rules only give; what none gives is refused.
///
/// ```
/// use callout::{Config, Rule, Who};
///
/// let mut config = Config::default();
/// let mut news = Rule::new(Who::Anonymous);
/// news.subscribe.push("news/*".parse()?);
/// config.rules.push(news);
/// # Ok::<(), callout::Error>(())
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Rule {
    /// Whom it is about.
    pub who: Who,
    /// Topics that they may publish to.
    pub publish: Vec<Pattern>,
    /// Topics that they may subscribe to.
    pub subscribe: Vec<Pattern>,
    /// Pages whose topics they may read and write.
    pub pages: Vec<Area>,
    /// What they may do beside that. Only a token may anything here.
    pub may: Vec<Action>,
}

impl Rule {
    /// A rule that gives nothing yet.
    pub fn new(who: Who) -> Rule {
        Rule { who, publish: Vec::new(), subscribe: Vec::new(), pages: Vec::new(), may: Vec::new() }
    }
}

/// All that several rules give.
impl<'a> FromIterator<&'a Rule> for Rights {
    fn from_iter<T: IntoIterator<Item = &'a Rule>>(rules: T) -> Rights {
        let rules: Vec<&Rule> = rules.into_iter().collect();
        let mut rights = Rights::default();
        rights.publish.extend(rules.iter().flat_map(|rule| &rule.publish));
        rights.subscribe.extend(rules.iter().flat_map(|rule| &rule.subscribe));
        for area in rules.iter().flat_map(|rule| &rule.pages) {
            rights.reads.add(*area);
            rights.writes.add(*area);
        }
        rules.iter().flat_map(|rule| &rule.may).for_each(|action| rights.add(*action));
        rights
    }
}

/// A token and what it gives by itself.
#[derive(Debug)]
struct Token {
    name: Arc<str>,
    rights: Rights,
}

/// All rules of a server, such that a decision does not look at each of them.
#[derive(Debug)]
pub struct Rules {
    anonymous: Rights,
    signed_in: Rights,
    tokens: HashMap<Digest, Token>,
    /// Whether there is any rule.
    is_open: bool,
}

/// No rule: everything is open.
impl Default for Rules {
    fn default() -> Rules {
        Rules::new(&[], None).expect("no rule is wrong where there is none")
    }
}

impl Rules {
    /// The rights that follow from these rules, and from the publish token. [`Error::bad`] says which rule is wrong.
    pub fn new(rules: &[Rule], publish_token: Option<&Secret>) -> Result<Rules, Error> {
        let of = |who: Who| rules.iter().filter(move |rule| rule.who == who).collect::<Rights>();
        let mut all = Rules {
            anonymous: of(Who::Anonymous),
            signed_in: of(Who::SignedIn),
            tokens: HashMap::new(),
            is_open: rules.is_empty() && publish_token.is_none(),
        };
        for rule in rules {
            match &rule.who {
                Who::Token { name, digest } => {
                    check_name(name)?;
                    all.add_token(*digest, name.clone(), [rule].into_iter().collect())?;
                }
                _ if !rule.may.is_empty() => return Err(Error::bad("`may` is for tokens only")),
                _ => {}
            }
        }
        if rules.is_empty() {
            all.open(publish_token.is_some());
        }
        if let Some(secret) = publish_token {
            all.add_token(Digest::of_secret(secret), PUBLISH_TOKEN.into(), publish_token_rights())?;
        }
        Ok(all)
    }

    /// The rules of a server without any that takes tickets or JWTs: they alone give rights.
    pub(super) fn closed() -> Rules {
        Rules {
            anonymous: Rights::default(),
            signed_in: Rights::default(),
            tokens: HashMap::new(),
            is_open: false,
        }
    }

    /// Opens what is open to everybody where no rule is written down: everything, or with a publish token everything
    /// but publishing to topics and notifying.
    fn open(&mut self, has_token: bool) {
        let all = everything();
        let Rights { publish, subscribe, reads, writes, .. } = &mut self.anonymous;
        subscribe.extend(&all);
        *reads = Areas::ALL;
        *writes = if has_token { Areas::ALL.without(Area::Notifications) } else { Areas::ALL };
        if !has_token {
            publish.extend(&all);
        }
    }

    fn add_token(&mut self, digest: Digest, name: Arc<str>, rights: Rights) -> Result<(), Error> {
        match self.tokens.insert(digest, Token { name: name.clone(), rights }) {
            None => Ok(()),
            Some(other) => {
                let other = other.name;
                Err(Error::bad(format!("the tokens `{other}` and `{name}` have the same secret")))
            }
        }
    }

    /// Whether there is no rule, so that everything is open to everybody.
    pub fn is_open(&self) -> bool {
        self.is_open
    }

    /// Whether there is a token.
    pub(super) fn has_tokens(&self) -> bool {
        !self.tokens.is_empty()
    }

    /// The names of all tokens.
    pub(super) fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.tokens.values().map(|token| &token.name)
    }

    /// The digests of the secrets of the token of this name: two, while one is changed for another.
    pub(super) fn digests_of(&self, name: &str) -> impl Iterator<Item = Digest> {
        self.tokens.iter().filter(move |(_, token)| &*token.name == name).map(|(digest, _)| *digest)
    }

    /// Whether a user of this name may do this, whatever credential they have.
    pub(super) fn allow_signed_in(&self, caller: &Caller, act: Act, text: &str, is_prefix: bool) -> bool {
        let user = caller.identity.user();
        [&self.anonymous, &self.signed_in].into_iter().any(|rights| rights.allow(act, text, is_prefix, user))
    }

    /// The name of the token whose secret this is.
    pub(super) fn token(&self, digest: &Digest) -> Option<Arc<str>> {
        self.tokens.get(digest).map(|token| token.name.clone())
    }

    /// All that gives a caller rights: what everybody may, what everybody may who is somebody, and its own.
    pub(super) fn rights<'a>(&'a self, caller: &'a Caller) -> impl Iterator<Item = &'a Rights> {
        let own = match &caller.credential {
            Credential::None | Credential::Unknown => None,
            Credential::Token(digest) => self.tokens.get(digest).map(|token| &token.rights),
            Credential::Carried(rights, _) => Some(&**rights),
        };
        [Some(&self.anonymous), own.map(|_| &self.signed_in), own].into_iter().flatten()
    }

    /// Whether the caller may do this with all topics of this text, which begin so if it is a prefix.
    pub(super) fn allow(&self, caller: &Caller, act: Act, text: &str, is_prefix: bool) -> bool {
        if self.is_open || caller.identity == Identity::Program {
            return true;
        }
        let user = caller.identity.user();
        self.rights(caller).any(|rights| rights.allow(act, text, is_prefix, user))
    }

    /// Whether the caller was given this right.
    pub(super) fn give(&self, caller: &Caller, action: Action) -> bool {
        caller.identity == Identity::Program || self.rights(caller).any(|rights| rights.has(action))
    }
}

/// What the publish token gives: everything that has to do with events.
fn publish_token_rights() -> Rights {
    let mut rights = Rights { reads: Areas::ALL, writes: Areas::ALL, ..Rights::default() };
    rights.publish.extend(&everything());
    rights.subscribe.extend(&everything());
    rights.add(Action::History);
    rights.add(Action::Retract);
    rights
}

/// Every topic that does not belong to a page.
fn everything() -> [Pattern; 1] {
    ["*".parse().expect("it is a pattern")]
}

fn check_name(name: &str) -> Result<(), Error> {
    if name == PUBLISH_TOKEN {
        return Err(Error::bad("the name `publish-token` belongs to the token of `--publish-token`"));
    }
    check_token_name(name)
}

/// Whether a token can have this name.
pub(super) fn check_token_name(name: &str) -> Result<(), Error> {
    let is_char = |c: char| c.is_ascii_alphanumeric() || "-_.@".contains(c);
    if !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.chars().all(is_char) {
        return Ok(());
    }
    Err(Error::bad(format!(
        "the name of a token has 1 to {NAME_BYTES_MAX} characters of A-Z, a-z, 0-9 and -_.@"
    )))
}
