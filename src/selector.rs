//! A selector: a topic, or all topics that begin alike. It is what streams subscribe to.

use crate::error::Error;
use crate::topic::Topic;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Names topics: one exactly (`news`), or with `*` at the end all that begin with what stands before it
/// (`rooms/*`, `*`). No wildcard reaches a topic that begins with `$`: those belong to callout's own pages.
///
/// ```
/// use callout::{Selector, Topic};
///
/// let rooms: Selector = "rooms/*".parse()?;
/// assert!(rooms.matches(&Topic::new("rooms/42")?));
/// assert!(!rooms.matches(&Topic::new("news")?));
/// # Ok::<(), callout::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Selector(Kind);

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Kind {
    Exact(Topic),
    /// What stands before the `*`.
    Prefix(Arc<str>),
}

impl Selector {
    /// Whether it names this topic.
    pub fn matches(&self, topic: &Topic) -> bool {
        match &self.0 {
            Kind::Exact(name) => name == topic,
            Kind::Prefix(prefix) => has_prefix(topic.as_str(), prefix),
        }
    }

    /// The same for the text of a topic.
    pub(crate) fn matches_name(&self, name: &str) -> bool {
        match &self.0 {
            Kind::Exact(topic) => topic.as_str() == name,
            Kind::Prefix(prefix) => has_prefix(name, prefix),
        }
    }

    /// Whether it names every topic that the other one names.
    ///
    /// ```
    /// let [all, one]: [callout::Selector; 2] = ["rooms/*".parse()?, "rooms/42/*".parse()?];
    /// assert!(all.covers(&one) && !one.covers(&all));
    /// # Ok::<(), callout::Error>(())
    /// ```
    pub fn covers(&self, other: &Selector) -> bool {
        match (&self.0, &other.0) {
            (_, Kind::Exact(topic)) => self.matches(topic),
            (Kind::Exact(_), Kind::Prefix(_)) => false,
            (Kind::Prefix(own), Kind::Prefix(other)) => other.starts_with(&**own),
        }
    }

    /// The topic, if it names one exactly.
    pub fn topic(&self) -> Option<&Topic> {
        match &self.0 {
            Kind::Exact(topic) => Some(topic),
            Kind::Prefix(_) => None,
        }
    }

    /// What the topics begin with that it names, where it does not name one exactly: `rooms/` of `rooms/*`, and nothing
    /// of `*`. Those that begin with `$` are not among them.
    pub fn prefix(&self) -> Option<&str> {
        match &self.0 {
            Kind::Exact(_) => None,
            Kind::Prefix(prefix) => Some(prefix),
        }
    }

    /// The text without the `*` at its end, and whether there is one.
    pub(crate) fn parts(&self) -> (&str, bool) {
        match &self.0 {
            Kind::Exact(topic) => (topic.as_str(), false),
            Kind::Prefix(prefix) => (prefix, true),
        }
    }

    /// A selector of the topic API. The topics of callout's own pages have their own routes, and are refused.
    pub(crate) fn public(text: &str) -> Result<Selector, Error> {
        let selector: Selector = text.parse()?;
        selector.topic().map_or(Ok(()), Topic::check_public)?;
        Ok(selector)
    }
}

/// Whether a prefix names this topic. No wildcard reaches a topic that begins with `$`.
fn has_prefix(name: &str, prefix: &str) -> bool {
    name.starts_with(prefix) && !name.starts_with('$')
}

/// Each selector once, in order, without those whose topics another one names too: so equal sets are equal.
pub fn reduced(mut selectors: Vec<Selector>) -> Vec<Selector> {
    selectors.sort_unstable();
    selectors.dedup();
    let prefixes: Vec<Selector> = selectors.iter().filter(|one| one.prefix().is_some()).cloned().collect();
    selectors.retain(|one| !prefixes.iter().any(|prefix| prefix != one && prefix.covers(one)));
    selectors
}

impl From<Topic> for Selector {
    fn from(topic: Topic) -> Selector {
        Selector(Kind::Exact(topic))
    }
}

impl FromStr for Selector {
    type Err = Error;

    /// Reads what `Display` writes. [`Error::bad`] where it is no topic, and no beginning of one with `*`
    /// behind it.
    fn from_str(text: &str) -> Result<Selector, Error> {
        match text.strip_suffix('*') {
            Some("") => Ok(Selector(Kind::Prefix("".into()))),
            Some(prefix) if prefix.starts_with('$') => Err(Error::bad(
                "no wildcard reaches topics that begin with `$`: they belong to callout's own pages",
            )),
            Some(prefix) => Ok(Selector(Kind::Prefix(Topic::new(prefix)?.as_str().into()))),
            None => Ok(Topic::new(text)?.into()),
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Exact(topic) => topic.fmt(f),
            Kind::Prefix(prefix) => write!(f, "{prefix}*"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_of_selectors_is_reduced_to_those_that_name_something_of_their_own() {
        for (given, left) in [
            (&["b", "a", "b"][..], &["a", "b"][..]),
            (&["rooms/1", "rooms/*", "rooms", "rooms/1/*"], &["rooms", "rooms/*"]),
            (&["$chat", "a", "a/*", "*"], &["$chat", "*"]),
            (&["a*", "b*"], &["a*", "b*"]),
        ] {
            let given = given.iter().map(|text| text.parse().unwrap()).collect();
            let reduced: Vec<String> = reduced(given).iter().map(Selector::to_string).collect();
            assert_eq!(reduced, left);
        }
    }

    #[test]
    fn a_selector_names_its_own_topics_and_no_others() {
        for (selector, named, others) in [
            ("news", &["news"][..], &["news/1", "new", "News"][..]),
            ("rooms/*", &["rooms/1", "rooms/1/2", "rooms/"], &["rooms", "room/1", "$rooms/1"]),
            ("*", &["a", "rooms/1"], &["$chat"]),
            ("$chat", &["$chat"], &["$chat/1"]),
        ] {
            let parsed: Selector = selector.parse().unwrap();
            assert_eq!(parsed.to_string(), selector);
            for (names, is_named) in [(named, true), (others, false)] {
                for name in names {
                    assert_eq!(parsed.matches(&Topic::new(name).unwrap()), is_named, "{selector} {name}");
                    assert_eq!(parsed.matches_name(name), is_named, "{selector} {name}");
                }
            }
        }
        for bad in ["", "a\nb", "a\nb*", "$*", "$user/*", "**", "a/**"] {
            assert!(bad.parse::<Selector>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_selector_covers_what_names_no_topic_beyond_its_own() {
        for (selector, covered, others) in [
            ("news", &["news"][..], &["news/*", "news*", "new", "*"][..]),
            (
                "rooms/*",
                &["rooms/1", "rooms/*", "rooms/1/*", "rooms/1*"],
                &["rooms", "rooms*", "*", "$rooms"],
            ),
            ("*", &["*", "a", "rooms/*"], &["$chat"]),
            ("$chat", &["$chat"], &["$wall", "*"]),
        ] {
            let parsed: Selector = selector.parse().unwrap();
            covered
                .iter()
                .for_each(|other| assert!(parsed.covers(&other.parse().unwrap()), "{selector} {other}"));
            others
                .iter()
                .for_each(|other| assert!(!parsed.covers(&other.parse().unwrap()), "{selector} {other}"));
        }
    }
}
