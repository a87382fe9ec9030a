//! The requests of the generator, each in the form that its server understands.
//!
//! A publishing request is built once, and each message overwrites the one before, so that a
//! publisher costs next to nothing.

use std::net::SocketAddr;

use crate::wire::message::{MESSAGE_BYTES, Message};
use crate::wire::target::{Api, Target};

/// The one topic of the bench.
pub const PATH: &str = "/topics/bench";

/// The feed of the posts, and how many of them its stream shows.
pub const FEED_PATH: &str = "/api/feeds/bench";
pub const FEED_POSTS: usize = 50;

/// What an EventSource sends to open a stream.
pub fn stream_request(addr: SocketAddr, path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: {addr}\r\nAccept: text/event-stream\r\n\r\n").into_bytes()
}

/// What an EventSource sends when it reconnects.
pub fn resume_request(addr: SocketAddr, last_event_id: &str) -> Vec<u8> {
    format!(
        "GET {PATH} HTTP/1.1\r\nHost: {addr}\r\nAccept: text/event-stream\r\n\
         Last-Event-ID: {last_event_id}\r\n\r\n"
    )
    .into_bytes()
}

/// A `POST` with one message in its body, or with several of one publisher.
pub struct PublishRequest {
    bytes: Vec<u8>,
    /// The positions of the messages.
    messages_at: Vec<usize>,
}

impl PublishRequest {
    /// Publishes an event that is one message.
    pub fn new(target: Target) -> PublishRequest {
        PublishRequest::padded(target, 0)
    }

    /// Publishes an event that is a message and this many bytes more.
    pub fn padded(target: Target, padding_bytes: usize) -> PublishRequest {
        let padding = "x".repeat(padding_bytes);
        match target.api {
            Api::Topics | Api::DurableStreams => {
                PublishRequest::build(target.addr, PATH, "text/plain", "", &padding, 1)
            }
            Api::Centrifugo => {
                let (before, after) = (r#"{"channel":"bench","data":""#, format!(r#"{padding}"}}"#));
                PublishRequest::build(target.addr, "/api/publish", "application/json", before, &after, 1)
            }
        }
    }

    /// Publishes so many events, in callout, each a line with a message.
    pub fn lines(target: Target, count: usize) -> PublishRequest {
        let (before, after) = (r#"{"topic":"bench","data":""#, "\"}\n");
        PublishRequest::build(target.addr, "/publish", "application/x-ndjson", before, after, count)
    }

    /// Makes a post, in callout, with a message in its content and one tag.
    pub fn post(target: Target) -> PublishRequest {
        let before = r#"{"title":"bench","author":"bench","content":""#;
        PublishRequest::build(target.addr, "/api/posts", "application/json", before, r##" #bench"}"##, 1)
    }

    /// The number of messages that it carries.
    pub fn messages(&self) -> u64 {
        self.messages_at.len() as u64
    }

    /// The bytes of the request that publishes this message, and as many more as it carries, with the
    /// numbers that follow.
    pub fn carry(&mut self, first: &Message) -> &[u8] {
        let mut message = *first;
        for &message_at in &self.messages_at {
            let room = self.bytes[message_at..].first_chunk_mut::<MESSAGE_BYTES>();
            message.encode(room.expect("the request was built with room for its messages"));
            message.number += 1;
        }
        &self.bytes
    }

    /// A body of so many parts, each a message with this text before and after it.
    fn build(
        addr: SocketAddr,
        path: &str,
        kind: &str,
        before: &str,
        after: &str,
        count: usize,
    ) -> PublishRequest {
        let part_bytes = before.len() + MESSAGE_BYTES + after.len();
        let mut bytes = format!(
            "POST {path} HTTP/1.1\r\nHost: {addr}\r\n\
             Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
            part_bytes * count
        )
        .into_bytes();
        let mut messages_at = Vec::with_capacity(count);
        for _ in 0..count {
            messages_at.push(bytes.len() + before.len());
            bytes.extend([before.as_bytes(), &[0; MESSAGE_BYTES], after.as_bytes()].concat());
        }
        PublishRequest { bytes, messages_at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::scanner::Scanner;

    #[test]
    fn a_request_with_lines_carries_one_message_in_each() {
        let target = Target { addr: SocketAddr::from(([127, 0, 0, 1], 80)), api: Api::Topics };
        let mut request = PublishRequest::lines(target, 3);
        let bytes = request.carry(&Message { publisher: 1, number: 5, sent_nanos: 7 });
        let mut numbers = Vec::new();
        Scanner::new().scan(bytes, |message| {
            numbers.push(Message::decode(message).map(|message| message.number));
        });
        assert_eq!(numbers, [Some(5), Some(6), Some(7)]);
        assert_eq!(bytes.iter().filter(|byte| **byte == b'\n').count(), 4 + 1 + 3);
    }
}
