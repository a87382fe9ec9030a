//! A whole server: started by its [`Builder`], stopped by [`Server::stop`] or when it is dropped.

mod error;
mod config;
pub(crate) mod settings;
mod builder;

pub use builder::Builder;
pub use config::{Config, ListenerKind};
pub use error::{Failure, StartError};

use crate::access::{Grant, Issuer, Rule, Rules, Secret, TicketKeys, Trust};
use crate::app::App;
use crate::error::Error;
use crate::event::Draft;
use crate::history::Status;
use crate::http::Listener;
use crate::publisher::Receipt;
use crossbeam_channel::{Receiver, Sender, bounded, select};
use parking_lot::Mutex;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// How often a drain looks whether everyone has left.
const DRAIN_LOOK: Duration = Duration::from_millis(10);

/// How long each store may take to close, even where nothing is left of the grace.
const CLOSE_DEADLINE: Duration = Duration::from_secs(1);

/// How long a server that is dropped waits for its threads to end.
const JOIN_DEADLINE: Duration = Duration::from_secs(2);

/// A server that runs until it is stopped or dropped. Then all its threads end and all its descriptors are closed;
/// dropping it blocks until then, for some seconds at most. Its methods may be called from any thread.
///
/// It handles no signals and never ends the process; both are the program's own business.
///
/// ```
/// use callout::{Draft, Pages, Server, Topic};
/// use std::time::Duration;
///
/// let server = Server::builder().listen("127.0.0.1:0".parse().unwrap()).pages(Pages::none()).start().unwrap();
/// println!("curl -N http://{}/topics/progress", server.address());
/// let topics = vec![Topic::new("progress")?];
/// server.publish(Draft { topics, data: "half done".into(), ..Draft::default() })?;
/// server.stop(Duration::from_secs(1));
/// # Ok::<(), callout::Error>(())
/// ```
pub struct Server {
    /// None only while the server is being dropped.
    parts: Option<Parts>,
    /// Dropped when the server has been stopped.
    running: Mutex<Option<Sender<()>>>,
    stopped: Receiver<()>,
}

struct Parts {
    app: Arc<App>,
    listener: Arc<dyn Listener>,
}

impl Server {
    /// A server with the default settings, to be changed and started.
    pub fn builder() -> Builder {
        Builder::default()
    }

    fn new(app: Arc<App>, listener: Arc<dyn Listener>) -> Server {
        // Weak, or the server's threads would hold on to the server.
        let failing = Arc::downgrade(&listener);
        app.threads.on_failure(move || {
            if let Some(listener) = failing.upgrade() {
                listener.stop();
                listener.hang_up();
            }
        });
        log_kept(&app.history.status());
        let (running, stopped) = bounded(0);
        Server { parts: Some(Parts { app, listener }), running: Mutex::new(Some(running)), stopped }
    }

    /// Where it listens; the port that was chosen if 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.parts().listener.address()
    }

    /// Publishes an event, as a `POST` would, to any topic: keeps it, or broadcasts it if all its topics are ephemeral.
    /// Blocks until the event has its id and is where the history keeps it. [`Error::bad`] says what in the draft
    /// cannot be sent, [`Error::conflict`] that another event is kept under its id, [`Error::unavailable`] that it
    /// cannot be kept now.
    pub fn publish(&self, draft: Draft) -> Result<Receipt, Error> {
        let grant = Grant::of_program(&draft.topics);
        self.app().publisher.publish(&grant, draft)
    }

    /// Broadcasts an event that is ephemeral by nature, to any topic, and counts the streams that it reached.
    /// Blocks until the hub has passed it on. [`Error::bad`] says what in the draft cannot be sent.
    pub fn broadcast(&self, draft: Draft) -> Result<usize, Error> {
        let grant = Grant::of_program(&draft.topics);
        self.app().publisher.broadcast_counted(&grant, draft)
    }

    /// Puts these rules, and this publish token, in the place of those that there are. What asks from now on is answered
    /// by them, and open streams that have lost their right are ended. [`Error::bad`] says which rule is wrong; then those
    /// from before stay.
    pub fn set_rules(&self, rules: &[Rule], publish_token: Option<&Secret>) -> Result<(), Error> {
        self.app().access.reload(Rules::new(rules, publish_token)?);
        Ok(())
    }

    /// Puts these keys of tickets, and these issuers of JWTs, in the place of those that there are. Open streams whose
    /// credential was verified with another one are ended.
    pub fn set_keys(&self, tickets: TicketKeys, issuers: Vec<Arc<Issuer>>) {
        let access = &self.app().access;
        access.reload_trust(Trust { tickets, issuers });
        if let Err(error) = access.fetch_keys(&self.app().threads) {
            log::error!("failed to start the thread that fetches keys: {error}");
        }
    }

    /// What handlers are given.
    #[doc(hidden)]
    pub fn app(&self) -> &App {
        &self.parts().app
    }

    /// Says to those who ask `/healthz/ready` that nothing more should be sent here. Everything else goes on, so that
    /// load balancers can notice before [`Server::stop`] closes the listener. Does not block.
    pub fn announce_stop(&self) {
        self.app().draining.store(true, Relaxed);
    }

    /// Drains: no new connections, every stream is told when to come back and ended cleanly, requests under way are
    /// finished. Blocks until all have left, or for `grace`; then closes what is left, and the stores, which may take a
    /// second each. Says whether all had left. May be called from any thread but a handler's, whose own request would
    /// be waited for. A second call waits for the first and has nothing left to do.
    pub fn stop(&self, grace: Duration) -> bool {
        let Parts { app, listener } = self.parts();
        // A grace that no clock reaches is as long as it takes.
        let until = Instant::now().checked_add(grace);
        // Held until all is done, so that a second call does not return before the first.
        let mut running = self.running.lock();
        if running.is_none() {
            return listener.busy() == 0;
        }
        self.announce_stop();
        listener.stop();
        app.hub.drain();
        while listener.busy() > 0 && until.is_none_or(|until| Instant::now() < until) {
            std::thread::sleep(DRAIN_LOOK);
        }
        let all_left = listener.busy() == 0;
        listener.hang_up();
        log_kept(&app.history.status());
        close_stores(app, until);
        *running = None;
        all_left
    }

    /// Blocks until the server has been stopped, or has failed: then [`Failure`] names the thread that panicked.
    pub fn wait(&self) -> Result<(), Failure> {
        select! {
            recv(self.failure()) -> _ => {}
            recv(self.stopped) -> _ => {}
        }
        self.app().threads.failed().map_or(Ok(()), |thread| Err(Failure { thread }))
    }

    /// Disconnected when a thread has failed without which the server cannot go on.
    pub(crate) fn failure(&self) -> Receiver<()> {
        self.app().threads.failure()
    }

    fn parts(&self) -> &Parts {
        self.parts.as_ref().expect("it is taken only when the server is dropped")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop(Duration::ZERO);
        let Some(Parts { app, listener }) = self.parts.take() else { return };
        let threads = app.threads.clone();
        drop((app, listener));
        // The threads end with the last handle to them. Those that take longer end later.
        threads.join(JOIN_DEADLINE);
    }
}

/// Closes both stores. Each may take the rest of the grace, and [`CLOSE_DEADLINE`] at least.
fn close_stores(app: &App, until: Option<Instant>) {
    let rest = || {
        let rest = until.map_or(Duration::MAX, |until| until.saturating_duration_since(Instant::now()));
        rest.max(CLOSE_DEADLINE)
    };
    app.posts.close(rest());
    app.history.close(rest());
}

/// Logs what is kept: when the server starts, and when it stops.
fn log_kept(status: &Status) {
    let Status { events, bytes, oldest, commit, .. } = status;
    let oldest = oldest.map(|at| format!(", the oldest of {}", humantime::format_rfc3339_seconds(at)));
    let commit =
        commit.map(|commit| format!("; the last commit took {:.1} ms", commit.as_secs_f64() * 1_000.0));
    let (oldest, commit) = (oldest.unwrap_or_default(), commit.unwrap_or_default());
    log::info!("the history keeps {events} events, {bytes} bytes{oldest}{commit}");
}
