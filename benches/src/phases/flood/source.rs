//! Where a flood comes from: publishers that never stop, except for the window.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Result, anyhow};

use crate::clock::Clock;
use crate::publisher::{PipelinedPublisher, WaitingPublisher};

/// A part of the window that must be free before a pipelined source fills it again, so that its
/// requests travel together.
const REFILL_PART: u64 = 4;

/// How long a waiting source stands still when the window is full.
const FULL_PAUSE: Duration = Duration::from_micros(20);

/// How many publishers there are, and how they treat answers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Arrangement {
    /// They wait for each answer, as HTTP clients do.
    Waiting(usize),
    /// They send on without waiting.
    Pipelined(usize),
}

impl Arrangement {
    pub fn publishers(self) -> usize {
        match self {
            Arrangement::Waiting(publishers) | Arrangement::Pipelined(publishers) => publishers,
        }
    }
}

pub enum Source {
    /// Each has a thread of its own, so that it is not held up by the streams.
    Waiting(WaitingSource),
    Pipelined {
        publishers: Vec<PipelinedPublisher>,
        window_events: u64,
        clock: Clock,
        published: u64,
    },
}

pub struct WaitingSource {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<Result<u64>>>,
    window_events: u64,
}

/// What the threads of a waiting source and their owner tell each other. Each is a single number, so
/// that no order between them matters.
#[derive(Default)]
struct Shared {
    /// Events that may have been published so far, and those that a thread has taken upon it.
    allowed: AtomicU64,
    taken: AtomicU64,
    stopped: AtomicBool,
}

impl Source {
    pub fn open(
        arrangement: Arrangement,
        server: SocketAddr,
        window_events: u64,
        clock: Clock,
    ) -> Result<Source> {
        Ok(match arrangement {
            Arrangement::Waiting(publishers) => {
                Source::Waiting(WaitingSource::open(server, publishers, window_events, clock)?)
            }
            Arrangement::Pipelined(connections) => Source::Pipelined {
                publishers: (0..connections)
                    .map(|index| PipelinedPublisher::connect(server, index))
                    .collect::<Result<_>>()?,
                window_events,
                clock,
                published: 0,
            },
        })
    }

    /// Publishes what the window allows when the slowest stream has passed this many events.
    pub fn pour(&mut self, passed: u64) -> Result<()> {
        match self {
            Source::Waiting(source) => {
                let allowed = passed + source.window_events;
                source.shared.allowed.store(allowed, Ordering::Relaxed);
            }
            Source::Pipelined { publishers, window_events, clock, published } => {
                let room_events = (passed + *window_events).saturating_sub(*published);
                if room_events >= *window_events / REFILL_PART {
                    let now_nanos = clock.nanos();
                    for _ in 0..room_events {
                        let turn = *published as usize % publishers.len();
                        publishers[turn].publish(now_nanos);
                        *published += 1;
                    }
                }
                for publisher in publishers {
                    publisher.progress()?;
                }
            }
        }
        Ok(())
    }

    /// Stops publishing. Gives the number of events, once, when all of them are answered, until when
    /// it is to be called again.
    pub fn finish(&mut self) -> Result<Option<u64>> {
        match self {
            Source::Waiting(source) => source.finish(),
            Source::Pipelined { publishers, published, .. } => {
                let mut unanswered = 0;
                for publisher in publishers {
                    publisher.progress()?;
                    unanswered += publisher.unanswered();
                }
                Ok((unanswered == 0).then_some(*published))
            }
        }
    }
}

impl WaitingSource {
    fn open(
        server: SocketAddr,
        publishers: usize,
        window_events: u64,
        clock: Clock,
    ) -> Result<WaitingSource> {
        let shared = Arc::new(Shared::default());
        let start = |index| {
            let publisher = WaitingPublisher::connect(server, index)?;
            let theirs = Arc::clone(&shared);
            Ok(thread::spawn(move || publish(publisher, &theirs, clock)))
        };
        let threads = (0..publishers).map(start).collect::<Result<_>>()?;
        Ok(WaitingSource { shared, threads, window_events })
    }

    fn finish(&mut self) -> Result<Option<u64>> {
        self.shared.stopped.store(true, Ordering::Relaxed);
        if !self.threads.iter().all(JoinHandle::is_finished) {
            return Ok(None);
        }
        let join = |thread: JoinHandle<_>| thread.join().map_err(|_| anyhow!("a publisher panicked"))?;
        self.threads.drain(..).map(join).sum::<Result<u64>>().map(Some)
    }
}

impl Shared {
    /// Whether there is room in the window for one more event, which is then the caller's.
    fn take(&self) -> bool {
        let allowed = self.allowed.load(Ordering::Relaxed);
        let next = |taken| (taken < allowed).then_some(taken + 1);
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok()
    }
}

fn publish(mut publisher: WaitingPublisher, shared: &Shared, clock: Clock) -> Result<u64> {
    while !shared.stopped.load(Ordering::Relaxed) {
        if shared.take() {
            publisher.publish(clock.nanos())?;
        } else {
            thread::sleep(FULL_PAUSE);
        }
    }
    Ok(publisher.published())
}
