//! What the program's files know of events.

#[path = "../../src/event/form.rs"]
mod form;

pub use callout::event::{Draft, Event, Frame, Id};
pub use form::Form;

pub const OPEN: &str = "open";
pub const DRAIN: &str = "drain";
pub const UNAUTHORIZED: &str = "unauthorized";
