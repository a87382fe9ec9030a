//! What all connections of a listener share.

use super::Connection;
use crate::access::Rates;
use crate::client::Permits;
use crate::http::busy::Busy;
use crate::http::direct::open::Connections;
use crate::http::direct::quota::Quota;
use crate::http::direct::readiness::Readiness;
use crate::http::direct::sweeper::Sweeper;
use crate::http::proxies::Proxies;
use crate::http::{LONG_HEADS_MAX, Limits, STACK_BYTES, Site};
use crate::os::pool::Pool;
use crate::os::threads::Threads;
use crate::os::usage::threads_max;
use parking_lot::Mutex;
use std::io;
use std::sync::Arc;

/// The threads that serve streams which are behind: they write what is queued and read what is replayed. More of them
/// would only take the processors from the hub.
const SLOW_THREADS_MAX: usize = 8;

/// What all connections of a listener share.
pub(in crate::http::direct) struct Shared {
    pub(in crate::http::direct) site: Arc<dyn Site>,
    pub(in crate::http::direct) limits: Limits,
    pub(in crate::http::direct) proxies: Proxies,
    pub(in crate::http::direct) rates: Arc<Rates>,
    pub(in crate::http::direct) busy: Busy,
    pub(in crate::http::direct) connections: Arc<Connections<Connection>>,
    pub(in crate::http::direct) pool: Arc<Pool<Connection>>,
    /// Held while one connection is taken in.
    pub(in crate::http::direct) admission: Mutex<()>,
    pub(super) readiness: Readiness,
    pub(super) sweeper: Sweeper,
    pub(super) long_heads: Arc<Permits>,
    /// What peers have sent of requests that are not complete.
    pub(super) incoming: Arc<Quota>,
}

impl Shared {
    /// No connections yet. Starts the threads.
    pub(in crate::http::direct) fn new(
        site: Arc<dyn Site>,
        limits: Limits,
        proxies: Proxies,
        rates: Arc<Rates>,
        threads: &Threads,
    ) -> io::Result<Shared> {
        let connections = Arc::new(Connections::new(limits.connections_max));
        let threads_bound = threads_max(STACK_BYTES);
        if threads_bound < limits.threads_max {
            log::info!("the system allows {threads_bound} threads for requests and streams");
        }
        let threads_bound = threads_bound.min(limits.threads_max);
        Ok(Shared {
            readiness: Readiness::start(&connections, threads)?,
            sweeper: Sweeper::start(&connections, &limits, threads)?,
            pool: Arc::new(Pool::start("connection", STACK_BYTES, threads_bound, SLOW_THREADS_MAX, threads)?),
            admission: Mutex::default(),
            site,
            limits,
            proxies,
            rates,
            busy: Busy::new(),
            connections,
            long_heads: Permits::new(LONG_HEADS_MAX),
            incoming: Quota::of_memory(),
        })
    }
}
