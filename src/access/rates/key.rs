//! Who is counted: an address, or whoever a credential names.

use crate::access::Identity;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// The bits of an IPv6 address that count: a customer is given at least a /64, and may use each address in it.
const PREFIX_BITS: u32 = 64;

/// The bits that stand for a large network: what one provider, or one part of it, has.
const NETWORK_BITS_V4: u32 = 16;
const NETWORK_BITS_V6: u32 = 32;

/// The most characters of a name that an error or the log shows.
const SHOWN_CHARS_MAX: usize = 64;

/// Who is counted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Key {
    /// Who has no credential, or one that names nobody, is counted by address.
    Address(Prefix),
    /// A user is counted by name, wherever the requests come from: so those who share an address share nothing else.
    Identity(Arc<str>),
}

/// An IPv4 address, or the /64 of an IPv6 one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Prefix(IpAddr);

impl Key {
    /// Who is counted for a request: nobody where it has a token of this server, or comes from an address that is not
    /// counted.
    pub fn of(identity: &Identity, address: Option<IpAddr>) -> Option<Key> {
        match identity {
            Identity::User(name) if !name.is_empty() => Some(Key::Identity(name.clone())),
            // A JWT without `sub` is anybody's, and one count for all who have one would be nobody's.
            Identity::Anonymous | Identity::User(_) => address.map(Key::address),
            Identity::Token(_) | Identity::Program => None,
        }
    }

    /// The key of an address.
    pub fn address(address: IpAddr) -> Key {
        Key::Address(Prefix::of(address))
    }

    /// The key of all that are near: an address counts as its large network, a name as itself.
    pub(super) fn network(&self) -> Key {
        match self {
            Key::Address(Prefix(IpAddr::V4(address))) => {
                let bits = 32 - NETWORK_BITS_V4;
                Key::Address(Prefix(IpAddr::V4((address.to_bits() >> bits << bits).into())))
            }
            Key::Address(Prefix(IpAddr::V6(address))) => {
                let bits = 128 - NETWORK_BITS_V6;
                Key::Address(Prefix(IpAddr::V6((address.to_bits() >> bits << bits).into())))
            }
            Key::Identity(name) => Key::Identity(name.clone()),
        }
    }

    /// As errors speak of it: `this address`, `this user`.
    pub(super) fn noun(&self) -> &'static str {
        match self {
            Key::Address(_) => "this address",
            Key::Identity(_) => "this user",
        }
    }
}

impl Prefix {
    /// The prefix of an address. An IPv4 address that is mapped into IPv6 counts as IPv4.
    pub fn of(address: IpAddr) -> Prefix {
        match address.to_canonical() {
            IpAddr::V6(address) => {
                let bits = 128 - PREFIX_BITS;
                Prefix(IpAddr::V6((address.to_bits() >> bits << bits).into()))
            }
            address => Prefix(address),
        }
    }
}

/// As the log names it. A name may hold anything, and is shown without what could command a terminal.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Key::Address(Prefix(address @ IpAddr::V4(_))) => write!(f, "{address}"),
            Key::Address(Prefix(address)) => write!(f, "{address}/{PREFIX_BITS}"),
            Key::Identity(name) => {
                let shown: String = name.chars().take(SHOWN_CHARS_MAX).collect();
                write!(f, "the user `{}`", shown.escape_default())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Key {
        Key::address(text.parse().unwrap())
    }

    #[test]
    fn an_ipv6_address_is_counted_by_its_64_and_an_ipv4_address_by_itself() {
        assert_eq!(key("2001:db8:0:7::1"), key("2001:db8:0:7:ffff:ffff:ffff:ffff"));
        assert_ne!(key("2001:db8:0:7::1"), key("2001:db8:0:8::1"));
        assert_eq!(key("2001:db8:0:7::1").to_string(), "2001:db8:0:7::/64");
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
        assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.1"));
    }

    #[test]
    fn a_network_is_what_is_near_and_a_name_stands_alone() {
        assert_eq!(key("192.0.2.1").network(), key("192.0.99.99").network());
        assert_ne!(key("192.0.2.1").network(), key("192.1.2.1").network());
        assert_eq!(key("2001:db8::1").network(), key("2001:db8:9999::1").network());
        assert_ne!(key("2001:db8::1").network(), key("2001:db9::1").network());
        let name = Key::Identity("ann\x1b[2J".into());
        assert_eq!(name.network(), name);
        assert_eq!(name.to_string(), "the user `ann\\u{1b}[2J`");
    }

    #[test]
    fn who_has_a_token_is_not_counted_and_a_user_is_by_name() {
        let address = Some([192, 0, 2, 1].into());
        assert_eq!(Key::of(&Identity::Anonymous, address), Some(key("192.0.2.1")));
        assert_eq!(Key::of(&Identity::Anonymous, None), None);
        assert_eq!(Key::of(&Identity::Token("shop".into()), address), None);
        assert_eq!(Key::of(&Identity::User("ann".into()), address), Some(Key::Identity("ann".into())));
        assert_eq!(Key::of(&Identity::User("".into()), address), Some(key("192.0.2.1")));
    }
}
