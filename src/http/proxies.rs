//! The proxies that are trusted, and the client that they say they speak for.
//!
//! A proxy adds the address of its own peer at the end of `X-Forwarded-For` (as almost all proxies do) or of
//! `Forwarded` (RFC 7239). What stood there before may be anybody's invention. So the addresses are read from
//! the right, each one only if the proxy that added it is trusted, and the last address that is sure is the
//! client's. Where nothing else is sure, that is the peer's.

use super::network::Network;
use super::request::Request;
use http::header::FORWARDED;
use http::{HeaderMap, HeaderName, HeaderValue};
use std::net::IpAddr;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The proxies whose headers are believed (`X-Forwarded-For`, and `Forwarded`: RFC 7239); by default none.
///
/// ```
/// let mut config = callout::Config::default();
/// config.trusted_proxies = ["10.0.0.0/8".parse()?, "::1".parse()?].into_iter().collect();
/// # Ok::<(), callout::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies(Vec<Network>);

impl FromIterator<Network> for Proxies {
    fn from_iter<I: IntoIterator<Item = Network>>(networks: I) -> Proxies {
        Proxies(networks.into_iter().collect())
    }
}

impl Proxies {
    /// Whether no proxy is believed.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Says in the request whose it is, and who is counted for it. A proxy that is trusted may have `announced` its own
    /// peer before the request; then the header fields are that one's.
    pub(super) fn identify(&self, request: &mut Request, announced: Option<IpAddr>) {
        let peer = announced.unwrap_or(request.peer.ip());
        request.client = self.client(peer, &request.headers);
        request.is_forwarded_tls = self.is_secure(peer, &request.headers);
        let is_forwarded = [X_FORWARDED_FOR, FORWARDED].iter().any(|name| request.headers.contains_key(name));
        request.counted = match self.trusts(peer) {
            // Whoever cannot be told from others, because the proxy's fields contradict each other, counts as the proxy.
            true => is_forwarded.then_some(request.client),
            false => self.counted_peer(peer),
        };
    }

    /// The address by which a peer is counted: none for a trusted proxy, which speaks for others, and for this machine.
    pub(super) fn counted_peer(&self, peer: IpAddr) -> Option<IpAddr> {
        (!self.trusts(peer) && !peer.is_loopback()).then_some(peer)
    }

    /// The address of the client for whom `peer` sent a request with these header fields. Unless the peer is
    /// trusted, that is the peer itself, and the fields are not looked at.
    fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        if !self.trusts(peer) {
            return peer;
        }
        match (headers.contains_key(X_FORWARDED_FOR), headers.contains_key(FORWARDED)) {
            (false, false) => peer,
            (true, false) => self.client_in_x_forwarded_for(peer, headers),
            (false, true) => self.client_in_forwarded(peer, headers),
            (true, true) => {
                // Most proxies write one of the two and pass the other on as the client sent it. Which one
                // that is, nobody says here, so they are believed only if they agree.
                let client = self.client_in_x_forwarded_for(peer, headers);
                if client == self.client_in_forwarded(peer, headers) { client } else { peer }
            }
        }
    }

    /// Whether the client came over TLS, as a trusted proxy says.
    fn is_secure(&self, peer: IpAddr, headers: &HeaderMap) -> bool {
        let is_https =
            |value: Option<&str>| value.is_some_and(|value| value.trim().eq_ignore_ascii_case("https"));
        let said = headers.get_all(X_FORWARDED_PROTO).iter().next_back().map(text);
        // The proxy nearest to this server wrote the last element.
        let forwarded = headers.get_all(FORWARDED).iter().next_back().and_then(|line| {
            let element = elements(text(line)).pop()?;
            element.split(';').find_map(|pair| {
                let (name, value) = pair.split_once('=')?;
                name.trim().eq_ignore_ascii_case("proto").then(|| value.trim().trim_matches('"'))
            })
        });
        let said = said.and_then(|value| value.rsplit(',').next());
        self.trusts(peer) && (is_https(said) || is_https(forwarded))
    }

    /// Whether a proxy of this address is believed.
    pub(super) fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }

    fn client_in_x_forwarded_for(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let lines = headers.get_all(X_FORWARDED_FOR).iter().rev();
        self.walk(peer, lines.flat_map(|line| text(line).rsplit(',').map(node)))
    }

    fn client_in_forwarded(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let lines = headers.get_all(FORWARDED).iter().rev();
        self.walk(peer, lines.flat_map(|line| elements(text(line)).into_iter().rev().map(node_of)))
    }

    /// Walks from the peer towards the client. Each node was named by the one before it, so the walk ends at
    /// the first address that is not trusted, and before a node that has no address.
    fn walk(&self, peer: IpAddr, nodes: impl Iterator<Item = Option<IpAddr>>) -> IpAddr {
        let mut client = peer;
        for node in nodes {
            match node {
                Some(address) if self.trusts(client) => client = address,
                _ => break,
            }
        }
        client
    }
}

/// A header's value as text. One that is not plain ASCII is malformed, and names nobody.
fn text(value: &HeaderValue) -> &str {
    value.to_str().unwrap_or_default()
}

/// The elements of a line of `Forwarded`. Where a quoted string has no end, nobody can say where the elements
/// begin; then the whole line is one element that names nobody.
fn elements(line: &str) -> Vec<&str> {
    split_unquoted(line, b',').unwrap_or_else(|| vec![""])
}

/// The address in the one parameter `for` of an element (RFC 7239, section 4).
fn node_of(element: &str) -> Option<IpAddr> {
    let mut named = None;
    for pair in split_unquoted(element, b';')?.into_iter().map(str::trim).filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=')?;
        if name.eq_ignore_ascii_case("for") && named.replace(value).is_some() {
            return None;
        }
    }
    let value: &str = named?;
    // An address needs no backslash, so escapes are not decoded; a value that has some names nobody.
    let unquoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
    node(unquoted.unwrap_or(value))
}

/// Splits at a separator where it is not in a quoted string; none if a quoted string has no end.
fn split_unquoted(text: &str, separator: u8) -> Option<Vec<&str>> {
    let (mut parts, mut begin) = (Vec::new(), 0);
    let (mut is_quoted, mut is_escaped) = (false, false);
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_quoted => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            _ if byte == separator && !is_quoted => {
                parts.push(&text[begin..index]);
                begin = index + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[begin..]);
    (!is_quoted).then_some(parts)
}

/// The address of a node, which may have a port: `192.0.2.1:80`, `[2001:db8::1]:80`. None for `unknown`, for
/// a name that hides the address (`_name`), and for anything else (RFC 7239, section 6).
fn node(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address.to_canonical());
    }
    let (address, rest) = match text.strip_prefix('[') {
        Some(bracketed) => {
            let (address, rest) = bracketed.split_once(']')?;
            (IpAddr::V6(address.parse().ok()?), rest)
        }
        None => {
            let (address, rest) = text.split_at(text.find(':')?);
            (IpAddr::V4(address.parse().ok()?), rest)
        }
    };
    is_port(rest).then(|| address.to_canonical())
}

/// Whether this is nothing, or a colon and a port, or a colon and a name that hides the port (`_name`).
fn is_port(rest: &str) -> bool {
    let Some(port) = rest.strip_prefix(':') else { return rest.is_empty() };
    match port.strip_prefix('_') {
        Some(name) => {
            !name.is_empty()
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        }
        None => port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Target;
    use super::*;
    use http::{Method, Version};

    fn client(peer: &str, fields: &[(&str, &str)]) -> String {
        let trusted = ["10.0.0.0/8", "192.0.2.7", "2001:db8:1::/48"].map(|text| text.parse().unwrap());
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_str(value).unwrap(),
            );
        }
        Proxies::from_iter(trusted).client(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn a_trusted_proxy_says_whether_the_client_came_over_tls() {
        let says = |peer: &str, fields: &[(&str, &str)]| {
            let field =
                |(name, value): &(&str, &str)| (name.parse().unwrap(), HeaderValue::from_str(value).unwrap());
            let headers: HeaderMap =
                fields.iter().map(|pair| -> (HeaderName, HeaderValue) { field(pair) }).collect();
            Proxies::from_iter(["10.0.0.0/8".parse().unwrap()]).is_secure(peer.parse().unwrap(), &headers)
        };
        for (fields, is_secure) in [
            (&[("X-Forwarded-Proto", "https")][..], true),
            (&[("X-Forwarded-Proto", "HTTPS ")], true),
            (&[("X-Forwarded-Proto", "http, https")], true),
            (&[("X-Forwarded-Proto", "https, http")], false),
            (&[("X-Forwarded-Proto", "http")], false),
            (&[("Forwarded", "for=1.2.3.4;proto=https")], true),
            (&[("Forwarded", "proto=https, for=1.2.3.4;Proto=\"http\"")], false),
            (&[("Forwarded", "for=\"unended;proto=https")], false),
            (&[], false),
        ] {
            assert_eq!(says("10.1.2.3", fields), is_secure, "{fields:?}");
            assert!(!says("192.0.2.1", fields), "an untrusted peer: {fields:?}");
        }
    }

    #[test]
    fn who_is_counted_is_the_client_and_never_the_machine_itself_or_a_proxy_that_speaks_for_nobody() {
        let proxies = Proxies::from_iter(["127.0.0.1", "10.0.0.0/8"].map(|text| text.parse().unwrap()));
        for (peer, announced, fields, counted) in [
            ("198.51.100.1", None, &[][..], Some("198.51.100.1")),
            ("198.51.100.1", None, &[("x-forwarded-for", "203.0.113.9")], Some("198.51.100.1")),
            ("127.0.0.2", None, &[], None),
            ("127.0.0.2", None, &[("x-forwarded-for", "203.0.113.9")], None),
            ("::1", None, &[], None),
            // A trusted proxy, for itself and for others.
            ("10.0.0.1", None, &[], None),
            ("127.0.0.1", None, &[], None),
            ("127.0.0.1", None, &[("x-forwarded-for", "203.0.113.9")], Some("203.0.113.9")),
            ("127.0.0.1", None, &[("forwarded", "for=203.0.113.9")], Some("203.0.113.9")),
            // Whoever hides in a contradiction is counted with all who do.
            (
                "127.0.0.1",
                None,
                &[("forwarded", "for=192.0.2.1"), ("x-forwarded-for", "203.0.113.9")],
                Some("127.0.0.1"),
            ),
            ("10.0.0.1", None, &[("x-forwarded-for", "unknown")], Some("10.0.0.1")),
            // What the proxy announced stands for its peer.
            ("10.0.0.1", Some("203.0.113.9"), &[("x-forwarded-for", "192.0.2.1")], Some("203.0.113.9")),
            ("10.0.0.1", Some("10.0.0.2"), &[("x-forwarded-for", "192.0.2.1")], Some("192.0.2.1")),
            ("10.0.0.1", Some("10.0.0.2"), &[], None),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
            }
            let target = Target::parse("/").unwrap();
            let peer_address = (peer.parse::<IpAddr>().unwrap(), 80).into();
            let mut request = Request::new(Method::GET, target, Version::HTTP_11, headers, peer_address);
            proxies.identify(&mut request, announced.map(|text| text.parse().unwrap()));
            let counted = counted.map(|text| text.parse::<IpAddr>().unwrap());
            assert_eq!(request.counted, counted, "{peer} {announced:?} {fields:?}");
        }
    }

    #[test]
    fn only_a_trusted_peer_is_believed() {
        for name in ["X-Forwarded-For", "Forwarded"] {
            for value in ["198.51.100.1", "for=198.51.100.1"] {
                assert_eq!(client("192.0.2.8", &[(name, value)]), "192.0.2.8");
            }
        }
        assert_eq!(client("10.1.2.3", &[]), "10.1.2.3");
        assert_eq!(client("10.1.2.3", &[("X-Forwarded-For", "198.51.100.1")]), "198.51.100.1");
        assert_eq!(client("2001:db8:1::9", &[("Forwarded", "for=198.51.100.1")]), "198.51.100.1");
        let nobody = Proxies::default();
        let headers = HeaderMap::from_iter([(X_FORWARDED_FOR, HeaderValue::from_static("198.51.100.1"))]);
        assert_eq!(nobody.client([127, 0, 0, 1].into(), &headers).to_string(), "127.0.0.1");
    }

    #[test]
    fn x_forwarded_for_is_read_from_the_right_past_trusted_proxies() {
        for (value, expected) in [
            ("198.51.100.1", "198.51.100.1"),
            (" 198.51.100.1 ", "198.51.100.1"),
            ("203.0.113.9, 198.51.100.1", "198.51.100.1"),
            ("203.0.113.9,198.51.100.1,192.0.2.7,10.0.0.9", "198.51.100.1"),
            ("198.51.100.1:4711, 10.0.0.9:80", "198.51.100.1"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]:4711, [2001:db8:1::5]", "2001:db8::1"),
            ("::ffff:198.51.100.1, ::ffff:10.0.0.9", "198.51.100.1"),
            // All of them are trusted: the first one is the client.
            ("10.0.0.8, 10.0.0.9", "10.0.0.8"),
            // What cannot be read is not passed over.
            ("", "10.1.2.3"),
            ("unknown", "10.1.2.3"),
            ("198.51.100.1, unknown, 10.0.0.9", "10.0.0.9"),
            ("198.51.100.1, , 10.0.0.9", "10.0.0.9"),
            ("198.51.100.1,", "10.1.2.3"),
            ("198.51.100.1, 10.0.0.9:port", "10.1.2.3"),
            ("198.51.100.1, 10.0.0.9:99999", "10.1.2.3"),
            ("198.51.100.1, 10.0.0.9:+80", "10.1.2.3"),
            ("198.51.100.1, 10.0.0.09", "10.1.2.3"),
            ("198.51.100.1, [10.0.0.9]", "10.1.2.3"),
            ("198.51.100.1, [2001:db8:1::5", "10.1.2.3"),
            ("198.51.100.1, [2001:db8:1::5]x", "10.1.2.3"),
            ("198.51.100.1, fe80::1%eth0", "10.1.2.3"),
            ("for=198.51.100.1", "10.1.2.3"),
            ("<script>, 10.0.0.9", "10.0.0.9"),
        ] {
            assert_eq!(client("10.1.2.3", &[("X-Forwarded-For", value)]), expected, "{value}");
        }
    }

    #[test]
    fn forwarded_is_read_as_rfc_7239_writes_it() {
        for (value, expected) in [
            ("for=198.51.100.1", "198.51.100.1"),
            ("For=198.51.100.1;Proto=https;By=10.1.2.3", "198.51.100.1"),
            ("proto=https; host=\"a,b;for=c\" ; for=\"198.51.100.1:4711\"", "198.51.100.1"),
            ("for=\"[2001:db8::1]\"", "2001:db8::1"),
            ("for=\"[2001:db8::1]:4711\"", "2001:db8::1"),
            ("for=\"[2001:db8::1]:_port\"", "2001:db8::1"),
            ("for=\"[::ffff:198.51.100.1]\"", "198.51.100.1"),
            ("for=203.0.113.9, for=198.51.100.1;by=10.0.0.9, for=10.0.0.9", "198.51.100.1"),
            ("for=203.0.113.9;host=\"a\\\", for=10.0.0.8\", for=10.0.0.9", "203.0.113.9"),
            // What names nobody, or cannot be read, is not passed over.
            ("", "10.1.2.3"),
            ("for=unknown", "10.1.2.3"),
            ("for=_hidden, for=10.0.0.9", "10.0.0.9"),
            ("for=198.51.100.1, proto=https", "10.1.2.3"),
            ("for=198.51.100.1, for=10.0.0.9;for=10.0.0.8", "10.1.2.3"),
            ("for=198.51.100.1, for=10.0.0.9;secure", "10.1.2.3"),
            ("for=198.51.100.1, for=\"10.0.0.\\9\"", "10.1.2.3"),
            ("for=198.51.100.1, for=\"10.0.0.9\"x", "10.1.2.3"),
            ("for=198.51.100.1, 10.0.0.9", "10.1.2.3"),
            // A quote that the client left open swallows what the proxy added: nothing is sure.
            ("for=203.0.113.9;x=\", for=198.51.100.1", "10.1.2.3"),
        ] {
            assert_eq!(client("10.1.2.3", &[("Forwarded", value)]), expected, "{value}");
        }
    }

    #[test]
    fn several_lines_of_a_header_are_one_list() {
        let common =
            |first, second| client("10.1.2.3", &[("X-Forwarded-For", first), ("X-Forwarded-For", second)]);
        assert_eq!(common("203.0.113.9, 198.51.100.1", "10.0.0.9"), "198.51.100.1");
        assert_eq!(common("203.0.113.9", "198.51.100.1"), "198.51.100.1");
        assert_eq!(common("203.0.113.9", ""), "10.1.2.3");
        let standard = |first, second| client("10.1.2.3", &[("Forwarded", first), ("Forwarded", second)]);
        assert_eq!(standard("for=198.51.100.1", "for=10.0.0.9"), "198.51.100.1");
        assert_eq!(standard("for=\"", "for=198.51.100.1"), "198.51.100.1");
    }

    #[test]
    fn the_two_headers_are_believed_together_only_if_they_agree() {
        let both =
            |common, standard| client("10.1.2.3", &[("X-Forwarded-For", common), ("Forwarded", standard)]);
        assert_eq!(both("198.51.100.1", "for=198.51.100.1"), "198.51.100.1");
        assert_eq!(both("203.0.113.9", "for=198.51.100.1"), "10.1.2.3");
    }
}
