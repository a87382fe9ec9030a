//! Keys that are fetched: a JWKS at an `https://` address, asked for at the start, now and then, and when a JWT names a key
//! that is not there.
//!
//! Where fetching fails, the keys from before stay.

use super::{Issuer, JwtKeys};
use parking_lot::Mutex;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};
use ureq::Agent;

/// How often keys are fetched.
const REFRESH: Duration = Duration::from_secs(10 * 60);

/// How soon at most they are fetched again: after a failure, or for a JWT that names another key. So nobody can make this
/// server ask another one all the time.
const RETRY: Duration = Duration::from_secs(5);

/// How long one fetch may take in all.
const DEADLINE: Duration = Duration::from_secs(10);

/// The longest set, in bytes.
const BYTES_MAX: u64 = 1024 * 1024;

/// An address of keys, and when it was asked.
#[derive(Debug)]
pub(super) struct Remote {
    url: String,
    /// A JWT has named a key that is not there.
    pub(super) is_wanted: AtomicBool,
    /// The thread that fetches takes it, and nobody else.
    fetched: Mutex<Fetched>,
}

impl Remote {
    pub(super) fn is_at(&self, other: &Remote) -> bool {
        self.url == other.url
    }

    pub(super) fn new(url: &str) -> Result<Remote, String> {
        if !cfg!(feature = "jwt") {
            return Err("this build has no JWKS; rebuild with --features jwt".into());
        }
        let is_https = url.starts_with("https://");
        if is_https && !cfg!(feature = "tls") {
            return Err("this build has no JWKS over https; rebuild with --features full".into());
        }
        // Whoever is on the way could give keys of their own.
        if !is_https && !is_of_this_machine(url) {
            return Err(format!("`{url}`: keys are fetched over https, or over http from this machine"));
        }
        Ok(Remote { url: url.into(), is_wanted: AtomicBool::new(false), fetched: Mutex::default() })
    }
}

/// When an issuer's keys were fetched last.
#[derive(Debug, Default)]
struct Fetched {
    at: Option<Instant>,
    has_failed: bool,
}

impl Issuer {
    /// Fetches the keys if it is time, and says whether they are others now. Blocks for some seconds at most.
    pub(in crate::access) fn refresh(&self) -> bool {
        let Some(remote) = &self.remote else { return false };
        let mut fetched = remote.fetched.lock();
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

/// Whether it is an `http://` address of this machine, by its number.
fn is_of_this_machine(url: &str) -> bool {
    let host = url.strip_prefix("http://").and_then(|rest| rest.split('/').next());
    host.and_then(|host| host.parse::<SocketAddr>().ok()).is_some_and(|address| address.ip().is_loopback())
}

fn fetch(url: &str) -> Result<JwtKeys, String> {
    let is_https = url.starts_with("https://");
    // A redirect may lead to another https address, and from this machine nowhere.
    let config = Agent::config_builder()
        .https_only(is_https)
        .max_redirects(if is_https { 5 } else { 0 })
        .timeout_global(Some(DEADLINE));
    let config = if is_https { config } else { config.proxy(None) };
    let answer = Agent::new_with_config(config.build()).get(url).call();
    let text =
        answer.and_then(|answer| answer.into_body().into_with_config().limit(BYTES_MAX).read_to_string());
    JwtKeys::from_jwks(&text.map_err(|error| error.to_string())?)
}
