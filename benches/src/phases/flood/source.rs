//! The source of a flood: publishers that publish whenever the window has room.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};

use anyhow::{Result, anyhow};

use crate::clock::Clock;
use crate::publisher::{PipelinedPublisher, WaitingPublisher};
use crate::wire::target::Target;

/// The part of the window that must be free before it is filled again, so that requests travel
/// together and waiting threads are not woken for single events.
const REFILL_PART: u64 = 4;

/// How many publishers there are, and whether they wait.
#[derive(Clone, Copy)]
pub enum Publishers {
    /// They wait for each answer, as most HTTP clients do.
    Waiting(usize),
    /// They send the next request without waiting.
    Pipelined(usize),
}

pub enum Source {
    /// Each has a thread of its own, so that the reading of streams does not delay it.
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

/// What the threads of a waiting source share with their owner.
#[derive(Default)]
struct Shared {
    budget: Mutex<Budget>,
    /// Signalled when the budget grows, and when it ends.
    changed: Condvar,
}

#[derive(Default)]
struct Budget {
    /// Events that may have been published so far.
    allowed: u64,
    /// Events that a thread has begun to publish.
    begun: u64,
    ended: bool,
}

impl Source {
    pub fn open(publishers: Publishers, server: Target, window_events: u64, clock: Clock) -> Result<Source> {
        Ok(match publishers {
            Publishers::Waiting(count) => {
                Source::Waiting(WaitingSource::open(server, count, window_events, clock)?)
            }
            Publishers::Pipelined(count) => Source::Pipelined {
                publishers: (0..count)
                    .map(|index| PipelinedPublisher::connect(server, index))
                    .collect::<Result<_>>()?,
                window_events,
                clock,
                published: 0,
            },
        })
    }

    /// Publishes what the window allows when the slowest stream has passed this many events.
    pub fn publish(&mut self, passed: u64) -> Result<()> {
        match self {
            Source::Waiting(source) => source.shared.allow(passed, source.window_events),
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

    /// Stops publishing. Gives the number of events when all of them are answered; until then it gives
    /// `None` and has to be called again.
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
    fn open(server: Target, publishers: usize, window_events: u64, clock: Clock) -> Result<WaitingSource> {
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
        self.shared.end();
        if !self.threads.iter().all(JoinHandle::is_finished) {
            return Ok(None);
        }
        let join = |thread: JoinHandle<_>| thread.join().map_err(|_| anyhow!("a publisher panicked"))?;
        self.threads.drain(..).map(join).sum::<Result<u64>>().map(Some)
    }
}

impl Shared {
    /// Lets the threads publish up to a window of events beyond those that the slowest stream has
    /// passed.
    fn allow(&self, passed: u64, window_events: u64) {
        let mut budget = self.lock();
        let allowed = passed + window_events;
        if allowed.saturating_sub(budget.begun) >= window_events / REFILL_PART {
            budget.allowed = allowed;
            self.changed.notify_all();
        }
    }

    /// Blocks until one more event may be published; false when there will be no more.
    fn begin(&self) -> bool {
        let spent = |budget: &mut Budget| budget.begun >= budget.allowed && !budget.ended;
        let mut budget =
            self.changed.wait_while(self.lock(), spent).expect("no thread panics under the lock");
        budget.begun += 1;
        !budget.ended
    }

    /// Makes every thread end after the answer that it waits for.
    fn end(&self) {
        self.lock().ended = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Budget> {
        self.budget.lock().expect("no thread panics under the lock")
    }
}

fn publish(mut publisher: WaitingPublisher, shared: &Shared, clock: Clock) -> Result<u64> {
    while shared.begin() {
        publisher.publish(clock.nanos())?;
    }
    Ok(publisher.published())
}
