//! A model of the hand-over of a stream between the hub, its own thread, its place of rest, the kernel's readiness, the
//! sweeper and a drain, tried in random interleavings (`shuttle`): never mixed, never lost, never twice, never stuck.
//!
//! The client, the outlet, the slots, the hand-over and the pool are the program's files, compiled here over locks that
//! let another thread go first, and so are sockets and the history. Only the hub, the listener's threads and the reader
//! are the model's. All threads are turns on one, so a round is quick, and none may block in the kernel.
//!
//! `MODEL_ROUNDS` says how many rounds (`make test-model`), `MODEL_SEED` with which they begin.

#![allow(dead_code, unused_imports, reason = "the program's files hold more than the model calls")]
#![allow(clippy::unwrap_used)] // a model that meets what it does not expect fails

mod direct;
mod event;
mod hub;
mod os;
mod outlet;
mod reader;
mod rest;
mod world;

#[path = "../../src/client/mod.rs"]
mod client;
#[path = "../it/support/parser.rs"]
mod parser;

use callout::os::threads::Threads;
use callout::{access, error, history, selector, topic};
use shuttle::scheduler::RandomScheduler;
use shuttle::{Config, FailurePersistence, MaxSteps, Runner};

/// Rounds in `cargo test`: some seconds.
const ROUNDS: u64 = 250;

/// Rounds of the outlet alone for each of them.
const OUTLET_ROUNDS: u64 = 10;

fn main() {
    // Who asks for another test by its name does not mean this one.
    let names: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    if !names.is_empty() && !names.iter().any(|name| "model".contains(&**name)) {
        return;
    }
    rest::check();
    let number = |name| std::env::var(name).ok().map(|text| text.parse().expect("a number"));
    let first: u64 = number("MODEL_SEED").unwrap_or(0);
    let feeds = callout::Hub::start(&Threads::default()).expect("a thread");
    let began = std::time::Instant::now();
    let rounds = number("MODEL_ROUNDS").unwrap_or(ROUNDS);
    for seed in first..first + rounds {
        let _named = Named(seed);
        let feeds = feeds.clone();
        run(seed, move || world::round(seed, feeds.clone()));
        // They are so short that there are several.
        for part in 0..OUTLET_ROUNDS {
            run(seed * OUTLET_ROUNDS + part, move || outlet::round(seed * OUTLET_ROUNDS + part));
        }
    }
    println!("model: {rounds} rounds in {:.1?}, nothing mixed, lost, twice or stuck", began.elapsed());
}

/// One round, in the interleaving of this seed.
fn run(seed: u64, round: impl Fn() + Send + Sync + 'static) {
    let mut config = Config::new();
    // The program's client needs more than the 32 KB that are usual.
    (config.stack_size, config.max_steps) = (256 * 1024, MaxSteps::None);
    // A schedule of a long round is long, and the seed says the same.
    config.failure_persistence = FailurePersistence::None;
    Runner::new(RandomScheduler::new_from_seed(seed, 1), config).run(round);
}

/// Says which round has failed.
struct Named(u64);

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the round of MODEL_SEED={}", self.0);
        }
    }
}
