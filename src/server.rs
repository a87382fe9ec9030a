//! Start, drain, stop: a whole server from a [`Config`].

use crate::app::{App, Holdings, Permits};
use crate::history::{self, Address, Bounds, Durability, Status};
use crate::http::direct::Direct;
use crate::http::files::Files;
use crate::http::tiny::Tiny;
use crate::http::{Limits, Listener};
use crate::hub::Hub;
use crate::pages::activity::Activity;
use crate::posts::PostService;
use crate::routes::{Route, Router, shown_path};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often a drain looks whether everyone has left.
const DRAIN_LOOK: Duration = Duration::from_millis(10);

/// How long each store may take to close, even where nothing is left of the grace.
const CLOSE_DEADLINE: Duration = Duration::from_secs(1);

/// Which of the two listeners.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Kind {
    /// The default, for the open network.
    #[default]
    Direct,
    /// `tiny_http::Server`, for trusted networks and for comparison.
    TinyHttp,
}

/// What a server is to be.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to listen; port 0 chooses a free one.
    pub listen: SocketAddr,
    /// By which listener.
    pub kind: Kind,
    /// What publishing through the topic API needs, if anything.
    pub publish_token: Option<String>,
    /// Origins whose pages may read and publish; `*` for all.
    pub origins: Vec<String>,
    /// Topics whose events are not kept; see [`App::ephemeral`].
    pub ephemeral: Vec<String>,
    /// A directory to serve files from, instead of those compiled in.
    pub www: Option<PathBuf>,
    /// Where the history is kept.
    pub data: Address,
    /// When an event counts as kept, where it is kept on disk.
    pub durability: Durability,
    /// How much history is kept.
    pub bounds: Bounds,
    /// What connections are held to.
    pub limits: Limits,
    /// Whether everybody may see live statistics and what is being asked for.
    pub activity: bool,
    /// More streams than this are told to come back later.
    pub streams_max: usize,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            kind: Kind::default(),
            publish_token: None,
            origins: Vec::new(),
            ephemeral: Vec::new(),
            www: None,
            data: Address::Memory,
            durability: Durability::default(),
            bounds: Bounds::default(),
            limits: Limits::default(),
            activity: true,
            streams_max: 900,
        }
    }
}

/// A server that runs, until it is stopped or the process ends.
pub struct Server {
    app: Arc<App>,
    listener: Box<dyn Listener>,
}

impl Server {
    /// Opens the history, starts the threads and listens. Fails if the address cannot be had, or the
    /// history cannot be opened; the error's text is for the operator.
    pub fn start(config: Config) -> io::Result<Server> {
        Server::start_with(config, &[])
    }

    /// The same with routes of the program's own, which come before callout's.
    pub fn start_with(config: Config, own: &'static [Route]) -> io::Result<Server> {
        let hub = Hub::start()?;
        let history = history::open(&config.data, hub.clone(), config.bounds, config.durability)
            .map_err(io::Error::other)?;
        let directory = config.data.folder().map(Path::to_path_buf);
        let posts = PostService::start(hub.clone(), directory).map_err(io::Error::other)?;
        let started = Instant::now();
        let permits = Permits::new(config.streams_max);
        let has_token = config.publish_token.is_some();
        let shown_path = Box::new(move |path: &str| shown_path(own, has_token, path));
        let activity = || Activity::new(started, hub.clone(), history.clone(), permits.clone(), shown_path);
        let app = Arc::new(App {
            activity: config.activity.then(activity),
            history,
            posts,
            hub,
            files: config.www.map_or(Files::Embedded, Files::Directory),
            origins: config.origins,
            ephemeral: config.ephemeral,
            publish_token: config.publish_token,
            permits,
            holdings: Holdings::default(),
            started,
        });
        let router = Arc::new(Router { app: app.clone(), own });
        let listener = match config.kind {
            Kind::Direct => Direct::start(config.listen, router, config.limits).map(boxed),
            Kind::TinyHttp => Tiny::start(config.listen, router, config.limits).map(boxed),
        }
        .map_err(|error| {
            // The program around the server may try again, with another address.
            app.posts.close(CLOSE_DEADLINE);
            app.history.close(CLOSE_DEADLINE);
            io::Error::new(error.kind(), format!("failed to listen on {}: {error}", config.listen))
        })?;
        log_kept(&app.history.status());
        Ok(Server { app, listener })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.listener.address()
    }

    /// What its pages are given: publish through it from the program around the server.
    pub fn app(&self) -> &App {
        &self.app
    }

    /// Drains: no new connections, every stream is told when to come back and ended cleanly, requests
    /// under way are finished. Blocks until all have left, or for `grace`. Says whether all had left.
    pub fn stop(self, grace: Duration) -> bool {
        let until = Instant::now() + grace;
        self.listener.stop();
        self.app.hub.drain();
        while self.listener.busy() > 0 && Instant::now() < until {
            std::thread::sleep(DRAIN_LOOK);
        }
        let all_left = self.listener.busy() == 0;
        self.listener.hang_up();
        log_kept(&self.app.history.status());
        let rest = || until.saturating_duration_since(Instant::now()).max(CLOSE_DEADLINE);
        self.app.posts.close(rest());
        self.app.history.close(rest());
        all_left
    }
}

/// What is kept, in the log: when the server starts, and when it stops.
fn log_kept(status: &Status) {
    let oldest = status.oldest.map_or("never".into(), |at| humantime::format_rfc3339_seconds(at).to_string());
    let commit_millis = status.commit.unwrap_or_default().as_secs_f64() * 1_000.0;
    log::info!(
        "the history keeps {} events, {} bytes, the oldest of {oldest}; the last commit took {commit_millis:.1} ms",
        status.events,
        status.bytes
    );
}

fn boxed(listener: impl Listener + 'static) -> Box<dyn Listener> {
    Box::new(listener)
}
