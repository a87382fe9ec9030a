//! The head of a response: its status, and where its body ends.

use anyhow::{Context, Result, bail};

/// Header lines that a response may have. More are an error of the server.
const HEADERS_MAX: usize = 32;

pub struct Head {
    /// Includes the empty line that ends the head.
    pub head_bytes: usize,
    pub status: u16,
    pub is_event_stream: bool,
    pub framing: Framing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    Length(usize),
    Chunked,
    UntilClose,
}

impl Head {
    /// `None` while the head is not complete.
    pub fn decode(bytes: &[u8]) -> Result<Option<Head>> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut response = httparse::Response::new(&mut headers);
        let parsed = response.parse(bytes).context("failed to read the head of a response")?;
        let httparse::Status::Complete(head_bytes) = parsed else {
            return Ok(None);
        };
        let Some(status) = response.code else {
            bail!("failed to read the head of a response: no status");
        };

        // A 204 has no body, whatever its head says.
        let mut framing = if status == 204 { Framing::Length(0) } else { Framing::UntilClose };
        let mut is_event_stream = false;
        for header in &*response.headers {
            if header.name.eq_ignore_ascii_case("content-length") {
                framing = Framing::Length(read_length(header.value)?);
            } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
                framing = Framing::Chunked;
            } else if header.name.eq_ignore_ascii_case("content-type") {
                is_event_stream = header.value.starts_with(b"text/event-stream");
            }
        }
        Ok(Some(Head { head_bytes, status, is_event_stream, framing }))
    }
}

/// The length of the first answer to a publishing request in `bytes`, head and body; `None` while it
/// is not complete. An error when the server refused, or when the head does not say where the body ends.
pub fn answer_bytes(bytes: &[u8]) -> Result<Option<usize>> {
    let Some(head) = Head::decode(bytes)? else {
        return Ok(None);
    };
    if !(200..300).contains(&head.status) {
        bail!("failed to publish: the server answered {}", head.status);
    }
    let Framing::Length(body_bytes) = head.framing else {
        bail!("failed to publish: the answer has no Content-Length");
    };
    let bytes_needed = head.head_bytes + body_bytes;
    Ok((bytes.len() >= bytes_needed).then_some(bytes_needed))
}

/// The id in callout's answer to a publishing request.
pub fn event_id(answer: &[u8]) -> Result<String> {
    let answer = String::from_utf8_lossy(answer);
    let after = answer.split_once("{\"id\":\"").map(|(_, after)| after);
    let id = after.and_then(|after| after.split_once('"')).map(|(id, _)| id.to_owned());
    id.context("failed to find an event's id in its answer")
}

fn read_length(value: &[u8]) -> Result<usize> {
    std::str::from_utf8(value)
        .ok()
        .and_then(|value| value.trim().parse().ok())
        .context("failed to read the Content-Length of a response")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_complete_with_the_last_byte_of_its_body() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1";
        let whole_bytes = answer.len() - "HTTP/1.1".len();
        for bytes in 0..whole_bytes {
            assert_eq!(answer_bytes(&answer[..bytes]).expect("part of an answer"), None);
        }
        assert_eq!(answer_bytes(answer).expect("an answer"), Some(whole_bytes));
    }
}
