//! A folder of files for the tests. It records what was written and what was synced, so it can tell what it might hold
//! after a power cut at any moment; and it fails when a test wants it to.

use callout::disk::{File, Folder};
use callout::history::log::Opener;
use fastrand::Rng;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering::SeqCst};

/// What a disk writes as a whole: after a power cut a sector holds the old bytes or the new, never a mixture.
const SECTOR_BYTES: usize = 512;

/// The handle to a drive; clones lead to the same one.
#[derive(Clone, Default)]
pub struct Drive {
    state: Arc<Mutex<State>>,
    /// The system's error number with which writing, growing and naming fail, or 0.
    pub write_error: Arc<AtomicI32>,
    /// The same for syncing.
    pub sync_error: Arc<AtomicI32>,
    /// Which of the next syncs fails, counted from 1, or 0.
    failing_sync: Arc<AtomicUsize>,
}

#[derive(Default)]
struct State {
    now: Files,
    /// What it held when the log began.
    before: Files,
    log: Vec<Entry>,
}

/// Files by a number that stays, and the numbers by their names.
#[derive(Clone, Default)]
struct Files {
    contents: Vec<Vec<u8>>,
    names: BTreeMap<String, usize>,
}

/// What happened to a drive, in its order.
#[derive(Clone)]
pub enum Entry {
    Create(String, usize),
    Write(usize, usize, Vec<u8>),
    SetLength(usize, usize),
    Sync(usize),
    Rename(String, String),
    Remove(String),
    SyncFolder,
    /// An event was acknowledged: its data and its id.
    Acknowledged(String, String),
    /// The retraction of an event was acknowledged: its id.
    Retracted(String),
}

/// How much of what was not yet synced survives a power cut. Names change in their order, as where a file system keeps a
/// journal of them; what is in files does not.
#[derive(Debug, Clone, Copy)]
pub enum Survives {
    Nothing,
    Everything,
    /// The first changes, the last of them in part.
    First,
    /// Any sectors.
    Some,
}

impl Drive {
    fn holding(files: Files) -> Drive {
        let state = State { now: files.clone(), before: files, log: Vec::new() };
        Drive { state: Arc::new(Mutex::new(state)), ..Drive::default() }
    }

    pub fn opener(&self) -> Opener {
        let drive = self.clone();
        Box::new(move || Ok(Arc::new(drive)))
    }

    /// The next sync fails, and those after it work.
    pub fn fail_one_sync(&self) {
        self.fail_sync(1);
    }

    /// This one of the next syncs fails, counted from 1; all others work.
    pub fn fail_sync(&self, number: usize) {
        self.failing_sync.store(number, SeqCst);
    }

    /// Notes in the log that an event was acknowledged.
    pub fn acknowledge(&self, data: &str, id: &str) {
        self.state.lock().log.push(Entry::Acknowledged(data.into(), id.into()));
    }

    /// Notes in the log that a retraction was acknowledged.
    pub fn acknowledge_retraction(&self, id: &str) {
        self.state.lock().log.push(Entry::Retracted(id.into()));
    }

    /// What happened so far.
    pub fn log(&self) -> Vec<Entry> {
        self.state.lock().log.clone()
    }

    /// What it might hold if the power had failed after so many entries of its log.
    pub fn cut(&self, moment: usize, survives: Survives) -> Drive {
        self.cut_by(&mut Rng::new(), moment, survives)
    }

    /// The same, with chances that can be had again.
    pub fn cut_by(&self, random: &mut Rng, moment: usize, survives: Survives) -> Drive {
        let state = self.state.lock();
        let log = &state.log[..moment];
        let mut files = state.before.clone();
        let safe = safe(log);
        let unsafe_entries = safe.iter().filter(|is_safe| !**is_safe).count();
        // Names change in their order, so so many of them count.
        let names = log.iter().zip(&safe).filter(|(entry, is_safe)| entry.is_name() && !**is_safe).count();
        let (mut first, mut named) = (random.usize(..=unsafe_entries), random.usize(..=names));
        for (entry, is_safe) in log.iter().zip(safe) {
            let is_whole = is_safe
                || match survives {
                    Survives::Nothing => false,
                    Survives::Everything => true,
                    Survives::First => {
                        first = first.wrapping_sub(1);
                        first < usize::MAX / 2
                    }
                    Survives::Some if entry.is_name() => {
                        named = named.wrapping_sub(1);
                        named < usize::MAX / 2
                    }
                    Survives::Some => false,
                };
            if is_whole {
                files.apply(entry);
            } else if matches!(survives, Survives::Some) || first == usize::MAX {
                files.apply_in_part(entry, random, survives);
            } else if let Entry::Create(_, number) = entry {
                // It has no name, and is there for those that write to it.
                files.content(*number);
            }
        }
        Drive::holding(files)
    }
}

/// Which entries have happened for good.
fn safe(log: &[Entry]) -> Vec<bool> {
    let mut synced: BTreeMap<usize, usize> = BTreeMap::new();
    let mut named = 0;
    for (position, entry) in log.iter().enumerate() {
        match entry {
            Entry::Sync(number) => _ = synced.insert(*number, position),
            Entry::SyncFolder => named = position,
            _ => {}
        }
    }
    let is_safe = |(position, entry): (usize, &Entry)| match entry {
        Entry::Write(number, ..) | Entry::SetLength(number, _) => {
            synced.get(number).is_some_and(|synced| position < *synced)
        }
        entry if entry.is_name() => position < named,
        _ => true,
    };
    log.iter().enumerate().map(is_safe).collect()
}

impl Entry {
    fn is_name(&self) -> bool {
        matches!(self, Entry::Create(..) | Entry::Rename(..) | Entry::Remove(_))
    }
}

impl Files {
    fn content(&mut self, number: usize) -> &mut Vec<u8> {
        if self.contents.len() <= number {
            self.contents.resize(number + 1, Vec::new());
        }
        &mut self.contents[number]
    }

    fn apply(&mut self, entry: &Entry) {
        match entry {
            Entry::Create(name, number) => {
                self.content(*number);
                self.names.insert(name.clone(), *number);
            }
            Entry::Write(number, offset, data) => write(self.content(*number), *offset, data),
            Entry::SetLength(number, length) => self.content(*number).resize(*length, 0),
            Entry::Rename(from, to) => {
                if let Some(number) = self.names.remove(from) {
                    self.names.insert(to.clone(), number);
                }
            }
            Entry::Remove(name) => _ = self.names.remove(name),
            Entry::Sync(_) | Entry::SyncFolder | Entry::Acknowledged(..) | Entry::Retracted(_) => {}
        }
    }

    fn apply_in_part(&mut self, entry: &Entry, random: &mut Rng, survives: Survives) {
        match (entry, survives) {
            (Entry::Write(number, offset, data), Survives::First) => {
                let sectors = random.usize(..=data.len() / SECTOR_BYTES);
                write(self.content(*number), *offset, &data[..sectors * SECTOR_BYTES]);
            }
            (Entry::Write(number, offset, data), _) => {
                // Sectors are those of the disk, wherever a write begins.
                let mut done = 0;
                while done < data.len() {
                    let end = data.len().min(done + SECTOR_BYTES - (offset + done) % SECTOR_BYTES);
                    if random.bool() {
                        write(self.content(*number), offset + done, &data[done..end]);
                    }
                    done = end;
                }
            }
            (Entry::SetLength(..), Survives::Some) if random.bool() => self.apply(entry),
            (Entry::Create(_, number), _) => _ = self.content(*number),
            _ => {}
        }
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

impl Drive {
    fn change(&self, entry: Entry) -> io::Result<()> {
        fails(&self.write_error)?;
        let mut state = self.state.lock();
        state.now.apply(&entry);
        state.log.push(entry);
        Ok(())
    }

    /// A sync that fails leaves open what is safe, so it is not logged.
    fn note_sync(&self, entry: Entry) -> io::Result<()> {
        fails(&self.sync_error)?;
        let count_down = |number: usize| number.checked_sub(1);
        if self.failing_sync.fetch_update(SeqCst, SeqCst, count_down) == Ok(1) {
            return Err(io::Error::from_raw_os_error(libc::EIO));
        }
        self.state.lock().log.push(entry);
        Ok(())
    }

    fn file(&self, number: usize) -> Arc<dyn File> {
        Arc::new(OpenFile { drive: self.clone(), number })
    }
}

impl Folder for Drive {
    fn path(&self) -> &Path {
        Path::new("/drive/events")
    }

    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.state.lock().now.names.keys().cloned().collect())
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let number = self.state.lock().now.names.get(name).copied();
        Ok(self.file(number.ok_or(io::ErrorKind::NotFound)?))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let number = self.state.lock().now.contents.len();
        self.change(Entry::Create(name.to_owned(), number))?;
        Ok(self.file(number))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.change(Entry::Rename(from.to_owned(), to.to_owned()))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.change(Entry::Remove(name.to_owned()))
    }

    fn sync(&self) -> io::Result<()> {
        self.note_sync(Entry::SyncFolder)
    }

    fn check(&self) -> Result<(), String> {
        Ok(())
    }
}

struct OpenFile {
    drive: Drive,
    number: usize,
}

impl File for OpenFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.drive.state.lock().now.content(self.number).len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut state = self.drive.state.lock();
        let rest = state.now.content(self.number).get(offset as usize..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.drive.change(Entry::Write(self.number, offset as usize, bytes.to_vec()))
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.drive.change(Entry::SetLength(self.number, length as usize))
    }

    fn sync(&self) -> io::Result<()> {
        self.drive.note_sync(Entry::Sync(self.number))
    }
}
