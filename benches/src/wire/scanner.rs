//! Finds the messages in the body of a stream, in pieces cut anywhere.
//!
//! The scanner jumps from mark to mark over whole messages, and keeps at most the part of one message
//! that has already arrived.

use memchr::memchr;

use crate::wire::message::{MARK, MESSAGE_BYTES};

pub struct Scanner {
    kept: [u8; MESSAGE_BYTES],
    kept_bytes: usize,
}

impl Scanner {
    pub fn new() -> Scanner {
        Scanner { kept: [0; MESSAGE_BYTES], kept_bytes: 0 }
    }

    /// Calls `each` with every message that these bytes complete.
    pub fn scan(&mut self, mut bytes: &[u8], mut each: impl FnMut(&[u8; MESSAGE_BYTES])) {
        if self.kept_bytes > 0 {
            bytes = self.keep(bytes);
            if self.kept_bytes < MESSAGE_BYTES {
                return;
            }
            self.kept_bytes = 0;
            each(&self.kept);
        }
        while let Some(mark) = memchr(MARK, bytes) {
            let Some((message, rest)) = bytes[mark..].split_first_chunk() else {
                self.keep(&bytes[mark..]);
                return;
            };
            each(message);
            bytes = rest;
        }
    }

    /// Adds what the kept message still lacks, and gives back the rest.
    fn keep<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let lacking = &mut self.kept[self.kept_bytes..];
        let (taken, rest) = bytes.split_at(lacking.len().min(bytes.len()));
        lacking[..taken.len()].copy_from_slice(taken);
        self.kept_bytes += taken.len();
        rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::message::Message;

    #[test]
    fn messages_are_found_however_they_are_cut() {
        let mut wire = b"retry: 3000\n\n".to_vec();
        for number in 0..3 {
            let mut data = [0; MESSAGE_BYTES];
            Message { publisher: 1, number, sent_nanos: 7 }.encode(&mut data);
            wire.extend_from_slice(format!("id: {number}\ndata: ").as_bytes());
            wire.extend_from_slice(&data);
            wire.extend_from_slice(b"\n\n");
        }
        for step in 1..=wire.len() {
            let mut scanner = Scanner::new();
            let mut numbers = Vec::new();
            for piece in wire.chunks(step) {
                scanner.scan(piece, |bytes| {
                    numbers.push(Message::decode(bytes).map(|message| message.number));
                });
            }
            assert_eq!(numbers, [Some(0), Some(1), Some(2)]);
        }
    }
}
