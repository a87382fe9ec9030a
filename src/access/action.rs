//! Rights that are not about publishing to a topic or subscribing to one.

use crate::error::Error;
use std::str::FromStr;

/// Such a right. A rule names all but [`Action::HistoryList`] and [`Action::PageHistory`], which `history` gives too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// Reading what is kept of a topic.
    History,
    /// Reading of which topics something is kept.
    HistoryList,
    /// Reading what callout's own pages keep.
    PageHistory,
    /// Making tickets for users, and revoking them.
    Tickets,
    /// Taking a kept event back.
    Retract,
    /// Ending a topic's streams.
    Close,
    /// Reading figures for monitoring.
    Metrics,
    /// Everything that the operator's page does.
    Admin,
}

impl Action {
    /// Those that a rule can name.
    pub const NAMED: [Action; 6] =
        [Action::History, Action::Tickets, Action::Retract, Action::Close, Action::Metrics, Action::Admin];

    /// The name that gives it in a rule.
    pub fn name(self) -> &'static str {
        match self {
            Action::History | Action::HistoryList | Action::PageHistory => "history",
            Action::Tickets => "tickets",
            Action::Retract => "retract",
            Action::Close => "close",
            Action::Metrics => "metrics",
            Action::Admin => "admin",
        }
    }

    /// What a caller does by it, as errors say it.
    pub(super) fn deed(self) -> &'static str {
        match self {
            Action::History => "read the history",
            Action::HistoryList => "list what is kept",
            Action::PageHistory => "read what callout's own pages keep",
            Action::Tickets => "make or revoke tickets",
            Action::Retract => "take events back",
            Action::Close => "end streams",
            Action::Metrics => "read the metrics",
            Action::Admin => "administer the server",
        }
    }
}

impl FromStr for Action {
    type Err = Error;

    /// Reads the name of a right. [`Error::bad`] lists them.
    fn from_str(text: &str) -> Result<Action, Error> {
        Action::NAMED.into_iter().find(|action| action.name() == text).ok_or_else(|| {
            let names = Action::NAMED.map(Action::name).join(", ");
            Error::bad(format!("`{text}` is no right: there are {names}"))
        })
    }
}
