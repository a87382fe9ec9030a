//! Denials: why somebody may not do something, in words. All of these texts stand here.
//!
//! They name the topic that was asked for and what whoever asks has been given, and nothing that others were given.

use super::action::Action;
use super::area::{Area, Owner};
use super::identity::{Caller, Credential, Identity};
use super::refusal::shown;
use super::rights::Act;
use super::rules::Rules;
use crate::error::Error;
use crate::selector::Selector;

/// The most patterns of one kind that a text lists.
const LISTED_MAX: usize = 5;

/// What helps those who have shown nothing: where a credential is looked for.
const NOBODY: &str = "send `Authorization: Bearer …` with a token, a ticket or a JWT that may; where no header can be set, \
                      as with EventSource, a ticket in `?ticket=…`";

/// A refusal that another credential could lift.
struct Denial<'a> {
    caller: &'a Caller,
    reason: String,
    hint: String,
}

impl From<Denial<'_>> for Error {
    fn from(denial: Denial<'_>) -> Error {
        match denial.caller.identity {
            Identity::Anonymous => Error::unauthorized(denial.reason),
            _ => Error::forbidden(denial.reason),
        }
        .hint(denial.hint)
    }
}

/// The caller may not do this with these topics.
pub(super) fn of_topic(rules: &Rules, caller: &Caller, act: Act, asked: &Selector) -> Error {
    let (text, _) = asked.parts();
    let (verb, key) = match act {
        Act::Publish => ("publish to", "publish"),
        Act::Subscribe => ("subscribe to", "subscribe"),
    };
    let (what, rule) = if text.starts_with('$') {
        match Owner::of(text) {
            Owner::Page(Area::Program) => (format!("`{text}`"), format!("{key} = [\"{text}\"]")),
            Owner::Page(area) => {
                (format!("the page `{}`", area.name()), format!("pages = [\"{}\"]", area.name()))
            }
            Owner::User(_, name) => {
                (format!("the notifications of `{name}`"), format!("{key} = [\"users/{name}\"]"))
            }
            Owner::Users(_) => {
                ("the notifications of all users".into(), "pages = [\"notifications\"]".into())
            }
        }
    } else {
        (format!("`{asked}`"), format!("{key} = [\"{asked}\"]"))
    };
    let covered = covered(rules, caller, act);
    let reason = format!("{} does not cover {what}: it may {verb} {covered}", subject(rules, caller));
    Denial { caller, reason, hint: hint(caller, &rule) }.into()
}

/// A ticket would give more than whoever asks for it may give.
pub(super) fn of_gift(rules: &Rules, caller: &Caller, user: &str, act: Act, asked: &Selector) -> Error {
    let (verb, key) = match act {
        Act::Publish => ("publish to", "publish"),
        Act::Subscribe => ("subscribe to", "subscribe"),
    };
    let covered = covered(rules, caller, act);
    let user = shown(user);
    let reason = format!(
        "{} may not give the right to {verb} `{asked}`: it may do so itself with {covered}, and no rule gives it to \
         the user `{user}`",
        subject(rules, caller)
    );
    Error::forbidden(reason).hint(hint(caller, &format!("{key} = [\"{asked}\"]")))
}

/// The caller may not do this.
pub(super) fn of_action(rules: &Rules, caller: &Caller, action: Action) -> Error {
    let reason = format!("{} may not {}", subject(rules, caller), action.deed());
    Denial { caller, reason, hint: hint(caller, &format!("may = [\"{}\"]", action.name())) }.into()
}

/// A server without rules does not do this, or not for this caller.
pub(super) fn without_rules(action: Action, is_exposed: bool) -> Error {
    let deed = action.deed();
    match action {
        Action::PageHistory => Error::forbidden(
            "what callout's own pages keep is shown only with a publish token, and this server has none",
        ),
        Action::Retract => Error::forbidden(
            "without a publish token, events are taken back only from the machine that callout runs on",
        ),
        _ if is_exposed => Error::forbidden(format!(
            "a server that others can reach lets nobody {deed} without a token, and this one has none"
        )),
        _ => Error::forbidden(format!("without a token, only the machine that callout runs on may {deed}")),
    }
    .hint("start the server with `--publish-token`, or with a `[[token]]` in its configuration file")
}

/// Who was refused.
fn subject(rules: &Rules, caller: &Caller) -> String {
    match &caller.credential {
        Credential::Unknown => {
            "the token that was sent is none of this server's, and without one a request".into()
        }
        Credential::Token(digest) if rules.token(digest).is_none() => {
            format!("{}, which is not valid any more,", caller.identity)
        }
        Credential::None if caller.identity == Identity::Anonymous => {
            format!("{} in `Authorization`, `?ticket=` or the cookie `callout_ticket`", caller.identity)
        }
        _ => caller.identity.to_string(),
    }
}

/// What would help.
fn hint(caller: &Caller, rule: &str) -> String {
    match caller.identity {
        Identity::Anonymous => NOBODY.into(),
        _ => format!("a rule with `{rule}` would allow it"),
    }
}

/// What the caller may: the first patterns of each rule that counts, and the pages.
fn covered(rules: &Rules, caller: &Caller, act: Act) -> String {
    let mut listed = Vec::new();
    let mut count = 0;
    for rights in rules.rights(caller) {
        let (patterns, areas) = match act {
            Act::Publish => (&rights.publish, rights.writes),
            Act::Subscribe => (&rights.subscribe, rights.reads),
        };
        let (shown, all) = patterns.shown();
        listed.extend(shown.iter().map(|pattern| format!("`{pattern}`")));
        let pages = Area::NAMED.into_iter().filter(|area| areas.has(*area));
        let pages: Vec<String> = pages.map(|area| format!("the page `{}`", area.name())).collect();
        count += all + pages.len();
        listed.extend(pages);
    }
    listed.truncate(LISTED_MAX);
    match count - listed.len() {
        0 if listed.is_empty() => "nothing".into(),
        0 => listed.join(", "),
        more => format!("{} and {more} more", listed.join(", ")),
    }
}
