//! The PROXY protocol: what a proxy announces on a connection before its first byte, the client whose connection it is.
//!
//! haproxy and most balancers of clouds can send it, as a line (version 1) or as a few bytes (version 2). It is taken from
//! trusted proxies, where it comes; from anybody else it is refused, since whoever sends it expects to be believed.
//! The specification is haproxy's `proxy-protocol.txt`.

use crate::error::Error;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What the first version begins with. No method of HTTP is called so.
const LINE: &[u8] = b"PROXY ";

/// The longest line, with its line end.
const LINE_BYTES_MAX: usize = 107;

/// What the second version begins with: nothing that any other protocol does.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// What follows it: version and command, family, and the length of the rest.
const PREFIX_BYTES: usize = SIGNATURE.len() + 4;

/// The longest rest: addresses, and what a balancer adds (names, certificates). More is refused.
const REST_BYTES_MAX: usize = 4 * 1024;

/// What the first bytes of a connection are.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Announcement {
    /// More has to come before it can be told.
    Unfinished,
    /// Something else: a request.
    None,
    /// This client's, in so many bytes. None where the proxy speaks for itself, as when it asks whether callout is well.
    Of { client: Option<IpAddr>, bytes: usize },
}

/// Looks at the first bytes of a connection. [`Error::bad`] if they are an announcement that is malformed, or comes from a
/// peer that is not trusted.
pub(super) fn parse(bytes: &[u8], is_trusted: bool) -> Result<Announcement, Error> {
    let begins = |with: &[u8]| bytes.starts_with(with);
    let may_begin = |with: &[u8]| with.starts_with(bytes);
    if (begins(LINE) || begins(SIGNATURE)) && !is_trusted {
        let error = Error::bad("a PROXY protocol header came from a peer that is not trusted");
        return Err(error.hint(
            "start callout with `--trusted-proxy` and the proxy's address, or let the proxy send none",
        ));
    }
    if begins(LINE) {
        parse_line(bytes)
    } else if begins(SIGNATURE) {
        parse_binary(bytes)
    } else if may_begin(LINE) || may_begin(SIGNATURE) {
        Ok(Announcement::Unfinished)
    } else {
        Ok(Announcement::None)
    }
}

fn malformed(what: &str) -> Error {
    let error = Error::bad(format!("the PROXY protocol header is malformed: {what}"));
    error.hint("send version 1 or 2 of haproxy's PROXY protocol, or none")
}

/// `PROXY TCP4 192.0.2.1 192.0.2.2 56324 443`, and CRLF.
fn parse_line(bytes: &[u8]) -> Result<Announcement, Error> {
    let within = &bytes[..bytes.len().min(LINE_BYTES_MAX)];
    let Some(end) = within.windows(2).position(|pair| pair == b"\r\n") else {
        return match bytes.len() < LINE_BYTES_MAX {
            true => Ok(Announcement::Unfinished),
            false => Err(malformed("its line is too long")),
        };
    };
    let line = std::str::from_utf8(&bytes[..end]).map_err(|_| malformed("its line is not ASCII"))?;
    let words: Vec<&str> = line.split(' ').collect();
    let client = match words[1..] {
        // Whatever follows is to be ignored.
        ["UNKNOWN", ..] => None,
        ["TCP4", from, to, from_port, to_port] => {
            let (from, _) = (address::<Ipv4Addr>(from)?, address::<Ipv4Addr>(to)?);
            check_ports(from_port, to_port)?;
            Some(IpAddr::V4(from))
        }
        ["TCP6", from, to, from_port, to_port] => {
            let (from, _) = (address::<Ipv6Addr>(from)?, address::<Ipv6Addr>(to)?);
            check_ports(from_port, to_port)?;
            Some(IpAddr::V6(from))
        }
        _ => return Err(malformed("its line does not name two addresses and two ports")),
    };
    Ok(of(client, end + 2))
}

fn address<A: std::str::FromStr>(text: &str) -> Result<A, Error> {
    text.parse().map_err(|_| malformed("an address in it is none of its family"))
}

fn check_ports(from: &str, to: &str) -> Result<(), Error> {
    let is_port = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok();
    if is_port(from) && is_port(to) { Ok(()) } else { Err(malformed("a port in it is none")) }
}

fn parse_binary(bytes: &[u8]) -> Result<Announcement, Error> {
    let Some([version_and_command, family, length @ ..]) = bytes.get(SIGNATURE.len()..PREFIX_BYTES) else {
        return Ok(Announcement::Unfinished);
    };
    let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
    if length > REST_BYTES_MAX {
        return Err(malformed("it is too long"));
    }
    let is_local = match version_and_command {
        0x20 => true,
        0x21 => false,
        _ => return Err(malformed("its version or its command is not known")),
    };
    let Some(rest) = bytes.get(PREFIX_BYTES..PREFIX_BYTES + length) else {
        return Ok(Announcement::Unfinished);
    };
    let short = || malformed("it is too short for its addresses");
    let client = match family >> 4 {
        _ if is_local => None,
        // The addresses of both ends, and their ports.
        1 => {
            let rest = rest.first_chunk::<12>().ok_or_else(short)?;
            Some(IpAddr::from([rest[0], rest[1], rest[2], rest[3]]))
        }
        2 => {
            let from =
                rest.first_chunk::<36>().and_then(|rest| rest.first_chunk::<16>()).ok_or_else(short)?;
            Some(IpAddr::from(*from))
        }
        // Unspecified, and Unix sockets, which have no address.
        0 | 3 => None,
        _ => return Err(malformed("its family is not known")),
    };
    Ok(of(client, PREFIX_BYTES + length))
}

/// A loopback address is one of the proxy's machine, so it is the proxy's peer that is near the proxy, not near callout.
fn of(client: Option<IpAddr>, bytes: usize) -> Announcement {
    let client = client.map(|address| address.to_canonical());
    Announcement::Of { client: client.filter(|address| !address.is_loopback()), bytes }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

    fn binary(version_and_command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [SIGNATURE, &[version_and_command, family], &length, rest].concat()
    }

    fn client(bytes: &[u8]) -> Result<Option<String>, String> {
        match parse(&[bytes, REQUEST].concat(), true) {
            Ok(Announcement::Of { client, bytes: taken }) => {
                assert_eq!(taken, bytes.len());
                Ok(client.map(|client| client.to_string()))
            }
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn both_versions_name_the_client() {
        let six = [&[0x20, 1, 0x0d, 0xb8][..], &[0; 11], &[1], &[0; 16], &[0; 4]].concat();
        let tlv = [&[198, 51, 100, 1, 10, 0, 0, 1, 0xdc, 4, 1, 0xbb][..], &[4, 0, 3, 1, 2, 3]].concat();
        for (bytes, name) in [
            (b"PROXY TCP4 198.51.100.1 10.0.0.1 56324 443\r\n".to_vec(), Some("198.51.100.1")),
            (b"PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n".to_vec(), Some("2001:db8::1")),
            (b"PROXY TCP6 ::ffff:198.51.100.1 ::1 1 2\r\n".to_vec(), Some("198.51.100.1")),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (b"PROXY UNKNOWN what ever\r\n".to_vec(), None),
            (b"PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n".to_vec(), None),
            (binary(0x21, 0x11, &tlv), Some("198.51.100.1")),
            (binary(0x21, 0x21, &six), Some("2001:db8::1")),
            (binary(0x20, 0x00, b""), None),
            (binary(0x20, 0x11, &tlv), None),
            (binary(0x21, 0x00, b"abc"), None),
            (binary(0x21, 0x31, &[0; 216]), None),
        ] {
            assert_eq!(client(&bytes), Ok(name.map(str::to_owned)), "{bytes:?}");
            // However little of it comes at first.
            for end in 1..bytes.len() {
                assert_eq!(parse(&bytes[..end], true), Ok(Announcement::Unfinished), "{end} of {bytes:?}");
            }
            assert!(parse(&bytes, false).is_err());
        }
    }

    #[test]
    fn what_is_malformed_is_refused() {
        for bytes in [
            &b"PROXY \r\n"[..],
            b"PROXY TCP4\r\n",
            b"PROXY TCP4 198.51.100.1 10.0.0.1 1\r\n",
            b"PROXY TCP4 198.51.100.1 10.0.0.1 1 2 3\r\n",
            b"PROXY TCP4  198.51.100.1 10.0.0.1 1 2\r\n",
            b"PROXY TCP4 198.51.100.256 10.0.0.1 1 2\r\n",
            b"PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n",
            b"PROXY TCP6 198.51.100.1 10.0.0.1 1 2\r\n",
            b"PROXY TCP4 198.51.100.1 10.0.0.1 65536 2\r\n",
            b"PROXY TCP4 198.51.100.1 10.0.0.1 +1 2\r\n",
            b"PROXY TCP4 198.51.100.1 10.0.0.1 1 \r\n",
            b"PROXY UDP4 198.51.100.1 10.0.0.1 1 2\r\n",
            b"PROXY TCP4 198.51.100.\xff 10.0.0.1 1 2\r\n",
            &[b"PROXY UNKNOWN ", &[b'x'; 93][..], b"\r\n"].concat(),
            &binary(0x11, 0x11, &[0; 12]),
            &binary(0x22, 0x11, &[0; 12]),
            &binary(0x21, 0x11, &[0; 11]),
            &binary(0x21, 0x21, &[0; 35]),
            &binary(0x21, 0x41, &[0; 12]),
            &binary(0x21, 0x11, &[0; REST_BYTES_MAX + 1]),
        ] {
            assert!(client(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn a_request_is_no_announcement() {
        for bytes in
            [REQUEST, b"POST / HTTP/1.1\r\n", b"\r\n\r\nGET / HTTP/1.1\r\n", b"PROXX", b"\r\n\r\n\0\r\nQUIX"]
        {
            for is_trusted in [false, true] {
                assert_eq!(parse(bytes, is_trusted), Ok(Announcement::None), "{bytes:?}");
            }
        }
        assert_eq!(parse(b"P", false), Ok(Announcement::Unfinished));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_take_more_than_there_are(
            prefix in prop_oneof![Just(&b""[..]), Just(LINE), Just(SIGNATURE), Just(&b"PROXY TCP4 "[..])],
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let bytes = [prefix, &bytes].concat();
            if let Ok(Announcement::Of { bytes: taken, .. }) = parse(&bytes, true) {
                prop_assert!(taken <= bytes.len());
            }
        }
    }
}
