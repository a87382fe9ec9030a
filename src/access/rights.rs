//! Rights: what somebody may publish and subscribe to, and do beside that.

use super::action::Action;
use super::area::{Area, Areas, Owner};
use super::pattern::{Pattern, Patterns};
use crate::selector::Selector;

/// What is done with a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    Publish,
    Subscribe,
}

/// What one rule gives, or several together, or a credential that says itself what it gives.
#[derive(Debug, Clone, Default)]
pub struct Rights {
    pub(super) publish: Patterns,
    pub(super) subscribe: Patterns,
    /// Areas that may be read, and that may be written to.
    pub(super) reads: Areas,
    pub(super) writes: Areas,
    pub(super) may: u8,
}

impl Rights {
    /// Those of a credential which names these selectors.
    pub fn carried(publish: &[Selector], subscribe: &[Selector]) -> Rights {
        let mut rights = Rights::default();
        let patterns = |selectors: &[Selector]| selectors.iter().map(Pattern::from).collect::<Vec<_>>();
        rights.publish.extend(&patterns(publish));
        rights.subscribe.extend(&patterns(subscribe));
        rights
    }

    /// Whether they allow this with all topics of this text, which begin so if it is a prefix.
    pub(super) fn allow(&self, act: Act, text: &str, is_prefix: bool, user: Option<&str>) -> bool {
        let (patterns, areas) = match act {
            Act::Publish => (&self.publish, self.writes),
            Act::Subscribe => (&self.subscribe, self.reads),
        };
        if !text.starts_with('$') {
            return patterns.cover(text, is_prefix, user);
        }
        // No wildcard reaches a topic that begins with `$`.
        if is_prefix {
            return false;
        }
        let owner = Owner::of(text);
        areas.has(owner.area())
            || match (owner, act) {
                (Owner::Page(area), _) => area == Area::Program && patterns.name(text),
                (Owner::User(_, name), _) => patterns.cover_user(name, user),
                (Owner::Users(_), Act::Publish) => patterns.cover_all_users(),
                // What is for all users is part of each user's stream.
                (Owner::Users(_), Act::Subscribe) => patterns.cover_some_user(user),
            }
    }

    /// Whether they give this right.
    pub(super) fn has(&self, action: Action) -> bool {
        self.may & bit(action) != 0
    }

    pub(super) fn add(&mut self, action: Action) {
        self.may |= bit(action);
    }
}

/// Rights of one name are one.
fn bit(action: Action) -> u8 {
    let place = Action::NAMED.iter().position(|named| named.name() == action.name());
    1 << place.expect("each right has the name of one that rules name")
}
