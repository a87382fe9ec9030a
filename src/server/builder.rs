//! Builds a server from its settings, routes, socket and history.

use super::{Config, JOIN_DEADLINE, ListenerKind, Server};
use crate::access::{Access, Hosts, Origins, Secret};
use crate::app::{App, PageStates};
use crate::client::Permits;
use crate::history::{self, Address, History};
use crate::http::Listener;
use crate::http::direct::Direct;
use crate::http::files::Files;
use crate::http::tiny::Tiny;
use crate::hub::Hub;
use crate::live::activity::Activity;
use crate::live::stats::Stats;
use crate::os::threads::Threads;
use crate::pages::{Page, Pages};
use crate::posts::{self, PostService};
use crate::publisher::Publisher;
use crate::routes::{Route, Router, routes, shown_path};
use crate::selector::Selector;
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Opens a history that feeds this hub.
type OpenHistory = Box<dyn FnOnce(Hub) -> io::Result<Arc<dyn History>> + Send>;

/// Collects what a server is to be; [`Builder::start`] starts it. Made by [`Server::builder`].
#[derive(Default)]
pub struct Builder {
    config: Config,
    routes: Vec<Route>,
    listener: Option<TcpListener>,
    history: Option<OpenHistory>,
}

impl Builder {
    /// Takes all plain settings at once, and forgets those that were set before.
    pub fn config(self, config: Config) -> Builder {
        Builder { config, ..self }
    }

    /// Where to listen; port 0 chooses a free one.
    pub fn listen(mut self, address: SocketAddr) -> Builder {
        self.config.listen = address;
        self
    }

    /// Takes a socket that listens already, in place of an address.
    pub fn listener(mut self, listener: TcpListener) -> Builder {
        self.listener = Some(listener);
        self
    }

    /// The pages that the server has; [`Pages::none`] leaves those out that are callout's own.
    pub fn pages(mut self, pages: Pages) -> Builder {
        self.config.pages = pages;
        self
    }

    /// What publishing to topics over HTTP needs, as `Authorization: Bearer TOKEN`.
    pub fn publish_token(mut self, token: impl Into<String>) -> Builder {
        self.config.publish_token = Some(Secret::new(token));
        self
    }

    /// Makes the topics that this selector names ephemeral.
    pub fn ephemeral(mut self, selector: Selector) -> Builder {
        self.config.ephemeral.push(selector);
        self
    }

    /// Where events and posts are kept; in memory unless set.
    pub fn data(mut self, data: Address) -> Builder {
        self.config.data = data;
        self
    }

    /// Adds a route of the program's own. Its own routes come before callout's, in the order in which they were
    /// added.
    pub fn route(mut self, route: Route) -> Builder {
        self.routes.push(route);
        self
    }

    /// Keeps events in a history of the program's own. It is given the hub that it has to feed, and calls
    /// [`Hub::begin_after`] before anything else.
    pub fn history(
        mut self,
        open: impl FnOnce(Hub) -> io::Result<Arc<dyn History>> + Send + 'static,
    ) -> Builder {
        self.history = Some(Box::new(open));
        self
    }

    /// Opens the history, starts the threads and listens. The error says which of these failed, and why.
    pub fn start(self) -> Result<Server, StartError> {
        let threads = Threads::default();
        // What was started before it failed ends, so that the program may try again at once.
        self.start_with(&threads).inspect_err(|_| _ = threads.join(JOIN_DEADLINE))
    }

    fn start_with(self, threads: &Threads) -> Result<Server, StartError> {
        let Builder { config, routes: own, listener, history } = self;
        let hub = Hub::start(threads).map_err(StartError::Threads)?;
        let history = match history {
            Some(open) => open(hub.clone()).map_err(|error| StartError::History(error.to_string()))?,
            None => history::open(&config.data, hub.clone(), threads, config.bounds, config.durability)
                .map_err(StartError::History)?,
        };
        let publisher = Publisher::new(history.clone(), hub.clone(), config.ephemeral);
        let address = config
            .data
            .folder()
            .map_or(posts::StoreAddress::Memory, |folder| posts::StoreAddress::Folder(folder.to_path_buf()));
        let posts =
            PostService::start(publisher.clone(), threads.clone(), address).map_err(StartError::Posts)?;
        let permits = Permits::new(config.streams_max);
        let stats = Stats::new(hub.clone(), history.clone(), permits.clone());
        let access =
            Access::new(config.publish_token, Hosts::new(config.hosts), Origins::new(config.origins));
        let hidden: Vec<&str> = config.pages.off().map(Page::name).collect();
        let routes = routes(own, &config.pages);
        let activity = (config.activity && config.pages.has(Page::Activity)).then(|| {
            let (routes, has_token) = (routes.clone(), !access.is_open());
            let shown_path = Box::new(move |path: &str| shown_path(&routes, has_token, path));
            let (publisher, hub) = (publisher.clone(), hub.clone());
            Activity::new(publisher, hub, stats.clone(), threads.clone(), shown_path)
        });
        let app = Arc::new(App {
            hub,
            history,
            permits,
            publisher,
            posts,
            files: Files::new(config.www, &hidden),
            access,
            stats,
            activity,
            threads: threads.clone(),
            page_states: PageStates::default(),
            draining: AtomicBool::new(false),
        });
        let router = Arc::new(Router { app: app.clone(), routes });
        let (at, limits, proxies) = (config.listen, config.limits, config.trusted_proxies);
        let started = match (config.listener, listener) {
            (ListenerKind::Direct, None) => Direct::start(at, router, limits, proxies, threads).map(shared),
            (ListenerKind::Direct, Some(open)) => {
                Direct::over(open, router, limits, proxies, threads).map(shared)
            }
            (ListenerKind::TinyHttp, None) => Tiny::start(at, router, limits, proxies, threads).map(shared),
            (ListenerKind::TinyHttp, Some(open)) => {
                Tiny::over(open, router, limits, proxies, threads).map(shared)
            }
        };
        match started {
            Ok(listener) => Ok(Server::new(app, listener)),
            Err(cause) => {
                super::close_stores(&app, Some(std::time::Instant::now()));
                Err(StartError::Listen { address: config.listen, cause })
            }
        }
    }
}

fn shared(listener: impl Listener + 'static) -> Arc<dyn Listener> {
    Arc::new(listener)
}

/// Why a server did not start. The text is for the operator.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// The address cannot be had.
    Listen {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the system said.
        cause: io::Error,
    },
    /// The history cannot be opened.
    History(String),
    /// The posts cannot be opened.
    Posts(String),
    /// The system has no thread left.
    Threads(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Listen { address, cause } => write!(f, "failed to listen on {address}: {cause}"),
            StartError::History(why) | StartError::Posts(why) => f.write_str(why),
            StartError::Threads(cause) => write!(f, "failed to start a thread: {cause}"),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            StartError::Listen { cause, .. } | StartError::Threads(cause) => Some(cause),
            StartError::History(_) | StartError::Posts(_) => None,
        }
    }
}
