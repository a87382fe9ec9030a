//! Public keys as PEM files hold them: SubjectPublicKeyInfo (RFC 5280, section 4.1) in DER, which has one form for each key.

use super::Algorithm;
use crate::access::base64::{self, Alphabet};

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;

/// What stands before the 65 bytes of a point on P-256 (RFC 5480): the algorithm, the curve, the length.
const P256: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// What stands before the 32 bytes of a key of Ed25519 (RFC 8410).
const ED25519: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// The algorithm of an RSA key (RFC 8017, appendix A.1): rsaEncryption, no parameters.
const RSA: [u8; 15] =
    [0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];

/// The algorithm of a public key in PEM, and the key as `ring` takes it. The error is for the operator.
pub(super) fn parse_pem(pem: &str) -> Result<(Algorithm, Vec<u8>), String> {
    const BEGIN: &str = "-----BEGIN PUBLIC KEY-----";
    const END: &str = "-----END PUBLIC KEY-----";
    if pem.contains("PRIVATE KEY-----") {
        return Err("this is a private key, which callout must not have: give the public one (`openssl pkey -pubout`)".into());
    }
    let wrong =
        || format!("this is no public key: it has no lines `{BEGIN}` and `{END}` with base64 between them");
    let (_, rest) = pem.split_once(BEGIN).ok_or_else(wrong)?;
    let (body, _) = rest.split_once(END).ok_or_else(wrong)?;
    let body: String = body.split_ascii_whitespace().collect();
    let der = base64::decode(&body, Alphabet::Standard).ok_or_else(wrong)?;
    parse(&der).ok_or_else(|| {
        "this is no public key for ES256 (EC on P-256), RS256 (RSA of 2048 bits or more) or EdDSA (Ed25519)".into()
    })
}

fn parse(der: &[u8]) -> Option<(Algorithm, Vec<u8>)> {
    if let Some(point) = der.strip_prefix(&P256).filter(|point| point.len() == 65 && point[0] == 4) {
        return Some((Algorithm::Es256, point.into()));
    }
    if let Some(key) = der.strip_prefix(&ED25519).filter(|key| key.len() == 32) {
        return Some((Algorithm::EdDsa, key.into()));
    }
    let (content, rest) = element(der, SEQUENCE)?;
    let (bits, after) = element(content.strip_prefix(&RSA)?, BIT_STRING)?;
    let key = bits.strip_prefix(&[0])?;
    let (numbers, end) = element(key, SEQUENCE)?;
    let (modulus, exponent) = element(numbers, INTEGER)?;
    let (_, last) = element(exponent, INTEGER)?;
    let is_whole = [rest, after, end, last].iter().all(|rest| rest.is_empty());
    (is_whole && is_long(modulus)).then(|| (Algorithm::Rs256, key.into()))
}

/// The content of the first element, which has this tag, and what comes after it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&[found, first], rest) = der.split_first_chunk()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81 => rest.split_first().map(|(length, rest)| (usize::from(*length), rest))?,
        0x82 => {
            rest.split_first_chunk().map(|(length, rest)| (usize::from(u16::from_be_bytes(*length)), rest))?
        }
        _ => return None,
    };
    (found == tag).then(|| rest.split_at_checked(length)).flatten()
}

/// Whether a modulus has at least 2048 bits, below which RS256 is not allowed (RFC 7518, section 3.3).
fn is_long(modulus: &[u8]) -> bool {
    modulus.iter().skip_while(|byte| **byte == 0).count() >= 256
}

/// A point on P-256, uncompressed.
pub(super) fn point(x: &[u8], y: &[u8]) -> Option<Vec<u8>> {
    (x.len() == 32 && y.len() == 32).then(|| [&[4], x, y].concat())
}

/// An RSA key in DER, from its modulus and its exponent.
pub(super) fn rsa(n: &[u8], e: &[u8]) -> Option<Vec<u8>> {
    if !is_long(n) || e.is_empty() {
        return None;
    }
    // A first bit that is set would make the number negative.
    let number = |bytes: &[u8]| {
        let sign: &[u8] = if bytes[0] & 0x80 == 0 { &[] } else { &[0] };
        tagged(INTEGER, &[sign, bytes].concat())
    };
    tagged(SEQUENCE, &[number(n)?, number(e)?].concat())
}

fn tagged(tag: u8, content: &[u8]) -> Option<Vec<u8>> {
    let length = u16::try_from(content.len()).ok()?;
    let [high, low] = length.to_be_bytes();
    let head: &[u8] = match length {
        0..0x80 => &[tag, low],
        0x80..0x100 => &[tag, 0x81, low],
        _ => &[tag, 0x82, high, low],
    };
    Some([head, content].concat())
}
