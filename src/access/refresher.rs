//! The thread that fetches the keys of issuers which have them at an address. It is there when there is such an issuer.

use super::Access;
use super::jwt::Fetched;
use crate::os::threads::Threads;
use crossbeam_channel::{RecvTimeoutError, Sender, bounded};
use parking_lot::Mutex;
use std::collections::HashMap;
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
            // By the issuer's address in memory, since it has no name.
            let mut fetched: HashMap<usize, Fetched> = HashMap::new();
            loop {
                refresh(&access, &mut fetched);
                if closed.recv_timeout(LOOK) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        })?;
        *running = Some(close);
        Ok(())
    }
}

fn refresh(access: &Weak<Access>, fetched: &mut HashMap<usize, Fetched>) {
    let Some(issuers) = access.upgrade().map(|access| access.trust().issuers.clone()) else { return };
    let key = |issuer: &Arc<_>| Arc::as_ptr(issuer) as usize;
    fetched.retain(|address, _| issuers.iter().any(|issuer| key(issuer) == *address));
    // All are asked, not only those up to the first that has others.
    let mut changed = false;
    for issuer in &issuers {
        changed |= issuer.refresh(fetched.entry(key(issuer)).or_default());
    }
    if let (true, Some(access)) = (changed, access.upgrade()) {
        access.watches.ask_again();
    }
}
