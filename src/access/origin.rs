//! An origin: scheme, host and port of a site (RFC 6454), and how `--cors` lists one.

use crate::error::Error;
use std::str::FromStr;

/// An origin, or several that differ in the subdomain: `https://example.org`, `https://*.example.org`, `null`, `*`.
///
/// ```
/// let mut config = callout::Config::default();
/// config.origins.push("https://*.example.org".parse().unwrap());
/// assert!("example.org".parse::<callout::Origin>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(Kind);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Any,
    Exact(String),
    /// The scheme with its `://`, and what follows the first label of the host, beginning with a dot.
    Subdomains {
        scheme: String,
        rest: String,
    },
}

impl Origin {
    /// Whether it means every origin.
    pub(super) fn is_any(&self) -> bool {
        self.0 == Kind::Any
    }

    /// Whether it means this origin, as a browser sends it.
    pub(super) fn matches(&self, origin: &str) -> bool {
        match &self.0 {
            Kind::Any => true,
            Kind::Exact(listed) => listed == origin,
            Kind::Subdomains { scheme, rest } => {
                let host = origin.strip_prefix(scheme.as_str());
                let subdomain = host.and_then(|host| host.strip_suffix(rest.as_str()));
                subdomain
                    .is_some_and(|subdomain| !subdomain.is_empty() && !subdomain.contains(['/', ':', '@']))
            }
        }
    }
}

impl FromStr for Origin {
    type Err = Error;

    /// Reads an origin: scheme, host and, if it is not the scheme's own, port. [`Error::bad`] says what is valid.
    fn from_str(text: &str) -> Result<Origin, Error> {
        let wrong = || {
            Error::bad(
                "an origin is `*`, `null`, or like https://example.org or https://*.example.org, without a path",
            )
        };
        let text = text.to_ascii_lowercase();
        if text == "*" {
            return Ok(Origin(Kind::Any));
        }
        if text == "null" {
            return Ok(Origin(Kind::Exact(text)));
        }
        let (scheme, host) = text.split_once("://").ok_or_else(wrong)?;
        let scheme_chars = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
        let is_scheme =
            scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.chars().all(scheme_chars);
        if !is_scheme || host.is_empty() || host.contains(['/', '?', '#', '@', ' ']) {
            return Err(wrong());
        }
        let origin = format!("{scheme}://{}", without_default_port(scheme, host));
        match host.strip_prefix("*.") {
            Some(rest) if !rest.is_empty() && !rest.contains('*') => {
                let rest = format!(".{}", without_default_port(scheme, rest));
                Ok(Origin(Kind::Subdomains { scheme: format!("{scheme}://"), rest }))
            }
            _ if host.contains('*') => Err(wrong()),
            _ => Ok(Origin(Kind::Exact(origin))),
        }
    }
}

/// A host without the port that its scheme has anyway.
fn without_default_port<'a>(scheme: &str, host: &'a str) -> &'a str {
    let port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => return host,
    };
    host.strip_suffix(port).unwrap_or(host)
}

/// The origin of an address: what stands before its path.
pub(super) fn origin_of(address: &str) -> &str {
    let host = address.find("://").map_or(0, |end| end + 3);
    let host_bytes = address[host..].find(['/', '?', '#']).unwrap_or(address.len() - host);
    &address[..host + host_bytes]
}

/// Whether a page of this origin was served by this host. Capitals and default ports make no difference.
pub(super) fn is_of_host(origin: &str, host: &str) -> bool {
    let Some((scheme, name)) = origin.split_once("://") else { return false };
    let plain = |host: &str| without_default_port(scheme, &host.to_ascii_lowercase()).to_owned();
    plain(name) == plain(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_means_itself_and_a_star_its_subdomains() {
        for (listed, meant, others) in [
            (
                "https://example.org",
                &["https://example.org"][..],
                &["http://example.org", "https://a.example.org"][..],
            ),
            ("HTTPS://Example.org:443", &["https://example.org"], &["https://example.org:443"]),
            ("http://example.org:8080", &["http://example.org:8080"], &["http://example.org"]),
            (
                "https://*.example.org",
                &["https://a.example.org", "https://a.b.example.org"],
                &[
                    "https://example.org",
                    "https://.example.org",
                    "https://evil.example/.example.org",
                    "http://a.example.org",
                ],
            ),
            ("https://*.example.org:8443", &["https://a.example.org:8443"], &["https://a.example.org"]),
            ("capacitor://localhost", &["capacitor://localhost"], &["http://localhost"]),
            ("tauri://localhost", &["tauri://localhost"], &[]),
            ("chrome-extension://abc", &["chrome-extension://abc"], &["chrome-extension://abd"]),
            ("null", &["null"], &["https://null"]),
            ("*", &["https://example.org", "null"], &[]),
        ] {
            let parsed: Origin = listed.parse().unwrap();
            meant.iter().for_each(|origin| assert!(parsed.matches(origin), "{listed} {origin}"));
            others.iter().for_each(|origin| assert!(!parsed.matches(origin), "{listed} {origin}"));
        }
        for wrong in [
            "example.org",
            "https://",
            "https://a/b",
            "https://*.*.org",
            "https://a*.org",
            "://x",
            "https://*.",
        ] {
            assert!(wrong.parse::<Origin>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_page_is_callouts_own_if_its_origin_is_the_host() {
        for (origin, host, is_own) in [
            ("http://lan.example:8081", "lan.example:8081", true),
            ("http://LAN.example", "lan.example:80", true),
            ("https://lan.example", "lan.example:443", true),
            ("http://lan.example", "Lan.Example", true),
            ("http://lan.example:8081", "lan.example", false),
            ("https://lan.example", "lan.example:80", false),
            ("null", "lan.example", false),
        ] {
            assert_eq!(is_of_host(origin, host), is_own, "{origin} {host}");
        }
    }
}
