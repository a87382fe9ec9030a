//! Start, drain, stop: a whole server from a [`Config`].

use crate::app::{App, Places};
use crate::event::Id;
use crate::history::{Bounds, Memory};
use crate::http::direct::Direct;
use crate::http::files::Files;
use crate::http::tiny::Tiny;
use crate::http::{Limits, Listener};
use crate::hub::Hub;
use crate::pages::chat::Chat;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often a drain looks whether everyone has left.
const DRAIN_LOOK: Duration = Duration::from_millis(10);

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
    /// A directory to serve files from, instead of those compiled in.
    pub www: Option<PathBuf>,
    /// How much history is kept.
    pub bounds: Bounds,
    /// What connections are held to.
    pub limits: Limits,
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
            www: None,
            bounds: Bounds::default(),
            limits: Limits::default(),
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
    /// Starts the threads and listens. Fails if the address cannot be had.
    pub fn start(config: Config) -> io::Result<Server> {
        let hub = Hub::start(Id::default())?;
        let app = Arc::new(App {
            history: Arc::new(Memory::new(hub.clone(), config.bounds)),
            chat: Chat::start(&hub)?,
            hub,
            files: config.www.map_or_else(Files::embedded, Files::Directory),
            origins: config.origins,
            publish_token: config.publish_token,
            places: Places::new(config.streams_max),
            started: Instant::now(),
        });
        let listener: Box<dyn Listener> = match config.kind {
            Kind::Direct => Box::new(Direct::start(config.listen, app.clone(), config.limits)?),
            Kind::TinyHttp => Box::new(Tiny::start(config.listen, app.clone(), config.limits)?),
        };
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
        self.app.hub.close();
        while self.listener.busy() > 0 && Instant::now() < until {
            std::thread::sleep(DRAIN_LOOK);
        }
        let all_left = self.listener.busy() == 0;
        self.listener.hang_up();
        all_left
    }
}
