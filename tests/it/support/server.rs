//! A server in this process.

use super::until;
use callout::Topic;
use callout::access::{Access, Grant, Wanted};
use callout::hub::Survey;
use callout::server::{Config, Server};
use http::HeaderMap;
use std::net::SocketAddr;
use std::sync::Once;

/// A server with the default configuration on a free port.
pub fn server() -> Server {
    server_with(|_| {})
}

/// The same, with a configuration that `change` has changed.
pub fn server_with(change: impl FnOnce(&mut Config)) -> Server {
    raise_descriptor_limit();
    let mut config = Config::default();
    config.listen = SocketAddr::from(([127, 0, 0, 1], 0));
    change(&mut config);
    Server::builder().config(config).start().expect("a free port")
}

/// What lets a stream subscribe to these topics.
pub fn grant(subscribe: Vec<Topic>) -> Grant {
    let subscribe = subscribe.into_iter().map(Into::into).collect();
    let wanted = Wanted { subscribe, ..Wanted::default() };
    Access::default().grant(&HeaderMap::new(), None, [127, 0, 0, 1].into(), wanted).expect("everybody may")
}

/// All tests share this process, and some hold both ends of a thousand connections: more than the soft limit
/// that systems begin with. Every start of a server calls it, so that the order of the tests does not matter.
pub(super) fn raise_descriptor_limit() {
    static RAISED: Once = Once::new();
    RAISED.call_once(|| _ = rlimit::increase_nofile_limit(u64::MAX).expect("the hard limit is allowed"));
}

/// Waits until the hub has so many streams and none of them is behind. A stream that has only just opened is
/// not passed any event yet, because it reads what it misses from the history; and until it has caught up, it
/// gets no ephemeral event.
pub fn joined(server: &Server, streams: usize) {
    let all = Survey { clients: streams, behind: 0 };
    until("the streams have joined", || server.app().hub.survey() == all);
}
