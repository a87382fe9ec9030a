//! The tally of one stream: whether it received every publisher's messages in order, none missing and
//! none twice.

use crate::wire::message::{Message, PUBLISHERS_MAX};

/// The publisher whose messages only show that a stream receives. They are not counted.
pub const PROBE_PUBLISHER: usize = PUBLISHERS_MAX - 1;

pub struct Tally {
    /// The number each publisher's next message must have.
    next: [u64; PUBLISHERS_MAX],
    /// Messages received, and messages lost before a later one.
    passed: u64,
    lost: u64,
    doubled: u64,
    torn: u64,
    probed: bool,
}

/// The faults of streams, added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Missing when a later message arrived, or at the end.
    pub lost: u64,
    /// Received again, or after a later one.
    pub doubled: u64,
    /// Not whole.
    pub torn: u64,
    /// Streams that the server ended.
    pub hung_up: u64,
}

impl Tally {
    pub fn new() -> Tally {
        Tally { next: [0; PUBLISHERS_MAX], passed: 0, lost: 0, doubled: 0, torn: 0, probed: false }
    }

    pub fn note(&mut self, message: &Message) {
        if message.publisher == PROBE_PUBLISHER {
            self.probed = true;
            return;
        }
        let next = &mut self.next[message.publisher];
        if message.number < *next {
            self.doubled += 1;
            return;
        }
        self.lost += message.number - *next;
        self.passed += message.number - *next + 1;
        *next = message.number + 1;
    }

    pub fn note_torn(&mut self) {
        self.torn += 1;
    }

    /// The number that this publisher's next message must have.
    pub fn next_of(&self, publisher: usize) -> u64 {
        self.next[publisher]
    }

    pub fn is_probed(&self) -> bool {
        self.probed
    }

    pub fn passed(&self) -> u64 {
        self.passed
    }

    pub fn received(&self) -> u64 {
        self.passed - self.lost
    }

    /// Adds the faults of this stream, if `published` messages should have arrived.
    pub fn add_to(&self, faults: &mut Faults, published: u64) {
        // A torn message may have had a number that was never published.
        faults.lost += published.saturating_sub(self.received());
        faults.doubled += self.doubled;
        faults.torn += self.torn;
    }
}

impl Faults {
    /// The sum, for the table.
    pub fn count(&self) -> u64 {
        self.lost + self.doubled + self.torn + self.hung_up
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults_of(numbers: &[u64], published: u64) -> Faults {
        let mut tally = Tally::new();
        for &number in numbers {
            tally.note(&Message { publisher: 2, number, sent_nanos: 0 });
        }
        let mut faults = Faults::default();
        tally.add_to(&mut faults, published);
        faults
    }

    #[test]
    fn a_whole_stream_has_no_faults() {
        assert_eq!(faults_of(&[0, 1, 2], 3), Faults::default());
    }

    #[test]
    fn gaps_and_the_missing_end_are_lost() {
        assert_eq!(faults_of(&[0, 3], 6).lost, 4);
    }

    #[test]
    fn a_message_that_comes_late_is_lost_and_doubled() {
        let faults = faults_of(&[0, 2, 1, 3], 4);
        assert_eq!((faults.lost, faults.doubled), (1, 1));
    }
}
