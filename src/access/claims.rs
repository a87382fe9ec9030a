//! What a ticket and a JWT both say.

use super::base64;
use super::moment::Moment;
use super::refusal::Kind;
use crate::selector::Selector;
use sha2::{Digest, Sha256};

/// The longest name of a user, in bytes.
pub const USER_BYTES_MAX: usize = 256;

/// Bytes of the hash by which a ticket or a JWT is told from all others.
const ID_BYTES: usize = 15;

/// Who bears a ticket or a JWT, and what they may do beside what the rules allow them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// A ticket or a JWT.
    pub kind: Kind,
    /// The user; none where it speaks for nobody in particular.
    pub user: Option<String>,
    /// What may be published to.
    pub publish: Vec<Selector>,
    /// What may be subscribed to.
    pub subscribe: Vec<Selector>,
    /// When it was given; none in a JWT without `iat`.
    pub issued: Option<Moment>,
    /// When it ends; none in a JWT without `exp`.
    pub expires: Option<Moment>,
    /// The name of the token that asked for the ticket.
    pub by: Option<String>,
    /// What tells it from all others.
    pub id: String,
    /// What tells the key that signed it from all others.
    pub signer: String,
}

/// What tells a credential from all others: a hash of what was signed. The signature is not a part of it, since there are
/// algorithms with more than one valid signature for a text.
pub(super) fn id(signed: &str) -> String {
    hash(signed.as_bytes())
}

pub(super) fn hash(bytes: &[u8]) -> String {
    base64::encode(&Sha256::digest(bytes)[..ID_BYTES])
}

/// Whether this can be the name of a user.
pub(crate) fn is_user(name: &str) -> bool {
    (1..=USER_BYTES_MAX).contains(&name.len()) && !name.chars().any(char::is_control)
}
