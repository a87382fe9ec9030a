//! The message inside an event: who published it, its number, and when it was sent.
//!
//! All messages have the same length and begin with a mark that no framing contains, so that the
//! generator finds them in a stream without parsing the lines around them. Reading one costs a few
//! nanoseconds, since the generator shares the machine with the server it measures.

/// The length of a message, and so of an event's data.
pub const MESSAGE_BYTES: usize = 100;

/// The first byte of a message. Neither server-sent framing nor chunk sizes contain it.
pub const MARK: u8 = b'@';

/// Publishers that messages can distinguish.
pub const PUBLISHERS_MAX: usize = 1 << (u64::BITS - NUMBER_BITS);

const DIGITS: usize = 16;
const PADDING: [u8; MESSAGE_BYTES - 1 - 2 * DIGITS] = [b'x'; MESSAGE_BYTES - 1 - 2 * DIGITS];

/// Bits of the first word that hold the number; the bits above them hold the publisher.
const NUMBER_BITS: u32 = 57;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// Below `PUBLISHERS_MAX`.
    pub publisher: usize,
    /// Counted from 0 by each publisher.
    pub number: u64,
    /// When it was sent, by the generator's clock.
    pub sent_nanos: u64,
}

impl Message {
    pub fn encode(&self, out: &mut [u8; MESSAGE_BYTES]) {
        let word = (self.publisher as u64) << NUMBER_BITS | self.number;
        out[0] = MARK;
        write_hex(word, &mut out[1..=DIGITS]);
        write_hex(self.sent_nanos, &mut out[DIGITS + 1..=2 * DIGITS]);
        out[2 * DIGITS + 1..].copy_from_slice(&PADDING);
    }

    /// `None` when the padding is not whole: the bytes of two writes were mixed. Wrong digits are not
    /// checked, since they give a number that the stream's tally does not expect.
    pub fn decode(bytes: &[u8; MESSAGE_BYTES]) -> Option<Message> {
        if bytes[2 * DIGITS + 1..] != PADDING {
            return None;
        }
        let word = read_hex(&bytes[1..=DIGITS]);
        Some(Message {
            publisher: (word >> NUMBER_BITS) as usize,
            number: word & ((1 << NUMBER_BITS) - 1),
            sent_nanos: read_hex(&bytes[DIGITS + 1..=2 * DIGITS]),
        })
    }
}

fn write_hex(mut word: u64, out: &mut [u8]) {
    for digit in out.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(word & 0xf) as usize];
        word >>= 4;
    }
}

fn read_hex(digits: &[u8]) -> u64 {
    let (high, low) = digits.split_at(DIGITS / 2);
    read_hex_half(high) << 32 | read_hex_half(low)
}

/// Eight digits at once, in one register instead of a loop over them.
fn read_hex_half(digits: &[u8]) -> u64 {
    let digits: [u8; 8] = digits.try_into().expect("a word's digits are split in half");
    let bytes = u64::from_be_bytes(digits);
    // The low four bits are a digit's value, to which a letter (bit 6) adds nine.
    let nibbles = (bytes & 0x0f0f_0f0f_0f0f_0f0f) + 9 * (bytes >> 6 & 0x0101_0101_0101_0101);
    let pairs = (nibbles | nibbles >> 4) & 0x00ff_00ff_00ff_00ff;
    let quads = (pairs | pairs >> 8) & 0x0000_ffff_0000_ffff;
    (quads | quads >> 16) & 0xffff_ffff
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_comes_back_as_it_went_in() {
        let message =
            Message { publisher: 11, number: 0x0123_4567_89ab_cdef, sent_nanos: 0xfedc_ba98_7654_3210 };
        let mut bytes = [0; MESSAGE_BYTES];
        message.encode(&mut bytes);
        assert_eq!(Message::decode(&bytes), Some(message));
    }

    #[test]
    fn a_torn_message_is_refused() {
        let message = Message { publisher: 0, number: 1, sent_nanos: 2 };
        let mut bytes = [0; MESSAGE_BYTES];
        message.encode(&mut bytes);
        bytes[MESSAGE_BYTES - 1] = b'\n';
        assert_eq!(Message::decode(&bytes), None);
    }
}
