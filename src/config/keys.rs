//! The keys that a file names: those of tickets, and those of the applications that sign JWTs.

use super::{Configuration, Jwt, JwtKey as Named};
use crate::access::{Algorithm, Issuer, JwtKey, JwtKeys, Key, TicketKeys};
use std::path::Path;
use std::sync::Arc;

/// The largest file with a public key or a set of them, in bytes. A larger one is refused.
const PUBLIC_BYTES_MAX: u64 = 1024 * 1024;

impl Configuration {
    /// Reads the keys, for which it blocks. The error names the file that is wrong, and shows nothing of it.
    pub fn keys(&self) -> Result<(TicketKeys, Vec<Arc<Issuer>>), String> {
        let files = self.tickets.iter().flat_map(|tickets| &tickets.key_files);
        let tickets = files.map(|file| Key::read(file)).collect::<Result<_, _>>()?;
        let issuers = self.jwts.iter().map(|jwt| issuer(jwt).map(Arc::new)).collect::<Result<_, _>>()?;
        Ok((TicketKeys::new(tickets), issuers))
    }
}

fn issuer(jwt: &Jwt) -> Result<Issuer, String> {
    let (audience, claim) = (jwt.audience.clone(), jwt.claim.clone());
    let public = |file: &Path, algorithm| {
        let key = JwtKey::public(algorithm, &text(file)?);
        key.map_err(|error| format!("`{}`: {error}", file.display())).map(JwtKeys::one)
    };
    let keys = match &jwt.key {
        Named::Hs256(file) => JwtKeys::one(JwtKey::secret(Key::read(file)?)),
        Named::Es256(file) => public(file, Algorithm::Es256)?,
        Named::Rs256(file) => public(file, Algorithm::Rs256)?,
        Named::EdDsa(file) => public(file, Algorithm::EdDsa)?,
        Named::Jwks(address) if is_address(address) => {
            return Issuer::remote(address, audience, claim);
        }
        Named::Jwks(file) => {
            let keys = JwtKeys::from_jwks(&text(Path::new(file))?);
            keys.map_err(|error| format!("`{file}`: {error}"))?
        }
    };
    Ok(Issuer::new(keys, audience, claim))
}

/// Whether a set of keys is fetched, and does not stand in a file.
pub(super) fn is_address(text: &str) -> bool {
    text.starts_with("https://") || text.starts_with("http://")
}

fn text(file: &Path) -> Result<String, String> {
    let shown = file.display();
    let failed = |error: std::io::Error| format!("failed to read `{shown}`: {error}");
    let length = std::fs::metadata(file).map_err(failed)?.len();
    if length > PUBLIC_BYTES_MAX {
        return Err(format!("`{shown}` has more than {PUBLIC_BYTES_MAX} bytes"));
    }
    std::fs::read_to_string(file).map_err(failed)
}
