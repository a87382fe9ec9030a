//! A key for HMAC-SHA-256 (RFC 2104), which signs tickets and verifies JWTs.

use super::base64;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;
use std::path::Path;

/// The least a key may have, in bytes: what the hash has (RFC 7518, section 3.2). A shorter one can be guessed from any
/// ticket.
pub const KEY_BYTES_MIN: usize = 32;

/// The most that is read of a key file, in bytes. A longer file is not a key.
const KEY_BYTES_MAX: usize = 64 * 1024;

/// Bytes of a signature.
pub(super) const TAG_BYTES: usize = 32;

/// Bytes of a key's id. Keys with the same id are all tried.
const ID_BYTES: usize = 3;

/// A secret key. `Debug` does not print it.
#[derive(Clone)]
pub struct Key {
    hmac: Hmac<Sha256>,
    id: String,
}

impl Key {
    /// A key of at least [`KEY_BYTES_MIN`] bytes. The error is for the operator.
    pub fn new(bytes: &[u8]) -> Result<Key, String> {
        if bytes.len() < KEY_BYTES_MIN {
            return Err(format!(
                "a key has at least {KEY_BYTES_MIN} bytes, and this one has {}: make one with `openssl rand -hex 32`",
                bytes.len()
            ));
        }
        let hmac = Hmac::new_from_slice(bytes).map_err(|_| "the key has no valid length".to_owned())?;
        let mut key = Key { hmac, id: String::new() };
        key.id = base64::encode(&key.sign(b"callout key id")[..ID_BYTES]);
        Ok(key)
    }

    /// The key in a file. A line end behind a text is not a part of it. The error is for the operator.
    pub fn read(path: &Path) -> Result<Key, String> {
        let shown = path.display();
        let bytes =
            std::fs::read(path).map_err(|error| format!("failed to read the key `{shown}`: {error}"))?;
        if bytes.len() > KEY_BYTES_MAX {
            return Err(format!("`{shown}` is no key: it has more than {KEY_BYTES_MAX} bytes"));
        }
        Key::new(without_line_end(&bytes)).map_err(|error| format!("`{shown}`: {error}"))
    }

    /// Tells the key from others, and nothing of what it is.
    pub fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn sign(&self, message: &[u8]) -> [u8; TAG_BYTES] {
        self.hmac.clone().chain_update(message).finalize().into_bytes().into()
    }

    /// Whether the signature of the message is this one. Takes the same time for each wrong one.
    pub(super) fn verify(&self, message: &[u8], tag: &[u8]) -> bool {
        self.hmac.clone().chain_update(message).verify_slice(tag).is_ok()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

/// Keys of text end where their line does. Random bytes may end in what looks like a line end.
fn without_line_end(bytes: &[u8]) -> &[u8] {
    let line = bytes.strip_suffix(b"\n").map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    line.filter(|line| line.iter().all(|byte| matches!(byte, b' '..=b'~'))).unwrap_or(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_key_signs_as_rfc_4231_says() {
        let tag =
            Key::new(&[0xaa; 131]).unwrap().sign(b"Test Using Larger Than Block-Size Key - Hash Key First");
        assert_eq!(tag[..8], [0x60, 0xe4, 0x31, 0x59, 0x1e, 0xe0, 0xb6, 0x7f]);
        assert_eq!(
            tag[24..],
            [0x8e, 0x0b, 0xc6, 0x21, 0x37, 0x28, 0xc5, 0x14, 0x05, 0x46, 0x04, 0x0f, 0x0e, 0xe3, 0x7f, 0x54]
                [8..]
        );
    }

    #[test]
    fn a_short_key_is_refused_and_a_line_end_is_no_part_of_one() {
        let folder = std::env::temp_dir().join(format!("callout-key-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("key");
        let text = "0123456789abcdef0123456789abcdef";
        let ids: Vec<_> = ["", "\n", "\r\n"]
            .map(|end| {
                fs::write(&path, format!("{text}{end}")).unwrap();
                Key::read(&path).unwrap().id().to_owned()
            })
            .into();
        assert!(ids.iter().all(|id| *id == ids[0]));
        let mut binary = [0xff; 32];
        binary[31] = b'\n';
        fs::write(&path, binary).unwrap();
        Key::read(&path).unwrap();
        fs::write(&path, "sesame\n").unwrap();
        let error = Key::read(&path).unwrap_err();
        assert!(
            error.contains("at least 32 bytes, and this one has 6") && !error.contains("sesame"),
            "{error}"
        );
        fs::write(&path, vec![b'x'; KEY_BYTES_MAX + 1]).unwrap();
        assert!(Key::read(&path).unwrap_err().contains("is no key"));
        assert!(Key::read(&folder.join("none")).unwrap_err().contains("failed to read the key"));
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_key_is_not_printed() {
        assert_eq!(format!("{:?}", Key::new(&[7; 32]).unwrap()), "Key(…)");
    }
}
