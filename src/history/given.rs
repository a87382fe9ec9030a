//! Ids that publishers give: publishing under one a second time is safe, since nothing but the same is answered as if
//! it had been published.

use super::Receipt;
use crate::error::Error;
use crate::event::Event;

/// Whether an event was published before under the same id of its publisher, and is to be answered as it was then.
/// `kept` is what each of its topics keeps under that id, as a frame.
///
/// [`Error::conflict`] where something else is kept under that id, or where only some of the topics keep it: then
/// the event is neither there nor may it be published.
pub(super) fn published_before<F: AsRef<[u8]>>(
    event: &Event,
    given: &str,
    kept: &[Option<F>],
) -> Result<Option<Receipt>, Error> {
    if kept.iter().all(Option::is_none) {
        return Ok(None);
    }
    // A frame with the publisher's id is the same whenever it is encoded.
    let frame = event.encode(None);
    let is_same = |kept: &Option<F>| kept.as_ref().is_some_and(|kept| kept.as_ref() == &*frame);
    if kept.iter().all(is_same) {
        return Ok(Some(Receipt { id: given.to_owned(), duplicate: true }));
    }
    let error = Error::conflict(format!("another event is kept under the id `{given}`"));
    Err(error.hint(
        "use an id again for the same event only, with the same text, name and topics; else give another",
    ))
}
