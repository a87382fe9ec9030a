//! Tokens: secrets, and the digests by which they are known.

use crate::error::Error;
use sha2::{Digest as _, Sha256};
use std::fmt::{self, Write};
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use subtle::ConstantTimeEq;

/// What the text of a digest begins with.
const SHA256: &str = "sha256:";

const DIGEST_BYTES: usize = 32;

/// A secret text. `Debug` does not print it.
///
/// ```
/// assert_eq!(format!("{:?}", callout::Secret::new("sesame")), "Secret(…)");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes the text as it is.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// Whether this is what a client can send as its bearer token: one or more visible ASCII characters. An empty one
    /// would leave a server open to everybody.
    pub(crate) fn is_token(&self) -> bool {
        is_token(&self.0)
    }
}

impl<T: Into<String>> From<T> for Secret {
    fn from(text: T) -> Secret {
        Secret::new(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The SHA-256 of a secret: enough to know the secret again, and not enough to send it. Comparing two takes the same time
/// wherever they differ, and how long a secret is compared says nothing about those that are known. `Debug` does not print
/// it.
///
/// ```
/// use callout::Digest;
///
/// let text = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
/// assert_eq!(text.parse::<Digest>()?, Digest::of("test"));
/// # Ok::<(), callout::Error>(())
/// ```
#[derive(Clone, Copy, Eq)]
pub struct Digest([u8; DIGEST_BYTES]);

impl Digest {
    /// That of this secret.
    pub fn of(secret: &str) -> Digest {
        Digest(Sha256::digest(secret.as_bytes()).into())
    }

    pub(super) fn of_secret(secret: &Secret) -> Digest {
        Digest::of(&secret.0)
    }

    /// As a rule names it: `sha256:` and 64 hexadecimal digits.
    pub fn text(&self) -> String {
        self.0.iter().fold(SHA256.to_owned(), |mut text, byte| {
            write!(text, "{byte:02x}").expect("text takes what is written to it");
            text
        })
    }
}

impl PartialEq for Digest {
    fn eq(&self, other: &Digest) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Hash for Digest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(&self.0);
    }
}

impl FromStr for Digest {
    type Err = Error;

    /// Reads what [`Digest::text`] gives. The error does not repeat the text, which may be a secret in the wrong place.
    fn from_str(text: &str) -> Result<Digest, Error> {
        let wrong =
            || Error::bad("a hash is `sha256:` and 64 hexadecimal digits; `callout token new` prints one");
        let digits = text.strip_prefix(SHA256).ok_or_else(wrong)?;
        let is_hex = digits.len() == 2 * DIGEST_BYTES && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let mut bytes = [0; DIGEST_BYTES];
        for (at, byte) in bytes.iter_mut().enumerate().filter(|_| is_hex) {
            *byte = u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).map_err(|_| wrong())?;
        }
        if is_hex { Ok(Digest(bytes)) } else { Err(wrong()) }
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(…)")
    }
}

/// Whether a client can send this as its bearer token; see [`Secret::is_token`].
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}
