//! The id of a kept event.

use std::fmt;

/// Where an event stands in the one order of all kept events. A history gives each event a larger one than
/// all before it, across restarts too.
///
/// It is opaque outside a history: ids are compared, stored and shown, and nothing else is read from them. The
/// time of an event stands beside its id. The default comes before every event.
///
/// On the wire it is a token of 16 hexadecimal digits, so that ids also compare as text.
///
/// ```
/// use callout::Id;
///
/// let id = Id::from_key(0x18ea05d073c48677);
/// assert_eq!(id.to_string(), "18ea05d073c48677");
/// assert_eq!(Id::parse("18ea05d073c48677"), Some(id));
/// assert!(Id::default() < id && id < Id::MAX);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Id(u64);

impl Id {
    /// No event comes after this one.
    pub const MAX: Id = Id(u64::MAX);

    /// The id with this key: for a history, which chooses the keys, and for what stores ids.
    pub fn from_key(key: u64) -> Id {
        Id(key)
    }

    /// The key, which sorts as the id does.
    pub fn key(self) -> u64 {
        self.0
    }

    /// Reads the token that `Display` writes; any other text is not an id of a history.
    pub fn parse(token: &str) -> Option<Id> {
        let ours = token.len() == 16 && token.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        ours.then(|| u64::from_str_radix(token, 16).ok().map(Id)).flatten()
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // `{:016x}` takes several times as long, and each event is written with an id.
        let mut token = [0; 16];
        for (position, digit) in token.iter_mut().rev().enumerate() {
            *digit = b"0123456789abcdef"[(self.0 >> (4 * position)) as usize & 0xf];
        }
        f.write_str(str::from_utf8(&token).map_err(|_| fmt::Error)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_what_it_writes_and_nothing_else() {
        assert_eq!(Id::parse(&Id(0xabc).to_string()), Some(Id(0xabc)));
        for other in ["", "abc", "0000000000000ABC", "00000000000000001", "+000000000000abc"] {
            assert_eq!(Id::parse(other), None);
        }
    }
}
