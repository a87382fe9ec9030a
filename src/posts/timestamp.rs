//! The date of a post.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The last millisecond of the year 9999: RFC 3339 has no later one. A clock beyond it gives this date.
const LAST_MILLIS: u64 = 253_402_300_799_999;

/// A moment in milliseconds since 1970. In JSON it is RFC 3339 in UTC: `"2026-11-26T06:23:28.526Z"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The present, by the system's clock.
    pub fn now() -> Timestamp {
        // A clock before 1970 was never set.
        let since_epoch = UNIX_EPOCH.elapsed().unwrap_or_default();
        Timestamp(
            u64::try_from(since_epoch.as_millis()).map_or(LAST_MILLIS, |millis| millis.min(LAST_MILLIS)),
        )
    }

    /// The present, and at least one millisecond after `before`: two edits within a millisecond have
    /// different dates, and so do edits between which the clock was set back.
    pub(super) fn after(before: Option<Timestamp>) -> Timestamp {
        let earliest = before.map_or(0, |before| (before.0 + 1).min(LAST_MILLIS));
        Timestamp::now().max(Timestamp(earliest))
    }

    fn parse(text: &str) -> Option<Timestamp> {
        let since_epoch = humantime::parse_rfc3339(text).ok()?.duration_since(UNIX_EPOCH).ok()?;
        u64::try_from(since_epoch.as_millis()).ok().map(Timestamp)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at: SystemTime = UNIX_EPOCH + Duration::from_millis(self.0);
        humantime::format_rfc3339_millis(at).fmt(f)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        let text = <&str>::deserialize(deserializer)?;
        Timestamp::parse(text).ok_or_else(|| D::Error::custom("a date is RFC 3339 in UTC"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_read_as_it_was_written() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (1_795_674_208_526, "2026-11-26T06:23:28.526Z"),
            (LAST_MILLIS, "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(Timestamp(millis).to_string(), text);
            assert_eq!(Timestamp::parse(text), Some(Timestamp(millis)));
        }
    }

    #[test]
    fn a_later_date_is_later_also_within_a_millisecond_and_where_the_clock_was_set_back() {
        let ahead = Timestamp(Timestamp::now().0 + 3_600_000);
        assert_eq!(Timestamp::after(Some(ahead)), Timestamp(ahead.0 + 1));
        assert_eq!(Timestamp::after(Some(Timestamp(LAST_MILLIS))), Timestamp(LAST_MILLIS));
        assert!(Timestamp::after(None) <= Timestamp::now());
    }
}
