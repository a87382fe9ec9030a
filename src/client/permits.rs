//! Permits for streams: how many there may be at once.

use crate::error::{Error, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The permits of a server. Each open stream holds one.
pub struct Permits {
    max: usize,
    in_use: AtomicUsize,
}

/// The right to one stream, given back when it is dropped.
pub struct Permit(Arc<Permits>);

impl Permits {
    /// So many permits, none of them in use.
    pub fn new(max: usize) -> Arc<Permits> {
        Arc::new(Permits { max, in_use: AtomicUsize::new(0) })
    }

    /// How many streams are open.
    pub fn in_use(&self) -> usize {
        self.in_use.load(Relaxed)
    }

    /// Takes a permit. [`ErrorKind::Full`] if none is left.
    pub fn take(self: &Arc<Permits>) -> Result<Permit, Error> {
        let permit = Permit(self.clone());
        // Counted first, so that two that come at once cannot share the last one; dropping it gives it back.
        if self.in_use.fetch_add(1, Relaxed) < self.max {
            Ok(permit)
        } else {
            Err(Error::new(ErrorKind::Full, "this server has no room for another stream now"))
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.in_use.fetch_sub(1, Relaxed);
    }
}
