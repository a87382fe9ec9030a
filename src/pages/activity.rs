//! Live statistics and the site's activity on one stream, `GET /api/streams`: one for both, because
//! browsers allow six HTTP/1.1 connections per host.
//!
//! One ticker serves all listeners, and there is none while nobody listens. Ten times a second it passes on
//! what was done since as events `activity`, and once a second the event `stats`. Both are only true now: a
//! slow listener misses some and nobody waits. What is shown is what anybody may see: no addresses, no
//! queries, and no names of users.

use crate::app::{App, Places};
use crate::error::Error;
use crate::event::{Draft, Event, Frame};
use crate::history::History;
use crate::http::{Answer, Answered, Captures, Request};
use crate::hub::{Dispatch, Hub};
use crate::topic::Topic;
use crate::usage::Usage;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// How often activity is passed on. A request only leaves a line behind, and wakes nobody.
const TICK: Duration = Duration::from_millis(100);

/// Ticks from one `stats` to the next.
const TICKS_PER_STATS: u32 = 10;

/// Requests that wait for a tick. When full, further ones are only counted, and the count is passed on.
const ACTIONS_MAX: usize = 256;

/// The longest path that is shown, in characters. A longer one is cut.
const PATH_CHARS_MAX: usize = 200;

/// What is going on. Clones share it.
#[derive(Clone)]
pub struct Activity {
    shared: Arc<Shared>,
}

struct Shared {
    topic: Topic,
    started: Instant,
    hub: Hub,
    history: Arc<dyn History>,
    places: Arc<Places>,
    /// A request's path as everybody may see it.
    shown_path: ShownPath,
    /// Read for every request, so that it costs one look where nobody listens.
    listeners: AtomicUsize,
    actions: Mutex<Actions>,
    ticker: Mutex<Ticker>,
}

/// Gives a request's path as everybody may see it.
pub type ShownPath = Box<dyn Fn(&str) -> String + Send + Sync>;

/// What was done since the last tick.
#[derive(Default)]
struct Actions {
    done: Vec<Action>,
    /// Those that found no room.
    missed: usize,
}

/// A request that was answered, as it is noted by the request's own thread. What is left is the ticker's work.
struct Action {
    method: String,
    path: String,
    took: Duration,
}

struct Ticker {
    runs: bool,
    /// What the last statistics were computed from.
    sample: Sample,
    stats: Value,
}

/// What the rates are computed from: counts that only grow.
struct Sample {
    at: Instant,
    published: u64,
    delivered: u64,
    cpu: Duration,
}

/// Streams statistics and activity, the statistics at once.
pub fn listen(app: &App, _request: &Request, _captures: &Captures) -> Result<Answer, Error> {
    let Some(activity) = &app.activity else {
        return Err(Error::NotFound("this server runs with --no-activity: it shows no activity".into()));
    };
    let mut stream = app.stream_now(vec![activity.shared.topic.clone()])?;
    stream.guards.push(Box::new(activity.enter()?));
    let shared = activity.shared.clone();
    stream.present = Some(Box::new(move || Some(shared.stats_frame())));
    Ok(Answer::stream(stream))
}

impl Activity {
    /// Nobody listens yet.
    pub fn new(
        started: Instant,
        hub: Hub,
        history: Arc<dyn History>,
        places: Arc<Places>,
        shown_path: ShownPath,
    ) -> Activity {
        let sample = Sample { at: started, published: 0, delivered: 0, cpu: Duration::ZERO };
        let ticker = Mutex::new(Ticker { runs: false, sample, stats: Value::Null });
        let topic = Topic::new("$activity").expect("it is a valid topic");
        let (listeners, actions) = (AtomicUsize::new(0), Mutex::default());
        Activity {
            shared: Arc::new(Shared {
                topic,
                started,
                hub,
                history,
                places,
                shown_path,
                listeners,
                actions,
                ticker,
            }),
        }
    }

    /// Announces a request that was answered 200 or 201 to whoever listens. Never waits.
    pub fn announce(&self, answered: &Answered) {
        let &Answered { method, path, status, took } = answered;
        if self.shared.listeners.load(Relaxed) == 0 || !matches!(status, 200 | 201) {
            return;
        }
        let mut actions = self.shared.actions.lock();
        if actions.done.len() < ACTIONS_MAX {
            actions.done.push(Action { method: method.into(), path: path.into(), took });
        } else {
            actions.missed += 1;
        }
    }

    /// One more listener until the guard is dropped. The first one starts the ticker.
    fn enter(&self) -> Result<Listener, Error> {
        let mut ticker = self.shared.ticker.lock();
        self.shared.listeners.fetch_add(1, Relaxed);
        let listener = Listener(self.shared.clone());
        if !ticker.runs {
            // What was noted after the last ticker's end is old by now.
            *self.shared.actions.lock() = Actions::default();
            self.shared.measure(&mut ticker);
            let shared = self.shared.clone();
            let started = std::thread::Builder::new().name("activity".into()).spawn(move || shared.run());
            started.map_err(|error| Error::Internal(format!("failed to start the ticker: {error}")))?;
            ticker.runs = true;
        }
        Ok(listener)
    }
}

/// Somebody listens, for as long as it lives.
struct Listener(Arc<Shared>);

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.listeners.fetch_sub(1, Relaxed);
    }
}

impl Shared {
    /// The ticker: until nobody listens.
    fn run(&self) {
        for tick in 1.. {
            std::thread::sleep(TICK);
            let Actions { done, missed } = std::mem::take(&mut *self.actions.lock());
            {
                let mut ticker = self.ticker.lock();
                // Under the lock, so that whoever comes now finds that the ticker runs, or starts another.
                if self.listeners.load(Relaxed) == 0 {
                    ticker.runs = false;
                    return;
                }
            }
            let more = (missed > 0).then(|| format!("… and {missed} more"));
            for action in done.iter().map(|action| self.describe(action)).chain(more) {
                self.tell(self.event("activity", &json!({ "action": action })));
            }
            if tick % TICKS_PER_STATS == 0 {
                let mut ticker = self.ticker.lock();
                self.measure(&mut ticker);
                self.tell(self.event("stats", &ticker.stats));
            }
        }
    }

    fn describe(&self, action: &Action) -> String {
        let path: String = (self.shown_path)(&action.path).chars().take(PATH_CHARS_MAX).collect();
        let millis = action.took.as_secs_f64() * 1_000.0;
        format!("Anonymous user: {} {path}, duration: {millis:.1}ms", action.method)
    }

    fn tell(&self, event: Event) {
        self.hub.broadcast(Dispatch::only_now(&event));
    }

    fn stats_frame(&self) -> Frame {
        self.event("stats", &self.ticker.lock().stats).encode(None)
    }

    fn event(&self, name: &str, data: &Value) -> Event {
        let topics = vec![self.topic.clone()];
        let draft = Draft { topics, name: Some(name.into()), data: data.to_string(), ..Draft::default() };
        Event::new(draft).expect("its name is valid and its data is JSON")
    }

    /// Takes the statistics. Rates are those since the last time: a second ago, or longer where nobody
    /// listened in between.
    fn measure(&self, ticker: &mut Ticker) {
        let (books, usage, kept) = (self.hub.books(), Usage::now(), self.history.status());
        let survey = self.hub.survey();
        let now = Sample {
            at: Instant::now(),
            published: books.published.load(Relaxed),
            delivered: books.delivered.load(Relaxed),
            cpu: usage.cpu.unwrap_or_default(),
        };
        let secs = now.at.duration_since(ticker.sample.at).as_secs_f64().max(0.001);
        let per_sec = |now: u64, before: u64| ((now - before) as f64 / secs).round() as u64;
        let cpu_secs = now.cpu.saturating_sub(ticker.sample.cpu).as_secs_f64();
        ticker.stats = json!({
            "uptime_secs": self.started.elapsed().as_secs(),
            "memory_bytes": usage.memory_bytes,
            "cpu_percent": usage.cpu.map(|_| (cpu_secs / secs * 1_000.0).round() / 10.0),
            "threads": usage.threads,
            "descriptors": usage.descriptors,
            "descriptors_max": usage.descriptors_max,
            "streams": self.places.taken(),
            "streams_straight": survey.clients - survey.behind,
            "streams_behind": survey.behind,
            "published_per_sec": per_sec(now.published, ticker.sample.published),
            "delivered_per_sec": per_sec(now.delivered, ticker.sample.delivered),
            "version": env!("CARGO_PKG_VERSION"),
            "published": now.published,
            "delivered": now.delivered,
            "too_slow": books.too_slow.load(Relaxed),
            "history": {
                "events": kept.events,
                "bytes": kept.bytes,
                "commit_micros": kept.commit.map(|commit| commit.as_micros() as u64),
            },
        });
        ticker.sample = now;
    }
}
