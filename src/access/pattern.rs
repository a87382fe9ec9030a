//! Patterns: the topics that a rule names, with `{user}` for whoever asks.
//!
//! A user's name is compared as text of one segment. It is never put into a pattern that is then read, so no name gains
//! anything: not `*`, not `a/b`, not `{user}`.

use super::area::{Area, Owner};
use crate::error::Error;
use crate::selector::Selector;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::str::FromStr;

/// What stands for the name of the user who asks.
const USER: &str = "{user}";

/// What the names of users' notifications begin with.
const USERS: &str = "users/";

/// The most patterns that are kept to be shown in an error.
const SHOWN_MAX: usize = 5;

/// A selector in which segments may be `{user}`: `users/{user}/*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    /// What stands before, between and behind the `{user}`s.
    pieces: Vec<Box<str>>,
    is_prefix: bool,
}

impl FromStr for Pattern {
    type Err = Error;

    /// Reads a pattern. [`Error::bad`] says what is wrong with it.
    fn from_str(text: &str) -> Result<Pattern, Error> {
        if text.split('/').any(|segment| segment.contains(USER) && segment != USER) {
            return Err(Error::bad(format!(
                "`{{user}}` stands alone between slashes, as in `users/{{user}}/*`; this is `{text}`"
            )));
        }
        // What is valid with a plain name is valid with `{user}`.
        let selector: Selector = text.replace(USER, "u").parse()?;
        let is_prefix = selector.parts().1;
        if text.starts_with('$') {
            let owner = Owner::of(text);
            match owner.area() {
                Area::Program if !text.contains(USER) => {}
                Area::Program => return Err(Error::bad("a topic that begins with `$` has no `{user}`")),
                _ if matches!(owner, Owner::Page(_)) => {
                    let page = owner.area().name();
                    return Err(Error::bad(format!(
                        "`{text}` belongs to a page, which rules name: `pages = [\"{page}\"]`"
                    )));
                }
                _ => {
                    return Err(Error::bad(format!(
                        "`{text}` is a user's: rules name notifications as topics, like `users/{{user}}`"
                    )));
                }
            }
        }
        let text = if is_prefix { &text[..text.len() - 1] } else { text };
        Ok(Pattern { pieces: text.split(USER).map(Box::from).collect(), is_prefix })
    }
}

impl From<&Selector> for Pattern {
    /// The same topics; in a selector `{user}` means itself.
    fn from(selector: &Selector) -> Pattern {
        let (text, is_prefix) = selector.parts();
        Pattern { pieces: vec![text.into()], is_prefix }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.pieces.join(USER), if self.is_prefix { "*" } else { "" })
    }
}

/// Many patterns. What is asked of them takes as long for 10,000 as for ten, but for a binary search.
#[derive(Debug, Clone, Default)]
pub struct Patterns {
    topics: Set,
    /// Those that begin with `users/`, without it: whose notifications they name. A wildcard that begins earlier names
    /// none, as no wildcard reaches the topics of pages.
    users: Set,
    /// The first of them as text, and how many there are.
    shown: Vec<Box<str>>,
    count: usize,
}

impl Patterns {
    /// Whether every topic of this text (which begins so, if it is a prefix) is named by one and the same pattern.
    pub(super) fn cover(&self, text: &str, is_prefix: bool, user: Option<&str>) -> bool {
        self.topics.covers(text, is_prefix, user)
    }

    /// Whether the topic itself is named, by no wildcard.
    pub(super) fn name(&self, topic: &str) -> bool {
        self.topics.exact.contains(topic)
    }

    /// Whether the notifications of this user are named.
    pub(super) fn cover_user(&self, name: &str, user: Option<&str>) -> bool {
        // A name with a slash is not below another user's: only who may all users may this one.
        let (name, is_prefix) = if name.contains('/') { ("", true) } else { (name, false) };
        self.users.covers(name, is_prefix, user)
    }

    /// Whether the notifications of all users are named.
    pub(super) fn cover_all_users(&self) -> bool {
        self.users.covers("", true, None)
    }

    /// Whether the notifications of some user are named.
    pub(super) fn cover_some_user(&self, user: Option<&str>) -> bool {
        let Set { exact, prefixes, user: by_user } = &self.users;
        !exact.is_empty() || !prefixes.is_empty() || user.is_some() && !by_user.is_empty()
    }

    /// The first of them as text, and how many there are in all.
    pub(super) fn shown(&self) -> (&[Box<str>], usize) {
        (&self.shown, self.count)
    }

    fn add(&mut self, pattern: &Pattern) {
        let pieces: Vec<&str> = pattern.pieces.iter().map(|piece| &**piece).collect();
        if let Some(first) = pieces[0].strip_prefix(USERS) {
            let mut pieces = pieces.clone();
            pieces[0] = first;
            self.users.add(&pieces, pattern.is_prefix);
        }
        self.topics.add(&pieces, pattern.is_prefix);
        if self.shown.len() < SHOWN_MAX {
            self.shown.push(pattern.to_string().into());
        }
        self.count += 1;
    }
}

impl<'a> Extend<&'a Pattern> for Patterns {
    fn extend<T: IntoIterator<Item = &'a Pattern>>(&mut self, patterns: T) {
        patterns.into_iter().for_each(|pattern| self.add(pattern));
        self.topics.settle();
        self.users.settle();
    }
}

/// Patterns by how they are found.
#[derive(Debug, Clone, Default)]
struct Set {
    exact: HashSet<Box<str>>,
    /// Sorted, and none begins with another: so only the one before a text in this order can be its beginning.
    prefixes: Vec<Box<str>>,
    /// What follows a `{user}`, by what stands before it.
    user: HashMap<Box<str>, Set>,
}

impl Set {
    fn add(&mut self, pieces: &[&str], is_prefix: bool) {
        match pieces {
            [text] if is_prefix => self.prefixes.push((*text).into()),
            [text] => _ = self.exact.insert((*text).into()),
            [before, behind @ ..] => {
                self.user.entry((*before).into()).or_default().add(behind, is_prefix);
            }
            [] => {}
        }
    }

    /// Brings the prefixes into the order in which they are searched.
    fn settle(&mut self) {
        self.prefixes.sort_unstable();
        // Behind a prefix stand all that begin with it.
        self.prefixes.dedup_by(|prefix, before| prefix.starts_with(&**before));
        self.user.values_mut().for_each(Set::settle);
    }

    fn covers(&self, text: &str, is_prefix: bool, user: Option<&str>) -> bool {
        (!is_prefix && self.exact.contains(text))
            || self.has_beginning(text)
            || user.is_some_and(|user| self.covers_user(text, is_prefix, user))
    }

    fn has_beginning(&self, text: &str) -> bool {
        let next = self.prefixes.partition_point(|prefix| **prefix <= *text);
        next.checked_sub(1).is_some_and(|at| text.starts_with(&*self.prefixes[at]))
    }

    /// Whether a pattern covers the text in which a segment is the user's name.
    fn covers_user(&self, text: &str, is_prefix: bool, user: &str) -> bool {
        if self.user.is_empty() {
            return false;
        }
        let begin = std::iter::once(0).chain(text.match_indices('/').map(|(at, _)| at + 1));
        let mut segments = begin.filter_map(|at| Some((&text[..at], text[at..].strip_prefix(user)?)));
        segments.any(|(before, behind)| {
            (behind.is_empty() || behind.starts_with('/'))
                && self.user.get(before).is_some_and(|set| set.covers(behind, is_prefix, Some(user)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cover(patterns: &[Pattern], asked: &Selector, user: Option<&str>) -> bool {
        let mut all = Patterns::default();
        all.extend(patterns);
        let (text, is_prefix) = asked.parts();
        all.cover(text, is_prefix, user)
    }

    #[test]
    fn a_users_name_is_one_segment_and_is_never_read_as_a_pattern() {
        for (pattern, name, covered, others) in [
            (
                "users/{user}",
                "ann",
                &["users/ann"][..],
                &["users/bob", "users/ann/1", "users/ann/*", "users/*"][..],
            ),
            (
                "users/{user}/*",
                "ann",
                &["users/ann/*", "users/ann/1", "users/ann/1/*"],
                &["users/an*", "users/*"],
            ),
            ("users/{user}/*", "ann", &[], &["users/ann", "users/ann*", "users/anna/1", "users/anna/*", "*"]),
            ("users/{user}/*", "*", &["users/*/1"], &["users/ann/1", "users/*", "*"]),
            ("users/{user}/*", "a/b", &[], &["users/a/b/1", "users/a/b/*", "users/a/1"]),
            ("users/{user}/*", "{user}", &["users/{user}/1"], &["users/ann/1", "users/*"]),
            ("users/{user}/*", "", &[], &["users//1", "users//*", "users/ann/1"]),
            ("users/{user}/*", "ann/*", &[], &["users/ann/1", "users/ann/*/1", "users/ann/*"]),
            ("{user}/{user}", "a", &["a/a"], &["a/b", "b/a", "a"]),
            ("{user}/x", "$chat", &[], &["a/x"]),
        ] {
            let parsed: Pattern = pattern.parse().unwrap();
            assert_eq!(parsed.to_string(), pattern);
            let user = crate::access::Identity::User(name.into());
            let covers =
                |asked: &str| cover(std::slice::from_ref(&parsed), &asked.parse().unwrap(), user.user());
            covered.iter().for_each(|asked| assert!(covers(asked), "{pattern} {name} {asked}"));
            others.iter().for_each(|asked| assert!(!covers(asked), "{pattern} {name} {asked}"));
            others.iter().for_each(|asked| {
                assert!(!cover(std::slice::from_ref(&parsed), &asked.parse().unwrap(), None))
            });
        }
    }

    #[test]
    fn what_no_rule_can_mean_is_refused_with_what_would_be_right() {
        for (text, why) in [
            (
                "users/{user}x",
                "`{user}` stands alone between slashes, as in `users/{user}/*`; this is `users/{user}x`",
            ),
            (
                "users/{user}*",
                "`{user}` stands alone between slashes, as in `users/{user}/*`; this is `users/{user}*`",
            ),
            ("$chat", "`$chat` belongs to a page, which rules name: `pages = [\"chat\"]`"),
            ("$user/ann", "`$user/ann` is a user's: rules name notifications as topics, like `users/{user}`"),
            ("$users", "`$users` is a user's: rules name notifications as topics, like `users/{user}`"),
            ("$mine/{user}", "a topic that begins with `$` has no `{user}`"),
            ("", "a topic has 1 to 256 bytes, this one has 0"),
        ] {
            assert_eq!(text.parse::<Pattern>().unwrap_err().to_string(), why);
        }
        assert!("$mine".parse::<Pattern>().is_ok());
    }

    #[test]
    fn notifications_are_named_by_users_and_by_no_wildcard_that_begins_earlier() {
        let named = |texts: &[&str]| {
            let mut all = Patterns::default();
            all.extend(&texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<Pattern>>());
            all
        };
        for (texts, user, ann, all, some) in [
            (&["*"][..], None, false, false, false),
            (&["u*"], None, false, false, false),
            (&["users*"], None, false, false, false),
            (&["*", "users/*"], None, true, true, true),
            (&["users/ann"], None, true, false, true),
            (&["users/a*"], None, true, false, true),
            (&["users/{user}"], None, false, false, false),
            (&["users/{user}"], Some("ann"), true, false, true),
            (&["users/{user}"], Some("bob"), false, false, true),
            (&["users/{user}/*"], Some("ann"), false, false, true),
        ] {
            let patterns = named(texts);
            let found = (
                patterns.cover_user("ann", user),
                patterns.cover_all_users(),
                patterns.cover_some_user(user),
            );
            assert_eq!(found, (ann, all, some), "{texts:?} {user:?}");
        }
        // Another user whose name begins with a name and a slash is not below it.
        assert!(!named(&["users/{user}/*", "users/ann/*"]).cover_user("ann/b", Some("ann")));
        assert!(named(&["users/*"]).cover_user("ann/b", None));
    }

    /// What a pattern covers, segment by segment.
    fn covers_plainly(pattern: &str, name: Option<&str>, asked: &str) -> bool {
        let same = |own: &str, asked: &str| if own == USER { name == Some(asked) } else { own == asked };
        let (own, is_prefix) = pattern.strip_suffix('*').map_or((pattern, false), |own| (own, true));
        let (text, is_asked_prefix) = asked.strip_suffix('*').map_or((asked, false), |text| (text, true));
        let (own, text): (Vec<&str>, Vec<&str>) = (own.split('/').collect(), text.split('/').collect());
        if !is_prefix {
            return !is_asked_prefix
                && own.len() == text.len()
                && own.iter().zip(&text).all(|(own, asked)| same(own, asked));
        }
        let (last, own) = own.split_last().unwrap();
        // Of a text that goes on somehow, the last segment is known only as far as it stands there.
        let whole = text.len() - usize::from(is_asked_prefix);
        own.len() < text.len()
            && own.iter().zip(&text).enumerate().all(|(at, (own, asked))| at < whole && same(own, asked))
            && text[own.len()].starts_with(last)
    }

    proptest! {
        #[test]
        fn many_patterns_cover_what_one_of_them_covers_segment_by_segment(
            patterns in prop::collection::vec(r"([ab]{0,2}|\{user\})(/([ab]{1,2}|\{user\})){0,3}(/?\*)?", 1..6),
            name in prop::option::of(r"[ab]{1,2}|[ab/*{}]{0,3}|\{user\}"),
            asked in r"([ab*]{0,2}|\{user\})(/([ab*]{0,2}|\{user\})){0,4}\*?",
        ) {
            let patterns: Vec<(String, Pattern)> =
                patterns.into_iter().filter_map(|text| Some((text.clone(), text.parse().ok()?))).collect();
            let Ok(asked) = asked.parse::<Selector>() else { return Ok(()) };
            let name = name.filter(|name| !name.is_empty() && !name.contains('/'));
            let plainly = patterns.iter().any(|(text, _)| covers_plainly(text, name.as_deref(), &asked.to_string()));
            let parsed: Vec<Pattern> = patterns.iter().map(|(_, pattern)| pattern.clone()).collect();
            prop_assert_eq!(cover(&parsed, &asked, name.as_deref()), plainly, "{:?} {:?} {}", patterns, name, asked);
        }

        #[test]
        fn a_selector_covers_the_same_as_a_pattern_and_all_that_the_other_one_matches(
            own in r"[ab/]{0,4}\*?", other in r"[ab/]{0,5}\*?", topic in "[ab/]{1,6}",
        ) {
            let (Ok(own), Ok(other)) = (own.parse::<Selector>(), other.parse::<Selector>()) else { return Ok(()) };
            prop_assert_eq!(own.covers(&other), covers_plainly(&own.to_string(), None, &other.to_string()));
            prop_assert_eq!(own.covers(&other), cover(&[Pattern::from(&own)], &other, None));
            let topic = crate::topic::Topic::new(&topic).unwrap();
            prop_assert!(!own.covers(&other) || !other.matches(&topic) || own.matches(&topic));
        }
    }
}
