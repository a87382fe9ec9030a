//! The clock of the system, as far as it can be written down.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The last second of the year 9999: neither HTTP nor RFC 3339 can write what comes after it.
const LAST: Duration = Duration::from_secs(253_402_300_799);

/// The present. A clock that is not set yet may stand before 1970, which cannot be written either; then it is the
/// beginning of 1970, which is wrong enough to be noticed.
pub(crate) fn now() -> SystemTime {
    SystemTime::now().clamp(UNIX_EPOCH, UNIX_EPOCH + LAST)
}
