//! The log: lines on standard error, written by a thread of their own.
//!
//! A full or closed standard error stops nothing: whoever has a line hands it over without waiting, and
//! where there is no room the line is dropped and counted.

use crate::disk::is_guarded;
use crossbeam_channel::{Receiver, Sender, bounded};
use log::{LevelFilter, Log, Metadata, Record};
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

/// Lines waiting to be written. When full, further ones are dropped, and how many is logged later.
const QUEUE_LINES: usize = 2 * 1024;

/// How long lines gather before they are written together. Being handed a line does not wake a thread
/// that sleeps, so a busy server pays for one wake-up per pause, not per request.
const PAUSE: Duration = Duration::from_millis(20);

/// How long an exiting process waits for its last lines.
const FLUSH_DEADLINE: Duration = Duration::from_millis(500);

enum Message {
    Line(String),
    Flush(Sender<()>),
}

struct Logger {
    queue: Sender<Message>,
    dropped: &'static AtomicU64,
}

/// Sends everything up to this level to standard error from now on. A panic becomes a line too, except
/// where it is told as an error anyway.
pub(super) fn start(level: LevelFilter) -> io::Result<()> {
    static DROPPED: AtomicU64 = AtomicU64::new(0);
    let (queue, messages) = bounded(QUEUE_LINES);
    std::thread::Builder::new().name("log".into()).spawn(move || write(&messages, &DROPPED))?;
    // It fails only when there is a logger already, which then goes on.
    if log::set_boxed_logger(Box::new(Logger { queue, dropped: &DROPPED })).is_ok() {
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
        // Other crates only report what an operator can act on.
        metadata.target().starts_with("callout") || metadata.level() <= LevelFilter::Warn
    }

    fn log(&self, record: &Record) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let at = humantime::format_rfc3339_millis(SystemTime::now());
        let line = format!("{at} {:<5} {}\n", record.level(), record.args());
        if self.queue.try_send(Message::Line(line)).is_err() {
            self.dropped.fetch_add(1, Relaxed);
        }
    }

    fn flush(&self) {
        let (done, written) = bounded(1);
        if self.queue.send_timeout(Message::Flush(done), FLUSH_DEADLINE).is_ok() {
            // Standard error may be stuck; then the lines are lost and the exit is not.
            let _ = written.recv_timeout(FLUSH_DEADLINE);
        }
    }
}

fn write(messages: &Receiver<Message>, dropped: &AtomicU64) {
    let mut stderr = io::stderr();
    while let Ok(first) = messages.recv() {
        let mut lines = String::new();
        let mut flushes = Vec::new();
        for message in std::iter::once(first).chain(messages.try_iter()) {
            match message {
                Message::Line(line) => lines += &line,
                Message::Flush(done) => flushes.push(done),
            }
        }
        let missing = dropped.swap(0, Relaxed);
        if missing > 0 {
            lines += &format!("{missing} lines of this log were dropped: standard error was too slow\n");
        }
        // A closed standard error has no reader to tell.
        let _ = stderr.write_all(lines.as_bytes());
        if flushes.is_empty() {
            std::thread::sleep(PAUSE);
        }
        // A flusher that gave up waiting is gone.
        flushes.into_iter().for_each(|done| _ = done.send(()));
    }
}
