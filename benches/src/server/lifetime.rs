//! The life of a server has an end, whatever happens: where a server hangs, the generator would wait
//! for it for ever. Ended, it hangs up, and the measurement ends with an error.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Longer than any measurement with one server takes.
const LIFETIME_MAX: Duration = Duration::from_secs(150);

/// Signals the server when it has lived too long, unless dropped before.
pub struct Lifetime {
    _over: Sender<()>,
}

impl Lifetime {
    pub fn begin(pid: u32, end_signal: Signal) -> Lifetime {
        let (over, receiver) = mpsc::channel();
        thread::spawn(move || {
            if receiver.recv_timeout(LIFETIME_MAX) == Err(RecvTimeoutError::Timeout) {
                eprintln!("a server is ended: it was needed for more than {} s", LIFETIME_MAX.as_secs());
                // It may have ended by itself at this moment.
                let _ = kill(Pid::from_raw(pid.cast_signed()), end_signal);
            }
        });
        Lifetime { _over: over }
    }
}
