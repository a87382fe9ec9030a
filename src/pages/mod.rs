//! The pages: small applications on the hub. Each has its routes, its topics and its JSON, in a file of its own,
//! and a web page of the same name under `www/`.

pub mod activity;
pub mod chat;
pub mod check;
pub mod notifications;
pub mod posts;
pub mod wall;
mod name;

use crate::error::Error;
use std::fmt;
use std::str::FromStr;

/// A page that can be switched off.
///
/// ```
/// use callout::{Page, Pages, Server};
///
/// let pages: Pages = Page::ALL.into_iter().filter(|page| *page != Page::Wall).collect();
/// let builder = Server::builder().pages(pages);
/// assert_eq!(Page::Wall.name(), "wall");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Page {
    /// `/sse.html`: a chat room.
    Chat,
    /// `/activity.html`: live statistics.
    Activity,
    /// `/notifications.html`: messages to one user or to everyone.
    Notifications,
    /// `/wall.html`: a message wall.
    Wall,
    /// `/posts.html`: posts, tags and feeds.
    Posts,
}

impl Page {
    /// All of them.
    pub const ALL: [Page; 5] = [Page::Chat, Page::Activity, Page::Notifications, Page::Wall, Page::Posts];

    /// The name that `--pages` takes.
    pub fn name(self) -> &'static str {
        match self {
            Page::Chat => "chat",
            Page::Activity => "activity",
            Page::Notifications => "notifications",
            Page::Wall => "wall",
            Page::Posts => "posts",
        }
    }
}

/// The pages that a server has. A page that is off has no routes and no files.
///
/// ```
/// use callout::{Page, Pages};
///
/// let pages: Pages = "chat,posts".parse().unwrap();
/// assert!(pages.has(Page::Chat) && !pages.has(Page::Wall));
/// assert_eq!(Pages::none().to_string(), "none");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pages(Vec<Page>);

impl Pages {
    /// All pages.
    pub fn all() -> Pages {
        Pages(Page::ALL.to_vec())
    }

    /// No page: for a program that brings its own.
    pub fn none() -> Pages {
        Pages(Vec::new())
    }

    /// Whether this page is on.
    pub fn has(&self, page: Page) -> bool {
        self.0.contains(&page)
    }

    /// The pages that are off.
    pub fn off(&self) -> impl Iterator<Item = Page> {
        Page::ALL.into_iter().filter(|page| !self.has(*page))
    }
}

impl Default for Pages {
    fn default() -> Pages {
        Pages::all()
    }
}

impl FromIterator<Page> for Pages {
    fn from_iter<T: IntoIterator<Item = Page>>(pages: T) -> Pages {
        let given: Vec<Page> = pages.into_iter().collect();
        Pages(Page::ALL.into_iter().filter(|page| given.contains(page)).collect())
    }
}

impl FromStr for Pages {
    type Err = Error;

    /// Reads `chat,posts`, `all` or `none`. [`Error::bad`] names what is no page.
    fn from_str(text: &str) -> Result<Pages, Error> {
        match text {
            "all" => return Ok(Pages::all()),
            "none" => return Ok(Pages::none()),
            _ => {}
        }
        let find = |name: &str| {
            let page = Page::ALL.into_iter().find(|page| page.name() == name);
            page.ok_or_else(|| {
                Error::bad(format!(
                    "`{name}` is no page: there are chat, activity, notifications, wall and posts, with commas between \
                     them, or none"
                ))
            })
        };
        text.split(',').map(str::trim).map(find).collect()
    }
}

impl fmt::Display for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none");
        }
        f.write_str(&self.0.iter().map(|page| page.name()).collect::<Vec<_>>().join(","))
    }
}
