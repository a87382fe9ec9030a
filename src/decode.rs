//! Reading an event stream, line by line, as the HTML standard, section 9.2.6, says.
//!
//! Lines are taken to end in LF or CRLF, which is all that a callout ever writes.

use crate::event::RETRY_MILLIS;
use serde::Serialize;
use std::time::Duration;

/// The most bytes of one line, and of one event's data. A stream with more is given up: it is not callout's, or that
/// of a server which takes larger bodies than anybody reads from a command line.
pub(crate) const EVENT_BYTES_MAX: usize = 32 * 1024 * 1024;

/// An event as a subscriber sees it.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Received {
    /// The last id that the stream gave; empty if none.
    pub(crate) id: String,
    /// `message` where the stream gave none.
    pub(crate) event: String,
    /// None where the stream does not tell it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) topic: Option<String>,
    pub(crate) data: String,
}

/// An event or a line is longer than [`EVENT_BYTES_MAX`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

/// The state of a stream so far. The id and the retry delay outlive a broken connection.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    pub(crate) last_event_id: String,
    /// Within [`RETRY_MILLIS`].
    pub(crate) retry_millis: Option<u32>,
    /// How much silence is usual, as callout's opening comment says: `:ok heartbeat=15`, in seconds.
    pub(crate) heartbeat: Option<Duration>,
    /// The beginning of a line whose end has not come yet.
    line: Vec<u8>,
    id: Option<String>,
    event: String,
    topic: Option<String>,
    data: Option<String>,
}

/// The event that a frame of callout's holds.
pub(crate) fn decode(frame: &[u8]) -> Option<Received> {
    let mut decoder = Decoder::default();
    String::from_utf8_lossy(frame).split('\n').find_map(|line| decoder.line(line))
}

impl Decoder {
    /// The decoder of a stream that goes on after this id; an empty one is none.
    pub(crate) fn after(last_event_id: String) -> Decoder {
        Decoder { last_event_id, ..Decoder::default() }
    }

    /// Takes what has come; gives the events that it completes. Keeps no more than [`EVENT_BYTES_MAX`] of what is not
    /// complete.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<Vec<Received>, TooLong> {
        let mut events = Vec::new();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                events.extend(self.line(&String::from_utf8_lossy(&line)));
            }
            let data_bytes = self.data.as_ref().map_or(0, String::len);
            if self.line.len().max(data_bytes) > EVENT_BYTES_MAX {
                return Err(TooLong);
            }
        }
        Ok(events)
    }

    /// Takes one line; gives the event that it completes.
    pub(crate) fn line(&mut self, line: &str) -> Option<Received> {
        let line = line.trim_end_matches(['\r', '\n']);
        if line.is_empty() {
            // Only now, since an event that breaks off was not received.
            if let Some(id) = self.id.take() {
                self.last_event_id = id;
            }
            let event = std::mem::take(&mut self.event);
            let event = if event.is_empty() { "message".into() } else { event };
            let topic = self.topic.take();
            return Some(Received { id: self.last_event_id.clone(), event, topic, data: self.data.take()? });
        }
        if let Some(comment) = line.strip_prefix(':') {
            self.heartbeat = heartbeat(comment).or(self.heartbeat);
            return None;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => self.event = value.into(),
            "topic" => self.topic = Some(value.into()),
            "data" => match &mut self.data {
                Some(data) => data.extend(["\n", value]),
                None => self.data = Some(value.into()),
            },
            "id" if !value.contains('\0') => self.id = Some(value.into()),
            "retry" if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) => {
                // More digits than fit are more than the limit anyway.
                let millis = value.parse().unwrap_or(u32::MAX);
                self.retry_millis = Some(millis.clamp(*RETRY_MILLIS.start(), *RETRY_MILLIS.end()));
            }
            _ => {}
        }
        None
    }

    /// The connection broke: an incomplete event is discarded (HTML standard, section 9.2.6).
    pub(crate) fn restart(&mut self) {
        self.line.clear();
        // The next server says its own.
        self.heartbeat = None;
        self.id = None;
        self.event.clear();
        self.topic = None;
        self.data = None;
    }
}

fn heartbeat(comment: &str) -> Option<Duration> {
    let seconds = comment.split_whitespace().find_map(|word| word.strip_prefix("heartbeat="))?;
    Duration::try_from_secs_f64(seconds.parse().ok()?).ok().filter(|heartbeat| !heartbeat.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_events() {
        let mut decoder = Decoder::default();
        let lines = [
            ":ok heartbeat=15",
            "",
            "id: 7",
            "event: news",
            "topic: t",
            "data: a",
            "data:  b",
            "",
            "data",
            "",
            "retry: 9",
            "",
        ];
        let events: Vec<_> = lines.iter().filter_map(|line| decoder.line(line)).collect();
        let received = |event: &str, topic: Option<&str>, data: &str| Received {
            id: "7".into(),
            event: event.into(),
            topic: topic.map(str::to_owned),
            data: data.into(),
        };
        assert_eq!(events, [received("news", Some("t"), "a\n b"), received("message", None, "")]);
        assert_eq!((decoder.retry_millis, decoder.heartbeat), (Some(100), Some(Duration::from_secs(15))));
    }

    #[test]
    fn bytes_become_events_wherever_they_are_cut() {
        let stream = "id: 1\r\ndata: größe\r\n\r\nid: 2\ndata: b\n\ndata: cut of".as_bytes();
        for size in 1..=stream.len() {
            let mut decoder = Decoder::default();
            let events = stream.chunks(size).flat_map(|chunk| decoder.bytes(chunk).unwrap());
            let seen: Vec<_> = events.map(|event| (event.id, event.data)).collect();
            assert_eq!(seen, [("1".into(), "größe".into()), ("2".into(), "b".into())], "{size}");
        }
    }

    #[test]
    fn an_event_of_a_million_lines_takes_as_long_as_its_bytes() {
        // With the square of the lines, it would take some minutes.
        let lines = 1_000_000;
        let event = decode(("data:\n".repeat(lines) + "\n").as_bytes()).unwrap();
        assert_eq!(event.data.len(), lines - 1);
    }

    #[test]
    fn a_line_or_an_event_without_an_end_is_given_up() {
        for line_end in ["", "\n"] {
            let chunk = format!("data: {}{line_end}", "x".repeat(100_000));
            let mut decoder = Decoder::default();
            let taken = std::iter::repeat_with(|| decoder.bytes(chunk.as_bytes())).take_while(Result::is_ok);
            assert!(taken.count() <= EVENT_BYTES_MAX / 100_000);
        }
    }

    #[test]
    fn a_retry_delay_is_held_to_the_bounds_that_publishers_have() {
        for (value, millis) in [
            ("0", Some(100)),
            ("2500", Some(2_500)),
            ("18446744073709551615", Some(600_000)),
            ("18446744073709551616", Some(600_000)),
            ("+5", None),
            ("", None),
        ] {
            let mut decoder = Decoder::default();
            decoder.line(&format!("retry: {value}"));
            assert_eq!(decoder.retry_millis, millis, "{value}");
        }
    }
}
