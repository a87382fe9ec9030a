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
    /// Where the number of the user stands, and how many there are, of a request that goes to another one each time.
    users: Option<(usize, u64)>,
}

/// The digits of a user's number.
const USER_DIGITS: usize = 5;

/// The user of this number, and their topic.
pub fn user(number: u64) -> String {
    format!("u{number:0USER_DIGITS$}")
}

pub fn user_topic(number: u64) -> String {
    format!("users/{}/x", user(number))
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

    /// Publishes an event that is one message, in callout, to the topic of one of so many users after the other: a message's
    /// number says to which.
    pub fn spread(target: Target, users: u64) -> PublishRequest {
        let path = format!("/topics/{}", user_topic(0));
        let request = PublishRequest::build(target.addr, &path, "text/plain", "", "", 1);
        PublishRequest { users: Some(("POST /topics/users/u".len(), users)), ..request }
    }

    /// The same request with a credential.
    pub fn bearing(mut self, credential: &str) -> PublishRequest {
        let line = format!("Authorization: Bearer {credential}\r\n");
        let head =
            self.bytes.windows(2).position(|bytes| bytes == b"\r\n").expect("it has a request line") + 2;
        self.bytes.splice(head..head, line.bytes());
        self.messages_at.iter_mut().for_each(|at| *at += line.len());
        self
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
        if let Some((at, users)) = self.users {
            let number = format!("{:0USER_DIGITS$}", message.number % users);
            self.bytes[at..at + USER_DIGITS].copy_from_slice(number.as_bytes());
        }
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
        PublishRequest { bytes, messages_at, users: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::scanner::Scanner;

    #[test]
    fn a_request_goes_to_one_topic_after_the_other_and_bears_a_credential() {
        let target = Target { addr: SocketAddr::from(([127, 0, 0, 1], 80)), api: Api::Topics };
        let mut request = PublishRequest::spread(target, 1_000).bearing("sesame");
        let message = Message { publisher: 1, number: 12_345, sent_nanos: 7 };
        let bytes = request.carry(&message).to_vec();
        let text = String::from_utf8_lossy(&bytes);
        assert!(text.starts_with("POST /topics/users/u00345/x HTTP/1.1\r\nAuthorization: Bearer sesame\r\n"));
        let body = text.split_once("\r\n\r\n").map(|(_, body)| body.as_bytes());
        assert_eq!(body.and_then(|body| Message::decode(body.try_into().ok()?)), Some(message));
    }

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
