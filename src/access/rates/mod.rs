//! What each client has taken, and whether it may take more: streams, connections, replays, publications and bytes kept.
//!
//! Every queue, body, header, history, thread and count has a named limit and a stated consequence, each alone and all of
//! them together. The limits of the whole server hold for all clients together; these keep one client from taking all of
//! it. A client is counted by address, and a user by name. What a client is told says which limit it is, and when to come
//! back; the log names the client, in one line a second for each limit, however often it tries.

mod buckets;
mod counts;
mod key;
mod limits;

pub use counts::Held;
pub use key::{Key, Prefix};
pub use limits::{ClientLimits, Limit, Rate, Room};

use crate::error::Error;
use crate::os::refusals;
use buckets::Buckets;
use counts::Counts;
use limits::{BYTES_TIME, Holding};
use log::Level;
use serde::Serialize;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// When whoever has no stream left may try again: one of its own has to end first.
const STREAMS_RETRY_SECS: u64 = 30;

/// The same where others are sent what they missed, which takes no longer for most.
const REPLAYS_RETRY_SECS: u64 = 2;

/// The counts of all clients.
pub struct Rates {
    started: Instant,
    streams: Limited<Arc<Counts>>,
    connections: Limited<Arc<Counts>>,
    replays: Limited<Arc<Counts>>,
    publish: Limited<(Buckets, Rate)>,
    bytes: Limited<(Buckets, usize)>,
    /// What an entry counts at least.
    entry_bytes_min: usize,
}

/// What is kept of a publication.
#[derive(Debug, Clone, Copy)]
pub struct Kept {
    pub bytes: usize,
    /// Of what the server keeps a number: an event is one, a post is one, and one more for each feed that it is in.
    pub entries: usize,
}

/// A limit that holds, if it does, and how much it has refused.
struct Limited<T> {
    /// The flag by which an operator changes it.
    flag: &'static str,
    counted: Option<T>,
    refused: AtomicU64,
}

/// How much each limit has refused since the start. The names are those that people see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// Streams.
    pub streams: u64,
    /// Connections.
    pub connections: u64,
    /// Streams that wanted to be sent what they missed.
    pub replays: u64,
    /// Publications that came too fast.
    pub publish: u64,
    /// Publications that were too much.
    pub bytes: u64,
}

impl Rates {
    /// Counts from zero. `is_exposed` says whether others than this machine can reach the server.
    pub fn new(limits: &ClientLimits, room: Room, is_exposed: bool) -> Rates {
        let Holding { streams, connections, replays, publish, bytes } = limits.holding(room, is_exposed);
        Rates {
            started: Instant::now(),
            streams: Limited::new("--limit-streams", streams.map(Counts::new)),
            connections: Limited::new("--limit-connections", connections.map(Counts::new)),
            replays: Limited::new("--limit-replays", replays.map(Counts::new)),
            publish: Limited::new("--limit-publish", publish.map(|rate| (Buckets::new(rate.full()), rate))),
            bytes: Limited::new("--limit-bytes", bytes.map(|bytes| (Buckets::new(BYTES_TIME), bytes))),
            entry_bytes_min: (room.bytes / room.events.max(1)).max(1),
        }
    }

    /// One more stream of this client, which counts until it is dropped; none where streams are not limited.
    pub fn hold_stream(&self, key: &Key) -> Result<Option<Held>, Error> {
        let open = |max| format!("{} has as many streams open as it may have at once: {max}", key.noun());
        self.streams.hold(key).map_err(|max| {
            Error::too_many(open(max), STREAMS_RETRY_SECS)
                .hint("close one of them first, or come back when `Retry-After` says so; several topics fit into one stream")
        })
    }

    /// One more stream of this client that is sent what it missed; counts until it is dropped.
    pub fn hold_replay(&self, key: &Key) -> Result<Option<Held>, Error> {
        let under_way = |max| {
            format!(
                "{} has as many streams that are sent what they missed as it may have at once: {max}",
                key.noun()
            )
        };
        self.replays.hold(key).map_err(|max| Error::too_many(under_way(max), REPLAYS_RETRY_SECS))
    }

    /// One more connection from this address, which counts until it is dropped.
    pub fn hold_connection(&self, peer: IpAddr) -> Result<Option<Held>, Error> {
        let open = |max| format!("this address has as many connections open as it may have at once: {max}");
        self.connections
            .hold(&Key::address(peer))
            .map_err(|max| Error::too_many(open(max), STREAMS_RETRY_SECS))
    }

    /// One more publication of this client. A 429 if it publishes too fast.
    pub fn publish(&self, key: &Key) -> Result<(), Error> {
        let Some((buckets, rate)) = &self.publish.counted else { return Ok(()) };
        let wait = match buckets.pour(key, rate.each(), self.started.elapsed()) {
            Ok(()) => return Ok(()),
            Err(wait) => wait,
        };
        self.publish.note_refused(key);
        let Rate { per_sec, burst } = rate;
        let fast = format!(
            "{} publishes faster than {per_sec} times a second, and {burst} times at once",
            key.noun()
        );
        Err(Error::too_many(fast, secs(wait)))
    }

    /// Something more of this client that is kept. A 429 if it has had as much kept as it may.
    pub fn keep(&self, key: &Key, kept: Kept) -> Result<(), Error> {
        let Some((buckets, limit)) = &self.bytes.counted else { return Ok(()) };
        let amount = kept.bytes.max(kept.entries.saturating_mul(self.entry_bytes_min));
        let nanos = BYTES_TIME.as_nanos() * amount as u128 / (*limit).max(1) as u128;
        let amount = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        let wait = match buckets.pour(key, amount, self.started.elapsed()) {
            Ok(()) => return Ok(()),
            Err(wait) => wait,
        };
        self.bytes.note_refused(key);
        let much = format!("{} has had as much kept as it may within an hour: {}", key.noun(), size(*limit));
        Err(Error::too_many(much, secs(wait)))
    }

    /// Whether there is a limit.
    pub fn are_any(&self) -> bool {
        let counts = [&self.streams, &self.connections, &self.replays];
        counts.iter().any(|limited| limited.counted.is_some())
            || self.publish.counted.is_some()
            || self.bytes.counted.is_some()
    }

    /// How much was refused.
    pub fn refused(&self) -> Refused {
        Refused {
            streams: self.streams.refused.load(Relaxed),
            connections: self.connections.refused.load(Relaxed),
            replays: self.replays.refused.load(Relaxed),
            publish: self.publish.refused.load(Relaxed),
            bytes: self.bytes.refused.load(Relaxed),
        }
    }
}

impl<T> Limited<T> {
    fn new(flag: &'static str, counted: Option<T>) -> Limited<T> {
        Limited { flag, counted, refused: AtomicU64::new(0) }
    }

    fn note_refused(&self, key: &Key) {
        self.refused.fetch_add(1, Relaxed);
        refusals::log(Level::Warn, self.flag, || format!("{key} is over {}, and was refused", self.flag));
    }
}

impl Limited<Arc<Counts>> {
    /// One more of these. The error is how many there may be.
    fn hold(&self, key: &Key) -> Result<Option<Held>, usize> {
        let Some(counts) = &self.counted else { return Ok(None) };
        counts.take(key).map(Some).ok_or_else(|| {
            self.note_refused(key);
            counts.max()
        })
    }
}

/// As the log says it at the start.
impl fmt::Display for Rates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |limited: &Limited<Arc<Counts>>, what: &str| {
            limited.counted.as_ref().map(|counts| format!("{} {what}", counts.max()))
        };
        let publish = self
            .publish
            .counted
            .as_ref()
            .map(|(_, rate)| format!("{} publications a second ({} at once)", rate.per_sec, rate.burst));
        let bytes = self.bytes.counted.as_ref().map(|(_, bytes)| format!("{} kept an hour", size(*bytes)));
        let all = [
            count(&self.streams, "streams"),
            count(&self.connections, "connections"),
            count(&self.replays, "replays at once"),
            publish,
            bytes,
        ];
        let all: Vec<String> = all.into_iter().flatten().collect();
        match all.is_empty() {
            true => f.write_str("no address and no user has limits of its own"),
            false => write!(
                f,
                "each address and each user may have {} (--limit-streams and the like)",
                all.join(", ")
            ),
        }
    }
}

/// A size as it is written in a flag.
fn size(bytes: usize) -> String {
    const MEGABYTE: usize = 1024 * 1024;
    match bytes {
        whole if whole >= MEGABYTE && whole % MEGABYTE == 0 => format!("{}MB", whole / MEGABYTE),
        bytes => format!("{bytes} bytes"),
    }
}

/// Whole seconds, and at least one.
fn secs(wait: Duration) -> u64 {
    wait.as_nanos().div_ceil(1_000_000_000).max(1) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(change: impl FnOnce(&mut ClientLimits)) -> Rates {
        let mut limits = ClientLimits::default();
        change(&mut limits);
        let room = Room { streams: 1_000, connections: 1_000, bytes: 1_000_000, events: 1_000 };
        Rates::new(&limits, room, false)
    }

    fn event(bytes: usize) -> Kept {
        Kept { bytes, entries: 1 }
    }

    fn ann() -> Key {
        Key::Identity("ann".into())
    }

    #[test]
    fn an_address_and_a_user_are_counted_apart_and_told_what_they_are_over() {
        let rates = rates(|limits| limits.streams = Limit::At(1));
        let address = Key::address([192, 0, 2, 1].into());
        let _own = rates.hold_stream(&address).unwrap();
        let of_ann = rates.hold_stream(&ann()).unwrap();
        let error = rates.hold_stream(&address).err().expect("it has one");
        assert_eq!(error.to_string(), "this address has as many streams open as it may have at once: 1");
        assert!(rates.hold_stream(&ann()).is_err_and(|error| error.to_string().starts_with("this user")));
        drop(of_ann);
        assert!(rates.hold_stream(&ann()).is_ok());
        assert_eq!(rates.refused(), Refused { streams: 2, connections: 0, replays: 0, publish: 0, bytes: 0 });
    }

    #[test]
    fn an_event_counts_as_its_bytes_and_at_least_as_its_share_of_the_history() {
        let rates = rates(|limits| limits.bytes = Limit::At(10_000));
        // A thousandth of a million bytes each.
        assert_eq!((0..20).filter(|_| rates.keep(&ann(), event(1)).is_ok()).count(), 10);
        let bob = Key::Identity("bob".into());
        assert!(rates.keep(&bob, event(9_000)).is_ok() && rates.keep(&bob, event(9_000)).is_err());
        // Many entries count for each.
        assert!(rates.keep(&bob, event(1)).is_ok() && rates.keep(&bob, event(1)).is_err());
        let dan = Key::Identity("dan".into());
        let post = Kept { bytes: 1, entries: 5 };
        assert!(
            rates.keep(&dan, post).is_ok()
                && rates.keep(&dan, post).is_ok()
                && rates.keep(&dan, post).is_err()
        );
        // One that is larger than all that may be kept is taken, and then nothing for an hour.
        let eve = Key::Identity("eve".into());
        assert!(rates.keep(&eve, event(50_000)).is_ok());
        let error = rates.keep(&eve, event(1)).expect_err("it is used up");
        assert!(error.retry_after_secs().is_some_and(|secs| (300..=360).contains(&secs)), "{error:?}");
    }

    #[test]
    fn what_is_not_limited_is_never_refused() {
        let rates = rates(|_| {});
        let held: Vec<_> = (0..2_000).map(|_| rates.hold_stream(&ann())).collect();
        assert!(held.iter().all(|held| matches!(held, Ok(None))));
        assert!(
            (0..2_000).all(|_| rates.publish(&ann()).is_ok() && rates.keep(&ann(), event(1 << 30)).is_ok())
        );
        assert_eq!(rates.to_string(), "no address and no user has limits of its own");
    }
}
