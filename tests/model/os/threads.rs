//! Threads that are turns on one thread, in an order that is chosen at random.

use std::io;

#[derive(Clone, Default)]
pub struct Threads;

impl Threads {
    pub fn spawn_short_lived(
        &self,
        _: &str,
        _: usize,
        body: impl FnOnce() + Send + 'static,
    ) -> io::Result<()> {
        shuttle::thread::spawn(body);
        Ok(())
    }
}
