//! The hand-over alone, in all interleavings of three threads.

use crate::os::rest::Resting;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

#[derive(Default)]
struct Place {
    resting: Option<Resting<usize>>,
    /// What there is to see.
    said: AtomicUsize,
    is_running: AtomicBool,
}

impl Place {
    /// Runs what looks at all there is and then rests.
    fn run(&self, mut seen: Box<usize>) {
        loop {
            assert!(!self.is_running.swap(true, Relaxed), "it runs twice");
            *seen = self.said.load(Relaxed);
            self.is_running.store(false, Relaxed);
            match self.resting().rest(seen) {
                Some(again) => seen = again,
                None => return,
            }
        }
    }

    fn resting(&self) -> &Resting<usize> {
        self.resting.as_ref().expect("it is there")
    }

    fn wake(&self) {
        if let Some(seen) = self.resting().wake() {
            self.run(seen);
        }
    }
}

/// Whatever is said before a wake is seen, by one at a time: of one thread that wakes twice, and of two.
pub fn check() {
    for wakes in [&[2][..], &[1, 1]] {
        shuttle::check_dfs(move || wake(wakes), None);
    }
}

/// A thread for each number, which wakes so many times.
fn wake(wakes: &[usize]) {
    let place = Arc::new(Place { resting: Some(Resting::new()), ..Place::default() });
    let wakers: Vec<_> = wakes
        .iter()
        .map(|&wakes| {
            let place = place.clone();
            shuttle::thread::spawn(move || {
                for _ in 0..wakes {
                    place.said.fetch_add(1, Relaxed);
                    place.wake();
                }
            })
        })
        .collect();
    place.run(Box::new(0));
    wakers.into_iter().for_each(|waker| waker.join().expect("it ends"));
    let seen = place.resting().wake().expect("it rests");
    assert_eq!(*seen, wakes.iter().sum::<usize>(), "something was said and not seen");
}
