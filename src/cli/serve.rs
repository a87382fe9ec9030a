//! `callout serve`: the server, its log and its signals.

use super::flags::{bytes, duration};
use super::{Command, Failure, Flag, Flags, log as stderr_log};
use crate::access::{Origin, Secret};
use crate::client::Pace;
use crate::history::Bounds;
use crate::history::disk::Durability;
use crate::http::{Limits, Network};
use crate::os::kernel::give_back_code;
use crate::os::threads::spawn;
use crate::pages::Pages;
use crate::selector::Selector;
use crate::server::{Config, Data, Kind, Server};
use crossbeam_channel::{Receiver, bounded, select};
use log::{Level, LevelFilter};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;
use std::io::Write;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

/// Descriptors that are not connections: standard streams, listener, signals, watching, some files.
const DESCRIPTORS_RESERVED: usize = 24;

/// The valid values of `--heartbeat` and `--grace`. A shorter heartbeat is a flood, a longer one as good as none.
const HEARTBEATS: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(60 * 60);
const GRACE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

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
    // Each stream takes a descriptor, and the soft limit is often far below the hard one. If it cannot be raised,
    // the server works with what there is.
    let descriptors = rlimit::increase_nofile_limit(u64::MAX).unwrap_or(1024);
    let config = config(flags, usize::try_from(descriptors).unwrap_or(usize::MAX))?;
    let work = |error: std::io::Error| Failure::Work(error.to_string());
    stderr_log::start(level).map_err(work)?;
    let signals = Signals::new([SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2]).map_err(work)?;

    let openness = openness(&config);
    let server = Server::builder().config(config).start().map_err(|why| Failure::Work(why.to_string()))?;
    // Standard output may be closed.
    let version = env!("CARGO_PKG_VERSION");
    let _ = writeln!(std::io::stdout(), "callout {version} listening on http://{}", server.address());
    openness.into_iter().for_each(|(level, line)| log::log!(level, "{line}"));

    give_back_code();
    let stop = wait_for_signals(signals).map_err(work)?;
    select! {
        recv(stop) -> _ => {
            log::info!("draining");
            if !server.stop(grace) {
                log::warn!("some requests were still open after the grace time");
            }
            exit(0);
        }
        // The log has the thread's name and what it said.
        recv(server.failure()) -> _ => exit(EXIT_FAILED),
    }
}

/// Waits for signals on a thread of its own, so that a second one is heard during a drain. Sends one message when
/// the server is to stop.
fn wait_for_signals(mut signals: Signals) -> std::io::Result<Receiver<()>> {
    let (stop, stops) = bounded(1);
    spawn("signals", move || {
        let mut is_stopping = false;
        for signal in signals.forever() {
            match signal {
                // A second signal ends the process at once.
                SIGTERM | SIGINT if std::mem::replace(&mut is_stopping, true) => exit(128 + signal),
                // The main thread waits for it.
                SIGTERM | SIGINT => _ = stop.send(()),
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
        publish_token: flags.publish_token()?.map(Secret::new),
        hosts: flags.list("host").into_iter().map(host).collect::<Result<_, _>>()?,
        origins: flags.list("cors").into_iter().map(origin).collect::<Result<_, _>>()?,
        ephemeral: flags.list("ephemeral").into_iter().map(ephemeral).collect::<Result<_, _>>()?,
        www: flags.value("www", None, "a folder", |text| {
            let folder = std::path::PathBuf::from(text);
            folder.is_dir().then_some(Some(folder))
        })?,
        data: match flags.text("data") {
            Some("memory") => Data::Memory,
            folder => Data::Directory(folder.unwrap_or("callout-data").into(), durability),
        },
        bounds: Bounds {
            events_max: flags.value("keep-events", default.bounds.events_max, "a number of events", count)?,
            bytes_max: keep_bytes,
            age_max: flags.value("keep-age", default.bounds.age_max, "a time like 7days", duration)?,
        },
        limits: Limits { body_bytes_max: body_bytes, connections_max, pace, ..default.limits },
        trusted_proxies: flags
            .list("trusted-proxy")
            .into_iter()
            .map(trusted_proxy)
            .collect::<Result<_, _>>()?,
        pages: pages(flags)?,
        activity: !flags.is_on("no-activity"),
        streams_max: flags
            .value("streams", usize::MAX, "a number of streams", count)?
            .min(connections_max - short_requests),
    })
}

/// An address with a port. A port alone means the loopback address.
fn address(text: &str) -> Option<SocketAddr> {
    let port = || text.trim_start_matches(':').parse().ok().map(|port: u16| ([127, 0, 0, 1], port).into());
    let named = || std::net::ToSocketAddrs::to_socket_addrs(text).ok()?.next();
    text.parse().ok().or_else(port).or_else(named)
}

fn origin(text: String) -> Result<Origin, Failure> {
    let wrong = |right| super::Usage(format!("`{text}` is no value for --cors, which takes {right}"));
    Ok(text.parse().map_err(wrong)?)
}

/// A name without scheme, port and path.
fn host(text: String) -> Result<String, Failure> {
    if text.is_empty() || text.contains(['/', ':', '*', ' ']) {
        let right = "a name like push.example.org, without scheme, port and path";
        return Err(super::Usage(format!("`{text}` is no value for --host, which takes {right}")).into());
    }
    Ok(text)
}

fn trusted_proxy(text: String) -> Result<Network, Failure> {
    let wrong = |error| super::Usage(format!("`{text}` is no value for --trusted-proxy: {error}"));
    Ok(text.parse().map_err(wrong)?)
}

/// A topic that belongs to no page, or a prefix of such topics.
fn ephemeral(pattern: String) -> Result<Selector, Failure> {
    if pattern.starts_with('$') {
        let why =
            format!("`{pattern}` is no value for --ephemeral: topics that begin with `$` are callout's own");
        return Err(super::Usage(why).into());
    }
    let wrong = |error| super::Usage(format!("`{pattern}` is no value for --ephemeral: {error}")).into();
    pattern.parse().map_err(wrong)
}

fn pages(flags: &Flags) -> Result<Pages, Failure> {
    let Some(text) = flags.text("pages") else { return Ok(Pages::all()) };
    text.parse().map_err(|name| {
        let right = "chat, activity, notifications, wall and posts, with commas between them, or none";
        super::Usage(format!("`{name}` is no page; --pages takes {right}")).into()
    })
}
