//! `callout serve`: the server, its log and its signals.

pub(super) mod file;
mod flags;

pub(super) use flags::COMMAND;

use super::flags::duration;
use super::output::print;
use super::{Failure, Flags, log as stderr_log};
use crate::os::kernel::{give_back_code, limit_heaps};
use crate::os::refusals;
use crate::os::threads::spawn;
use crate::os::usage::address_space_max;
use crate::server::{Config, Server};
use crossbeam_channel::{Receiver, bounded, select};
use log::{Level, LevelFilter};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGXFSZ};
use signal_hook::flag;
use signal_hook::iterator::Signals;
use std::io::{IsTerminal, stderr, stdin, stdout};
use std::num::NonZero;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

/// The longest `--grace` and `--drain-delay`.
const GRACE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// How long after the start its code is given back.
const START_REST: Duration = Duration::from_millis(50);

/// The exit code after an essential thread has panicked.
const EXIT_FAILED: i32 = 70;

/// What a signal asks for.
enum Wish {
    Stop,
    Reload,
}

pub(super) fn run(given: &Flags) -> Result<(), Failure> {
    let file = file::read(given)?;
    let flags = &file.flags.clone();
    // More threads than processors do not allocate at the same time, and what leaves no heap is given back.
    let processors = available_parallelism().map_or(1, NonZero::get);
    limit_heaps(if address_space_max().is_some() { 1 } else { processors });
    let level =
        flags.value("log", LevelFilter::Info, "error, warn, info or debug", |text| text.parse().ok())?;
    let patience = |name, default| {
        flags.value(name, default, "a time like 5s, at most a day", |text| {
            duration(text).filter(|time| *time <= GRACE_MAX)
        })
    };
    let grace = patience("grace", Duration::from_secs(5))?;
    let drain_delay = patience("drain-delay", Duration::ZERO)?;
    // Each stream takes a descriptor, and the soft limit is often far below the hard one. If it cannot be raised,
    // the server works with what there is.
    let descriptors = rlimit::increase_nofile_limit(u64::MAX).unwrap_or(1024);
    let descriptors = usize::try_from(descriptors).unwrap_or(usize::MAX);
    let has_file = file.path.is_some();
    let config = file.config(descriptors)?;
    let work = |error: std::io::Error| Failure::Work(error.to_string());
    stderr_log::start(level).map_err(work)?;
    // Asked before the signals are set up: once a terminal is closed, nothing tells that there was one.
    let has_terminal = stdin().is_terminal() || stdout().is_terminal() || stderr().is_terminal();
    let signals = Signals::new([SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2]).map_err(work)?;

    // A write over the file size limit then fails with EFBIG, and is refused like one on a full disk; by default the signal
    // kills the process.
    flag::register(SIGXFSZ, Arc::default()).map_err(work)?;

    let openness = openness(&config);
    let server = Server::builder().config(config).start().map_err(|why| Failure::Work(why.to_string()))?;
    // Before the start line: whoever has read it may send one.
    let wishes = wait_for_signals(signals, has_terminal, has_file).map_err(work)?;
    let start_line =
        format!("callout {} listening on http://{}\n", env!("CARGO_PKG_VERSION"), server.address());
    // Standard output may be closed, or a pipe that is full: then the thread waits, and the server does not.
    spawn("start line", move || _ = print(&start_line)).map_err(work)?;
    openness.into_iter().for_each(|(level, line)| log::log!(level, "{line}"));

    // Threads that have just been started run code too, until they come to rest.
    std::thread::sleep(START_REST);
    give_back_code();
    loop {
        select! {
            recv(wishes) -> wish => match wish {
                Ok(Wish::Reload) => reload(&server, given, descriptors),
                // Without the thread that waits for signals nothing could stop the server any more.
                Ok(Wish::Stop) | Err(_) => drain(&server, drain_delay, grace),
            },
            // The log has the thread's name and what it said. Dropping the server closes the stores.
            recv(server.failure()) -> _ => {
                drop(server);
                exit(EXIT_FAILED)
            }
        }
    }
}

/// Ends the process when everybody has been told to come back later.
fn drain(server: &Server, delay: Duration, grace: Duration) -> ! {
    if !delay.is_zero() {
        log::info!("not ready any more, draining in {}", humantime::format_duration(delay));
        server.announce_stop();
        select! {
            recv(server.failure()) -> _ => exit(EXIT_FAILED),
            default(delay) => {}
        }
    }
    log::info!("draining");
    if !server.stop(grace) {
        log::warn!("some requests were still open after the grace time");
    }
    exit(0)
}

/// Reads the rules again. Those from before stay if the file is wrong, and if it has none any more: an editor that was cut
/// off leaves an empty file, and it must not open a server to everybody.
fn reload(server: &Server, given: &Flags, descriptors: usize) {
    let read = || -> Result<Config, Failure> { file::read(given)?.config(descriptors) };
    let taken = read().map_err(Failure::text).and_then(|config| {
        let is_open = config.rules.is_empty() && config.publish_token.is_none();
        if is_open && !server.app().access.is_open() {
            return Err(
                "there are none, and without any everybody may do everything, which only a start allows"
                    .into(),
            );
        }
        let rules = server.set_rules(&config.rules, config.publish_token.as_ref());
        rules.map_err(|error| error.to_string())?;
        server.set_keys(config.tickets, config.issuers);
        Ok(config.rules.len())
    });
    match taken {
        Ok(count) => {
            log::info!("the rules were read again: there are {count}; other settings wait for the next start")
        }
        Err(why) => log::error!("the rules were not read again, and those from before stay: {why}"),
    }
}

/// Waits for signals on a thread of its own, so that a second one is heard during a drain. Says once that the server is to
/// stop: for SIGTERM and SIGINT, and for SIGHUP if it was started on a terminal. Otherwise SIGHUP reads the file again.
fn wait_for_signals(
    mut signals: Signals,
    has_terminal: bool,
    has_file: bool,
) -> std::io::Result<Receiver<Wish>> {
    // One is enough: a second wish to reload while the first waits is the same.
    let (wish, wishes) = bounded(1);
    spawn("signals", move || {
        let mut is_stopping = false;
        for signal in signals.forever() {
            match signal {
                // A second signal ends the process at once.
                SIGTERM | SIGINT if is_stopping => exit(128 + signal),
                // The terminal was closed. The kernel and a shell may both say so.
                SIGHUP if has_terminal && is_stopping => {}
                SIGHUP if !has_terminal && has_file && !is_stopping => _ = wish.try_send(Wish::Reload),
                SIGHUP if !has_terminal => log::info!("signal {signal} is ignored"),
                SIGTERM | SIGINT | SIGHUP => {
                    is_stopping = true;
                    // The main thread waits for it.
                    let _ = wish.send(Wish::Stop);
                }
                _ => log::info!("signal {signal} is ignored"),
            }
        }
    })?;
    Ok(wishes)
}

/// Lines for the log at the start: what is open to whom, and a warning where strangers may do everything.
fn openness(config: &Config) -> Vec<(Level, String)> {
    let pages = &config.pages;
    let publishing = match config.publish_token {
        None if config.rules.is_empty() && config.has_keys() => {
            return vec![(
                Level::Info,
                "open is what tickets and JWTs give, and nothing else: there is no rule".into(),
            )];
        }
        _ if !config.rules.is_empty() => {
            return vec![(
                Level::Info,
                "open is what the rules open; `callout check-config` lists it".into(),
            )];
        }
        Some(_) => "publishing to topics, notifying and the history need the publish token",
        None => "publishing to topics, notifying and the history are open to everybody",
    };
    let mut lines = vec![
        (Level::Info, format!("{publishing}; every topic can be read by everybody")),
        (Level::Info, format!("pages open to everybody: {pages} (--pages)")),
    ];
    if let (None, Some(why)) = (&config.publish_token, config.exposure()) {
        let open = "may publish to every topic and read it, notify every user and read what is for them";
        lines.push((
            Level::Warn,
            format!("others can reach this server ({why}), and there are no rules: anybody {open}; rules in a file (--config), or --publish-token, would change that"),
        ));
    }
    lines
}

fn exit(code: i32) -> ! {
    refusals::tell();
    log::logger().flush();
    std::process::exit(code)
}
