//! The log: lines on standard error, written by a thread of their own.
//!
//! A full or closed standard error stops nothing: a line is added to those that wait to be written, and if there is
//! no room, it is dropped and counted.

use crate::disk::is_guarded;
use crate::os::clock::now;
use crate::os::threads::spawn;
use log::{LevelFilter, Log, Metadata, Record};
use parking_lot::{Condvar, Mutex};
use std::io::{self, Write};
use std::time::Duration;

/// Bytes of text that may wait to be written. Further lines are dropped, and their number is logged later.
const WAITING_BYTES: usize = 256 * 1024;

/// How long lines gather before they are written together. A busy server pays for one wake-up per pause, not for
/// one per request.
const PAUSE: Duration = Duration::from_millis(20);

/// How long an exiting process waits for its last lines.
const FLUSH_DEADLINE: Duration = Duration::from_millis(500);

struct Logger {
    waiting: Mutex<Waiting>,
    /// Lines are waiting, or have been written.
    changed: Condvar,
}

struct Waiting {
    lines: String,
    dropped: u64,
    /// The thread has taken lines that it has not written yet.
    is_writing: bool,
}

static LOGGER: Logger = Logger {
    waiting: Mutex::new(Waiting { lines: String::new(), dropped: 0, is_writing: false }),
    changed: Condvar::new(),
};

/// Writes everything up to this level to standard error from now on. A panic becomes a line too, except where it is
/// reported as an error anyway.
pub(super) fn start(level: LevelFilter) -> io::Result<()> {
    spawn("log", || LOGGER.write())?;
    // This fails only if a logger is set already, which then stays.
    if log::set_logger(&LOGGER).is_ok() {
        log::set_max_level(level);
    }
    std::panic::set_hook(Box::new(|panic| {
        if !is_guarded() {
            log::error!("{panic}");
        }
    }));
    Ok(())
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata) -> bool {
        // Of other crates only warnings and errors: an operator can act on those.
        metadata.target().starts_with("callout") || metadata.level() <= LevelFilter::Warn
    }

    fn log(&self, record: &Record) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let at = humantime::format_rfc3339_millis(now());
        let line = format!("{at} {:<5} {}\n", record.level(), record.args());
        let mut waiting = self.waiting.lock();
        if waiting.lines.len() + line.len() > WAITING_BYTES {
            waiting.dropped += 1;
            return;
        }
        waiting.lines += &line;
        drop(waiting);
        self.changed.notify_all();
    }

    fn flush(&self) {
        let mut waiting = self.waiting.lock();
        let is_unwritten = |waiting: &mut Waiting| waiting.is_writing || !waiting.lines.is_empty();
        // If standard error is stuck, the lines are lost, but the process still exits.
        self.changed.wait_while_for(&mut waiting, is_unwritten, FLUSH_DEADLINE);
    }
}

impl Logger {
    fn write(&self) {
        let mut stderr = io::stderr();
        loop {
            let mut waiting = self.waiting.lock();
            self.changed.wait_while(&mut waiting, |waiting| waiting.lines.is_empty());
            let mut lines = std::mem::take(&mut waiting.lines);
            let missing = std::mem::take(&mut waiting.dropped);
            waiting.is_writing = true;
            drop(waiting);
            if missing > 0 {
                lines += &format!("{missing} lines of this log were dropped: standard error was too slow\n");
            }
            // Standard error may be closed.
            let _ = stderr.write_all(lines.as_bytes());
            self.waiting.lock().is_writing = false;
            self.changed.notify_all();
            std::thread::sleep(PAUSE);
        }
    }
}
