//! The history: it gives every kept event its id, in one total order, keeps it, feeds the hub, and answers
//! "what came after id X for these selectors?".
//!
//! - An id is given in one place and only grows, across restarts too.
//! - Publishing is acknowledged after the event has its id and is where the history keeps it; from then on every
//!   read finds it.
//! - Kept events are handed to the hub in the order of their ids, after they are kept.
//!
//! A program may bring a history of its own: it implements [`History`], and
//! [`Builder::history`](crate::Builder::history) takes it. [`Memory`] can be wrapped, where a program wants to do
//! something more with each event; `examples/history.rs` is one from the ground up.

mod address;
mod edges;
mod given;
mod lists;
#[doc(hidden)]
pub mod log;
#[doc(hidden)]
pub mod memory;
mod retention;
mod retract;

pub use address::{Address, open};
pub use memory::Memory;
pub use retention::{Bounds, TopicBounds};

use crate::error::Error;
use crate::event::{Event, Frame, Id};
use crate::selector::Selector;
use crate::topic::Topic;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The most events in one part of a replay.
pub const PART_EVENTS: usize = 256;

/// The bytes after which a part of a replay ends; one event may still be larger.
pub const PART_BYTES: usize = 32 * 1024;

/// The most topics in one part of their list.
pub const TOPICS_PART: usize = 256;

/// What an event costs beside its frame, roughly: its entry and its positions in the indexes. It counts
/// towards the bound on bytes.
const EVENT_OVERHEAD_BYTES: usize = 128;

/// When an event counts as kept, where it is kept on disk.
///
/// ```
/// let mut config = callout::Config::default();
/// config.data = callout::Address::Folder("/var/lib/callout".into());
/// config.durability = callout::Durability::Relaxed; // measurements that nobody misses if a few are lost
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Durability {
    /// When it is on disk: nothing that was acknowledged or delivered is ever lost.
    #[default]
    Strict,
    /// At once: it is on disk within 100 ms, and what was acknowledged in that time can be lost.
    Relaxed,
}

/// Where a new stream begins.
///
/// ```
/// use callout::{Answer, Start, Topics, get};
///
/// // Who opens the room sees its last ten events; who comes back goes on after the last one that was seen.
/// let room = get("/rooms/{room}", |app, request| Ok(Answer::stream(app.stream(request, Start::Latest(10))?)));
/// let room = room.subscribes(Topics::in_path("room"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Start {
    /// With what is published from now on.
    Live,
    /// With all that is kept.
    Earliest,
    /// With the last so many events on its topics.
    Latest(usize),
    /// After the event with this id, which may be the history's or its publisher's.
    After(String),
}

/// Where a stream's replay begins, found by [`History::resume`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resume {
    /// The replay gives what is newer than this.
    pub after: Id,
    /// The id with which a browser that has seen no event yet can come back to this position. It belongs to the
    /// stream's own topics, or is the edge of what they have lost, so that it reveals nothing about others.
    pub position: String,
    /// The id that was asked for is unknown or too old: there is a gap, and the browser has to be told.
    pub gap: bool,
}

/// An event that is kept.
#[derive(Debug, Clone)]
pub struct Kept {
    /// Its id.
    pub id: Id,
    /// When it was published, by the clock of that moment.
    pub at: SystemTime,
    /// The first of its topics, in the publisher's order, that the read was for.
    pub topic: Topic,
    /// Its bytes on the wire, in the plain form.
    pub frame: Frame,
}

/// A part of a replay.
#[derive(Debug, Clone, Default)]
pub struct Part {
    /// The events, in the order of their ids.
    pub events: Vec<Kept>,
    /// All events up to here are in this part or were before it. Where it is not what was asked for, the next part goes on
    /// from here.
    pub through: Id,
    /// Some of what came after the position asked for is no longer kept: the part begins after this edge.
    pub gap: Option<Id>,
}

/// The answer to a publisher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The id that the event bears on the wire.
    pub id: String,
    /// The event was published before, under the same id of its publisher, and is kept: nothing was done.
    pub duplicate: bool,
}

/// The answer to a retraction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retracted {
    /// How many events were taken back, not counting `retract` events.
    pub count: usize,
    /// The id on the wire of the `retract` event that was published; none where nothing was taken back.
    pub id: Option<String>,
}

/// How a history is doing. [`Status::default`] is that of one that keeps nothing yet.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Status {
    /// Events kept.
    pub events: usize,
    /// Bytes kept, as [`Bounds`] counts them.
    pub bytes: usize,
    /// When the oldest of them was published, or a retracted event whose id is still known; none where no event is
    /// kept.
    pub oldest: Option<SystemTime>,
    /// How long the last commit took, where there are commits.
    pub commit: Option<Duration>,
    /// Why nothing can be kept now, if that is so.
    pub failure: Option<String>,
}

/// What is kept of one topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicStatus {
    /// Its name.
    pub topic: String,
    /// Events kept.
    pub events: usize,
    /// When the oldest of them was published.
    pub oldest: SystemTime,
    /// When the newest of them was published.
    pub newest: SystemTime,
}

/// Keeps events. Its methods may be called from any thread; they block no longer than it takes to keep
/// the event or read the part.
///
/// What an implementation owes the hub, which it is given by [`Builder::history`](crate::Builder::history):
///
/// - [`Hub::begin_after`](crate::Hub::begin_after) once, with the newest id that was ever given, before anything else.
///   Ids grow across restarts too; a key made of the clock's nanoseconds, or one more than the last, does that.
/// - [`Hub::broadcast_kept`](crate::Hub::broadcast_kept) for each event, after it is kept and before `publish` returns,
///   in the order of the ids.
///
/// ```
/// use callout::history::{History, Memory, Part, Receipt, Resume, Retracted, Status, TopicStatus};
/// use callout::{Bounds, Draft, Error, Event, Id, Selector, Server, Start, Topic};
/// use std::sync::{Arc, Mutex};
/// use std::time::Duration;
///
/// /// Keeps events in memory, and notes in a journal what was published and taken back.
/// struct Audited {
///     inner: Memory,
///     journal: Arc<Mutex<Vec<String>>>,
/// }
///
/// impl History for Audited {
///     fn publish(&self, event: Event) -> Result<Receipt, Error> {
///         let bytes = event.data().len();
///         let receipt = self.inner.publish(event)?;
///         self.journal.lock().unwrap().push(format!("published {bytes} bytes as {}", receipt.id));
///         Ok(receipt)
///     }
///
///     fn retract(&self, topic: &Topic, id: Option<&str>) -> Result<Retracted, Error> {
///         let retracted = self.inner.retract(topic, id)?;
///         self.journal.lock().unwrap().push(format!("took {} back from {topic}", retracted.count));
///         Ok(retracted)
///     }
///
///     fn resume(&self, start: &Start, selectors: &[Selector]) -> Result<Resume, Error> {
///         self.inner.resume(start, selectors)
///     }
///
///     fn read(&self, after: Id, through: Id, selectors: &[Selector]) -> Result<Part, Error> {
///         self.inner.read(after, through, selectors)
///     }
///
///     fn status(&self) -> Status {
///         self.inner.status()
///     }
///
///     fn topics(&self, after: &str) -> Result<Vec<TopicStatus>, Error> {
///         self.inner.topics(after)
///     }
///
///     fn close(&self, deadline: Duration) {
///         self.inner.close(deadline)
///     }
/// }
///
/// let journal = Arc::new(Mutex::new(Vec::new()));
/// let noted = journal.clone();
/// let server = Server::builder()
///     .listen(([127, 0, 0, 1], 0).into())
///     .history(|hub| Ok(Arc::new(Audited { inner: Memory::new(hub, Bounds::default()), journal: noted })))
///     .start()
///     .unwrap();
/// server.publish(Draft { topics: vec![Topic::new("news")?], data: "hello".into(), ..Draft::default() })?;
/// assert!(journal.lock().unwrap()[0].starts_with("published 5 bytes as "));
/// # Ok::<(), callout::Error>(())
/// ```
pub trait History: Send + Sync {
    /// Gives the event its id, keeps it and hands it to the hub. When this returns, the event is where
    /// this history keeps events. [`Error::unavailable`]: it could not be kept, and will not appear.
    ///
    /// An event whose publisher gave it an id under which the same is already kept, on all of its topics, is
    /// answered as before and not kept again. [`Error::conflict`]: something else is kept under that id.
    fn publish(&self, event: Event) -> Result<Receipt, Error>;

    /// As [`History::publish`], for many events: they are kept in their order, and where keeping costs a commit they share
    /// it. An error is that of its event alone.
    fn publish_all(&self, events: Vec<Event>) -> Vec<Result<Receipt, Error>> {
        events.into_iter().map(|event| self.publish(event)).collect()
    }

    /// Takes a kept event of this topic back, by its id on the wire; or all that is kept of the topic. An event is
    /// gone from all of its topics. When this returns no read finds it, its text cannot be read any more, and its
    /// publisher's id may be used again. A browser that comes back with its id still goes on without a gap, until
    /// the id is let go like an event.
    ///
    /// A kept event named `retract` is published to all topics of the event, with the data
    /// `{"topic":"…","id":"…"}`; the topic is this one. Where all is taken back `id` is null and the event is the
    /// only one left on this topic; an event that also belongs to other topics is named to those by its id.
    ///
    /// [`Error::not_found`]: nothing with this id is kept on the topic. [`Error::bad`]: it is a `retract` event.
    /// [`Error::unavailable`]: the retraction could not be kept, and nothing was taken back. Taking back all of a
    /// topic that keeps nothing is no error, and publishes nothing.
    fn retract(&self, topic: &Topic, id: Option<&str>) -> Result<Retracted, Error>;

    /// Finds the position from which a stream on the topics of these selectors goes on; a start of a kind that this
    /// history does not know is [`Start::Live`]. An id that means several events of these
    /// topics goes on from the oldest of them, or is told as a gap. What any of these topics has lost since that id is a
    /// gap, also of topics of which nothing is kept any more; where it is not known whether a topic is one of them, it is a
    /// gap too. [`Error::unavailable`]: the history cannot be read now.
    fn resume(&self, start: &Start, selectors: &[Selector]) -> Result<Resume, Error>;

    /// Reads what is newer than `after` and not newer than `through` on the topics of these selectors: at most
    /// [`PART_EVENTS`] events and about [`PART_BYTES`] bytes, each event once. A part may end before that, also
    /// without an event, where many events of other topics stand between: the next goes on from [`Part::through`]. Runs on
    /// the caller's thread; errors as [`History::resume`].
    fn read(&self, after: Id, through: Id, selectors: &[Selector]) -> Result<Part, Error>;

    /// How much is kept, and how the history is doing.
    fn status(&self) -> Status;

    /// What is kept, topic by topic, in the order of their names: the first [`TOPICS_PART`] behind this name, which
    /// is empty for the first of all. Errors as [`History::resume`].
    fn topics(&self, after: &str) -> Result<Vec<TopicStatus>, Error>;

    /// Puts everything where it survives and takes nothing more: the last call before the process ends.
    /// Blocks until that is done, or gives up after the deadline.
    fn close(&self, deadline: Duration);
}

/// An id is given in one place and only grows, across restarts too: its key is the time in nanoseconds, or one
/// more than the last key where the clock stands still or went back. So ids also grow across restarts where
/// nothing was kept, and the distance between two ids reveals nothing about what was published between them.
/// [`Error::unavailable`] where there is no id left, as after a clock that stood at July 2554.
fn next_id(last: Id, now: SystemTime) -> Result<Id, Error> {
    let next = Id::from_key(to_nanos(now).max(last.key().saturating_add(1)));
    if next == Id::MAX {
        return Err(Error::unavailable(
            "the event cannot be numbered: ids end in July 2554, and the clock stood there when the last was given",
        ));
    }
    Ok(next)
}

/// The first of an event's topics that a read is for.
fn topic_of<'a>(names: impl IntoIterator<Item = &'a str>, asked: &[Selector]) -> Option<Topic> {
    let name = names.into_iter().find(|name| asked.iter().any(|selector| selector.matches_name(name)))?;
    let exact = asked.iter().filter_map(Selector::topic).find(|topic| topic.as_str() == name);
    exact.cloned().or_else(|| Topic::kept(name).ok())
}

/// The present. Where the clock is of no use, the beginning of 1970: every time that a history notes can be written.
fn now() -> SystemTime {
    from_nanos(to_nanos(SystemTime::now()))
}

/// A time as nanoseconds since 1970. Times before 1970 and after 2554 become 0: the clock is of no use then.
fn to_nanos(time: SystemTime) -> u64 {
    let nanos = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    u64::try_from(nanos).unwrap_or(0)
}

/// The time that is so many nanoseconds after the beginning of 1970.
fn from_nanos(nanos: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(nanos)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn an_id_is_larger_than_all_before_whatever_the_clock_says_and_none_is_given_past_the_last() {
        let day = Duration::from_secs(24 * 60 * 60);
        let (last, end) = (Id::from_key(1_000), Id::from_key(u64::MAX - 1));
        let far = from_nanos(u64::MAX);
        for clock in [UNIX_EPOCH, UNIX_EPOCH - day, far, far + day, far + 400_000 * day] {
            assert!(next_id(last, clock).is_ok_and(|id| id > last) || clock == far, "{clock:?}");
            assert!(
                matches!(next_id(end, clock), Err(error) if error.kind() == ErrorKind::Unavailable),
                "{clock:?}"
            );
            assert!(
                matches!(next_id(Id::MAX, clock), Err(error) if error.kind() == ErrorKind::Unavailable),
                "{clock:?}"
            );
            // Such a time can be noted, and shown.
            let noted = from_nanos(to_nanos(clock));
            assert_eq!(humantime::format_rfc3339_millis(noted).to_string().len(), 24, "{clock:?}");
        }
        assert_eq!(next_id(last, from_nanos(2_000)), Ok(Id::from_key(2_000)));
    }
}
