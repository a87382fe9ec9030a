//! An event and its bytes on the wire, as the HTML standard, section 9.2, defines them.
//!
//! Text from outside enters an event only through its constructor, which refuses CR, LF and NUL in id
//! and name; the encoder splits data at CRLF, CR and LF.

mod check;
mod form;
mod id;

pub(crate) use check::{DRAIN, OPEN, RETRACT, UNAUTHORIZED};
pub use check::{EARLIEST, ID_BYTES_MAX, NAME_BYTES_MAX};
pub use form::Form;
pub use id::Id;

use crate::error::Error;
use crate::topic::Topic;
use check::{END, PRESENCE, RESET, check_id, check_name};
use crossbeam_channel::{Receiver, Sender, unbounded};
use memchr::memchr2;
use serde::Serialize;
use std::fmt::Write;
use std::sync::Arc;

/// The bounds of `retry`, in milliseconds; values outside are moved to the nearest. After a shorter delay all browsers
/// of a server that restarts come back at the same moment; after a longer one a page seems dead.
pub const RETRY_MILLIS: std::ops::RangeInclusive<u32> = 100..=600_000;

/// The bytes of one or more whole events, shared by everyone who receives them. [`Event::encode`] makes one.
pub type Frame = Arc<[u8]>;

/// What a publisher wants to say, not yet checked. [`Event::new`] makes an event of it.
///
/// ```
/// use callout::{Draft, Event, Topic};
///
/// let draft = Draft {
///     topics: vec![Topic::new("news")?],
///     name: Some("headline".into()),
///     data: "two\nlines".into(),
///     ..Draft::default()
/// };
/// let frame = Event::new(draft)?.encode(None);
/// assert_eq!(&*frame, b"event: headline\ndata: two\ndata: lines\n\n");
/// # Ok::<(), callout::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Draft {
    /// The topics that it is published to: at least one.
    pub topics: Vec<Topic>,
    /// The event's name; none or empty means `message`, the name that `onmessage` listens to.
    pub name: Option<String>,
    /// The publisher's own id. Without one the event bears the history's id on the wire.
    pub id: Option<String>,
    /// How long browsers wait before they reconnect from now on, in milliseconds.
    pub retry_millis: Option<u32>,
    /// The text. Line ends of all three kinds arrive as LF, as the standard has it.
    pub data: String,
}

/// A checked event: what it holds can be sent without breaking the stream.
///
/// ```
/// use callout::{Draft, Event, Topic};
///
/// let topics = vec![Topic::new("news")?];
/// let event = Event::new(Draft { topics: topics.clone(), data: "hello".into(), ..Draft::default() })?;
/// assert_eq!((&**event.topics(), event.data()), (&*topics, "hello"));
/// assert!(Event::new(Draft { topics, name: Some("two\nlines".into()), ..Draft::default() }).is_err());
/// # Ok::<(), callout::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Event {
    topics: Arc<[Topic]>,
    name: Option<Box<str>>,
    id: Option<Box<str>>,
    retry_millis: Option<u32>,
    data: String,
    count: Option<Count>,
}

/// The data of [`Event::retract`].
#[derive(Serialize)]
struct Retract<'a> {
    topic: &'a str,
    id: Option<&'a str>,
}

/// Where the hub reports how many browsers it passed an event on to: a number for each group of them. Closes when the
/// hub has delivered the event, or has dropped it.
pub type Count = Sender<usize>;

impl Event {
    /// Checks a draft. [`Error::bad`] says which field cannot be sent and why; a `retry` out of
    /// [`RETRY_MILLIS`] is moved to its nearest end.
    pub fn new(draft: Draft) -> Result<Event, Error> {
        if draft.topics.is_empty() {
            return Err(Error::bad("an event needs at least one topic"));
        }
        let name = draft.name.filter(|name| !name.is_empty());
        name.as_deref().map_or(Ok(()), check_name)?;
        draft.id.as_deref().map_or(Ok(()), check_id)?;
        Ok(Event {
            topics: draft.topics.into(),
            name: name.map(String::into_boxed_str),
            id: draft.id.map(String::into_boxed_str),
            retry_millis: draft.retry_millis.map(|ms| ms.clamp(*RETRY_MILLIS.start(), *RETRY_MILLIS.end())),
            data: draft.data,
            count: None,
        })
    }

    /// The event that tells a browser of a gap.
    #[doc(hidden)]
    pub fn reset(data: String) -> Event {
        Event::own(RESET, Arc::new([]), data)
    }

    /// The event that tells the subscribers of a topic that the event with this id on the wire was retracted; or, without
    /// an id, that all older events of the topic were. Only a history makes one.
    pub fn retract(topic: Topic, id: Option<&str>) -> Event {
        let data = serde_json::to_string(&Retract { topic: topic.as_str(), id });
        Event::own(RETRACT, Arc::new([topic]), data.expect("two texts are JSON"))
    }

    /// The event that says who is present.
    pub(crate) fn presence(data: String) -> Event {
        Event::own(PRESENCE, Arc::new([]), data)
    }

    /// The event that says that what a stream shows is gone for good. Browsers drop an event without data, so it has
    /// an empty object.
    pub(crate) fn end() -> Event {
        Event::own(END, Arc::new([]), "{}".into())
    }

    /// An event of callout's own. Publishers cannot make one, since [`Event::new`] refuses its name.
    fn own(name: &'static str, topics: Arc<[Topic]>, data: String) -> Event {
        Event { topics, name: Some(name.into()), id: None, retry_millis: None, data, count: None }
    }

    /// The same event, and the channel on which the hub reports how many browsers it was passed on to: the sum of
    /// what comes. The channel closes when the last copy of the event is gone.
    #[doc(hidden)]
    pub fn counted(self) -> (Event, Receiver<usize>) {
        let (count, counts) = unbounded();
        (Event { count: Some(count), ..self }, counts)
    }

    /// Where its browsers are counted, if they are.
    #[doc(hidden)]
    pub fn count(&self) -> Option<Count> {
        self.count.clone()
    }

    /// The topics it is published to.
    pub fn topics(&self) -> &Arc<[Topic]> {
        &self.topics
    }

    /// The text.
    pub fn data(&self) -> &str {
        &self.data
    }

    /// The id that the publisher gave, if any.
    pub fn given_id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The event's bytes, with the publisher's id or else `id`. An ephemeral event has neither.
    pub fn encode(&self, id: Option<Id>) -> Frame {
        let mut text = String::with_capacity(self.data.len() + 64);
        // Writing to a String cannot fail.
        let _ = match (&self.id, id) {
            (Some(given), _) => writeln!(text, "id: {given}"),
            (None, Some(id)) => writeln!(text, "id: {id}"),
            (None, None) => Ok(()),
        };
        if let Some(name) = &self.name {
            let _ = writeln!(text, "event: {name}");
        }
        if let Some(retry_millis) = self.retry_millis {
            let _ = writeln!(text, "retry: {retry_millis}");
        }
        for piece in pieces(&self.data) {
            text.push_str("data: ");
            text.push_str(piece);
            text.push('\n');
        }
        text.push('\n');
        text.into_bytes().into()
    }
}

/// Cuts text at CRLF, CR and LF, the three line ends of an event stream. The text after the last one is a piece too,
/// even when it is empty.
fn pieces(data: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(data);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some(end) = memchr2(b'\r', b'\n', text.as_bytes()) else {
            rest = None;
            return Some(text);
        };
        let line_end_bytes = if text[end..].starts_with("\r\n") { 2 } else { 1 };
        rest = Some(&text[end + line_end_bytes..]);
        Some(&text[..end])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(data: &str) -> Draft {
        Draft { topics: vec![Topic::new("t").unwrap()], data: data.into(), ..Draft::default() }
    }

    fn text(draft: Draft, id: Option<Id>) -> String {
        String::from_utf8(Event::new(draft).unwrap().encode(id).to_vec()).unwrap()
    }

    #[test]
    fn data_is_cut_at_every_kind_of_line_end() {
        for (data, wire) in [
            ("hello", "data: hello\n\n"),
            ("", "data: \n\n"),
            ("a\n", "data: a\ndata: \n\n"),
            ("a\rb\nc\r\nd", "data: a\ndata: b\ndata: c\ndata: d\n\n"),
            ("\n\n", "data: \ndata: \ndata: \n\n"),
            ("x\nid: 9\nevent: y\nretry: 1", "data: x\ndata: id: 9\ndata: event: y\ndata: retry: 1\n\n"),
            ("a\u{85}b\u{2028}c", "data: a\u{85}b\u{2028}c\n\n"),
        ] {
            assert_eq!(text(draft(data), None), wire, "{data:?}");
        }
    }

    #[test]
    fn fields_stand_before_the_data_and_the_given_id_wins() {
        let full = Draft {
            name: Some("news".into()),
            id: Some("mine-1".into()),
            retry_millis: Some(1),
            ..draft("x")
        };
        let wire = "id: mine-1\nevent: news\nretry: 100\ndata: x\n\n";
        assert_eq!(text(full, Some(Id::from_key(7))), wire);
        assert_eq!(text(draft("x"), Some(Id::from_key(7))), "id: 0000000000000007\ndata: x\n\n");
    }

    #[test]
    fn what_would_break_the_stream_or_the_browser_is_refused() {
        let own = ["reset", "retract", "end", "unauthorized", "open", "drain", "presence"];
        for name in ["a\nb", "a\rb", "a\0b", "error", &"n".repeat(256)].into_iter().chain(own) {
            assert!(Event::new(Draft { name: Some(name.into()), ..draft("") }).is_err(), "{name:?}");
        }
        for id in ["", "a b", "a\nb", "é", "earliest", "0123456789abcdef", "a:b", &"i".repeat(65)] {
            assert!(Event::new(Draft { id: Some(id.into()), ..draft("") }).is_err(), "{id:?}");
        }
        assert!(Event::new(Draft { topics: Vec::new(), ..draft("") }).is_err());
    }
}
