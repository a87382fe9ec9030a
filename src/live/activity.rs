//! The activity service: live statistics, and what the server is being asked for.
//!
//! One ticker serves all subscribers, and there is none while nobody subscribes. Ten times a second it broadcasts
//! the requests since as events `activity`, and once a second the event `stats`. Both are ephemeral: a slow
//! subscriber misses some and nobody waits. What is shown is what anybody may see: no addresses, no queries, and
//! no names of users.

use crate::access::Grant;
use crate::error::Error;
use crate::event::{Draft, Event, Frame};
use crate::http::printable;
use crate::hub::Hub;
use crate::live::stats::{Figures, Stats};
use crate::os::threads::Threads;
use crate::os::usage::Usage;
use crate::publisher::Publisher;
use crate::topic::Topic;
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// The topic that the service broadcasts to.
pub const TOPIC: &str = "$activity";

/// How often activity is broadcast. A request only leaves a line behind, and wakes nobody.
const TICK: Duration = Duration::from_millis(100);

/// Ticks from one `stats` to the next.
const TICKS_PER_STATS: u32 = 10;

/// Requests that wait for a tick. When full, further ones are only counted, and the count is broadcast.
const ACTIONS_MAX: usize = 256;

/// The service. Clones share it.
#[derive(Clone)]
pub struct Activity {
    service: Arc<Service>,
}

struct Service {
    grant: Grant,
    publisher: Publisher,
    hub: Hub,
    stats: Stats,
    threads: Threads,
    shown_path: ShownPath,
    /// Read for every request, so that a request costs one look where nobody subscribes.
    subscribers: AtomicUsize,
    actions: Mutex<Actions>,
    ticker: Mutex<Ticker>,
}

/// Gives a request's path as everybody may see it.
pub type ShownPath = Box<dyn Fn(&str) -> String + Send + Sync>;

/// The requests since the last tick.
#[derive(Default)]
struct Actions {
    noted: Vec<Action>,
    /// Those that found no room.
    missed: usize,
}

/// A request that was answered, as its own thread notes it. The rest of the work is the ticker's.
struct Action {
    method: String,
    path: String,
    took: Duration,
}

struct Ticker {
    is_running: bool,
    /// What the last statistics were computed from.
    sample: Sample,
    latest: Option<LiveFigures>,
}

/// What the rates are computed from: counts that only grow.
struct Sample {
    at: Instant,
    published: u64,
    delivered: u64,
    cpu: Duration,
}

/// The data of the event `stats`.
#[derive(Serialize)]
struct LiveFigures {
    #[serde(flatten)]
    figures: Figures,
    memory_bytes: Option<u64>,
    cpu_percent: Option<f64>,
    threads: Option<u64>,
    descriptors: Option<u64>,
    descriptors_max: Option<u64>,
    streams_straight: usize,
    streams_behind: usize,
    published_per_sec: u64,
    delivered_per_sec: u64,
}

impl Activity {
    /// Nobody subscribes yet.
    pub fn new(
        publisher: Publisher,
        hub: Hub,
        stats: Stats,
        threads: Threads,
        shown_path: ShownPath,
    ) -> Activity {
        let topic = Topic::new(TOPIC).expect("it is a valid topic");
        let cpu = Usage::now().cpu.unwrap_or_default();
        let sample = Sample { at: Instant::now(), published: 0, delivered: 0, cpu };
        let service = Service {
            grant: Grant::of_program(&[topic]),
            publisher,
            hub,
            stats,
            threads,
            shown_path,
            subscribers: AtomicUsize::new(0),
            actions: Mutex::default(),
            ticker: Mutex::new(Ticker { is_running: false, sample, latest: None }),
        };
        Activity { service: Arc::new(service) }
    }

    /// Notes a request that was answered 200 or 201, for the next tick. Never waits for a subscriber.
    pub fn note(&self, method: &str, path: &str, status: u16, took: Duration) {
        if self.service.subscribers.load(Relaxed) == 0 || !matches!(status, 200 | 201) {
            return;
        }
        let mut actions = self.service.actions.lock();
        if actions.noted.len() < ACTIONS_MAX {
            actions.noted.push(Action { method: method.into(), path: path.into(), took });
        } else {
            actions.missed += 1;
        }
    }

    /// One more subscriber until the guard is dropped. The first one starts the ticker; [`Error::internal`] where
    /// the system has no thread left for it.
    pub fn subscribe(&self) -> Result<Subscriber, Error> {
        let mut ticker = self.service.ticker.lock();
        self.service.subscribers.fetch_add(1, Relaxed);
        let subscriber = Subscriber(self.service.clone());
        if !ticker.is_running {
            // What was noted after the last ticker's end is old by now.
            *self.service.actions.lock() = Actions::default();
            self.service.measure(&mut ticker);
            let service = self.service.clone();
            let started = self.service.threads.spawn_essential("activity", move || service.run());
            started.map_err(|error| Error::internal(format!("failed to start the ticker: {error}")))?;
            ticker.is_running = true;
        }
        Ok(subscriber)
    }
}

/// Somebody who subscribes, for as long as it lives.
pub struct Subscriber(Arc<Service>);

impl Subscriber {
    /// The latest statistics as an event `stats`.
    pub fn stats_frame(&self) -> Option<Frame> {
        let draft = self.0.draft("stats", &self.0.ticker.lock().latest);
        Event::new(draft).map(|event| event.encode(None)).ok()
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.0.subscribers.fetch_sub(1, Relaxed);
    }
}

impl Service {
    /// The ticker: until nobody subscribes.
    fn run(&self) {
        for tick in 1.. {
            std::thread::sleep(TICK);
            let Actions { noted, missed } = std::mem::take(&mut *self.actions.lock());
            {
                let mut ticker = self.ticker.lock();
                // Under the lock, so that whoever comes now finds that the ticker runs, or starts another.
                if self.subscribers.load(Relaxed) == 0 {
                    ticker.is_running = false;
                    return;
                }
            }
            let more = (missed > 0).then(|| format!("… and {missed} more"));
            for action in noted.iter().map(|action| self.describe(action)).chain(more) {
                self.broadcast(self.draft("activity", &json!({ "action": action })));
            }
            if tick % TICKS_PER_STATS == 0 {
                let mut ticker = self.ticker.lock();
                self.measure(&mut ticker);
                self.broadcast(self.draft("stats", &ticker.latest));
            }
        }
    }

    fn describe(&self, action: &Action) -> String {
        let path = (self.shown_path)(&action.path);
        let path = printable(&path);
        let millis = action.took.as_secs_f64() * 1_000.0;
        format!("Anonymous user: {} {path}, duration: {millis:.1}ms", action.method)
    }

    fn broadcast(&self, draft: Draft) {
        if let Err(error) = self.publisher.broadcast(&self.grant, draft) {
            log::error!("failed to broadcast activity: {error}");
        }
    }

    fn draft(&self, name: &str, data: &impl Serialize) -> Draft {
        let topics = self.grant.publish_topics().to_vec();
        let data = serde_json::to_string(data).expect("texts and numbers are JSON");
        Draft { topics, name: Some(name.into()), data, ..Draft::default() }
    }

    /// Takes the statistics. Rates are those since the last time: a second ago, or longer where nobody subscribed
    /// in between.
    fn measure(&self, ticker: &mut Ticker) {
        let (figures, usage, survey) = (self.stats.read(), Usage::now(), self.hub.survey());
        let now = Sample {
            at: Instant::now(),
            published: figures.published,
            delivered: figures.delivered,
            cpu: usage.cpu.unwrap_or_default(),
        };
        let secs = now.at.duration_since(ticker.sample.at).as_secs_f64().max(0.001);
        let per_sec = |now: u64, before: u64| ((now - before) as f64 / secs).round() as u64;
        let cpu_secs = now.cpu.saturating_sub(ticker.sample.cpu).as_secs_f64();
        ticker.latest = Some(LiveFigures {
            memory_bytes: usage.memory_bytes,
            cpu_percent: usage.cpu.map(|_| (cpu_secs / secs * 1_000.0).round() / 10.0),
            threads: usage.threads,
            descriptors: usage.descriptors,
            descriptors_max: usage.descriptors_max,
            streams_straight: survey.clients - survey.behind,
            streams_behind: survey.behind,
            published_per_sec: per_sec(now.published, ticker.sample.published),
            delivered_per_sec: per_sec(now.delivered, ticker.sample.delivered),
            figures,
        });
        ticker.sample = now;
    }
}
