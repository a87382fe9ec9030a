//! Base64 (RFC 4648), read strictly: each sequence of bytes has one text, so nobody can change a credential's text and
//! keep what it says.

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};

/// Which characters stand for 62 and 63, and whether there is padding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Alphabet {
    /// `-` and `_` without padding (section 5), as JWT and tickets use it.
    Url,
    /// `+` and `/` with padding (section 4), as `Authorization: Basic` and PEM use it.
    Standard,
}

/// The text of these bytes, as JWT and tickets write it.
pub(crate) fn encode(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// The bytes of a text; none where it is not exactly what would be written for them.
pub(crate) fn decode(text: &str, alphabet: Alphabet) -> Option<Vec<u8>> {
    let bytes = match alphabet {
        Alphabet::Url => BASE64_URL_SAFE_NO_PAD.decode(text),
        Alphabet::Standard => BASE64_STANDARD.decode(text),
    };
    bytes.ok()
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
