//! The data directory: one file, opened by one process at a time.

use super::guard::guarded;
use super::tables::{self, FORMAT};
use super::writing::Writing;
use redb::{Builder, Database, ReadableDatabase};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// What the store keeps of the file in memory, in bytes. The kernel keeps the rest as it sees fit.
const CACHE_BYTES: usize = 4 * 1024 * 1024;

/// The file's name, and its name until it is complete for the first time.
pub const NAME: &str = "history.redb";
const UNFINISHED_NAME: &str = "history.redb.new";

/// Opens the history's store, and opens it again after it had failed. The error is for the operator: it
/// names the file and says what to do.
pub type Opener = Box<dyn Fn() -> Result<Database, String> + Send + Sync>;

/// Opens the file in this directory, making both when they are missing.
pub fn opener(directory: PathBuf) -> Opener {
    // What was there once is never made anew: a disk that went away would look like an empty history.
    let was_there = AtomicBool::new(false);
    Box::new(move || {
        let opened = open(&directory, was_there.load(Relaxed));
        was_there.fetch_or(opened.is_ok(), Relaxed);
        opened
    })
}

fn open(directory: &Path, was_there: bool) -> Result<Database, String> {
    let path = directory.join(NAME);
    let failed = |verb: &str, error: io::Error| format!("failed to {verb} `{}`: {error}", path.display());
    if !was_there {
        make_sure_of(directory, &path).map_err(|error| failed("create", error))?;
    }
    let opened = guarded(|| {
        let mut database = builder().open(&path)?;
        // Every page has a checksum; an event whose page was damaged would just be missing later.
        if !database.check_integrity()? {
            return Ok(Err(damaged(&path, "its pages do not agree with their checksums")));
        }
        Ok(match tables::format(&database.begin_read()?)? {
            Some(format) if format > FORMAT => Err(format!(
                "`{}` was written by a newer callout (layout {format}, this one knows {FORMAT}): \
                 use that one, or another --data",
                path.display()
            )),
            Some(_) => Ok(database),
            None => Err(format!("`{}` is a store, but not callout's: use another --data", path.display())),
        })
    });
    match opened {
        Some(Ok(database)) => database,
        Some(Err(error)) => Err(explain(&path, &error)),
        None => Err(damaged(&path, "its pages contradict each other")),
    }
}

/// Makes what is missing. Two that start at the same time do it one after the other.
fn make_sure_of(directory: &Path, path: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    let lock = File::open(directory)?;
    lock.lock()?;
    if fs::exists(path)? {
        return Ok(());
    }
    create(directory, path)?;
    lock.sync_all()?;
    // The directory itself may be new too. Where its parent cannot be opened, it is not ours to sync.
    let parent = directory.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new("."))).map_or(Ok(()), |parent| parent.sync_all())
}

/// A file appears under its name only when it is complete, so that one that is empty or cut short is
/// known to be damaged, and never taken for new.
fn create(directory: &Path, path: &Path) -> io::Result<()> {
    let unfinished = directory.join(UNFINISHED_NAME);
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let database = builder().create(&unfinished).map_err(io::Error::other)?;
    lay_out(&database).map_err(io::Error::other)?;
    drop(database);
    fs::rename(&unfinished, path)
}

/// Makes the tables, and writes which layout they have.
fn lay_out(database: &Database) -> Result<(), redb::Error> {
    let txn = database.begin_write()?;
    Writing::open(&txn)?.finish()?;
    Ok(txn.commit()?)
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES);
    builder
}

fn explain(path: &Path, error: &redb::Error) -> String {
    match error {
        redb::Error::DatabaseAlreadyOpen => {
            let directory = path.parent().unwrap_or(path).display();
            format!("`{directory}` is in use by another callout: stop that one, or use another --data")
        }
        redb::Error::UpgradeRequired(version) => {
            let path = path.display();
            format!(
                "`{path}` was written by an older store (version {version}): use the callout that wrote it"
            )
        }
        // It is no store of this kind, or shorter than it says.
        redb::Error::Io(error)
            if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) =>
        {
            damaged(path, &error.to_string())
        }
        redb::Error::Corrupted(what) => damaged(path, what),
        error => format!("failed to open `{}`: {error}", path.display()),
    }
}

fn damaged(path: &Path, what: &str) -> String {
    let path = path.display();
    format!(
        "`{path}` is damaged ({what}): restore it from a backup, or move it away to start with an empty history"
    )
}

/// The cause, for the log and for whoever publishes.
pub(super) fn cause(error: redb::Error) -> String {
    match error {
        redb::Error::Io(error) => error.to_string(),
        redb::Error::Corrupted(what) => format!(
            "the history's file is damaged ({what}): \
             restore it from a backup, or move it away to start with an empty history"
        ),
        error => error.to_string(),
    }
}
