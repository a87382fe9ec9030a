//! A moment to the microsecond: when something was given, ends or was taken back.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The last second of the year 9999: RFC 3339 has no later one.
const LAST_SECS: u64 = 253_402_300_799;

/// Microseconds since 1970. They stay exact in JSON for every reader, also those that know floating point numbers only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Moment(u64);

impl Moment {
    /// The last moment that can be written.
    pub const LAST: Moment = Moment(LAST_SECS * 1_000_000);

    /// The present, by the system's clock.
    pub fn now() -> Moment {
        // A clock that was never set stands before 1970 at times.
        Moment::from(SystemTime::now())
    }

    /// This many microseconds after the beginning of 1970; none after the year 9999.
    pub fn from_micros(micros: u64) -> Option<Moment> {
        (micros <= Moment::LAST.0).then_some(Moment(micros))
    }

    /// This many seconds after the beginning of 1970; none before it, and after the year 9999.
    pub fn from_secs(secs: f64) -> Option<Moment> {
        // Not a number is in no range.
        (0.0..=LAST_SECS as f64).contains(&secs).then_some(Moment((secs * 1e6) as u64))
    }

    /// Microseconds since 1970.
    pub fn micros(self) -> u64 {
        self.0
    }

    /// The moment this much later; the last that there is where it would come after it.
    pub fn after(self, duration: Duration) -> Moment {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        Moment(self.0.saturating_add(micros).min(Moment::LAST.0))
    }

    /// How long it is from another moment until this one; nothing where that one comes later.
    pub fn since(self, before: Moment) -> Duration {
        Duration::from_micros(self.0.saturating_sub(before.0))
    }
}

impl From<SystemTime> for Moment {
    fn from(time: SystemTime) -> Moment {
        Moment::default().after(time.duration_since(UNIX_EPOCH).unwrap_or_default())
    }
}

/// RFC 3339 in UTC, whole seconds.
impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_micros(self.0)).fmt(f)
    }
}

/// Gives moments that only grow, whatever the clock does: one for each ticket and each revocation. So it is known of each
/// ticket whether it was given before a revocation or after it, also within one microsecond.
#[derive(Debug, Default)]
pub struct Stamps(AtomicU64);

impl Stamps {
    /// The present, or the moment after the last one.
    pub fn next(&self) -> Moment {
        let now = Moment::now().0;
        let next = |last: u64| now.max(last + 1);
        // Whoever has a later stamp also sees what was done before an earlier one was given: that the list was locked.
        let last = self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, |last| Some(next(last)));
        Moment(next(last.unwrap_or_default()))
    }

    /// The last moment that was given or seen.
    pub fn last(&self) -> Moment {
        Moment(self.0.load(Ordering::Relaxed))
    }

    /// Gives only later moments from now on.
    pub fn pass(&self, moment: Moment) {
        self.0.fetch_max(moment.0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_only_grow() {
        let stamps = Stamps::default();
        let ahead = Moment::now().after(Duration::from_secs(3600));
        let mut last = stamps.next();
        for round in 0..10_000 {
            if round == 5_000 {
                stamps.pass(ahead);
                stamps.pass(Moment::default());
            }
            let next = stamps.next();
            assert!(next > last && stamps.last() == next);
            last = next;
        }
        assert!(last > ahead);
    }

    #[test]
    fn seconds_are_taken_if_they_can_be_written() {
        assert_eq!(Moment::from_secs(1.5), Moment::from_micros(1_500_000));
        assert_eq!(Moment::from_secs(1.5).unwrap().to_string(), "1970-01-01T00:00:01Z");
        for wrong in [-1.0, f64::NAN, f64::INFINITY, 1e300, 253_402_300_800.0] {
            assert_eq!(Moment::from_secs(wrong), None, "{wrong}");
        }
        assert_eq!(Moment::LAST.after(Duration::MAX).to_string(), "9999-12-31T23:59:59Z");
        assert_eq!(Moment::from_micros(u64::MAX), None);
    }
}
