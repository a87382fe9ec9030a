//! Refusals in the log: one line a second for each reason, however many there are.
//!
//! The first is written as it is. Those that follow are counted, and the count is written each second until none came in
//! one. So whoever is refused ten thousand times a second fills no disk, and drives no other line out of the log.

use super::threads::spawn;
use log::Level;
use parking_lot::Mutex;
use std::time::Duration;

/// How long refusals are counted before their number is written.
const PAUSE: Duration = Duration::from_secs(1);

/// The reasons for which something was refused within the last second. They are words of the program, so they are few.
static RECENT: Mutex<Recent> = Mutex::new(Recent(Vec::new()));

struct Recent(Vec<Reason>);

struct Reason {
    text: &'static str,
    level: Level,
    /// Refusals that were not written.
    more: u64,
}

/// Writes a line, unless something was refused for the same reason a moment ago.
pub(crate) fn log(level: Level, reason: &'static str, line: impl FnOnce() -> String) {
    let mut recent = RECENT.lock();
    let was_empty = recent.0.is_empty();
    if !recent.note(level, reason) {
        return;
    }
    drop(recent);
    log::log!(level, "{}", line());
    // There is a thread while there are reasons. Where none can be started, nothing is counted either.
    if was_empty && spawn("refusals", run).is_err() {
        RECENT.lock().0.clear();
    }
}

/// Writes what was counted so far.
pub(crate) fn tell() {
    RECENT.lock().take().into_iter().for_each(write);
}

fn run() {
    loop {
        std::thread::sleep(PAUSE);
        let mut recent = RECENT.lock();
        let counted = recent.take();
        let is_over = recent.0.is_empty();
        drop(recent);
        counted.into_iter().for_each(write);
        if is_over {
            return;
        }
    }
}

fn write(Reason { text, level, more }: Reason) {
    log::log!(level, "{more} more were refused within a second: {text}");
}

impl Recent {
    /// Whether this refusal is the first for its reason. Others are counted.
    fn note(&mut self, level: Level, text: &'static str) -> bool {
        match self.0.iter_mut().find(|reason| reason.text == text) {
            Some(reason) => {
                reason.more += 1;
                false
            }
            None => {
                self.0.push(Reason { text, level, more: 0 });
                true
            }
        }
    }

    /// What was counted. A reason for which nothing was is over.
    fn take(&mut self) -> Vec<Reason> {
        self.0.retain(|reason| reason.more > 0);
        let taken = |reason: &mut Reason| Reason { more: std::mem::take(&mut reason.more), ..*reason };
        self.0.iter_mut().map(taken).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_a_second_is_written_and_the_others_are_counted() {
        let mut recent = Recent(Vec::new());
        let note = |recent: &mut Recent, text| recent.note(Level::Info, text);
        let written = (0..10_000).filter(|_| note(&mut recent, "429")).count();
        assert_eq!((written, note(&mut recent, "401")), (1, true));
        let counted = recent.take();
        assert_eq!(
            counted.iter().map(|reason| (reason.text, reason.more)).collect::<Vec<_>>(),
            [("429", 9_999)]
        );
        // It goes on: only the count is written.
        assert_eq!((note(&mut recent, "429"), note(&mut recent, "401")), (false, true));
        assert_eq!(recent.take().len(), 1);
        assert!(recent.take().is_empty() && recent.0.is_empty());
        assert!(note(&mut recent, "429"));
    }
}
