//! What the commands write: whole texts to standard output, notes to standard error, and the news that nobody
//! reads standard output any more.
//!
//! Text that others sent cannot act on a terminal, and goes into a file or a pipe as it is.

use super::Failure;
use crate::os::threads::spawn;
use crossbeam_channel::{Receiver, Sender, bounded, never};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::os::fd::AsRawFd;

/// Writes a text to standard output. [`Failure::Unread`] if nobody reads it any more.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    let text = if stdout.is_terminal() { harmless(text) } else { Cow::Borrowed(text) };
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe => Failure::Unread,
        _ => Failure::Work(format!("failed to write to standard output: {error}")),
    })
}

/// Writes one line to standard error.
pub(super) fn note(text: &str) {
    let line = text.replace('\n', "\\n");
    // Standard error may be closed; then the line is lost.
    let _ = writeln!(io::stderr(), "callout: {}", harmless(&line));
}

/// Disconnected when nobody reads standard output any more. A pipe or a terminal tells, a file never does.
pub(super) fn watch_reader() -> Receiver<()> {
    watch(&io::stdout()).unwrap_or_else(|_| never())
}

fn watch(output: &impl AsRawFd) -> io::Result<Receiver<()>> {
    let mut poll = Poll::new()?;
    // An error means that this kind of output has no reader who could leave.
    poll.registry().register(&mut SourceFd(&output.as_raw_fd()), Token(0), Interest::WRITABLE)?;
    let (watching, unread) = bounded(0);
    spawn("stdout", move || {
        let _watching: Sender<()> = watching;
        let mut events = Events::with_capacity(1);
        while !events.iter().any(|event| event.is_error() || event.is_write_closed()) {
            match poll.poll(&mut events, None) {
                Err(error) if error.kind() != ErrorKind::Interrupted => return,
                _ => {}
            }
        }
    })?;
    Ok(unread)
}

/// The text with what would act on a terminal written out (`\u001b`), as it would stand in JSON.
fn harmless(text: &str) -> Cow<'_, str> {
    if !text.contains(acts_on_a_terminal) {
        return text.into();
    }
    let mut harmless = String::with_capacity(text.len());
    for letter in text.chars() {
        if acts_on_a_terminal(letter) {
            // Writing to a String cannot fail.
            let _ = write!(harmless, "\\u{:04x}", u32::from(letter));
        } else {
            harmless.push(letter);
        }
    }
    harmless.into()
}

/// Control characters other than line ends and tabs, and those that turn the direction of what follows.
fn acts_on_a_terminal(letter: char) -> bool {
    let turns = matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    turns || (letter.is_control() && !matches!(letter, '\n' | '\t'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_act_on_a_terminal_is_written_out() {
        for (text, shown) in [
            ("two\n\tlines, größe", "two\n\tlines, größe"),
            ("\x1b]0;title\x07\x1b[2J\r", r"\u001b]0;title\u0007\u001b[2J\u000d"),
            ("\u{9b}31m \u{202e}gpj.exe", r"\u009b31m \u202egpj.exe"),
        ] {
            assert_eq!(harmless(text), shown);
        }
    }
}
