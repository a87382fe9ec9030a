//! `callout serve`: the server, its log and its signals.

use super::flags::{bytes, duration};
use super::{Command, Failure, Flag, Flags, log as stderr_log};
use crate::client::Pace;
use crate::history::{Address, Bounds, Durability};
use crate::http::Limits;
use crate::os::kernel::give_back_code;
use crate::server::{Config, Kind, Server};
use log::LevelFilter;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;
use std::io::Write;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

/// Descriptors that are not connections: standard streams, listener, signals, watching, some files.
const DESCRIPTORS_RESERVED: usize = 24;

/// What `--heartbeat` and `--grace` may be: less is a flood, more is as good as none.
const HEARTBEATS: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(60 * 60);
const GRACE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Of the connections, one of so many is left for short requests, but not more than that.
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
            help: "where to listen (a port alone is on this machine only); 127.0.0.1:8080",
        },
        Flag { name: "listener", value: "KIND", help: "direct, or tiny_http on trusted networks; direct" },
        Flag {
            name: "publish-token",
            value: "TOKEN",
            help: "what publishing to /topics and /notify, and reading /history, needs as\n`Authorization: Bearer TOKEN`; without it anybody may",
        },
        Flag {
            name: "cors",
            value: "ORIGIN",
            help: "an origin (https://example.org) whose pages may read and publish;\nrepeatable, `*` for all; without it only callout's own pages may",
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
            name: "ephemeral",
            value: "TOPIC",
            help: "a topic whose events are not kept, and dropped for a browser that is\nbehind (positions, presence); repeatable, `cursors/*` for all below",
        },
        Flag {
            name: "no-activity",
            value: "",
            help: "show nobody live statistics and what is being asked for",
        },
        Flag { name: "body-bytes", value: "SIZE", help: "the largest message; larger ones get 413; 64KB" },
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
        Flag { name: "www", value: "FOLDER", help: "serve files from here instead of those compiled in" },
        Flag { name: "log", value: "LEVEL", help: "error, warn, info (a line per request) or debug; info" },
    ],
};

pub(super) fn run(flags: &Flags) -> Result<(), Failure> {
    let level =
        flags.value("log", LevelFilter::Info, "error, warn, info or debug", |text| text.parse().ok())?;
    let grace = flags.value("grace", Duration::from_secs(5), "a time like 5s, at most a day", |text| {
        duration(text).filter(|time| *time <= GRACE_MAX)
    })?;
    // Each stream is a descriptor, and the soft limit is often far below the hard one. Where it cannot
    // be raised, what there is has to do.
    let descriptors = rlimit::increase_nofile_limit(u64::MAX).unwrap_or(1024);
    let config = config(flags, usize::try_from(descriptors).unwrap_or(usize::MAX))?;
    let work = |error: std::io::Error| Failure::Work(error.to_string());
    stderr_log::start(level).map_err(work)?;
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2]).map_err(work)?;

    let is_open = config.publish_token.is_none() && !config.listen.ip().is_loopback();
    let listen = config.listen;
    let server = Server::start(config).map_err(work)?;
    // A closed standard output has no reader.
    let version = env!("CARGO_PKG_VERSION");
    let _ = writeln!(std::io::stdout(), "callout {version} listening on http://{}", server.address());
    if is_open {
        log::warn!("anybody who can reach {listen} may publish; --publish-token would change that");
    }

    give_back_code();
    let mut server = Some(server);
    for signal in signals.forever() {
        match (signal, server.take()) {
            (SIGTERM | SIGINT, Some(server)) => drain(server, grace),
            // The second one: somebody is in a hurry.
            (SIGTERM | SIGINT, None) => exit(128 + signal),
            (_, running) => {
                log::info!("signal {signal} means nothing here");
                server = running;
            }
        }
    }
    Ok(())
}

/// Drains beside the thread that waits for signals, so that a second one is heard.
fn drain(server: Server, grace: Duration) {
    log::info!("draining");
    let drain = move || {
        if !server.stop(grace) {
            log::warn!("some requests were still open after the grace time");
        }
        exit(0);
    };
    if let Err(error) = std::thread::Builder::new().name("drain".into()).spawn(drain) {
        log::error!("failed to drain: {error}");
        exit(1);
    }
}

fn exit(code: i32) -> ! {
    log::logger().flush();
    std::process::exit(code)
}

fn config(flags: &Flags, descriptors: usize) -> Result<Config, Failure> {
    let count = |text: &str| text.replace('_', "").parse().ok();
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
    let keep_bytes = flags.value("keep-bytes", default.bounds.bytes_max, "a size like 64MB", bytes)?;
    let body_bytes = flags.value("body-bytes", default.limits.body_bytes_max, "a size like 64KB", bytes)?;
    let durability =
        flags.value("durability", Durability::Strict, "strict or relaxed", |text| match text {
            "strict" => Some(Durability::Strict),
            "relaxed" => Some(Durability::Relaxed),
            _ => None,
        })?;
    Ok(Config {
        listen: flags.value("listen", default.listen, "an address like 127.0.0.1:8080", address)?,
        kind: flags.value("listener", Kind::Direct, "direct or tiny_http", |text| match text {
            "direct" => Some(Kind::Direct),
            "tiny_http" => Some(Kind::TinyHttp),
            _ => None,
        })?,
        publish_token: flags.publish_token()?.map(str::to_owned),
        origins: flags.list("cors").into_iter().map(origin).collect::<Result<_, _>>()?,
        ephemeral: flags.list("ephemeral").into_iter().map(ephemeral).collect::<Result<_, _>>()?,
        www: flags.value("www", None, "a folder", |text| {
            let folder = std::path::PathBuf::from(text);
            folder.is_dir().then_some(Some(folder))
        })?,
        data: match flags.text("data").unwrap_or("callout-data").parse::<Address>() {
            Ok(address) => address,
            Err(error) => return Err(super::Usage(error.to_string()).into()),
        },
        durability,
        bounds: Bounds {
            events_max: flags.value("keep-events", default.bounds.events_max, "a number of events", count)?,
            bytes_max: keep_bytes,
            age_max: flags.value("keep-age", default.bounds.age_max, "a time like 7days", duration)?,
        },
        limits: Limits { body_bytes_max: body_bytes, connections_max, pace, ..default.limits },
        activity: !flags.is_on("no-activity"),
        streams_max: flags
            .value("streams", usize::MAX, "a number of streams", count)?
            .min(connections_max - short_requests),
    })
}

/// An address and a port; a port alone is one on this machine only.
fn address(text: &str) -> Option<SocketAddr> {
    let port = || text.trim_start_matches(':').parse().ok().map(|port: u16| ([127, 0, 0, 1], port).into());
    let named = || std::net::ToSocketAddrs::to_socket_addrs(text).ok()?.next();
    text.parse().ok().or_else(port).or_else(named)
}

/// An origin as browsers send it: scheme and host, perhaps a port, nothing behind; in lower case, and without
/// the port that goes with the scheme.
fn origin(text: String) -> Result<String, Failure> {
    let origin = text.to_ascii_lowercase();
    let bare = origin.strip_prefix("https://").map(|host| (host, ":443"));
    let bare = bare.or_else(|| origin.strip_prefix("http://").map(|host| (host, ":80")));
    match bare {
        _ if text == "*" => Ok(text),
        Some((host, port)) if !host.is_empty() && !host.contains('/') => {
            Ok(origin.strip_suffix(port).unwrap_or(&origin).to_owned())
        }
        _ => {
            let right = "`*` or an origin like https://example.org, without a path";
            Err(super::Usage(format!("`{text}` is no value for --cors, which takes {right}")).into())
        }
    }
}

/// A topic that is nobody's page's, or the beginning of some.
fn ephemeral(pattern: String) -> Result<String, Failure> {
    if pattern.starts_with('$') {
        let why =
            format!("`{pattern}` is no value for --ephemeral: topics that begin with `$` are callout's own");
        return Err(super::Usage(why).into());
    }
    Ok(pattern)
}
