//! A topic: the validated name that events are published to and clients subscribe to.

use crate::error::Error;
use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// The longest topic, in bytes of UTF-8. A longer one is refused.
pub const TOPIC_BYTES_MAX: usize = 256;

/// The most topics that one request may name, or one event of it. More are answered 400. Every queue, body, header,
/// history, thread and count has a named limit and a stated consequence.
pub const TOPICS_MAX: usize = 100;

/// A name of 1 to 256 bytes of UTF-8 without control characters; slashes are welcome (`rooms/42`). It is not
/// `*` and does not end in `/*`, which are [selectors](crate::Selector) of many topics.
/// Cloning shares the text.
///
/// Topics that begin with `$` belong to callout's own pages (`$chat`), or to those of a program that embeds it. The
/// topic API refuses them, so that nobody reads or writes a page's topic by guessing it.
///
/// ```
/// use callout::Topic;
///
/// let topic = Topic::new("rooms/42")?;
/// assert_eq!(topic.as_str(), "rooms/42");
/// assert!(Topic::new("two\nlines").is_err());
/// # Ok::<(), callout::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Topic(Arc<str>);

impl Topic {
    /// Checks the name. [`Error::bad`] says what is wrong with it. Text from outside enters an event only through its
    /// constructor, which takes topics that were checked here.
    pub fn new(name: &str) -> Result<Topic, Error> {
        check(name)?;
        if name == "*" || name.ends_with("/*") {
            return Err(Error::bad(
                "a topic is not `*` and does not end in `/*`: that means all topics, or all that begin alike",
            ));
        }
        Ok(Topic(name.into()))
    }

    /// A topic that a history keeps. An older callout took names too that are selectors now.
    pub(crate) fn kept(name: &str) -> Result<Topic, Error> {
        check(name)?;
        Ok(Topic(name.into()))
    }

    /// A topic of the topic API. Those of callout's own pages have their own routes, and are refused.
    pub(crate) fn public(name: &str) -> Result<Topic, Error> {
        let topic = Topic::new(name)?;
        topic.check_public()?;
        Ok(topic)
    }

    /// Refuses a topic of callout's own pages.
    pub(crate) fn check_public(&self) -> Result<(), Error> {
        if self.is_reserved() {
            return Err(Error::bad("topics that begin with `$` belong to the server's own pages"));
        }
        Ok(())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the topic belongs to one of callout's own pages.
    pub fn is_reserved(&self) -> bool {
        self.0.starts_with('$')
    }
}

fn check(name: &str) -> Result<(), Error> {
    if name.is_empty() || name.len() > TOPIC_BYTES_MAX {
        let bytes = name.len();
        return Err(Error::bad(format!("a topic has 1 to {TOPIC_BYTES_MAX} bytes, this one has {bytes}")));
    }
    if name.chars().any(char::is_control) {
        return Err(Error::bad("a topic has no control characters (line ends, tabs, NUL)"));
    }
    Ok(())
}

/// A topic is found among others by its text.
impl Borrow<str> for Topic {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_one_to_256_bytes_without_control_characters() {
        for good in ["a", "rooms/42", "größe/日本", "with space", &"x".repeat(256)] {
            assert_eq!(Topic::new(good).unwrap().as_str(), good);
        }
        for bad in ["", "*", "a/*", "/*", "a\nb", "a\rb", "a\0b", "a\tb", "\u{85}", &"x".repeat(257)] {
            assert!(Topic::new(bad).is_err(), "{bad:?}");
            // What an older callout has kept can be read.
            assert_eq!(Topic::kept(bad).is_ok(), bad.ends_with('*'), "{bad:?}");
        }
    }
}
