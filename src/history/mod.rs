//! What a history promises: it gives every kept event its id, in one total order, keeps it, feeds the
//! hub, and answers "what came after id X on these topics?".
//!
//! - An id is given in one place and only grows, across restarts too.
//! - Publishing is acknowledged after the event has its id and is where the history keeps it.
//! - What is kept is handed to the hub in the order of the ids, and nothing that a reader can find in
//!   the history is still to be handed over.

mod edges;
mod memory;

pub use memory::{Bounds, Memory};

use crate::error::Error;
use crate::event::{Event, Frame, Id};
use crate::topic::Topic;

/// The most events that one page of a replay holds.
pub const PAGE_EVENTS: usize = 256;

/// The bytes after which a page of a replay ends; one event may still be larger.
pub const PAGE_BYTES: usize = 256 * 1024;

/// Where a new stream begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// With what comes from now on.
    Live,
    /// With all that is kept.
    Earliest,
    /// With the last so many events on its topics.
    Latest(usize),
    /// After the event with this id, which may be ours or a publisher's.
    After(String),
}

/// Where a stream's replay begins, found by [`History::resume`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resume {
    /// The replay gives what is newer than this.
    pub after: Id,
    /// The id with which a browser that saw nothing yet can come back to this place. It is of the
    /// stream's own topics, or the edge of what they have lost, so that it tells nothing about others.
    pub position: String,
    /// The id that was asked for is unknown or too old: there is a gap, and the browser has to be told.
    pub gap: bool,
}

/// A part of a replay.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// The events, in the order of their ids.
    pub frames: Vec<Frame>,
    /// All up to here is in this page or was before it.
    pub through: Id,
    /// Some of what came after the place asked for is no longer kept: the page begins after this edge.
    pub gap: Option<Id>,
}

/// The answer to a publisher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The id that the event bears on the wire.
    pub id: String,
}

/// Keeps events. Its methods may be called from any thread; they block no longer than it takes to keep
/// the event or read the page.
pub trait History: Send + Sync {
    /// Gives the event its id, keeps it and hands it to the hub. When this returns, the event is where
    /// this history keeps events. [`Error::Unavailable`]: it could not be kept, and will not appear.
    fn publish(&self, event: Event) -> Result<Receipt, Error>;

    /// Finds the place from which a stream on these topics goes on.
    fn resume(&self, start: &Start, topics: &[Topic]) -> Result<Resume, Error>;

    /// Reads what is newer than `after` and not newer than `through` on these topics: at most
    /// [`PAGE_EVENTS`] events and about [`PAGE_BYTES`] bytes. Runs on the caller's thread.
    fn page(&self, after: Id, through: Id, topics: &[Topic]) -> Result<Page, Error>;

    /// How much is kept now: events and bytes.
    fn kept(&self) -> (usize, usize);
}
