//! Where a history is kept, and the one function that opens it there. A further kind of history is one more
//! variant and one more arm here.

use super::log::{self, Log};
use super::memory::Memory;
use super::{Bounds, Durability, History};
use crate::error::Error;
use crate::hub::Hub;
use crate::os::threads::Threads;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

/// Where a history is kept: `memory`, a folder, or the URL of a server (`redis://…`, `nats://…`).
///
/// ```
/// use callout::Address;
///
/// assert_eq!("memory".parse(), Ok(Address::Memory));
/// assert_eq!("/var/lib/callout".parse(), Ok(Address::Folder("/var/lib/callout".into())));
/// assert!("mysql://db".parse::<Address>().is_err());
/// ```
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Address {
    /// Only in memory, while the process runs.
    Memory,
    /// In a folder that only this server uses; it is made when it is missing.
    Folder(PathBuf),
    /// On a Redis server, as a URL. It may hold a password, so `Debug` shows only its scheme.
    Redis(String),
    /// On a NATS server, as a URL; likewise.
    Nats(String),
}

impl Address {
    /// The folder, where it is one.
    pub fn folder(&self) -> Option<&Path> {
        match self {
            Address::Folder(folder) => Some(folder),
            Address::Memory | Address::Redis(_) | Address::Nats(_) => None,
        }
    }
}

impl FromStr for Address {
    type Err = Error;

    /// [`Error::bad`] if it is empty, or a URL of a kind that is not known. A folder whose name looks like one is
    /// written with `./` before it.
    fn from_str(text: &str) -> Result<Address, Error> {
        Ok(match text.split_once("://") {
            Some(("redis" | "rediss", _)) => Address::Redis(text.into()),
            Some(("nats", _)) => Address::Nats(text.into()),
            Some((scheme, _)) if !scheme.contains('/') => {
                return Err(Error::bad(format!(
                    "a history cannot be kept at `{scheme}://…`: its address is `memory`, a folder, `redis://…` or `nats://…`"
                )));
            }
            _ if text.is_empty() => return Err(Error::bad("the address of a history is empty")),
            _ if text == "memory" => Address::Memory,
            _ => Address::Folder(text.into()),
        })
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Memory | Address::Folder(_) => write!(f, "{self}"),
            Address::Redis(_) => f.write_str("redis://…"),
            Address::Nats(_) => f.write_str("nats://…"),
        }
    }
}

/// Writes what `from_str` reads, a password included.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Memory => f.write_str("memory"),
            Address::Folder(folder) => folder.display().fmt(f),
            Address::Redis(url) | Address::Nats(url) => f.write_str(url),
        }
    }
}

/// Opens the history at this address. It feeds this hub, which has to be new: the history tells it where events
/// begin. A thread that it needs is one of `threads`. The error is for the operator: it says what could not be opened, why, and what to do.
#[doc(hidden)]
pub fn open(
    address: &Address,
    hub: Hub,
    threads: &Threads,
    bounds: Bounds,
    durability: Durability,
) -> Result<Arc<dyn History>, String> {
    match address {
        Address::Memory => Ok(Arc::new(Memory::new(hub, bounds))),
        Address::Folder(folder) => {
            let opener = log::opener(folder.clone());
            Ok(Arc::new(Log::start(opener, hub, threads, bounds, durability)?))
        }
        Address::Redis(_) => Err(unsupported("redis")),
        Address::Nats(_) => Err(unsupported("nats")),
    }
}

fn unsupported(feature: &str) -> String {
    format!("this build has no {feature} support; rebuild with --features {feature}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_reads_back_what_it_writes() {
        for (text, address) in [
            ("memory", Address::Memory),
            ("callout-data", Address::Folder("callout-data".into())),
            ("./memory", Address::Folder("./memory".into())),
            ("./redis://x", Address::Folder("./redis://x".into())),
            ("redis://127.0.0.1:6379/0", Address::Redis("redis://127.0.0.1:6379/0".into())),
            ("nats://127.0.0.1", Address::Nats("nats://127.0.0.1".into())),
        ] {
            assert_eq!(text.parse(), Ok(address.clone()));
            assert_eq!(address.to_string(), text);
        }
        for wrong in ["", "mysql://127.0.0.1"] {
            assert!(wrong.parse::<Address>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn an_adapter_that_is_not_built_in_is_named_with_what_to_do() {
        for (text, feature) in [("redis://127.0.0.1", "redis"), ("nats://127.0.0.1", "nats")] {
            let threads = Threads::default();
            let hub = Hub::start(&threads).expect("a thread");
            let address = text.parse().unwrap();
            let opened = open(&address, hub, &threads, Bounds::default(), Durability::default());
            let wanted = format!("this build has no {feature} support; rebuild with --features {feature}");
            assert_eq!(opened.err(), Some(wanted));
        }
    }
}
