//! The server's figures at one moment, the same for health, activity and whoever else shows them.

use crate::access::{Rates, Refused};
use crate::client::Permits;
use crate::history::{History, Status};
use crate::hub::Hub;
use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

/// Where the figures come from. Clones share it.
#[derive(Clone)]
pub struct Stats {
    started: Instant,
    hub: Hub,
    history: Arc<dyn History>,
    permits: Arc<Permits>,
    rates: Arc<Rates>,
}

/// The figures. Their names are those that people see.
#[derive(Debug, Clone, Serialize)]
pub struct Figures {
    /// callout's version.
    pub version: &'static str,
    /// Seconds since the server started.
    pub uptime_secs: u64,
    /// Open streams.
    pub streams: usize,
    /// Events that were broadcast since the start.
    pub published: u64,
    /// Events times the browsers that each was passed on to, since the start.
    pub delivered: u64,
    /// Browsers that were hung up on because they read too slowly, since the start.
    pub too_slow: u64,
    /// What was refused to single clients, by the limit that refused it, since the start.
    pub refused: Refused,
    /// What is kept.
    pub history: HistoryFigures,
}

/// What the history keeps.
#[derive(Debug, Clone, Serialize)]
pub struct HistoryFigures {
    /// Events kept.
    pub events: usize,
    /// Bytes kept.
    pub bytes: usize,
    /// When the oldest of them was published, as RFC 3339 writes it.
    pub oldest: Option<String>,
    /// How long the last commit took, where there are commits.
    pub commit_micros: Option<u64>,
    /// Why nothing can be kept now, if that is so.
    pub failure: Option<String>,
}

impl Stats {
    /// The figures of a server that starts now.
    pub fn new(hub: Hub, history: Arc<dyn History>, permits: Arc<Permits>, rates: Arc<Rates>) -> Stats {
        Stats { started: Instant::now(), hub, history, permits, rates }
    }

    /// Reads the figures. Does not wait for the hub or the disk.
    pub fn read(&self) -> Figures {
        let counters = self.hub.counters();
        Figures {
            version: env!("CARGO_PKG_VERSION"),
            uptime_secs: self.started.elapsed().as_secs(),
            streams: self.permits.in_use(),
            published: counters.published.load(Relaxed),
            delivered: counters.delivered.load(Relaxed),
            too_slow: counters.too_slow.load(Relaxed),
            refused: self.rates.refused(),
            history: self.history.status().into(),
        }
    }
}

impl From<Status> for HistoryFigures {
    fn from(status: Status) -> HistoryFigures {
        HistoryFigures {
            events: status.events,
            bytes: status.bytes,
            oldest: status.oldest.map(|at| humantime::format_rfc3339_millis(at).to_string()),
            commit_micros: status.commit.map(|commit| commit.as_micros() as u64),
            failure: status.failure,
        }
    }
}
