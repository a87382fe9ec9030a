//! A selector: a topic, or all topics that begin alike.

use crate::error::Error;
use crate::topic::Topic;
use std::fmt;
use std::str::FromStr;

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
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Selector(Kind);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Kind {
    Exact(Topic),
    Prefix(Box<str>),
}

impl Selector {
    /// Whether it names this topic.
    pub fn matches(&self, topic: &Topic) -> bool {
        match &self.0 {
            Kind::Exact(name) => name == topic,
            Kind::Prefix(prefix) => !topic.is_reserved() && topic.as_str().starts_with(&**prefix),
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

    /// The text without the `*` at its end, and whether there is one.
    pub(crate) fn parts(&self) -> (&str, bool) {
        match &self.0 {
            Kind::Exact(topic) => (topic.as_str(), false),
            Kind::Prefix(prefix) => (prefix, true),
        }
    }
}

impl From<Topic> for Selector {
    fn from(topic: Topic) -> Selector {
        Selector(Kind::Exact(topic))
    }
}

impl FromStr for Selector {
    type Err = Error;

    /// Reads what `Display` writes. [`Error::Bad`] where it is no topic, and no beginning of one with `*`
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
    fn a_selector_names_its_own_topics_and_no_others() {
        for (selector, named, others) in [
            ("news", &["news"][..], &["news/1", "new", "News"][..]),
            ("rooms/*", &["rooms/1", "rooms/1/2", "rooms/"], &["rooms", "room/1", "$rooms/1"]),
            ("*", &["a", "rooms/1"], &["$chat"]),
            ("$chat", &["$chat"], &["$chat/1"]),
        ] {
            let parsed: Selector = selector.parse().unwrap();
            assert_eq!(parsed.to_string(), selector);
            named.iter().for_each(|name| assert!(parsed.matches(&Topic::new(name).unwrap()), "{name}"));
            others.iter().for_each(|name| assert!(!parsed.matches(&Topic::new(name).unwrap()), "{name}"));
        }
        for bad in ["", "a\nb", "a\nb*", "$*", "$user/*"] {
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
