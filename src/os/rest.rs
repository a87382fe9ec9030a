//! The hand-over between the threads that run something and the place where it rests while it waits.
//!
//! Whoever runs it looks at everything there is, finds nothing to do, and puts it to [rest](Resting::rest). Whoever
//! learns that there is something to do [wakes](Resting::wake) it. What happens between the look and the rest is
//! remembered, so a call is never lost; and only one of all who call is given it, so it never runs twice at once.

use super::sync::Mutex;

/// The place of one `T`, which is here or with the thread that runs it.
pub(crate) struct Resting<T> {
    state: Mutex<State<T>>,
}

enum State<T> {
    /// A thread runs it. `is_woken`: there may be something to do that the thread has not seen.
    Running {
        is_woken: bool,
    },
    Here(Box<T>),
}

impl<T> Resting<T> {
    /// The place of something that runs.
    pub(crate) fn new() -> Resting<T> {
        Resting { state: Mutex::new(State::Running { is_woken: false }) }
    }

    /// Puts it to rest. It is given back if it was woken since it was taken, or given back, last: then the caller has to
    /// look again.
    pub(crate) fn rest(&self, it: Box<T>) -> Option<Box<T>> {
        let mut state = self.state.lock();
        match &mut *state {
            State::Running { is_woken } if *is_woken => {
                *is_woken = false;
                Some(it)
            }
            _ => {
                *state = State::Here(it);
                None
            }
        }
    }

    /// Wakes it. If it is given, the caller has to see to it that it runs; else the thread that runs it will look again.
    pub(crate) fn wake(&self) -> Option<Box<T>> {
        let mut state = self.state.lock();
        match std::mem::replace(&mut *state, State::Running { is_woken: false }) {
            State::Here(it) => Some(it),
            State::Running { .. } => {
                *state = State::Running { is_woken: true };
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_between_the_look_and_the_rest_is_not_lost() {
        let resting = Resting::new();
        assert_eq!(resting.wake(), None);
        assert_eq!(resting.rest(Box::new(1)), Some(Box::new(1)), "it has to look again");
        assert_eq!(resting.rest(Box::new(1)), None);
        assert_eq!(resting.wake(), Some(Box::new(1)));
        assert_eq!(resting.wake(), None, "only one is given it");
        assert_eq!(resting.rest(Box::new(1)), Some(Box::new(1)));
        assert_eq!(resting.rest(Box::new(1)), None);
    }
}
