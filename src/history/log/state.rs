//! What holds from a point of the log on, so that nothing before it need be known: what each topic has lost, where the
//! log begins, and by which clock its time is counted. Each segment begins with one.

use super::record::{Bytes, nanos, put_topic};
use crate::event::Id;
use crate::history::edges::Edges;
use crate::topic::Topic;
use std::fs;
use std::time::{Duration, Instant};

/// See the module.
#[derive(Clone)]
pub(super) struct State {
    /// The number of the oldest segment that counts. All from there on are there.
    pub(super) first: u64,
    /// Where the records of the segment before the one that begins with this state end.
    pub(super) previous_end: u64,
    pub(super) edges: Edges,
    /// How much time had passed, by the log's own count, and the machine's own then.
    pub(super) passed: Duration,
    pub(super) boot: Boot,
}

impl State {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let Boot { id, uptime } = self.boot;
        bytes.extend_from_slice(&id);
        let floor = self.edges.floor.key();
        for number in [self.first, self.previous_end, nanos(self.passed), nanos(uptime), floor] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        for (topic, id) in self.edges.iter() {
            bytes.extend_from_slice(&id.key().to_le_bytes());
            put_topic(&mut bytes, topic.as_str());
        }
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<State> {
        let mut rest = Bytes(bytes);
        let id = rest.take(BOOT_BYTES)?.try_into().ok()?;
        let (first, previous_end) = (rest.number()?, rest.number()?);
        let (passed, uptime) = (Duration::from_nanos(rest.number()?), Duration::from_nanos(rest.number()?));
        let mut edges = Edges::new(Id::from_key(rest.number()?));
        while !rest.0.is_empty() {
            let id = Id::from_key(rest.number()?);
            edges.note(&Topic::kept(rest.topic()?).ok()?, id);
        }
        Some(State { first, previous_end, edges, passed, boot: Boot { id, uptime } })
    }
}

/// The bytes of the name that Linux gives each start of a machine.
const BOOT_BYTES: usize = 36;

/// The start of the machine, and how long ago that was. All zeros where the system does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Boot {
    id: [u8; BOOT_BYTES],
    uptime: Duration,
}

impl Boot {
    /// As Linux says it (proc(5)). It counts also while the machine sleeps, and no clock that is set changes it.
    pub(super) fn now() -> Boot {
        let read = || {
            let id = fs::read("/proc/sys/kernel/random/boot_id").ok()?;
            let uptime = fs::read_to_string("/proc/uptime").ok()?;
            let seconds = uptime.split_whitespace().next()?.parse().ok()?;
            let id = *id.first_chunk()?;
            Some(Boot { id, uptime: Duration::try_from_secs_f64(seconds).ok()? })
        };
        read().unwrap_or(Boot { id: [0; BOOT_BYTES], uptime: Duration::ZERO })
    }

    /// How much time has passed since then; none if the machine was started anew in between.
    fn since(self, then: Boot) -> Option<Duration> {
        let is_known = self.id == then.id && self.id != [0; BOOT_BYTES];
        is_known.then(|| self.uptime.checked_sub(then.uptime)).flatten()
    }
}

/// Counts how much time has passed in the life of a log, whatever the clock says.
///
/// While the process runs, a clock counts that nobody sets. Between two processes the machine's own does, if it was
/// not started anew; otherwise nothing but the time of day says how long it was off, and is believed where it went
/// forward. So a clock that was wrong makes no event older that was published while it was wrong.
#[derive(Clone, Copy)]
pub(super) struct Passed {
    before: Duration,
    began: Instant,
}

impl Passed {
    pub(super) fn new(before: Duration) -> Passed {
        Passed { before, began: Instant::now() }
    }

    /// Goes on after this state and this commit, the newest of the log, when the clock says `now` (in nanoseconds since
    /// 1970).
    pub(super) fn resume(state: &State, passed: Duration, at: u64, now: u64) -> Passed {
        let by_machine = Boot::now().since(state.boot).map(|time| state.passed + time);
        let by_clock = || passed + Duration::from_nanos(now.saturating_sub(at));
        Passed::new(by_machine.unwrap_or_else(by_clock).max(passed))
    }

    pub(super) fn now(&self) -> Duration {
        self.before + self.began.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_on_by_the_machines_clock_and_else_by_the_time_of_day_where_that_went_forward() {
        let minute = Duration::from_secs(60);
        let state = |boot| {
            let edges = Edges::new(Id::default());
            State { first: 1, previous_end: 0, edges, passed: minute, boot }
        };
        let near = |passed: Passed, wanted: Duration| {
            assert!((wanted..wanted + minute / 2).contains(&passed.now()), "{:?}", passed.now());
        };
        let (hour, nanos) = (60 * minute, |time: Duration| nanos(time));
        let other = Boot { id: [7; BOOT_BYTES], uptime: Duration::ZERO };
        near(Passed::resume(&state(other), 2 * minute, nanos(hour), nanos(2 * hour)), 2 * minute + hour);
        near(Passed::resume(&state(other), 2 * minute, nanos(hour), 0), 2 * minute);
        let boot = Boot::now();
        if boot.uptime > Duration::ZERO {
            near(Passed::resume(&state(boot), 2 * minute, 0, nanos(hour)), 2 * minute);
        }
        let read = State::decode(&state(boot).encode()).expect("it is what was written");
        assert_eq!((read.first, read.passed, read.boot), (1, minute, boot));
    }
}
