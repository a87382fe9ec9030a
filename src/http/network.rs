//! A network: the addresses that begin with the same bits (CIDR, RFC 4632).

use crate::error::Error;
use std::net::IpAddr;
use std::str::FromStr;

/// An address (`10.0.0.1`), or all that begin with the same bits (`10.0.0.0/8`). A network of IPv4 addresses
/// that are mapped into IPv6 counts as IPv4.
///
/// ```
/// use callout::Network;
///
/// assert!("10.0.0.1".parse::<Network>().is_ok());
/// assert!("2001:db8::/32".parse::<Network>().is_ok());
/// assert!("10.0.0.1/8".parse::<Network>().is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix_bits: u32,
}

impl Network {
    /// Whether the address begins with the network's bits. One of the other family never does.
    pub(super) fn contains(&self, address: IpAddr) -> bool {
        let same_bits = match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => (own.to_bits() ^ other.to_bits()).leading_zeros(),
            (IpAddr::V6(own), IpAddr::V6(other)) => (own.to_bits() ^ other.to_bits()).leading_zeros(),
            _ => return false,
        };
        same_bits >= self.prefix_bits
    }

    /// The address with all bits behind the prefix zero.
    fn first_address(&self) -> IpAddr {
        match self.address {
            IpAddr::V4(address) => {
                let mask = u32::MAX.checked_shl(32 - self.prefix_bits).unwrap_or(0);
                IpAddr::V4((address.to_bits() & mask).into())
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX.checked_shl(128 - self.prefix_bits).unwrap_or(0);
                IpAddr::V6((address.to_bits() & mask).into())
            }
        }
    }
}

impl FromStr for Network {
    type Err = Error;

    /// [`Error::bad`] says what would be right. It is also given where bits are set behind the prefix, because
    /// `10.0.0.1/8` may mean one address or sixteen million.
    fn from_str(text: &str) -> Result<Network, Error> {
        let wrong = || {
            Error::bad("it takes an IP address like 10.0.0.1 or 2001:db8::1, or a network like 10.0.0.0/8")
        };
        let (address, prefix) =
            text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let written: IpAddr = address.parse().map_err(|_| wrong())?;
        let bits = if written.is_ipv4() { 32 } else { 128 };
        let prefix_bits = match prefix {
            None => bits,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().ok().filter(|prefix_bits| *prefix_bits <= bits).ok_or_else(wrong)?
            }
            Some(_) => return Err(wrong()),
        };
        let network = Network { address: written, prefix_bits };
        let first = network.first_address();
        if first != written {
            return Err(Error::bad(format!(
                "the network is written {first}/{prefix_bits}, the address alone {written}"
            )));
        }
        Ok(match written.to_canonical() {
            address @ IpAddr::V4(_) if written.is_ipv6() && prefix_bits >= 96 => {
                Network { address, prefix_bits: prefix_bits - 96 }
            }
            _ => network,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_an_address_or_its_first_bits() {
        for (network, inside, outside) in [
            ("10.0.0.1", "10.0.0.1", "10.0.0.2"),
            ("10.0.0.0/8", "10.255.255.255", "11.0.0.0"),
            ("192.0.2.128/25", "192.0.2.200", "192.0.2.127"),
            ("0.0.0.0/0", "255.255.255.255", "::1"),
            ("::1", "::1", "127.0.0.1"),
            ("2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::1"),
            ("::/0", "ffff::", "10.0.0.1"),
            ("::ffff:10.0.0.0/104", "10.9.9.9", "11.0.0.1"),
            ("::ffff:10.0.0.1", "10.0.0.1", "::ffff:10.0.0.1"),
        ] {
            let parsed: Network = network.parse().unwrap();
            assert!(parsed.contains(inside.parse().unwrap()), "{network}");
            assert!(!parsed.contains(outside.parse().unwrap()), "{network}");
        }
    }

    #[test]
    fn what_is_no_network_is_told_what_would_be_right() {
        for (text, right) in [
            ("localhost", "10.0.0.0/8"),
            ("", "10.0.0.0/8"),
            ("10.0.0.0/33", "10.0.0.0/8"),
            ("10.0.0.0/", "10.0.0.0/8"),
            ("10.0.0.0/+8", "10.0.0.0/8"),
            ("10.0.0.1:80", "10.0.0.0/8"),
            ("10.0.0.0/255.0.0.0", "10.0.0.0/8"),
            ("[::1]", "2001:db8::1"),
            ("2001:db8::/129", "2001:db8::1"),
            ("172.16.5.4/12", "172.16.0.0/12"),
            ("172.16.5.4/12", "172.16.5.4"),
            ("2001:db8::1/32", "2001:db8::/32"),
        ] {
            let error = text.parse::<Network>().unwrap_err().to_string();
            assert!(error.contains(right), "{text}: {error}");
        }
    }
}
