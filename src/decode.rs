//! Reading an event stream, line by line, as the HTML standard, section 9.2.6, says.
//!
//! Lines are taken to end in LF or CRLF, which is all that a callout ever writes.

use serde::Serialize;

/// An event as a subscriber sees it.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Received {
    /// The last id that the stream gave; empty if none.
    pub(crate) id: String,
    /// `message` where the stream gave none.
    pub(crate) event: String,
    pub(crate) data: String,
}

/// The state of a stream so far. The id and the retry delay outlive a broken connection.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    pub(crate) last_event_id: String,
    pub(crate) retry_millis: Option<u64>,
    id: Option<String>,
    event: String,
    data: Option<String>,
}

/// The event that a frame of callout's holds.
pub(crate) fn decode(frame: &[u8]) -> Option<Received> {
    let mut decoder = Decoder::default();
    String::from_utf8_lossy(frame).split('\n').find_map(|line| decoder.line(line))
}

impl Decoder {
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
            return Some(Received { id: self.last_event_id.clone(), event, data: self.data.take()? });
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => self.event = value.into(),
            "data" => match &mut self.data {
                Some(data) => *data = format!("{data}\n{value}"),
                None => self.data = Some(value.into()),
            },
            "id" if !value.contains('\0') => self.id = Some(value.into()),
            "retry" => self.retry_millis = value.parse().ok().or(self.retry_millis),
            _ => {}
        }
        None
    }

    /// The connection broke: an incomplete event is discarded (HTML standard, section 9.2.6).
    pub(crate) fn restart(&mut self) {
        self.id = None;
        self.event.clear();
        self.data = None;
    }
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
            "data: a",
            "data:  b",
            "",
            "data",
            "",
            "retry: 9",
            "",
        ];
        let events: Vec<_> = lines.iter().filter_map(|line| decoder.line(line)).collect();
        let received =
            |event: &str, data: &str| Received { id: "7".into(), event: event.into(), data: data.into() };
        assert_eq!(events, [received("news", "a\n b"), received("message", "")]);
        assert_eq!(decoder.retry_millis, Some(9));
    }
}
