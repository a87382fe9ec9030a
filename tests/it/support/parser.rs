//! An event stream, read as a browser reads it (the HTML standard, section 9.2.6).

use serde_json::Value;

/// An event as a browser would see it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    pub id: String,
    pub event: String,
    pub data: String,
}

impl Seen {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }
}

/// Bytes in, events out.
#[derive(Debug, Default)]
pub struct Parser {
    line: Vec<u8>,
    after_cr: bool,
    id: String,
    event: String,
    data: String,
    next_topic: Option<String>,
    /// The topic that the latest event told, if it told one.
    pub topic: Option<String>,
    pub last_event_id: String,
    pub retry_millis: Option<u64>,
    pub comments: usize,
    /// The latest comment that says something.
    pub comment: String,
}

impl Parser {
    /// Takes one byte, and gives the event that it completes.
    pub fn byte(&mut self, byte: u8) -> Option<Seen> {
        let was_cr = std::mem::replace(&mut self.after_cr, byte == b'\r');
        match byte {
            b'\n' if was_cr => None,
            b'\n' | b'\r' => {
                let line = String::from_utf8(std::mem::take(&mut self.line)).expect("UTF-8");
                self.line(&line)
            }
            _ => {
                self.line.push(byte);
                None
            }
        }
    }

    fn line(&mut self, line: &str) -> Option<Seen> {
        if line.is_empty() {
            let (event, data) = (std::mem::take(&mut self.event), std::mem::take(&mut self.data));
            // Only now: the id of an event that is not complete is not yet the last one.
            self.last_event_id.clone_from(&self.id);
            let topic = self.next_topic.take();
            let data = data.strip_suffix('\n')?.to_owned();
            self.topic = topic;
            let event = if event.is_empty() { "message".into() } else { event };
            return Some(Seen { id: self.last_event_id.clone(), event, data });
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "" => {
                self.comments += 1;
                if !value.is_empty() {
                    self.comment = value.into();
                }
            }
            "event" => self.event = value.into(),
            "topic" => self.next_topic = Some(value.into()),
            "data" => self.data += &format!("{value}\n"),
            "id" if !value.contains('\0') => self.id = value.into(),
            "retry" if value.bytes().all(|b| b.is_ascii_digit()) => self.retry_millis = value.parse().ok(),
            _ => {}
        }
        None
    }
}
