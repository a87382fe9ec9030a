//! The flags of `callout serve`, and the settings that they ask for.

use super::super::flags::{bytes, count, duration};
use super::super::{Command, Failure, Flag, Flags, Usage};
use crate::access::{ClientLimits, Hosts, Limit, Origin, Rate, Secret};
use crate::client::Pace;
use crate::history::{Address, Bounds, Durability, TopicBounds};
use crate::http::{Limits, Network};
use crate::os::usage::memory_max;
use crate::pages::Pages;
use crate::selector::Selector;
use crate::server::settings::{
    BODY_BYTES, HEARTBEAT, HOST_RIGHT, IDLE, KEEP_AGE, KEEP_BYTES, KEEP_EVENTS, LIMIT_BYTES,
    LIMIT_CONNECTIONS, LIMIT_PUBLISH, LIMIT_REPLAYS, LIMIT_STREAMS, STREAMS, Setting, THREADS,
};
use crate::server::{Config, ListenerKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::path::Path;

/// Descriptors that are not connections: standard streams, listener, signals, watching, some files.
const DESCRIPTORS_RESERVED: usize = 24;

/// A history in memory takes at most this share of the memory that there is, unless `--keep-bytes` says otherwise.
const HISTORY_SHARE: u64 = 8;

/// This share of the connections is left for short requests, but not more than the maximum.
const SHORT_REQUESTS_SHARE: usize = 16;
const SHORT_REQUESTS_MAX: usize = 256;

pub(in crate::cli) static COMMAND: Command = Command {
    name: "serve",
    arguments: "",
    about: "start the server",
    flags: &[
        Flag {
            name: "config",
            value: "FILE",
            help: "a file in TOML with rules, and with flags as keys (keep_events = 1000);\n`callout check-config FILE` checks it",
        },
        Flag {
            name: "listen",
            value: "ADDRESS",
            help: "where to listen (a port alone is on this machine only, and of a name the\nfirst IPv4 address is taken); 127.0.0.1:8080",
        },
        Flag { name: "listener", value: "KIND", help: "direct, or tiny_http on trusted networks; direct" },
        Flag {
            name: "publish-token",
            value: "TOKEN",
            help: "what publishing (/topics, /publish, /notify) and reading /history need as\n`Authorization: Bearer TOKEN`; without it anybody may",
        },
        Flag {
            name: "cors",
            value: "ORIGIN",
            help: "an origin (https://example.org, https://*.example.org) whose pages may\nread and publish; repeatable, `*` for all; without it only callout's own",
        },
        Flag {
            name: "host",
            value: "NAME",
            help: "a name of this server (push.example.org) that a proxy on this machine\nmay ask for; repeatable; without it only loopback names and this\nmachine's addresses",
        },
        Flag {
            name: "trusted-proxy",
            value: "ADDRESS",
            help: "a proxy (10.0.0.1, or a network like 10.0.0.0/8) that is believed when it\nsays which client it speaks for (X-Forwarded-For, Forwarded, or the PROXY\nprotocol); repeatable; without it no proxy is",
        },
        Flag {
            name: "data",
            value: "FOLDER",
            help: "where the history is kept, made when missing; `memory` keeps it\nonly while the server runs; callout-data",
        },
        Flag {
            name: "durability",
            value: "KIND",
            help: "strict: an acknowledged event is on disk; relaxed: within 100 ms; strict",
        },
        Flag { name: "keep-events", value: "COUNT", help: "events kept for those who come back; 100000" },
        Flag {
            name: "keep-bytes",
            value: "SIZE",
            help: "bytes kept for them; 64MB, in memory at most an eighth of what there is",
        },
        Flag { name: "keep-age", value: "TIME", help: "how long an event is kept for them; 7days" },
        Flag {
            name: "keep-reserve",
            value: "COUNT",
            help: "of each topic so many of the newest events stay when --keep-events or\n--keep-bytes is reached; 0 for none; 10",
        },
        Flag {
            name: "keep",
            value: "BOUNDS",
            help: "bounds of each topic that is named: 'noisy/*=1000 1MB 1h' (events, bytes,\nage, as many of them as are wanted); repeatable",
        },
        Flag {
            name: "ephemeral",
            value: "TOPIC",
            help: "a topic whose events are not kept, and dropped for a browser that is\nbehind (positions, presence); repeatable, `cursors/*` for all below",
        },
        Flag {
            name: "pages",
            value: "NAMES",
            help: "which pages there are: chat,activity,notifications,wall,posts,\nor none; all",
        },
        Flag {
            name: "no-activity",
            value: "",
            help: "show no live statistics and no requests on the activity page",
        },
        Flag {
            name: "body-bytes",
            value: "SIZE",
            help: "the largest body; larger ones are answered 413; 64KB",
        },
        Flag {
            name: "threads",
            value: "COUNT",
            help: "threads for requests and streams; beyond half of them who waits has none; 256",
        },
        Flag {
            name: "streams",
            value: "COUNT",
            help: "streams open at once; more are told to come back later;\nas many as the descriptor limit allows",
        },
        Flag {
            name: "limit-streams",
            value: "COUNT",
            help: "streams of one address, or of one user; more are told to come back; `off`\nfor no limit; 200 where others than this machine reach callout",
        },
        Flag {
            name: "limit-connections",
            value: "COUNT",
            help: "connections of one address; more are closed; `off`; 500 as above",
        },
        Flag {
            name: "limit-replays",
            value: "COUNT",
            help: "streams of one address or user that are sent what they missed, at once;\nmore are told to come back; `off`; 50 as above",
        },
        Flag {
            name: "limit-publish",
            value: "RATE",
            help: "publications of one address or user; more are answered 429: '50/s 500' for\n50 a second and 500 at once (ten seconds' worth by default); `off`; 50/s as\nabove",
        },
        Flag {
            name: "limit-bytes",
            value: "SIZE",
            help: "bytes that are kept of one address or user, at once, and as many again\neach hour; more are answered 429; `off`; a quarter of --keep-bytes as above",
        },
        Flag { name: "heartbeat", value: "TIME", help: "silence after which a comment is sent; 15s" },
        Flag {
            name: "grace",
            value: "TIME",
            help: "how long open requests may take to finish after SIGTERM; 5s",
        },
        Flag {
            name: "drain-delay",
            value: "TIME",
            help: "after SIGTERM, how long /healthz/ready says 503 before the drain begins,\nso that load balancers notice; 0s",
        },
        Flag {
            name: "idle",
            value: "TIME",
            help: "how long a connection may stay silent after a request; more than\na load balancer in front keeps its own; 60s",
        },
        Flag { name: "www", value: "FOLDER", help: "serve these files too, before those compiled in" },
        Flag { name: "log", value: "LEVEL", help: "error, warn, info (a line per request) or debug; info" },
    ],
};

/// The settings that the flags ask for, with so many descriptors.
pub(super) fn config(flags: &Flags, descriptors: usize) -> Result<Config, Failure> {
    let default = Config::default();
    let connections_max = descriptors.saturating_sub(DESCRIPTORS_RESERVED).max(2);
    let short_requests = (connections_max / SHORT_REQUESTS_SHARE).clamp(1, SHORT_REQUESTS_MAX);
    let (limits, bounds) = (default.limits, default.bounds);
    let limits = Limits {
        body_bytes_max: flags.setting("body-bytes", &BODY_BYTES, limits.body_bytes_max, bytes)?,
        idle_deadline: flags.setting("idle", &IDLE, limits.idle_deadline, duration)?,
        pace: Pace {
            heartbeat: flags.setting("heartbeat", &HEARTBEAT, limits.pace.heartbeat, duration)?,
            ..limits.pace
        },
        threads_max: flags.setting("threads", &THREADS, limits.threads_max, count)?,
        connections_max,
        ..limits
    };
    let data = data(flags.text("data").unwrap_or("callout-data"))?;
    let history_bytes = match data {
        Address::Memory => usize::try_from(memory_max() / HISTORY_SHARE).unwrap_or(usize::MAX),
        _ => usize::MAX,
    };
    let bounds = Bounds {
        events_max: flags.setting("keep-events", &KEEP_EVENTS, bounds.events_max, count)?,
        bytes_max: flags.setting("keep-bytes", &KEEP_BYTES, bounds.bytes_max.min(history_bytes), bytes)?,
        age_max: flags.setting("keep-age", &KEEP_AGE, bounds.age_max, duration)?,
        reserve_events: flags.value("keep-reserve", bounds.reserve_events, "a number of events", |text| {
            text.replace('_', "").parse().ok()
        })?,
        topics: flags.list("keep").iter().map(|text| keep(text)).collect::<Result<_, _>>()?,
    };
    let durability =
        flags.value("durability", Durability::Strict, "strict or relaxed", |text| match text {
            "strict" => Some(Durability::Strict),
            "relaxed" => Some(Durability::Relaxed),
            _ => None,
        })?;
    let client_limits = client_limits(flags)?;
    let listen = flags.text("listen").map_or_else(|| Ok(vec![default.listen]), addresses)?;
    let (&listen, listen_also) = listen.split_first().expect("a name that is known has an address");
    Ok(Config {
        rules_may_change: default.rules_may_change,
        tickets: default.tickets,
        issuers: default.issuers,
        listen,
        listen_also: listen_also.to_vec(),
        listener: flags.value(
            "listener",
            ListenerKind::Direct,
            "direct or tiny_http",
            |text| match text {
                "direct" => Some(ListenerKind::Direct),
                "tiny_http" => Some(ListenerKind::TinyHttp),
                _ => None,
            },
        )?,
        publish_token: flags.secret("publish-token")?.map(Secret::new),
        rules: default.rules,
        hosts: flags.list("host").into_iter().map(host).collect::<Result<_, _>>()?,
        origins: flags.list("cors").into_iter().map(origin).collect::<Result<_, _>>()?,
        ephemeral: flags.list("ephemeral").into_iter().map(ephemeral).collect::<Result<_, _>>()?,
        www: flags.value("www", None, "a folder", |text| {
            let folder = std::path::PathBuf::from(text);
            folder.is_dir().then_some(Some(folder))
        })?,
        data,
        durability,
        bounds,
        limits,
        client_limits,
        trusted_proxies: flags
            .list("trusted-proxy")
            .into_iter()
            .map(trusted_proxy)
            .collect::<Result<_, _>>()?,
        pages: pages(flags)?,
        activity: !flags.is_on("no-activity"),
        streams_max: flags
            .setting("streams", &STREAMS, usize::MAX, count)?
            .min(connections_max - short_requests),
    })
}

/// What one client may take.
fn client_limits(flags: &Flags) -> Result<ClientLimits, Usage> {
    let default = ClientLimits::default();
    Ok(ClientLimits {
        streams: limit(flags, "limit-streams", &LIMIT_STREAMS, default.streams, count)?,
        connections: limit(flags, "limit-connections", &LIMIT_CONNECTIONS, default.connections, count)?,
        replays: limit(flags, "limit-replays", &LIMIT_REPLAYS, default.replays, count)?,
        publish: limit(flags, "limit-publish", &LIMIT_PUBLISH, default.publish, rate)?,
        bytes: limit(flags, "limit-bytes", &LIMIT_BYTES, default.bytes, |text| {
            bytes(text.trim_end_matches("/h"))
        })?,
        ..default
    })
}

/// A limit, or `off`.
fn limit<T, N>(
    flags: &Flags,
    name: &str,
    setting: &Setting<N>,
    default: Limit<T>,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Limit<T>, Usage> {
    flags.value(name, default, setting.right, |text| match text {
        "off" | "0" => Some(Limit::Off),
        text => read(text).map(Limit::At),
    })
}

/// So many a second, and how many at once.
fn rate(text: &str) -> Option<Rate> {
    let mut words = text.split_whitespace();
    let in_range = |number: &u32| LIMIT_PUBLISH.valid.contains(number);
    let per_sec = words.next()?;
    let per_sec = count(per_sec.strip_suffix("/s").unwrap_or(per_sec)).filter(in_range)?;
    let ten_secs = || Some(10 * per_sec).filter(in_range).or(Some(*LIMIT_PUBLISH.valid.end()));
    let burst = words.next().map_or_else(ten_secs, |text| count(text).filter(in_range))?;
    words.next().is_none().then_some(Rate { per_sec, burst })
}

/// An address with a port. A port alone means the loopback address.
fn addresses(text: &str) -> Result<Vec<SocketAddr>, Usage> {
    let wrong = |right: &str| Usage(format!("`{text}` is no value for --listen, which takes {right}"));
    if let Ok(address) = text.parse() {
        return Ok(vec![address]);
    }
    if let Some(port) = port(text.strip_prefix(':').unwrap_or(text)) {
        return Ok(vec![(Ipv4Addr::LOCALHOST, port).into()]);
    }
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    if let Ok(ip) = bare.parse::<IpAddr>() {
        let right = SocketAddr::new(ip, 8080);
        return Err(wrong(&format!("an address with a port, like {right}")));
    }
    let name_and_port = text.rsplit_once(':').and_then(|(name, digits)| Some((name, port(digits)?)));
    let Some((name, port)) = name_and_port.filter(|(name, _)| !name.contains(':')) else {
        return Err(wrong("an address like 127.0.0.1:8080, with a port up to 65535"));
    };
    let addresses = (name, port).to_socket_addrs().map(Vec::from_iter).unwrap_or_default();
    match in_order(addresses) {
        none if none.is_empty() => {
            Err(Usage(format!("`{text}` is no value for --listen: the name `{name}` is not known")))
        }
        addresses => Ok(addresses),
    }
}

fn port(digits: &str) -> Option<u16> {
    digits.parse().ok().filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()))
}

/// All addresses of a name, each once. The first of IPv4 comes first, since every client that looks for `localhost` also
/// tries 127.0.0.1, and callout's own commands begin with it; it is the one that the start line names.
fn in_order(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first = addresses.iter().find(|address| address.is_ipv4()).copied();
    let mut all: Vec<SocketAddr> = Vec::new();
    for address in first.into_iter().chain(addresses) {
        if !all.contains(&address) {
            all.push(address);
        }
    }
    all
}

/// Where the history is kept. A folder may be missing, a file in its place is a failure.
fn data(text: &str) -> Result<Address, Failure> {
    let address: Address = text.parse().map_err(|error: crate::Error| Usage(error.to_string()))?;
    let is_file = |path: &&Path| path.exists() && !path.is_dir();
    match address.folder().and_then(|folder| folder.ancestors().find(is_file)) {
        Some(file) => {
            let file = file.display();
            Err(Failure::Work(format!("`{file}` is a file; --data takes a folder, or `memory`")))
        }
        None => Ok(address),
    }
}

fn origin(text: String) -> Result<Origin, Failure> {
    let wrong = |right| Usage(format!("`{text}` is no value for --cors, which takes {right}"));
    Ok(text.parse().map_err(wrong)?)
}

/// A name without scheme, port and path.
fn host(text: String) -> Result<String, Failure> {
    if !Hosts::is_name(&text) {
        return Err(Usage(format!("`{text}` is no value for --host, which takes {HOST_RIGHT}")).into());
    }
    Ok(text)
}

fn trusted_proxy(text: String) -> Result<Network, Failure> {
    let wrong = |error| Usage(format!("`{text}` is no value for --trusted-proxy: {error}"));
    Ok(text.parse().map_err(wrong)?)
}

/// Bounds of certain topics: a selector, `=`, and up to three bounds. A bare number is one of events, a size ends in
/// `B`, and anything else is a time.
fn keep(text: &str) -> Result<TopicBounds, Failure> {
    let wrong = |why: &str| Failure::from(Usage(format!("`{text}` is no value for --keep: {why}")));
    let right = "it is a topic, `=`, and bounds like `1000 1MB 1h`: a number of events, a size, a time";
    let (selector, words) = text.rsplit_once('=').ok_or_else(|| wrong(right))?;
    let selector = selector.trim().parse().map_err(|error: crate::Error| wrong(&error.to_string()))?;
    let mut bounds = TopicBounds { selector, events_max: None, bytes_max: None, age_max: None };
    for word in words.split_whitespace() {
        let is_new = if let Some(events) = count(word) {
            bounds.events_max.replace(events).is_none()
        } else if word.ends_with(['b', 'B']) {
            bounds.bytes_max.replace(bytes(word).ok_or_else(|| wrong(right))?).is_none()
        } else {
            let age =
                duration(word).filter(|age| KEEP_AGE.valid.contains(age)).ok_or_else(|| wrong(right))?;
            bounds.age_max.replace(age).is_none()
        };
        if !is_new {
            return Err(wrong("a bound is given twice"));
        }
    }
    match bounds {
        TopicBounds { events_max: None, bytes_max: None, age_max: None, .. } => Err(wrong(right)),
        bounds => Ok(bounds),
    }
}

/// A topic that belongs to no page, or a prefix of such topics.
fn ephemeral(pattern: String) -> Result<Selector, Failure> {
    if pattern.starts_with('$') {
        let why =
            format!("`{pattern}` is no value for --ephemeral: topics that begin with `$` are callout's own");
        return Err(Usage(why).into());
    }
    let wrong = |error| Usage(format!("`{pattern}` is no value for --ephemeral: {error}")).into();
    pattern.parse().map_err(wrong)
}

fn pages(flags: &Flags) -> Result<Pages, Failure> {
    let Some(text) = flags.text("pages") else { return Ok(Pages::all()) };
    text.parse().map_err(|error| Usage(format!("{error} (--pages)")).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_it_is_written_or_refused() {
        for (text, right) in [
            ("8080", "127.0.0.1:8080"),
            (":8080", "127.0.0.1:8080"),
            ("[::1]:8080", "[::1]:8080"),
            ("0.0.0.0:0", "0.0.0.0:0"),
        ] {
            assert_eq!(addresses(text).ok(), Some(vec![right.parse().unwrap()]), "{text}");
        }
        for text in
            ["::1", "::8080", ":::8080", "[::1]", "127.0.0.1", "65536", "+1", "127.0.0.1:", ":", "a:b:1"]
        {
            assert!(addresses(text).is_err(), "{text}");
        }
    }

    #[test]
    fn all_addresses_of_a_name_are_listened_on_and_the_first_of_ipv4_comes_first() {
        let [six, four, other] =
            ["[::1]:80", "127.0.0.1:80", "127.0.0.2:80"].map(|text| text.parse().unwrap());
        assert_eq!(in_order(vec![six, four, six, other]), [four, six, other]);
        assert_eq!(in_order(vec![six]), [six]);
        assert_eq!(in_order(Vec::new()), []);
    }
}
