//! The settings of a server.

use crate::access::{ClientLimits, Issuer, Origin, Rule, Secret, TicketKeys};
use crate::history::{Address, Bounds, Durability};
use crate::http::{CONNECTIONS_MAX, Limits, Proxies};
use crate::pages::Pages;
use crate::selector::Selector;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

/// Streams at once, unless set otherwise. The rest of the connections is for short requests.
const STREAMS_MAX: usize = 900;

const _: () = assert!(STREAMS_MAX < CONNECTIONS_MAX);

/// Which of the two listeners.
///
/// ```
/// let mut config = callout::Config::default();
/// assert_eq!(config.listener, callout::ListenerKind::Direct);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListenerKind {
    /// The default, for the open network.
    #[default]
    Direct,
    /// `tiny_http::Server`, for trusted networks and for comparison.
    TinyHttp,
}

/// The settings of a server. [`Config::default`] is one on `127.0.0.1:8080` that keeps its history in memory and
/// has all pages.
///
/// ```
/// let mut config = callout::Config::default();
/// config.listen = ([127, 0, 0, 1], 0).into();
/// config.ephemeral.push("cursors/*".parse()?);
/// let server = callout::Server::builder().config(config).start().unwrap();
/// # Ok::<(), callout::Error>(())
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Config {
    /// Where to listen; port 0 chooses a free one.
    pub listen: SocketAddr,
    /// Further addresses to listen on, as a name may have several; port 0 is the port of the first. One that this machine
    /// does not have is left out with a line in the log. `tiny_http` listens on the first alone.
    pub listen_also: Vec<SocketAddr>,
    /// By which listener.
    pub listener: ListenerKind,
    /// What publishing through the topic API needs, if anything: visible ASCII characters, and no blanks.
    pub publish_token: Option<Secret>,
    /// Who may do what. Without any, and without a publish token, everything is open; with one, everything is closed that
    /// none opens.
    pub rules: Vec<Rule>,
    /// Whether a server without rules will be given some while it runs ([`Server::set_rules`](crate::Server::set_rules)).
    /// Only then its streams are watched, which takes some memory for each; those of a server with rules always are.
    pub rules_may_change: bool,
    /// The keys of tickets: the first signs, all are taken.
    pub tickets: TicketKeys,
    /// Who signs JWTs that are taken.
    pub issuers: Vec<Arc<Issuer>>,
    /// Names of this server, beside those of the machine itself, that a loopback connection may ask for: without scheme,
    /// port and path.
    pub hosts: Vec<String>,
    /// Origins whose pages may read and publish.
    pub origins: Vec<Origin>,
    /// Topics whose events are ephemeral: no id, not kept, dropped for a browser that is behind.
    pub ephemeral: Vec<Selector>,
    /// A folder whose files are served too, before those compiled in.
    pub www: Option<PathBuf>,
    /// Where events and posts are kept.
    pub data: Address,
    /// When an event counts as kept, where it is kept on disk.
    pub durability: Durability,
    /// How much history is kept.
    pub bounds: Bounds,
    /// What connections are held to.
    pub limits: Limits,
    /// What one client may take of it all.
    pub client_limits: ClientLimits,
    /// Proxies that are believed when they say which client a request comes from.
    pub trusted_proxies: Proxies,
    /// The pages that the server has.
    pub pages: Pages,
    /// Whether the activity page shows live statistics and requests.
    pub activity: bool,
    /// More streams than this are told to come back later. At most [`Limits::connections_max`], and fewer if short
    /// requests are to get through beside them.
    pub streams_max: usize,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            listen_also: Vec::new(),
            listener: ListenerKind::default(),
            publish_token: None,
            rules: Vec::new(),
            rules_may_change: false,
            tickets: TicketKeys::default(),
            issuers: Vec::new(),
            hosts: Vec::new(),
            origins: Vec::new(),
            ephemeral: Vec::new(),
            www: None,
            data: Address::Memory,
            durability: Durability::default(),
            bounds: Bounds::default(),
            limits: Limits::default(),
            client_limits: ClientLimits::default(),
            trusted_proxies: Proxies::default(),
            pages: Pages::default(),
            activity: true,
            streams_max: STREAMS_MAX,
        }
    }
}

impl Config {
    /// Whether tickets or JWTs are taken.
    pub(crate) fn has_keys(&self) -> bool {
        !self.tickets.is_empty() || !self.issuers.is_empty()
    }

    /// Why others than this machine can reach the server, as errors say it; none if they cannot. Behind a proxy on this
    /// machine the whole internet comes from loopback.
    pub fn exposure(&self) -> Option<String> {
        let mut addresses = self.listen_also.iter().chain([&self.listen]);
        if let Some(address) = addresses.find(|address| !address.ip().to_canonical().is_loopback()) {
            return Some(format!("it listens on {address}"));
        }
        if let Some(host) = self.hosts.first() {
            return Some(format!("it is asked for as {host}, by --host"));
        }
        (!self.trusted_proxies.is_empty()).then(|| "a proxy is in front, by --trusted-proxy".into())
    }

    /// Whether a proxy that is not trusted has to be in front: on loopback nobody else asks for the names of `hosts`.
    pub(super) fn is_behind_unknown_proxy(&self) -> bool {
        let mut addresses = self.listen_also.iter().chain([&self.listen]);
        let is_local = addresses.all(|address| address.ip().to_canonical().is_loopback());
        is_local && !self.hosts.is_empty() && self.trusted_proxies.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_exposed_beyond_loopback_and_behind_a_proxy() {
        let listens = |text: &str| Config { listen: text.parse().unwrap(), ..Config::default() };
        for (config, why) in [
            (Config::default(), None),
            (listens("127.0.0.9:80"), None),
            (listens("[::1]:80"), None),
            (listens("[::ffff:127.0.0.1]:80"), None),
            (listens("0.0.0.0:80"), Some("it listens on 0.0.0.0:80")),
            (listens("192.0.2.1:80"), Some("it listens on 192.0.2.1:80")),
            (
                Config { listen_also: vec!["[::]:80".parse().unwrap()], ..Config::default() },
                Some("it listens on [::]:80"),
            ),
            (
                Config { hosts: vec!["push.example.org".into()], ..Config::default() },
                Some("it is asked for as push.example.org, by --host"),
            ),
            (
                Config {
                    trusted_proxies: ["127.0.0.1".parse().unwrap()].into_iter().collect(),
                    ..Config::default()
                },
                Some("a proxy is in front, by --trusted-proxy"),
            ),
        ] {
            assert_eq!(config.exposure().as_deref(), why);
        }
    }
}
