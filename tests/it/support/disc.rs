//! A disc for the tests. It records what was written and what was synced, so it can tell what it might hold after a
//! power cut at any moment; and it fails when a test wants it to.

use callout::disk::Opener;
use parking_lot::Mutex;
use redb::{Builder, StorageBackend};
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering::SeqCst};

/// What a disc writes as a whole: after a power cut a sector holds the old bytes or the new, never a mixture.
const SECTOR_BYTES: usize = 512;

/// The handle to a disc; clones lead to the same one.
#[derive(Clone, Default)]
pub struct Disc {
    state: Arc<Mutex<State>>,
    /// The system's error number with which writing and growing fail, or 0.
    pub write_error: Arc<AtomicI32>,
    /// The same for syncing.
    pub sync_error: Arc<AtomicI32>,
    /// Which of the next syncs fails, counted from 1, or 0.
    failing_sync: Arc<AtomicUsize>,
}

#[derive(Default)]
struct State {
    bytes: Vec<u8>,
    /// What it held when the log began.
    before: Vec<u8>,
    log: Vec<Entry>,
}

/// What happened to a disc, in its order.
#[derive(Clone)]
pub enum Entry {
    Write(usize, Vec<u8>),
    SetLen(usize),
    Sync,
}

/// How much of what was not yet synced survives a power cut.
#[derive(Debug, Clone, Copy)]
pub enum Survives {
    Nothing,
    Everything,
    /// The first writes, the last of them in part.
    First,
    /// Any sectors.
    Some,
}

impl Disc {
    /// A disc that holds these bytes.
    pub fn holding(bytes: Vec<u8>) -> Disc {
        let state = State { before: bytes.clone(), bytes, log: Vec::new() };
        Disc { state: Arc::new(Mutex::new(state)), ..Disc::default() }
    }

    /// A disc with an empty store, as the file is when it gets its name.
    pub fn created() -> Disc {
        let empty = Disc::default();
        drop(empty.opener().open().expect("it is created"));
        let bytes = empty.state.lock().bytes.clone();
        Disc::holding(bytes)
    }

    /// Opens the store on this disc.
    pub fn opener(&self) -> Opener {
        let disc = self.clone();
        Box::new(move || {
            let opened = Builder::new().set_cache_size(1 << 20).create_with_backend(disc.clone());
            opened.map_err(|error| error.to_string())
        })
    }

    /// This one of the next syncs fails, counted from 1; all others work.
    pub fn fail_sync(&self, number: usize) {
        self.failing_sync.store(number, SeqCst);
    }

    /// What happened so far.
    pub fn log(&self) -> Vec<Entry> {
        self.state.lock().log.clone()
    }

    /// What it might hold if the power had failed after so many entries of its log.
    pub fn cut(&self, moment: usize, survives: Survives) -> Disc {
        let state = self.state.lock();
        let log = &state.log[..moment];
        let safe = log.iter().rposition(|entry| matches!(entry, Entry::Sync)).unwrap_or(0);
        let mut bytes = state.before.clone();
        log[..safe].iter().for_each(|entry| apply(&mut bytes, entry));
        let unsafe_entries = &log[safe..];
        match survives {
            Survives::Nothing => {}
            Survives::Everything => unsafe_entries.iter().for_each(|entry| apply(&mut bytes, entry)),
            Survives::First => {
                let whole = fastrand::usize(..=unsafe_entries.len());
                unsafe_entries[..whole].iter().for_each(|entry| apply(&mut bytes, entry));
                if let Some(Entry::Write(offset, data)) = unsafe_entries.get(whole) {
                    let sectors = fastrand::usize(..=data.len() / SECTOR_BYTES);
                    write(&mut bytes, *offset, &data[..sectors * SECTOR_BYTES]);
                }
            }
            Survives::Some => unsafe_entries.iter().for_each(|entry| apply_in_part(&mut bytes, entry)),
        }
        Disc::holding(bytes)
    }
}

fn apply(bytes: &mut Vec<u8>, entry: &Entry) {
    match entry {
        Entry::Write(offset, data) => write(bytes, *offset, data),
        Entry::SetLen(len) => bytes.resize(*len, 0),
        Entry::Sync => {}
    }
}

fn apply_in_part(bytes: &mut Vec<u8>, entry: &Entry) {
    match entry {
        Entry::Write(offset, data) => {
            for (index, sector) in data.chunks(SECTOR_BYTES).enumerate() {
                if fastrand::bool() {
                    write(bytes, offset + index * SECTOR_BYTES, sector);
                }
            }
        }
        entry if fastrand::bool() => apply(bytes, entry),
        _ => {}
    }
}

/// A write beyond the end makes the file longer, as in a file system.
fn write(bytes: &mut Vec<u8>, offset: usize, data: &[u8]) {
    let end = offset + data.len();
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    bytes[offset..end].copy_from_slice(data);
}

fn fails(error: &AtomicI32) -> io::Result<()> {
    match error.load(SeqCst) {
        0 => Ok(()),
        number => Err(io::Error::from_raw_os_error(number)),
    }
}

impl fmt::Debug for Disc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Disc")
    }
}

impl StorageBackend for Disc {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state.lock().bytes.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        let state = self.state.lock();
        let bytes = state.bytes.get(offset..offset + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(bytes);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        fails(&self.write_error)?;
        self.record(Entry::SetLen(usize::try_from(len).map_err(io::Error::other)?));
        Ok(())
    }

    /// A sync that fails leaves open what is safe, so it is not logged.
    fn sync_data(&self) -> io::Result<()> {
        fails(&self.sync_error)?;
        let count_down = |number: usize| number.checked_sub(1);
        if self.failing_sync.fetch_update(SeqCst, SeqCst, count_down) == Ok(1) {
            return Err(io::Error::from_raw_os_error(libc::EIO));
        }
        self.record(Entry::Sync);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        fails(&self.write_error)?;
        self.record(Entry::Write(usize::try_from(offset).map_err(io::Error::other)?, data.to_vec()));
        Ok(())
    }
}

impl Disc {
    fn record(&self, entry: Entry) {
        let mut state = self.state.lock();
        apply(&mut state.bytes, &entry);
        state.log.push(entry);
    }
}
