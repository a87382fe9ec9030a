//! Base64 (RFC 4648), read strictly: each sequence of bytes has one text, so nobody can change a credential's text and
//! keep what it says.

/// Which characters stand for 62 and 63, and whether there is padding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Alphabet {
    /// `-` and `_` without padding (section 5), as JWT and tickets use it.
    Url,
    /// `+` and `/` with padding (section 4), as `Authorization: Basic` and PEM use it.
    Standard,
}

impl Alphabet {
    fn letters(self) -> &'static [u8; 64] {
        match self {
            Alphabet::Url => b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
            Alphabet::Standard => b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
        }
    }

    fn value(self, letter: u8) -> Option<u32> {
        let value = match (letter, self) {
            (b'A'..=b'Z', _) => letter - b'A',
            (b'a'..=b'z', _) => letter - b'a' + 26,
            (b'0'..=b'9', _) => letter - b'0' + 52,
            (b'-', Alphabet::Url) | (b'+', Alphabet::Standard) => 62,
            (b'_', Alphabet::Url) | (b'/', Alphabet::Standard) => 63,
            _ => return None,
        };
        Some(u32::from(value))
    }
}

/// The text of these bytes, as JWT and tickets write it.
pub(crate) fn encode(bytes: &[u8]) -> String {
    let letters = Alphabet::Url.letters();
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let mut group = [0; 3];
        group[..chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes([0, group[0], group[1], group[2]]);
        // One byte takes two letters, two take three.
        text.extend((0..=chunk.len()).map(|index| letters[(bits >> (18 - 6 * index)) as usize & 63] as char));
    }
    text
}

/// The bytes of a text; none where it is not exactly what would be written for them.
pub(crate) fn decode(text: &str, alphabet: Alphabet) -> Option<Vec<u8>> {
    let letters = match alphabet {
        Alphabet::Url => text,
        Alphabet::Standard if !text.len().is_multiple_of(4) => return None,
        Alphabet::Standard => text.strip_suffix("==").or_else(|| text.strip_suffix('=')).unwrap_or(text),
    };
    let padding = text.len() - letters.len();
    if letters.len() % 4 == 1 || (padding > 0 && !text.len().is_multiple_of(4)) {
        return None;
    }
    let mut bytes = Vec::with_capacity(letters.len() / 4 * 3 + 2);
    for chunk in letters.as_bytes().chunks(4) {
        let mut bits = 0;
        for index in 0..4 {
            let value = chunk.get(index).map_or(Some(0), |letter| alphabet.value(*letter))?;
            bits = bits << 6 | value;
        }
        let group = &bits.to_be_bytes()[1..];
        // What is left over of the last letter has to be zero, or two texts would mean the same.
        if group[chunk.len() - 1..].iter().any(|byte| *byte != 0) && chunk.len() < 4 {
            return None;
        }
        bytes.extend_from_slice(&group[..chunk.len() - 1]);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_vectors_of_rfc_4648_are_read() {
        for (text, bytes) in [
            ("", ""),
            ("Zg==", "f"),
            ("Zm8=", "fo"),
            ("Zm9v", "foo"),
            ("Zm9vYg==", "foob"),
            ("Zm9vYmE=", "fooba"),
            ("Zm9vYmFy", "foobar"),
        ] {
            assert_eq!(decode(text, Alphabet::Standard).unwrap(), bytes.as_bytes());
            assert_eq!(decode(text.trim_end_matches('='), Alphabet::Url).unwrap(), bytes.as_bytes());
            assert_eq!(encode(bytes.as_bytes()), text.trim_end_matches('='));
        }
        assert_eq!(decode("-_-_", Alphabet::Url).unwrap(), decode("+/+/", Alphabet::Standard).unwrap());
    }

    #[test]
    fn whatever_else_could_mean_the_same_is_refused() {
        for text in
            ["Zg==", "Zh", "Zm9=", "Zm9", "Z", "Zm9v\n", " Zm9v", "Zm9vZ", "+/+/", "Zg=", "Zm.v", "Zm9vé"]
        {
            assert_eq!(decode(text, Alphabet::Url), None, "{text:?}");
        }
        for text in
            ["Zg", "Zh==", "Zg=", "Zg===", "Z===", "====", "Zm9v====", "Zm8", "-_-_", "Zm9v\n", "Zm9v="]
        {
            assert_eq!(decode(text, Alphabet::Standard), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn bytes_have_one_text(bytes: Vec<u8>, text in "[A-Za-z0-9_-]{0,40}") {
            prop_assert_eq!(decode(&encode(&bytes), Alphabet::Url), Some(bytes));
            if let Some(bytes) = decode(&text, Alphabet::Url) {
                prop_assert_eq!(encode(&bytes), text);
            }
        }
    }
}
