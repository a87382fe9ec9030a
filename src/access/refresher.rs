//! The thread that fetches the keys of issuers which have them at an address. It is there when there is such an issuer.

use super::Access;
use crate::os::threads::Threads;
use crossbeam_channel::{RecvTimeoutError, Sender, bounded};
use parking_lot::Mutex;
use std::io;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// How often the thread looks whether it is time.
const LOOK: Duration = Duration::from_secs(1);

/// The thread ends when this is dropped.
#[derive(Default)]
pub(super) struct Refresher(Mutex<Option<Sender<()>>>);

impl Refresher {
    /// Starts the thread, unless it runs.
    pub(super) fn start(&self, access: &Arc<Access>, threads: &Threads) -> io::Result<()> {
        let mut running = self.0.lock();
        if running.is_some() {
            return Ok(());
        }
        let (close, closed) = bounded::<()>(0);
        let access = Arc::downgrade(access);
        threads.spawn("jwks", move || {
            loop {
                refresh(&access);
                if closed.recv_timeout(LOOK) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        })?;
        *running = Some(close);
        Ok(())
    }
}

fn refresh(access: &Weak<Access>) {
    let Some(trust) = access.upgrade().map(|access| access.trust()) else { return };
    // All are asked, not only those up to the first that has others.
    let changed = trust.issuers.iter().filter(|issuer| issuer.refresh()).count() > 0;
    if let (true, Some(access)) = (changed, access.upgrade()) {
        access.watches.ask_again();
    }
}
