//! What goes over the wire, in reading order: the message inside an event, the request that
//! publishes it, the head of an answer, chunked framing, and finding the messages in a stream.

pub mod chunked;
pub mod head;
pub mod message;
pub mod request;
pub mod scanner;
