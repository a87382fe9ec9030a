//! Builds a server from its settings, routes, socket and history.

use super::{Config, JOIN_DEADLINE, ListenerKind, Server, StartError, settings};
use crate::access::{Access, Hosts, Origins, Rates, Revoked, Room, Secret, Trust};
use crate::app::{App, PageStates};
use crate::client::Permits;
use crate::history::{self, Address, History};
use crate::http::direct::Direct;
use crate::http::files::Files;
use crate::http::tiny::Tiny;
use crate::http::{Listener, listen, listen_beside};
use crate::hub::Hub;
use crate::live::activity::Activity;
use crate::live::stats::Stats;
use crate::os::threads::Threads;
use crate::pages::{Page, Pages};
use crate::posts::{self, PostService};
use crate::publisher::Publisher;
use crate::routes::{Route, Router, routes, shown_path};
use crate::selector::Selector;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Opens a history that feeds this hub.
type OpenHistory = Box<dyn FnOnce(Hub) -> io::Result<Arc<dyn History>> + Send>;

/// Collects what a server is to be; [`Builder::start`] starts it. Made by [`Server::builder`].
///
/// ```
/// use callout::{Address, Answer, Pages, Server, get};
///
/// # let folder = std::env::temp_dir().join(format!("callout-builder-{}", std::process::id()));
/// # let data = Address::Folder(folder.clone());
/// let server = Server::builder()
///     .listen(([127, 0, 0, 1], 0).into()) // port 0 chooses a free one
///     .data(data) // a folder, which is made when it is missing
///     .publish_token("correct-horse-battery")
///     .ephemeral("cursors/*".parse()?)
///     .pages(Pages::none())
///     .route(get("/hello", |_app, _request| Ok(Answer::json(&"hello"))))
///     .start()?;
/// # drop(server);
/// # std::fs::remove_dir_all(folder)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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

    /// Takes a socket that listens already, in place of an address. It is set to blocking.
    pub fn listener(mut self, listener: TcpListener) -> Builder {
        self.listener = Some(listener);
        self
    }

    /// Which of callout's own pages the server has; [`Pages::none`] for none of them.
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
    /// added. A path that no request can have, or a topic that cannot be, is a [`StartError::Setting`].
    pub fn route(mut self, route: Route) -> Builder {
        self.routes.push(route);
        self
    }

    /// Keeps events in a history of the program's own, in place of [`Builder::data`], which then says only where posts
    /// are kept. `open` is given the hub that the history has to feed; it is called by [`Builder::start`], on the same
    /// thread. An error of it is [`StartError::History`]. [`History`] says what a history has to do, and has an example.
    ///
    /// ```
    /// use callout::history::Memory;
    /// use callout::{Bounds, Server};
    /// use std::sync::Arc;
    ///
    /// let server = Server::builder()
    ///     .listen(([127, 0, 0, 1], 0).into())
    ///     .history(|hub| Ok(Arc::new(Memory::new(hub, Bounds::default()))))
    ///     .start();
    /// # server.unwrap().stop(std::time::Duration::ZERO);
    /// ```
    pub fn history(
        mut self,
        open: impl FnOnce(Hub) -> io::Result<Arc<dyn History>> + Send + 'static,
    ) -> Builder {
        self.history = Some(Box::new(open));
        self
    }

    /// Checks the settings, opens the history, starts the threads and listens. Blocks until the server answers
    /// requests; a history that was not closed well may be checked first, which takes as long as reading it. The error
    /// says which of these failed, and why; what was started before ends.
    pub fn start(self) -> Result<Server, StartError> {
        let threads = Threads::default();
        // What was started before it failed ends, so that the program may try again at once.
        self.start_with(&threads).inspect_err(|_| _ = threads.join(JOIN_DEADLINE))
    }

    fn start_with(self, threads: &Threads) -> Result<Server, StartError> {
        let Builder { mut config, routes: own, listener, history } = self;
        // A socket that was given says itself where it listens.
        let given = listener.as_ref().and_then(|listener| listener.local_addr().ok());
        config.listen = given.unwrap_or(config.listen);
        settings::check(&config)?;
        let rules = settings::rules(&config)?;
        let is_exposed = config.exposure().is_some();
        let rates = rates(&config, is_exposed);
        let trust = Trust { tickets: config.tickets, issuers: config.issuers };
        // Without rules and keys there is nothing that could be taken back.
        let has_rights = !rules.is_open() || !trust.is_empty();
        let revoked = match config.data.folder().filter(|_| has_rights) {
            Some(folder) => Revoked::open_beside(folder).map_err(StartError::Access)?,
            None => Revoked::default(),
        };
        settings::check_routes(&own)?;
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
        let stats = Stats::new(hub.clone(), history.clone(), permits.clone(), rates.clone());
        let access = Access::new(rules, Hosts::new(config.hosts), Origins::new(config.origins), is_exposed);
        let access = Arc::new(access.with_trust(trust, revoked).that_may_change(config.rules_may_change));
        access.fetch_keys(threads).map_err(StartError::Threads)?;
        let hidden: Vec<&str> = config.pages.off().map(Page::name).collect();
        let routes = routes(own, &config.pages);
        let activity = (config.activity && config.pages.has(Page::Activity)).then(|| {
            let (routes, access) = (routes.clone(), access.clone());
            let shown_path = Box::new(move |path: &str| shown_path(&routes, !access.is_open(), path));
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
            rates: rates.clone(),
            stats,
            activity,
            threads: threads.clone(),
            page_states: PageStates::default(),
            draining: AtomicBool::new(false),
        });
        let router = Arc::new(Router { app: app.clone(), routes });
        let address = config.listen;
        let (limits, proxies) = (config.limits, config.trusted_proxies);
        let at = |address: SocketAddr| move |cause: io::Error| StartError::Listen { address, cause };
        let further = match config.listener {
            ListenerKind::Direct => &config.listen_also[..],
            ListenerKind::TinyHttp => &[],
        };
        let sockets = match listener {
            Some(given) => {
                with_blocking(given).map_err(at(address)).and_then(|socket| beside(socket, further))
            }
            None => listen_on_all(address, further),
        };
        let started = sockets.and_then(|mut sockets| -> Result<Arc<dyn Listener>, StartError> {
            if config.listener == ListenerKind::TinyHttp {
                let socket = sockets.swap_remove(0);
                let tiny = Tiny::start(socket, router, limits, proxies, threads).map_err(at(address))?;
                return Ok(Arc::new(tiny));
            }
            let direct = Direct::start(sockets, router, limits, proxies, rates, threads);
            let direct = direct.map_err(at(address))?;
            Ok(Arc::new(direct))
        });
        started.map(|listener| Server::new(app.clone(), listener)).inspect_err(|_| {
            super::close_stores(&app, Some(std::time::Instant::now()));
        })
    }
}

/// How often another port is chosen, where the one that is free on the first address is not free on a further one.
const PORTS_TRIED: usize = 8;

/// Sockets that listen on this address and on the further ones.
fn listen_on_all(address: SocketAddr, further: &[SocketAddr]) -> Result<Vec<TcpListener>, StartError> {
    let mut tried = 0;
    loop {
        tried += 1;
        let socket = listen(address).map_err(|cause| StartError::Listen { address, cause })?;
        match beside(socket, further) {
            Err(StartError::Listen { cause, .. })
                if cause.kind() == io::ErrorKind::AddrInUse && address.port() == 0 && tried < PORTS_TRIED => {
            }
            sockets => return sockets,
        }
    }
}

/// The socket, and beside it those of the further addresses; port 0 is the port of the first.
fn beside(socket: TcpListener, further: &[SocketAddr]) -> Result<Vec<TcpListener>, StartError> {
    let mut sockets = vec![socket];
    for &(mut address) in further {
        if address.port() == 0 {
            let first = sockets[0].local_addr().map_err(|cause| StartError::Listen { address, cause })?;
            address.set_port(first.port());
        }
        match listen_beside(address).map_err(|cause| StartError::Listen { address, cause })? {
            Some(socket) => sockets.push(socket),
            None => log::warn!("not listening on {address}: this machine does not have the address"),
        }
    }
    Ok(sockets)
}

/// What one client may take. The log says it, where anybody is limited or could be expected to be.
fn rates(config: &Config, is_exposed: bool) -> Arc<Rates> {
    let room = Room {
        streams: config.streams_max,
        connections: config.limits.connections_max,
        bytes: config.bounds.bytes_max,
        events: config.bounds.events_max,
    };
    let rates = Rates::new(&config.client_limits, room, is_exposed);
    if is_exposed || rates.are_any() {
        log::info!("{rates}");
    }
    if config.is_behind_unknown_proxy() {
        log::info!(
            "clients behind a proxy on this machine cannot be told apart, and none of these limits holds for one of them; --trusted-proxy would change that"
        );
    }
    Arc::new(rates)
}

/// The socket of a program, which may have been made for an async runtime: the threads that accept wait in `accept`.
fn with_blocking(listener: TcpListener) -> io::Result<TcpListener> {
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
    if !socket2::SockRef::from(&listener).is_listener()? {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the socket that was given does not listen"));
    }
    listener.set_nonblocking(false)?;
    Ok(listener)
}
