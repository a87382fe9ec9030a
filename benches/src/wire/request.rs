//! The requests of the generator, the same for every server.
//!
//! A publishing request is built once, and each message overwrites the one before, so that a
//! publisher costs next to nothing.

use std::net::SocketAddr;

use crate::wire::message::{MESSAGE_BYTES, Message};

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

/// A `POST` with one message in its body.
pub struct PublishRequest {
    bytes: Vec<u8>,
    /// The position of the message.
    message_at: usize,
}

impl PublishRequest {
    /// Publishes an event that is one message.
    pub fn new(addr: SocketAddr) -> PublishRequest {
        PublishRequest::build(addr, PATH, "text/plain", "", "")
    }

    /// Publishes an event that is a message and this many bytes more.
    pub fn padded(addr: SocketAddr, padding_bytes: usize) -> PublishRequest {
        PublishRequest::build(addr, PATH, "text/plain", "", &"x".repeat(padding_bytes))
    }

    /// Makes a post, in callout, with a message in its content and one tag.
    pub fn post(addr: SocketAddr) -> PublishRequest {
        let before = r#"{"title":"bench","author":"bench","content":""#;
        PublishRequest::build(addr, "/api/posts", "application/json", before, r##" #bench"}"##)
    }

    fn build(addr: SocketAddr, path: &str, kind: &str, before: &str, after: &str) -> PublishRequest {
        let body_bytes = before.len() + MESSAGE_BYTES + after.len();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {addr}\r\n\
             Content-Type: {kind}\r\nContent-Length: {body_bytes}\r\n\r\n{before}"
        );
        let message_at = head.len();
        let bytes = [head.as_bytes(), &[0; MESSAGE_BYTES], after.as_bytes()].concat();
        PublishRequest { bytes, message_at }
    }

    /// The bytes of the request that publishes this message.
    pub fn carry(&mut self, message: &Message) -> &[u8] {
        let room = self.bytes[self.message_at..].first_chunk_mut::<MESSAGE_BYTES>();
        message.encode(room.expect("the request was built with room for a message"));
        &self.bytes
    }
}
