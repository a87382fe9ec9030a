//! Keys that are fetched: a JWKS at an `https://` address, asked for at the start, now and then, and when a JWT names a key
//! that is not there.
//!
//! Where fetching fails, the keys from before stay.

use super::{Issuer, JwtKeys};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// How often keys are fetched.
const REFRESH: Duration = Duration::from_secs(10 * 60);

/// How soon at most they are fetched again: after a failure, or for a JWT that names another key. So nobody can make this
/// server ask another one all the time.
const RETRY: Duration = Duration::from_secs(15);

/// An address of keys, and when it was asked.
#[derive(Debug)]
pub(super) struct Remote {
    url: String,
    /// A JWT has named a key that is not there.
    pub(super) is_wanted: AtomicBool,
}

impl Remote {
    pub(super) fn is_at(&self, other: &Remote) -> bool {
        self.url == other.url
    }

    pub(super) fn new(url: &str) -> Remote {
        Remote { url: url.into(), is_wanted: AtomicBool::new(false) }
    }
}

/// When an issuer's keys were fetched, as the thread that does it remembers it.
#[derive(Debug, Default)]
pub struct Fetched {
    at: Option<Instant>,
    has_failed: bool,
}

impl Issuer {
    /// Fetches the keys if it is time, and says whether they are others now. Blocks for some seconds at most.
    pub(in crate::access) fn refresh(&self, fetched: &mut Fetched) -> bool {
        let Some(remote) = &self.remote else { return false };
        let age = fetched.at.map_or(Duration::MAX, |at| at.elapsed());
        let pause = if fetched.has_failed || remote.is_wanted.load(Relaxed) { RETRY } else { REFRESH };
        if age < pause {
            return false;
        }
        remote.is_wanted.store(false, Relaxed);
        fetched.at = Some(Instant::now());
        match fetch(&remote.url) {
            Ok(keys) => {
                if fetched.has_failed {
                    log::info!("the keys of {} could be fetched again", remote.url);
                }
                fetched.has_failed = false;
                let are_others = !keys.are(&self.keys());
                if are_others {
                    self.replace_keys(keys);
                }
                are_others
            }
            Err(error) => {
                if !fetched.has_failed {
                    log::error!(
                        "failed to fetch the keys of {}, those from before stay: {error}",
                        remote.url
                    );
                }
                fetched.has_failed = true;
                false
            }
        }
    }
}

#[cfg(all(feature = "tls", feature = "jwt"))]
fn fetch(url: &str) -> Result<JwtKeys, String> {
    use ureq::Agent;

    /// How long one fetch may take in all.
    const DEADLINE: Duration = Duration::from_secs(10);

    /// The longest set, in bytes.
    const BYTES_MAX: u64 = 1024 * 1024;

    let config = Agent::config_builder().https_only(true).timeout_global(Some(DEADLINE)).build();
    let answer = Agent::new_with_config(config).get(url).call();
    let text =
        answer.and_then(|answer| answer.into_body().into_with_config().limit(BYTES_MAX).read_to_string());
    JwtKeys::from_jwks(&text.map_err(|error| error.to_string())?)
}

/// There is no issuer with an address in such a build.
#[cfg(not(all(feature = "tls", feature = "jwt")))]
fn fetch(_url: &str) -> Result<JwtKeys, String> {
    Err("this build has no JWKS over https; rebuild with --features full".into())
}
