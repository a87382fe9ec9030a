//! The requests of the generator, the same for every server.
//!
//! A publishing request is built once; each message is written over the one before it, so that a
//! publisher costs next to nothing.

use std::net::SocketAddr;

use crate::wire::message::{MESSAGE_BYTES, Message};

/// The one topic of the bench.
pub const PATH: &str = "/topics/bench";

/// What an EventSource sends to open a stream.
pub fn stream_request(addr: SocketAddr) -> Vec<u8> {
    format!("GET {PATH} HTTP/1.1\r\nHost: {addr}\r\nAccept: text/event-stream\r\n\r\n").into_bytes()
}

/// What it sends when it comes back.
pub fn resume_request(addr: SocketAddr, last_event_id: &str) -> Vec<u8> {
    format!(
        "GET {PATH} HTTP/1.1\r\nHost: {addr}\r\nAccept: text/event-stream\r\n\
         Last-Event-ID: {last_event_id}\r\n\r\n"
    )
    .into_bytes()
}

/// A `POST` whose body is one message.
pub struct PublishRequest {
    bytes: Vec<u8>,
}

impl PublishRequest {
    pub fn new(addr: SocketAddr) -> PublishRequest {
        let mut bytes = format!(
            "POST {PATH} HTTP/1.1\r\nHost: {addr}\r\n\
             Content-Type: text/plain\r\nContent-Length: {MESSAGE_BYTES}\r\n\r\n"
        )
        .into_bytes();
        bytes.extend([0; MESSAGE_BYTES]);
        PublishRequest { bytes }
    }

    /// The bytes of the request that publishes this message.
    pub fn carry(&mut self, message: &Message) -> &[u8] {
        let body = self
            .bytes
            .last_chunk_mut::<MESSAGE_BYTES>()
            .expect("the request was built with a body of this length");
        message.encode(body);
        &self.bytes
    }
}
