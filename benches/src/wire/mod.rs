//! The bytes on the wire, in reading order: the message inside an event, the request that publishes
//! it, the head of a response, chunked framing, and the scanner that finds messages in a stream.

pub mod chunked;
pub mod head;
pub mod message;
pub mod request;
pub mod scanner;
