//! Which values the settings of a server may have. The flags read them from text, a program sets them as it likes;
//! both are held to the same.

use super::{Config, StartError};
use crate::access::{Hosts, Limit, Rules, Secret};
use crate::routes::Route;
use std::fmt::Debug;
use std::ops::RangeInclusive;
use std::time::Duration;

/// A setting whose valid values lie in a range.
pub(crate) struct Setting<T> {
    /// The path of its field in [`Config`].
    name: &'static str,
    pub(crate) valid: RangeInclusive<T>,
    /// Describes a valid value.
    pub(crate) right: &'static str,
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A shorter heartbeat is a flood, a longer one as good as none.
pub(crate) static HEARTBEAT: Setting<Duration> = Setting {
    name: "limits.pace.heartbeat",
    valid: Duration::from_millis(10)..=Duration::from_secs(60 * 60),
    right: "a time like 15s, from 10ms to an hour",
};

/// Less than the least deadline would cut off browsers that are merely far away.
static WRITE_DEADLINE: Setting<Duration> = deadline("limits.pace.write_deadline");
static HEAD_DEADLINE: Setting<Duration> = deadline("limits.head_deadline");
static BODY_DEADLINE: Setting<Duration> = deadline("limits.body_deadline");

const fn deadline(name: &'static str) -> Setting<Duration> {
    Setting { name, valid: Duration::from_millis(100)..=DAY, right: "a time like 10s, from 100ms to a day" }
}

/// Less would close connections between two requests of one page.
pub(crate) static IDLE: Setting<Duration> = Setting {
    name: "limits.idle_deadline",
    valid: Duration::from_secs(1)..=DAY,
    right: "a time like 60s, from 1s to a day",
};

pub(crate) static BODY_BYTES: Setting<usize> =
    Setting { name: "limits.body_bytes_max", valid: 1..=usize::MAX, right: "a size like 64KB, at least 1" };

static CONNECTIONS: Setting<usize> = Setting {
    name: "limits.connections_max",
    valid: 1..=usize::MAX,
    right: "a number of connections, at least 1",
};

/// With fewer there is none for a request while another one waits for the disk.
pub(crate) static THREADS: Setting<usize> =
    Setting { name: "limits.threads_max", valid: 4..=10_000, right: "a number of threads from 4 to 10000" };

pub(crate) static STREAMS: Setting<usize> =
    Setting { name: "streams_max", valid: 1..=usize::MAX, right: "a number of streams, at least 1" };

pub(crate) static KEEP_EVENTS: Setting<usize> =
    Setting { name: "bounds.events_max", valid: 1..=usize::MAX, right: "a number of events, at least 1" };

pub(crate) static KEEP_BYTES: Setting<usize> =
    Setting { name: "bounds.bytes_max", valid: 1..=usize::MAX, right: "a size like 64MB, at least 1" };

/// A browser that comes back within a second finds what it missed.
pub(crate) static KEEP_AGE: Setting<Duration> = Setting {
    name: "bounds.age_max",
    valid: Duration::from_secs(1)..=Duration::MAX,
    right: "a time like 7days, at least a second",
};

pub(crate) static LIMIT_STREAMS: Setting<usize> = one_clients("client_limits.streams");
pub(crate) static LIMIT_CONNECTIONS: Setting<usize> = one_clients("client_limits.connections");
pub(crate) static LIMIT_REPLAYS: Setting<usize> = one_clients("client_limits.replays");

const fn one_clients(name: &'static str) -> Setting<usize> {
    Setting { name, valid: 1..=usize::MAX, right: "a number like 200, or `off`" }
}

/// Both numbers of a rate. A shorter time than a microsecond would be no limit.
pub(crate) static LIMIT_PUBLISH: Setting<u32> = Setting {
    name: "client_limits.publish",
    valid: 1..=1_000_000,
    right: "a rate like 50/s, or '50/s 500' with how many may come at once, up to 1000000, or `off`",
};

pub(crate) static LIMIT_BYTES: Setting<usize> = Setting {
    name: "client_limits.bytes",
    valid: 1..=usize::MAX,
    right: "a size like 16MB, which is also taken in each hour, or `off`",
};

/// What a publish token has to be.
pub(crate) const TOKEN_RIGHT: &str = "one or more visible ASCII characters, and no blanks";

/// What a name of this server has to be.
pub(crate) const HOST_RIGHT: &str = "a name like push.example.org, without scheme, port and path";

impl<T: PartialOrd + Copy + Debug> Setting<T> {
    fn check(&self, value: T) -> Result<(), StartError> {
        if self.valid.contains(&value) {
            return Ok(());
        }
        Err(wrong(self.name, &format!("{value:?}"), self.right))
    }

    fn check_limit(&self, limit: Limit<T>) -> Result<(), StartError> {
        limit.set().map_or(Ok(()), |value| self.check(value))
    }
}

/// Refuses settings that cannot be meant: they would end each connection at once, or keep nothing.
pub(crate) fn check(config: &Config) -> Result<(), StartError> {
    let Config { limits, bounds, streams_max, .. } = config;
    HEARTBEAT.check(limits.pace.heartbeat)?;
    WRITE_DEADLINE.check(limits.pace.write_deadline)?;
    HEAD_DEADLINE.check(limits.head_deadline)?;
    BODY_DEADLINE.check(limits.body_deadline)?;
    IDLE.check(limits.idle_deadline)?;
    BODY_BYTES.check(limits.body_bytes_max)?;
    CONNECTIONS.check(limits.connections_max)?;
    THREADS.check(limits.threads_max)?;
    STREAMS.check(*streams_max)?;
    KEEP_EVENTS.check(bounds.events_max)?;
    KEEP_BYTES.check(bounds.bytes_max)?;
    KEEP_AGE.check(bounds.age_max)?;
    let clients = &config.client_limits;
    LIMIT_STREAMS.check_limit(clients.streams)?;
    LIMIT_CONNECTIONS.check_limit(clients.connections)?;
    LIMIT_REPLAYS.check_limit(clients.replays)?;
    LIMIT_BYTES.check_limit(clients.bytes)?;
    if let Some(rate) = clients.publish.set() {
        LIMIT_PUBLISH.check(rate.per_sec)?;
        LIMIT_PUBLISH.check(rate.burst)?;
    }
    if *streams_max > limits.connections_max {
        let right = format!("at most `limits.connections_max`, {}", limits.connections_max);
        return Err(wrong(STREAMS.name, &streams_max.to_string(), &right));
    }
    if config.publish_token.as_ref().is_some_and(|token| !Secret::is_token(token)) {
        return Err(wrong("publish_token", "no token", TOKEN_RIGHT));
    }
    if let Some(host) = config.hosts.iter().find(|host| !Hosts::is_name(host)) {
        return Err(wrong("hosts", &format!("{host:?}"), HOST_RIGHT));
    }
    match &config.www {
        Some(folder) if !folder.is_dir() => Err(wrong("www", &format!("{folder:?}"), "a folder")),
        _ => Ok(()),
    }
}

/// The rights that follow from the rules.
pub(crate) fn rules(config: &Config) -> Result<Rules, StartError> {
    let rules = Rules::new(&config.rules, config.publish_token.as_ref());
    rules.map_err(|error| StartError::Setting { name: "rules", why: format!("is wrong: {error}") })
}

/// Refuses routes that could never be answered as they are meant.
pub(super) fn check_routes(routes: &[Route]) -> Result<(), StartError> {
    routes.iter().try_for_each(|route| {
        route.check().map_err(|why| StartError::Setting { name: "route", why: format!("is wrong: {why}") })
    })
}

fn wrong(name: &'static str, value: &str, right: &str) -> StartError {
    StartError::Setting { name, why: format!("is {value}, and takes {right}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Rate;

    /// The setting that is refused after this change.
    fn refused(change: fn(&mut Config)) -> Option<&'static str> {
        let mut config = Config::default();
        change(&mut config);
        match check(&config) {
            Ok(()) => None,
            Err(StartError::Setting { name, why }) => {
                assert!(why.contains(", and takes "), "{why}");
                Some(name)
            }
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused_by_the_name_of_its_field() {
        assert_eq!(refused(|_| {}), None);
        for (change, name) in [
            ((|c| c.limits.pace.heartbeat = Duration::ZERO) as fn(&mut Config), "limits.pace.heartbeat"),
            (|c| c.limits.pace.heartbeat = Duration::MAX, "limits.pace.heartbeat"),
            (|c| c.limits.pace.write_deadline = Duration::ZERO, "limits.pace.write_deadline"),
            (|c| c.limits.pace.write_deadline = Duration::MAX, "limits.pace.write_deadline"),
            (|c| c.limits.head_deadline = Duration::ZERO, "limits.head_deadline"),
            (|c| c.limits.body_deadline = Duration::MAX, "limits.body_deadline"),
            (|c| c.limits.idle_deadline = Duration::ZERO, "limits.idle_deadline"),
            (|c| c.limits.body_bytes_max = 0, "limits.body_bytes_max"),
            (|c| (c.limits.connections_max, c.streams_max) = (0, 0), "limits.connections_max"),
            (|c| c.limits.threads_max = 3, "limits.threads_max"),
            (|c| c.streams_max = 0, "streams_max"),
            (|c| c.streams_max = c.limits.connections_max + 1, "streams_max"),
            (|c| c.bounds.events_max = 0, "bounds.events_max"),
            (|c| c.bounds.bytes_max = 0, "bounds.bytes_max"),
            (|c| c.bounds.age_max = Duration::ZERO, "bounds.age_max"),
            (|c| c.client_limits.streams = Limit::At(0), "client_limits.streams"),
            (|c| c.client_limits.connections = Limit::At(0), "client_limits.connections"),
            (|c| c.client_limits.replays = Limit::At(0), "client_limits.replays"),
            (|c| c.client_limits.bytes = Limit::At(0), "client_limits.bytes"),
            (|c| c.client_limits.publish = Limit::At(Rate { per_sec: 0, burst: 1 }), "client_limits.publish"),
            (|c| c.client_limits.publish = Limit::At(Rate { per_sec: 1, burst: 0 }), "client_limits.publish"),
            (|c| c.publish_token = Some("".into()), "publish_token"),
            (|c| c.publish_token = Some("two words".into()), "publish_token"),
            (|c| c.hosts = vec!["https://push.example.org".into()], "hosts"),
            (|c| c.www = Some("/does/not/exist".into()), "www"),
        ] {
            assert_eq!(refused(change), Some(name));
        }
        assert_eq!(refused(|c| c.streams_max = c.limits.connections_max), None);
    }

    #[test]
    fn a_token_that_is_refused_is_not_shown() {
        let config = Config { publish_token: Some("sesame open".into()), ..Config::default() };
        assert!(check(&config).is_err_and(|error| !format!("{error} {error:?}").contains("sesame")));
    }
}
