//! The bytes on the wire, in reading order: the message inside an event, the request that publishes
//! it and where it goes, the head of a response, chunked framing, and the scanner that finds messages
//! in a stream.

pub mod chunked;
pub mod head;
pub mod message;
pub mod request;
pub mod scanner;
pub mod target;
