//! Opens a store's file, which one process uses at a time, or creates it; and says what is wrong with it.

use super::guard::guarded;
use super::tables::{Definition, number};
use super::unchanged::Unchanged;
use parking_lot::Mutex;
use redb::{Builder, Database, ReadTransaction, ReadableDatabase, TableError, WriteTransaction};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The bytes of the file that `redb` caches in memory. What it does not cache is read again, mostly from the kernel's
/// cache.
const CACHE_BYTES: usize = 4 * 1024 * 1024;

/// What a file's name ends with until the file is complete.
const UNFINISHED: &str = ".new";

/// Who may read what is kept: the user that the server runs as. A folder or a file that is there already stays as it is.
pub(super) const FOLDER_MODE: u32 = 0o700;
pub(super) const FILE_MODE: u32 = 0o600;

/// What a store's file holds.
#[derive(Clone, Copy)]
pub struct Layout {
    /// The file's name.
    pub name: &'static str,
    /// What it holds, in the words of a message: `the history`.
    pub what: &'static str,
    /// What a new file holds, in the words of a message: `an empty history`.
    pub anew: &'static str,
    /// The version of the tables. A file of a newer one is refused.
    pub format: u64,
    /// The table that holds the version, as `format`.
    pub numbers: Definition,
    /// Makes the tables that are missing, and writes the version.
    pub lay_out: fn(&WriteTransaction) -> Result<(), redb::Error>,
    /// The number of the newest entry; each has a larger one than all before it.
    pub newest: fn(&ReadTransaction) -> Result<u64, redb::Error>,
    /// Undoes all that was written after the entry with this number.
    pub cut_back: fn(&WriteTransaction, u64) -> Result<(), redb::Error>,
}

/// The way to a store. Errors are for the operator: they name the file and say what to do.
pub trait Open: Send + Sync {
    /// Opens it at the start, and again after a failure.
    fn open(&self) -> Result<Database, String>;

    /// Checks that what was opened last is still where it was. What is written to a file that was removed is gone with
    /// the process, though no write fails.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }
}

impl<F: Fn() -> Result<Database, String> + Send + Sync> Open for F {
    fn open(&self) -> Result<Database, String> {
        self()
    }
}

/// See [`Open`].
pub type Opener = Box<dyn Open>;

/// Opens the file in this directory, making both when they are missing.
pub fn opener(directory: PathBuf, layout: &'static Layout) -> Opener {
    Box::new(FileOpener { directory, layout, opened: Mutex::default() })
}

struct FileOpener {
    directory: PathBuf,
    layout: &'static Layout,
    /// The file that was opened last, by its device and its inode. A file that was there once is never created again:
    /// a disk that went away would look like an empty store.
    opened: Mutex<Option<(u64, u64)>>,
}

impl FileOpener {
    /// The file that is there now.
    fn present(&self) -> io::Result<(u64, u64)> {
        let file = fs::metadata(self.directory.join(self.layout.name))?;
        Ok((file.dev(), file.ino()))
    }
}

impl Open for FileOpener {
    fn open(&self) -> Result<Database, String> {
        let mut opened = self.opened.lock();
        let database = open(&self.directory, self.layout, opened.is_some())?;
        *opened = self.present().ok();
        Ok(database)
    }

    fn check(&self) -> Result<(), String> {
        match self.present() {
            Ok(present) if Some(present) == *self.opened.lock() => Ok(()),
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                let path = self.directory.join(self.layout.name);
                Err(format!("failed to find `{}`: {error}", path.display()))
            }
            _ => Err(format!(
                "`{}` was removed or replaced while the server runs: put it back",
                self.directory.join(self.layout.name).display()
            )),
        }
    }
}

fn open(directory: &Path, layout: &Layout, was_there: bool) -> Result<Database, String> {
    let path = directory.join(layout.name);
    let failed = |verb: &str, error: io::Error| format!("failed to {verb} `{}`: {error}", path.display());
    if !was_there {
        if let Some(complaint) = dangling_link(&path) {
            return Err(complaint);
        }
        create_missing(directory, &path, layout).map_err(|error| failed("create", error))?;
    }
    let opened = builder().open(&path);
    checked(opened, &path, (layout.numbers, layout.format), layout.anew)
}

/// Opens a file of an older callout for reading, and changes nothing in it: what has to be repaired is repaired in
/// memory. Its tables have this version at most, which stands in that table.
pub(crate) fn open_unchanged(path: &Path, numbers: Definition, format_max: u64) -> Result<Database, String> {
    let anew = "an empty history";
    let file = File::open(path).map_err(|error| format!("failed to open `{}`: {error}", path.display()))?;
    if file.try_lock_shared().is_err() {
        return Err(explain(path, anew, &redb::Error::DatabaseAlreadyOpen));
    }
    let opened = match Unchanged::new(file) {
        // `redb` would make a new store of it.
        Ok(unchanged) if unchanged.is_empty() => return Err(damaged(path, anew, "it is empty")),
        Ok(unchanged) => guarded(|| builder().create_with_backend(unchanged)),
        Err(error) => return Err(format!("failed to open `{}`: {error}", path.display())),
    };
    let opened = opened.ok_or_else(|| damaged(path, anew, "its pages contradict each other"))?;
    checked(opened, path, (numbers, format_max), anew)
}

/// Checks a file as a whole, and its version.
fn checked(
    opened: Result<Database, redb::DatabaseError>,
    path: &Path,
    (numbers, format_max): (Definition, u64),
    anew: &str,
) -> Result<Database, String> {
    let checked = guarded(|| {
        let mut database = opened?;
        // Every page has a checksum. Without this check an event on a damaged page would only be missing later.
        if !database.check_integrity()? {
            return Ok(Err(damaged(path, anew, "its pages do not agree with their checksums")));
        }
        Ok(match format(&database.begin_read()?, numbers)? {
            Some(format) if format > format_max => Err(format!(
                "`{}` was written by a newer callout (layout {format}, this one knows {format_max}): \
                 use that one, or another --data",
                path.display(),
            )),
            Some(_) => Ok(database),
            None => Err(format!("`{}` is a store, but not callout's: use another --data", path.display())),
        })
    });
    match checked {
        Some(Ok(database)) => database,
        Some(Err(error)) => Err(explain(path, anew, &error)),
        None => Err(damaged(path, anew, "its pages contradict each other")),
    }
}

/// What is to be said where a link on this path leads to nothing. A file that is made there would be another one than
/// was meant.
pub(super) fn dangling_link(path: &Path) -> Option<String> {
    let is_dangling = |path: &&Path| path.is_symlink() && !path.exists();
    let link = path.ancestors().find(is_dangling)?;
    let target = fs::read_link(link).ok()?;
    let (link, target) = (link.display(), target.display());
    Some(format!("`{link}` is a link to `{target}`, which is not there: mount its disk, or remove the link"))
}

/// The layout's version in a file that has one.
fn format(txn: &ReadTransaction, numbers: Definition) -> Result<Option<u64>, redb::Error> {
    match txn.open_table(numbers) {
        Ok(table) => number(&table, "format"),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Creates the directory and the file where they are missing. Two processes that start at the same time do it one
/// after the other.
fn create_missing(directory: &Path, path: &Path, layout: &Layout) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(directory)?;
    let lock = File::open(directory)?;
    lock.lock()?;
    if fs::exists(path)? {
        return Ok(());
    }
    create(path, layout)?;
    lock.sync_all()?;
    // The directory itself may be new too. A parent that this process may not open is not synced.
    let parent = directory.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new("."))).map_or(Ok(()), |parent| parent.sync_all())
}

/// Creates the file under another name and renames it when it is complete. So a file that is empty or cut short is
/// known to be damaged, and never taken for a new one.
fn create(path: &Path, layout: &Layout) -> io::Result<()> {
    let unfinished = path.with_file_name(format!("{}{UNFINISHED}", layout.name));
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file =
        OpenOptions::new().read(true).write(true).create_new(true).mode(FILE_MODE).open(&unfinished)?;
    let database = builder().create_file(file).map_err(io::Error::other)?;
    lay_out(&database, layout).map_err(io::Error::other)?;
    drop(database);
    fs::rename(&unfinished, path)
}

fn lay_out(database: &Database, layout: &Layout) -> Result<(), redb::Error> {
    let txn = database.begin_write()?;
    (layout.lay_out)(&txn)?;
    Ok(txn.commit()?)
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES);
    builder
}

fn explain(path: &Path, anew: &str, error: &redb::Error) -> String {
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
        redb::Error::TableTypeMismatch { .. } => {
            let path = path.display();
            format!(
                "`{path}` was written by an older callout, with other tables: use that one, \
                 or move it away to start with {anew}"
            )
        }
        // The file is no store of `redb`, or shorter than its head says.
        redb::Error::Io(error)
            if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) =>
        {
            damaged(path, anew, &error.to_string())
        }
        redb::Error::Corrupted(what) => damaged(path, anew, what),
        error => format!("failed to open `{}`: {error}", path.display()),
    }
}

fn damaged(path: &Path, anew: &str, what: &str) -> String {
    let path = path.display();
    format!("`{path}` is damaged ({what}): restore it from a backup, or move it away to start with {anew}")
}

/// The cause of a failure, for the log and for callers that write.
pub(super) fn cause(error: redb::Error) -> String {
    match error {
        redb::Error::Io(error) => error.to_string(),
        redb::Error::Corrupted(what) => format!(
            "the store's file is damaged ({what}): restore it from a backup, or move it away to start with an empty one"
        ),
        error => error.to_string(),
    }
}
