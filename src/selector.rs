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
}
