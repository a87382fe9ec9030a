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
        Lifetime::of(LIFETIME_MAX, pid, end_signal)
    }

    fn of(lifetime: Duration, pid: u32, end_signal: Signal) -> Lifetime {
        let (over, receiver) = mpsc::channel();
        thread::spawn(move || {
            if receiver.recv_timeout(lifetime) == Err(RecvTimeoutError::Timeout) {
                eprintln!("a server is ended: it was needed for more than {} s", lifetime.as_secs());
                // It may have ended by itself at this moment.
                let _ = kill(Pid::from_raw(pid.cast_signed()), end_signal);
            }
        });
        Lifetime { _over: over }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    use super::*;

    #[test]
    fn a_server_that_outlives_its_measurement_is_ended() {
        let mut server = Command::new("sleep").arg("60").spawn().expect("sleep(1) is everywhere");
        let _lifetime = Lifetime::of(Duration::from_millis(1), server.id(), Signal::SIGKILL);
        let status = server.wait().expect("the process was started above");
        assert_eq!(status.signal(), Some(Signal::SIGKILL as i32));
    }

    #[test]
    fn a_server_whose_measurement_is_over_is_left_alone() {
        let mut server = Command::new("sleep").arg("0.3").spawn().expect("sleep(1) is everywhere");
        drop(Lifetime::of(Duration::from_millis(100), server.id(), Signal::SIGKILL));
        let status = server.wait().expect("the process was started above");
        assert!(status.success());
    }
}
