//! The blocks of a stream that are callout's own: what opens it, what tells of a gap, what ends it.

use super::Stream;
use crate::error::Error;
use crate::event::{DRAIN, Event, Frame, Id, OPEN, UNAUTHORIZED};
use std::io::Write;
use std::time::Duration;

/// What a new stream's browser is told to wait before it comes back: a delay of its own for each, so that
/// they do not all come back at once.
const RETRY_MILLIS: std::ops::RangeInclusive<u32> = 2_000..=5_000;

/// The same for a browser that has lost its right. It needs another credential first.
const UNAUTHORIZED_RETRY_MILLIS: std::ops::RangeInclusive<u32> = 500..=3_000;

/// What opens every stream. The comment fires `onopen`, pushes through buffers, keeps data that begins with
/// U+FEFF from being taken for a byte order mark, and says how many seconds of silence are usual, so that
/// a page can tell when a stream is dead, whether a snapshot will follow the replay, and where to say goodbye.
///
/// What is no message bears a name and no data. An EventSource takes the position from it and dispatches nothing; a
/// client that hands it to its program hands out an event `open`, which cannot be taken for a message.
pub(super) fn write_hello(bytes: &mut Vec<u8>, heartbeat: Duration, stream: &Stream, position: &str) {
    let (heartbeat_secs, retry_millis) = (heartbeat.as_secs_f64(), fastrand::u32(RETRY_MILLIS));
    let snapshot = if stream.snapshot.is_some() { " snapshot" } else { "" };
    let (goodbye, path) = stream.goodbye.as_ref().map_or(("", ""), |path| (" goodbye=", path));
    // Writing to a Vec cannot fail.
    let _ = write!(
        bytes,
        ":ok heartbeat={heartbeat_secs}{snapshot}{goodbye}{path}\nevent: {OPEN}\nretry: {retry_millis}\nid: {position}\n\n"
    );
}

/// The last block of a stream whose browser is to come back after this delay. It bears a name and no
/// data, so no program takes it for a message.
pub fn come_back(retry_millis: u32) -> String {
    format!("event: {DRAIN}\nretry: {retry_millis}\n\n")
}

/// The last event of a stream that has lost its right: why, as a request that comes back will be answered, and a delay of
/// its own for each, so that they do not all come back at once.
pub(super) fn unauthorized(error: &Error) -> Vec<u8> {
    let retry_millis = fastrand::u32(UNAUTHORIZED_RETRY_MILLIS);
    // Texts are always written.
    let data = serde_json::to_string(&error.problem()).unwrap_or_default();
    format!("event: {UNAUTHORIZED}\nretry: {retry_millis}\ndata: {data}\n\n").into_bytes()
}

/// The event that says: there is a gap. Its data names what was asked for and where the stream goes on.
pub(super) fn reset(asked: &str, position: &str) -> Frame {
    let data = serde_json::json!({ "requested": asked, "continues_after": position }).to_string();
    Event::reset(data).encode(Id::parse(position))
}
