//! What a publisher may call an event, and which ids it may give.

use super::Id;
use crate::error::Error;

/// The longest id that a publisher may give, in bytes. Longer ones would make a browser ask for
/// permission (a CORS preflight) each time it reconnects.
pub const ID_BYTES_MAX: usize = 64;

/// The longest name, in bytes. A longer one is refused.
pub const NAME_BYTES_MAX: usize = 255;

/// What a browser sends instead of an id to be given all that is kept.
pub const EARLIEST: &str = "earliest";

/// The names of the events that callout itself sends. They are refused to publishers, so that they are believed.
pub(crate) const RESET: &str = "reset";
pub(crate) const RETRACT: &str = "retract";
pub(crate) const END: &str = "end";
pub(crate) const UNAUTHORIZED: &str = "unauthorized";
pub(crate) const OPEN: &str = "open";
pub(crate) const DRAIN: &str = "drain";
pub(crate) const PRESENCE: &str = "presence";

const OWN_NAMES: [&str; 7] = [RESET, RETRACT, END, UNAUTHORIZED, OPEN, DRAIN, PRESENCE];

/// Text from outside enters an event only through its constructor, which asks this and [`check_id`].
pub(super) fn check_name(name: &str) -> Result<(), Error> {
    if name.len() > NAME_BYTES_MAX {
        return Err(Error::bad(format!("an event's name has at most {NAME_BYTES_MAX} bytes")));
    }
    if name.chars().any(char::is_control) {
        return Err(Error::bad("an event's name has no control characters (line ends, tabs, NUL)"));
    }
    if matches!(name, "error" | OPEN) {
        return Err(Error::bad(format!(
            "an event cannot be named `{name}`: browsers use that name for the connection itself"
        )));
    }
    if OWN_NAMES.contains(&name) {
        let names = OWN_NAMES.join("`, `");
        return Err(Error::bad(format!(
            "an event cannot be named `{name}`: only callout itself sends events with the names `{names}`"
        )));
    }
    Ok(())
}

/// Browsers send an id back as the header `Last-Event-ID`, so it may only have characters that every proxy and the CORS
/// rules let pass.
pub(super) fn check_id(id: &str) -> Result<(), Error> {
    let passes = |b: u8| b.is_ascii_graphic() && !br#""():<>?@[\]{}"#.contains(&b);
    if id.is_empty() || id.len() > ID_BYTES_MAX || !id.bytes().all(passes) {
        return Err(Error::bad(format!(
            "an id has 1 to {ID_BYTES_MAX} visible ASCII characters, without spaces and without any of \"():<>?@[\\]{{}}"
        )));
    }
    if id == EARLIEST || Id::parse(id).is_some() {
        return Err(Error::bad(format!(
            "an id cannot be `{EARLIEST}` or 16 hexadecimal digits: the server gives those a meaning of its own"
        )));
    }
    Ok(())
}
