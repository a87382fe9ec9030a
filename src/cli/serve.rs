//! `callout serve`: the server, its log and its signals.

use super::flags::{bytes, count, duration};
use super::output::print;
use super::{Command, Failure, Flag, Flags, Usage, log as stderr_log};
use crate::access::{Origin, Secret};
use crate::client::Pace;
use crate::history::{Address, Bounds, Durability, TopicBounds};
use crate::http::{Limits, Network};
use crate::os::kernel::give_back_code;
use crate::os::threads::spawn;
use crate::pages::Pages;
use crate::selector::Selector;
use crate::server::{Config, ListenerKind, Server};
use crossbeam_channel::{Receiver, bounded, select};
use log::{Level, LevelFilter};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGXFSZ};
use signal_hook::flag;
use signal_hook::iterator::Signals;
use std::io::{IsTerminal, stderr, stdin, stdout};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Descriptors that are not connections: standard streams, listener, signals, watching, some files.
const DESCRIPTORS_RESERVED: usize = 24;

/// The valid values of `--heartbeat` and `--grace`. A shorter heartbeat is a flood, a longer one as good as none.
pub(super) const HEARTBEATS: RangeInclusive<Duration> =
    Duration::from_millis(10)..=Duration::from_secs(60 * 60);
const GRACE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// The valid values of `--idle`. Less would close connections between two requests of one page.
const IDLES: RangeInclusive<Duration> = Duration::from_secs(1)..=GRACE_MAX;

/// The least value of `--keep-age`: whoever comes back at once finds what was missed.
const KEEP_AGE_MIN: Duration = Duration::from_secs(1);

/// How long after the start its code is given back.
const START_REST: Duration = Duration::from_millis(50);

/// The exit code after an essential thread has panicked.
const EXIT_FAILED: i32 = 70;

/// This share of the connections is left for short requests, but not more than the maximum.
const SHORT_REQUESTS_SHARE: usize = 16;
const SHORT_REQUESTS_MAX: usize = 256;

pub(super) static COMMAND: Command = Command {
    name: "serve",
    arguments: "",
    about: "start the server",
    flags: &[
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
            help: "a proxy (10.0.0.1, or a network like 10.0.0.0/8) that is believed when it\nsays which client it speaks for (X-Forwarded-For, Forwarded); repeatable;\nwithout it nobody is",
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
        Flag { name: "keep-bytes", value: "SIZE", help: "bytes kept for them; 64MB" },
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
            name: "streams",
            value: "COUNT",
            help: "streams open at once; more are told to come back later;\nas many as the descriptor limit allows",
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

pub(super) fn run(flags: &Flags) -> Result<(), Failure> {
    let level =
        flags.value("log", LevelFilter::Info, "error, warn, info or debug", |text| text.parse().ok())?;
    let grace = flags.value("grace", Duration::from_secs(5), "a time like 5s, at most a day", |text| {
        duration(text).filter(|time| *time <= GRACE_MAX)
    })?;
    let drain_delay =
        flags.value("drain-delay", Duration::ZERO, "a time like 5s, at most a day", |text| {
            duration(text).filter(|time| *time <= GRACE_MAX)
        })?;
    // Each stream takes a descriptor, and the soft limit is often far below the hard one. If it cannot be raised,
    // the server works with what there is.
    let descriptors = rlimit::increase_nofile_limit(u64::MAX).unwrap_or(1024);
    let config = config(flags, usize::try_from(descriptors).unwrap_or(usize::MAX))?;
    let work = |error: std::io::Error| Failure::Work(error.to_string());
    stderr_log::start(level).map_err(work)?;
    // Asked first: a terminal that was closed is none any more.
    let has_terminal = stdin().is_terminal() || stdout().is_terminal() || stderr().is_terminal();
    let signals = Signals::new([SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2]).map_err(work)?;

    // A write over the file size limit then fails with EFBIG, and is refused like one on a full disk; by default the signal
    // kills the process.
    flag::register(SIGXFSZ, Arc::default()).map_err(work)?;

    let openness = openness(&config);
    let server = Server::builder().config(config).start().map_err(|why| Failure::Work(why.to_string()))?;
    let start_line =
        format!("callout {} listening on http://{}\n", env!("CARGO_PKG_VERSION"), server.address());
    // Standard output may be closed, or a pipe that is full: then the thread waits, and the server does not.
    spawn("start line", move || _ = print(&start_line)).map_err(work)?;
    openness.into_iter().for_each(|(level, line)| log::log!(level, "{line}"));

    let stop = wait_for_signals(signals, has_terminal).map_err(work)?;
    // Threads that have just been started run code too, until they come to rest.
    std::thread::sleep(START_REST);
    give_back_code();
    select! {
        recv(stop) -> _ => {
            if !drain_delay.is_zero() {
                log::info!("not ready any more, draining in {}", humantime::format_duration(drain_delay));
                server.announce_stop();
                select! {
                    recv(server.failure()) -> _ => exit(EXIT_FAILED),
                    default(drain_delay) => {}
                }
            }
            log::info!("draining");
            if !server.stop(grace) {
                log::warn!("some requests were still open after the grace time");
            }
            exit(0);
        }
        // The log has the thread's name and what it said. Dropping the server closes the stores.
        recv(server.failure()) -> _ => {
            drop(server);
            exit(EXIT_FAILED)
        }
    }
}

/// Waits for signals on a thread of its own, so that a second one is heard during a drain. Sends one message when
/// the server is to stop: for SIGTERM and SIGINT, and for SIGHUP if it was started on a terminal.
fn wait_for_signals(mut signals: Signals, has_terminal: bool) -> std::io::Result<Receiver<()>> {
    let (stop, stops) = bounded(1);
    spawn("signals", move || {
        let mut is_stopping = false;
        for signal in signals.forever() {
            match signal {
                // A second signal ends the process at once.
                SIGTERM | SIGINT if is_stopping => exit(128 + signal),
                // The terminal was closed. The kernel and a shell may both say so.
                SIGHUP if has_terminal && is_stopping => {}
                SIGHUP if !has_terminal => log::info!("signal {signal} is ignored"),
                SIGTERM | SIGINT | SIGHUP => {
                    is_stopping = true;
                    // The main thread waits for it.
                    let _ = stop.send(());
                }
                _ => log::info!("signal {signal} is ignored"),
            }
        }
    })?;
    Ok(stops)
}

/// Lines for the log at the start: what is open to whom.
fn openness(config: &Config) -> Vec<(Level, String)> {
    let (listen, pages) = (config.listen, &config.pages);
    let publishing = match config.publish_token {
        Some(_) => "publishing to topics, notifying and the history need the publish token",
        None => "publishing to topics, notifying and the history are open to everybody",
    };
    let mut lines = vec![
        (Level::Info, format!("{publishing}; every topic can be read by everybody")),
        (Level::Info, format!("pages open to everybody: {pages} (--pages)")),
    ];
    if config.publish_token.is_none() && !listen.ip().is_loopback() {
        let why = format!("anybody who can reach {listen} may publish; --publish-token would change that");
        lines.push((Level::Warn, why));
    }
    lines
}

fn exit(code: i32) -> ! {
    log::logger().flush();
    std::process::exit(code)
}

fn config(flags: &Flags, descriptors: usize) -> Result<Config, Failure> {
    let default = Config::default();
    let connections_max = descriptors.saturating_sub(DESCRIPTORS_RESERVED).max(2);
    let short_requests = (connections_max / SHORT_REQUESTS_SHARE).clamp(1, SHORT_REQUESTS_MAX);
    let pace = Pace {
        heartbeat: flags.value(
            "heartbeat",
            default.limits.pace.heartbeat,
            "a time like 15s, from 10ms to an hour",
            |text| duration(text).filter(|time| HEARTBEATS.contains(time)),
        )?,
        ..default.limits.pace
    };
    let idle_deadline =
        flags.value("idle", default.limits.idle_deadline, "a time like 60s, from 1s to a day", |text| {
            duration(text).filter(|time| IDLES.contains(time))
        })?;
    let keep_bytes =
        flags.value("keep-bytes", default.bounds.bytes_max, "a size like 64MB, at least 1", bytes)?;
    let body_bytes =
        flags.value("body-bytes", default.limits.body_bytes_max, "a size like 64KB, at least 1", bytes)?;
    let durability =
        flags.value("durability", Durability::Strict, "strict or relaxed", |text| match text {
            "strict" => Some(Durability::Strict),
            "relaxed" => Some(Durability::Relaxed),
            _ => None,
        })?;
    Ok(Config {
        listen: flags.text("listen").map_or(Ok(default.listen), address)?,
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
        publish_token: flags.publish_token()?.map(Secret::new),
        hosts: flags.list("host").into_iter().map(host).collect::<Result<_, _>>()?,
        origins: flags.list("cors").into_iter().map(origin).collect::<Result<_, _>>()?,
        ephemeral: flags.list("ephemeral").into_iter().map(ephemeral).collect::<Result<_, _>>()?,
        www: flags.value("www", None, "a folder", |text| {
            let folder = std::path::PathBuf::from(text);
            folder.is_dir().then_some(Some(folder))
        })?,
        data: data(flags.text("data").unwrap_or("callout-data"))?,
        durability,
        bounds: Bounds {
            events_max: flags.value(
                "keep-events",
                default.bounds.events_max,
                "a number of events, at least 1",
                count,
            )?,
            bytes_max: keep_bytes,
            age_max: flags.value(
                "keep-age",
                default.bounds.age_max,
                "a time like 7days, at least a second",
                |text| duration(text).filter(|age| *age >= KEEP_AGE_MIN),
            )?,
            reserve_events: flags.value(
                "keep-reserve",
                default.bounds.reserve_events,
                "a number of events",
                |text| text.replace('_', "").parse().ok(),
            )?,
            topics: flags.list("keep").iter().map(|text| keep(text)).collect::<Result<_, _>>()?,
        },
        limits: Limits { body_bytes_max: body_bytes, connections_max, pace, idle_deadline, ..default.limits },
        trusted_proxies: flags
            .list("trusted-proxy")
            .into_iter()
            .map(trusted_proxy)
            .collect::<Result<_, _>>()?,
        pages: pages(flags)?,
        activity: !flags.is_on("no-activity"),
        streams_max: flags
            .value("streams", usize::MAX, "a number of streams, at least 1", count)?
            .min(connections_max - short_requests),
    })
}

/// An address with a port. A port alone means the loopback address.
fn address(text: &str) -> Result<SocketAddr, Usage> {
    let wrong = |right: &str| Usage(format!("`{text}` is no value for --listen, which takes {right}"));
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    if let Some(port) = port(text.strip_prefix(':').unwrap_or(text)) {
        return Ok((Ipv4Addr::LOCALHOST, port).into());
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
    preferred(&addresses)
        .ok_or_else(|| Usage(format!("`{text}` is no value for --listen: the name `{name}` is not known")))
}

fn port(digits: &str) -> Option<u16> {
    digits.parse().ok().filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The one of a name's addresses to listen on: the first of IPv4, since everybody who looks for `localhost` also tries
/// 127.0.0.1, and the commands begin with it.
fn preferred(addresses: &[SocketAddr]) -> Option<SocketAddr> {
    addresses.iter().find(|address| address.is_ipv4()).or(addresses.first()).copied()
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
    if text.is_empty() || text.contains(['/', ':', '*', ' ']) {
        let right = "a name like push.example.org, without scheme, port and path";
        return Err(Usage(format!("`{text}` is no value for --host, which takes {right}")).into());
    }
    Ok(text)
}

fn trusted_proxy(text: String) -> Result<Network, Failure> {
    let wrong = |error| Usage(format!("`{text}` is no value for --trusted-proxy: {error}"));
    Ok(text.parse().map_err(wrong)?)
}

/// A topic that belongs to no page, or a prefix of such topics.
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
            let age = duration(word).filter(|age| *age >= KEEP_AGE_MIN).ok_or_else(|| wrong(right))?;
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
    text.parse().map_err(|error| super::Usage(format!("{error} (--pages)")).into())
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
            assert_eq!(address(text).ok(), Some(right.parse().unwrap()), "{text}");
        }
        for text in
            ["::1", "::8080", ":::8080", "[::1]", "127.0.0.1", "65536", "+1", "127.0.0.1:", ":", "a:b:1"]
        {
            assert!(address(text).is_err(), "{text}");
        }
    }

    #[test]
    fn of_a_names_addresses_the_first_of_ipv4_is_listened_on() {
        let addresses = ["[::1]:80", "127.0.0.1:80", "127.0.0.2:80"].map(|text| text.parse().unwrap());
        assert_eq!(preferred(&addresses), Some(addresses[1]));
        assert_eq!(preferred(&addresses[..1]), Some(addresses[0]));
        assert_eq!(preferred(&[]), None);
    }
}
