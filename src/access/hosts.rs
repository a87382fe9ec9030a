//! Hosts: the names under which this server is asked for.
//!
//! The page of any site can let its own name point to the reader's machine (DNS rebinding); then the browser takes
//! callout for a part of that site, and no rule about origins applies. So on a loopback connection only names that
//! nobody else can have are served, and those that `--host` lists.

use crate::error::{Error, ErrorKind};
use http::HeaderMap;
use http::header::HOST;
use std::net::{IpAddr, UdpSocket};

/// Names that `--host` lists, in lower case, without a port.
#[derive(Debug, Clone, Default)]
pub struct Hosts(Vec<String>);

impl Hosts {
    /// These names beside those of the machine itself.
    pub fn new(names: impl IntoIterator<Item = String>) -> Hosts {
        Hosts(names.into_iter().map(|name| name.to_ascii_lowercase()).collect())
    }

    /// Whether this can be such a name: it has no scheme, port or path.
    pub(crate) fn is_name(text: &str) -> bool {
        !text.is_empty() && !text.contains(['/', ':', '*', ' '])
    }

    /// Refuses a request on a loopback connection that names a host which is not this machine.
    /// The hint of a 421 says how to allow it. A request without `Host` comes from no browser.
    pub fn check(&self, headers: &HeaderMap, peer: IpAddr) -> Result<(), Error> {
        if !peer.to_canonical().is_loopback() {
            return Ok(());
        }
        let Some(host) = headers.get(HOST) else { return Ok(()) };
        let host = host.to_str().unwrap_or_default();
        let name = without_port(host).trim_end_matches('.').to_ascii_lowercase();
        if is_this_machine(&name) || self.0.contains(&name) {
            return Ok(());
        }
        let name = name.escape_debug();
        let error = Error::new(ErrorKind::Misdirected, format!("this server is not called `{name}`"));
        Err(error.hint(format!(
            "if that is its name, start it with `--host {name}`, or let the proxy in front name the host as it is called"
        )))
    }
}

/// A host without its port.
fn without_port(host: &str) -> &str {
    match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    }
}

/// Whether nobody but this machine can be meant: a loopback name (RFC 6761, section 6.3) or one of its addresses.
fn is_this_machine(name: &str) -> bool {
    if name == "localhost" || name.ends_with(".localhost") {
        return true;
    }
    let Ok(address) = name.parse::<IpAddr>() else { return false };
    // Only the machine's own addresses can be bound.
    address.is_loopback() || UdpSocket::bind((address, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn on_loopback_only_names_of_this_machine_and_listed_ones_are_served() {
        let hosts = Hosts::new(["Push.Example.org".to_owned()]);
        for (host, peer, is_served) in [
            ("localhost:8080", "127.0.0.1", true),
            ("LOCALHOST", "127.0.0.1", true),
            ("localhost.", "127.0.0.1", true),
            ("app.localhost:8080", "::1", true),
            ("127.0.0.1:8080", "127.0.0.1", true),
            ("127.9.9.9", "127.0.0.1", true),
            ("[::1]:8080", "::1", true),
            ("push.example.org", "127.0.0.1", true),
            ("PUSH.example.org:80", "127.0.0.1", true),
            ("evil.example:8080", "127.0.0.1", false),
            ("evil.example:8080", "::ffff:127.0.0.1", false),
            ("localhost.evil.example", "127.0.0.1", false),
            ("192.0.2.1", "127.0.0.1", false),
            ("", "127.0.0.1", false),
            ("evil.example:8080", "192.0.2.1", true),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_str(host).unwrap());
            assert_eq!(hosts.check(&headers, peer.parse().unwrap()).is_ok(), is_served, "{host} from {peer}");
        }
        assert!(hosts.check(&HeaderMap::new(), [127, 0, 0, 1].into()).is_ok());
    }
}
