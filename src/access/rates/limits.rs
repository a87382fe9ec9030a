//! The limits of one client, as they are set, and what holds where nothing is set.

use std::time::Duration;

/// What one client may take, counted by address, and for users by name. Of IPv6 addresses a /64 counts as one. Not counted
/// are whoever has a token of the server, and the machine itself.
///
/// ```
/// use callout::{Limit, Rate};
///
/// let mut config = callout::Config::default();
/// config.client_limits.streams = Limit::At(20);
/// config.client_limits.publish = Limit::At(Rate { per_sec: 5, burst: 50 });
/// config.client_limits.bytes = Limit::Off;
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientLimits {
    /// Streams open at once. A further one is told to come back later. 200 by default, and at most a quarter of all.
    pub streams: Limit<usize>,
    /// Connections open at once, by the peer's address; those of a trusted proxy are not counted. A further one is closed.
    /// 500 by default, and at most a quarter of all.
    pub connections: Limit<usize>,
    /// Streams at once that are sent what they missed. A further one is told to come back in some seconds. 50 by default.
    pub replays: Limit<usize>,
    /// Publications. A further one is answered 429. 50 a second by default, 500 at once.
    pub publish: Limit<Rate>,
    /// Bytes of kept events and posts: so many at once, and as many again in each hour, evenly. An event counts as its share
    /// of [`Bounds::events_max`](crate::Bounds::events_max) at least. What is beyond is answered 429. By default a quarter
    /// of [`Bounds::bytes_max`](crate::Bounds::bytes_max).
    pub bytes: Limit<usize>,
}

/// Whether, and at how much, something is limited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Limit<T> {
    /// At the default where the server is exposed: it listens beyond loopback, has a host name, or trusts a proxy. Elsewhere
    /// not at all.
    #[default]
    WhenExposed,
    /// Not at all.
    Off,
    /// At so much.
    At(T),
}

/// How often something may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// So often a second, on average. From 1 to a million.
    pub per_sec: u32,
    /// And so often at once. From 1 to a million.
    pub burst: u32,
}

/// How much the whole server has room for.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    pub streams: usize,
    pub connections: usize,
    /// Bytes and events that are kept.
    pub bytes: usize,
    pub events: usize,
}

/// What holds where a server is exposed and nothing else is set. A whole office, or a village behind one address of its
/// provider, stays below; a single program that takes all it can get does not.
const STREAMS: usize = 200;
const CONNECTIONS: usize = 500;
const REPLAYS: usize = 50;
const PUBLISH: Rate = Rate { per_sec: 50, burst: 500 };

/// No single address takes more of the streams, the connections or the history than this share by default.
const SHARE: usize = 4;

/// Within this time a client may publish as many bytes again.
pub(super) const BYTES_TIME: Duration = Duration::from_secs(60 * 60);

/// The limits that hold; none where something is not limited.
pub(super) struct Holding {
    pub(super) streams: Option<usize>,
    pub(super) connections: Option<usize>,
    pub(super) replays: Option<usize>,
    pub(super) publish: Option<Rate>,
    pub(super) bytes: Option<usize>,
}

impl ClientLimits {
    pub(super) fn holding(&self, room: Room, is_exposed: bool) -> Holding {
        let share = |all: usize| (all / SHARE).max(1);
        Holding {
            streams: self.streams.or(STREAMS.min(share(room.streams)), is_exposed),
            connections: self.connections.or(CONNECTIONS.min(share(room.connections)), is_exposed),
            replays: self.replays.or(REPLAYS, is_exposed),
            publish: self.publish.or(PUBLISH, is_exposed),
            bytes: self.bytes.or(share(room.bytes), is_exposed),
        }
    }
}

impl<T> Limit<T> {
    /// What was set, if anything.
    pub(crate) fn set(self) -> Option<T> {
        if let Limit::At(limit) = self { Some(limit) } else { None }
    }

    fn or(self, default: T, is_exposed: bool) -> Option<T> {
        match self {
            Limit::At(limit) => Some(limit),
            Limit::WhenExposed if is_exposed => Some(default),
            Limit::WhenExposed | Limit::Off => None,
        }
    }
}

impl Rate {
    /// The time that belongs to each.
    pub(super) fn each(self) -> Duration {
        Duration::from_secs(1) / self.per_sec.max(1)
    }

    /// The time in which a whole burst may happen again.
    pub(super) fn full(self) -> Duration {
        self.each() * self.burst
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: Room = Room { streams: 938, connections: 1_000, bytes: 64 << 20, events: 100_000 };

    #[test]
    fn limits_are_on_where_a_server_is_exposed_and_as_they_are_set_everywhere() {
        let defaults = ClientLimits::default();
        let holding = defaults.holding(ROOM, true);
        assert_eq!(
            (holding.streams, holding.connections, holding.bytes),
            (Some(200), Some(250), Some(16 << 20))
        );
        let holding = defaults.holding(ROOM, false);
        assert!(holding.streams.is_none() && holding.publish.is_none() && holding.bytes.is_none());
        let set = ClientLimits { streams: Limit::At(7), bytes: Limit::Off, ..defaults };
        for is_exposed in [false, true] {
            let holding = set.holding(ROOM, is_exposed);
            assert_eq!((holding.streams, holding.bytes), (Some(7), None));
        }
    }

    #[test]
    fn in_a_small_server_no_address_gets_more_than_a_quarter() {
        let small = Room { streams: 100, connections: 2, ..ROOM };
        let holding = ClientLimits::default().holding(small, true);
        assert_eq!((holding.streams, holding.connections), (Some(25), Some(1)));
    }
}
