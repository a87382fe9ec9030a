//! Areas: whose the topics are that begin with `$`. Rules name them by the page, users' notifications as topics
//! `users/NAME`.

use crate::error::Error;
use crate::topic::Topic;
use std::str::FromStr;

/// Topics that belong together. A rule names all but the last two by their name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Area {
    /// The chat.
    Chat,
    /// The message wall.
    Wall,
    /// Posts and feeds.
    Posts,
    /// Notifications of all users.
    Notifications,
    /// Live activity.
    Activity,
    /// The connection check.
    Check,
    /// The time of day, which belongs to the notifications.
    Time,
    /// Pages of a program that embeds callout.
    Program,
}

impl Area {
    /// Those that a rule can name.
    pub const NAMED: [Area; 6] =
        [Area::Chat, Area::Wall, Area::Posts, Area::Notifications, Area::Activity, Area::Check];

    /// Its page's name; nothing where no rule names it.
    pub fn name(self) -> &'static str {
        match self {
            Area::Chat => "chat",
            Area::Wall => "wall",
            Area::Posts => "posts",
            Area::Notifications | Area::Time => "notifications",
            Area::Activity => "activity",
            Area::Check => "check",
            Area::Program => "",
        }
    }

    /// A topic that stands for all of the page's. Of notifications it is the user's, or that of all users.
    pub(crate) fn topic(self, user: Option<&str>) -> Result<Topic, Error> {
        let name = match self {
            Area::Chat => "$chat",
            Area::Wall => "$wall",
            Area::Posts => "$posts",
            Area::Activity => "$activity",
            Area::Check | Area::Program => "$check/any",
            Area::Notifications | Area::Time => {
                // A name that is too long for a topic has no notifications.
                let own = user.map(|user| Topic::new(&format!("$user/{user}")));
                return own.and_then(Result::ok).map_or_else(|| Topic::new("$users"), Ok);
            }
        };
        Topic::new(name)
    }
}

impl FromStr for Area {
    type Err = Error;

    /// Reads the name of a page. [`Error::bad`] lists them.
    fn from_str(text: &str) -> Result<Area, Error> {
        Area::NAMED.into_iter().find(|area| area.name() == text).ok_or_else(|| {
            let names = Area::NAMED.map(Area::name).join(", ");
            Error::bad(format!("`{text}` is no page that a rule can name: there are {names}"))
        })
    }
}

/// Some of the areas.
#[derive(Debug, Clone, Copy, Default)]
pub struct Areas(u8);

impl Areas {
    /// All of them.
    pub(super) const ALL: Areas = Areas(u8::MAX);

    /// Whether this one is among them.
    pub(super) fn has(self, area: Area) -> bool {
        self.0 & bit(area) != 0
    }

    /// Adds an area; with the notifications the time, which comes by the same streams.
    pub(super) fn add(&mut self, area: Area) {
        self.0 |= bit(area);
        if area == Area::Notifications {
            self.add(Area::Time);
        }
    }

    pub(super) fn without(self, area: Area) -> Areas {
        Areas(self.0 & !bit(area))
    }
}

fn bit(area: Area) -> u8 {
    1 << area as u8
}

/// Whose a topic is that begins with `$`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner<'a> {
    /// A page's.
    Page(Area),
    /// One user's.
    User(Area, &'a str),
    /// That of all users together.
    Users(Area),
}

impl Owner<'_> {
    pub(super) fn of(topic: &str) -> Owner<'_> {
        let (head, name) = topic.split_once('/').map_or((topic, None), |(head, name)| (head, Some(name)));
        match (head, name) {
            ("$chat", None) => Owner::Page(Area::Chat),
            ("$wall", None) => Owner::Page(Area::Wall),
            ("$activity", None) => Owner::Page(Area::Activity),
            ("$check", Some(_)) => Owner::Page(Area::Check),
            ("$posts" | "$feeds", _) | ("$post" | "$feed", Some(_)) => Owner::Page(Area::Posts),
            ("$users", None) => Owner::Users(Area::Notifications),
            ("$user", Some(name)) => Owner::User(Area::Notifications, name),
            ("$time", None) => Owner::Users(Area::Time),
            ("$time", Some(name)) => Owner::User(Area::Time, name),
            _ => Owner::Page(Area::Program),
        }
    }

    pub(super) fn area(self) -> Area {
        match self {
            Owner::Page(area) | Owner::User(area, _) | Owner::Users(area) => area,
        }
    }
}
