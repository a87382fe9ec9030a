//! A folder of files that grow at their ends, as the log of events is written: behind a seam, so that tests can let the
//! disk fail and cut the power.

use super::file::{FILE_MODE, FOLDER_MODE, dangling_link};
use std::fs::{self, DirBuilder, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The file that the one process holds locked which writes to the folder.
const LOCK: &str = "lock";

/// A folder. Its methods may be called from any thread.
pub trait Folder: Send + Sync {
    /// Where it is, for messages.
    fn path(&self) -> &Path;

    /// The names of its files.
    fn names(&self) -> io::Result<Vec<String>>;

    /// Opens a file that is there.
    fn open(&self, name: &str) -> io::Result<Arc<dyn File>>;

    /// Makes a new file; one of that name is emptied.
    fn create(&self, name: &str) -> io::Result<Arc<dyn File>>;

    /// Gives a file another name, in place of what has that name.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file. Those who have it open can still read it.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// When it returns, names that were made, changed and removed survive a power cut.
    fn sync(&self) -> io::Result<()>;

    /// Checks that the folder is still where it was. What is written to a file that was removed is gone with the
    /// process, though no write fails. The error is for the operator.
    fn check(&self) -> Result<(), String>;
}

/// A file. Its methods may be called from any thread.
pub trait File: Send + Sync {
    /// Its length in bytes.
    fn length(&self) -> io::Result<u64>;

    /// Reads what there is from this offset, until the buffer is full or the file ends; gives how much that was.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes all of this at this offset.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Makes it longer (with zeros) or shorter.
    fn set_length(&self, length: u64) -> io::Result<()>;

    /// When it returns, what was written survives a power cut (`fdatasync`).
    fn sync(&self) -> io::Result<()>;
}

/// A folder of the file system.
pub(crate) struct FileFolder {
    path: PathBuf,
    /// Its device and its inode.
    place: (u64, u64),
    /// Holds the lock for as long as the folder is used; none where there is no lock file.
    lock: Option<fs::File>,
    /// Whether its files may be written.
    is_writable: bool,
}

impl FileFolder {
    /// The folder for the one process that writes to it; it is made when it is missing, with those above it. The
    /// error is for the operator.
    pub(crate) fn of_writer(path: &Path) -> Result<FileFolder, String> {
        create_missing(path)?;
        let lock = path.join(LOCK);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(FILE_MODE);
        let opened = options.open(&lock).map_err(|error| failed("create", &lock, &error))?;
        take(path, opened.try_lock())?;
        FileFolder::new(path, Some(opened), true)
    }

    /// The folder for reading, which changes nothing in it. The error is for the operator.
    pub(crate) fn of_reader(path: &Path) -> Result<FileFolder, String> {
        let lock = path.join(LOCK);
        let opened = match fs::File::open(&lock) {
            Ok(opened) => Some(opened),
            // A copy may have come without it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(failed("open", &lock, &error)),
        };
        if let Some(opened) = &opened {
            take(path, opened.try_lock_shared())?;
        }
        FileFolder::new(path, opened, false)
    }

    fn new(path: &Path, lock: Option<fs::File>, is_writable: bool) -> Result<FileFolder, String> {
        let place = place(path).map_err(|error| failed("open", path, &error))?;
        Ok(FileFolder { path: path.to_owned(), place, lock, is_writable })
    }
}

impl Drop for FileFolder {
    fn drop(&mut self) {
        // A process that is being started at this moment may hold a copy of the descriptor for a while, and the lock
        // with it.
        self.lock.iter().for_each(|lock| _ = lock.unlock());
    }
}

impl Folder for FileFolder {
    fn path(&self) -> &Path {
        &self.path
    }

    fn names(&self) -> io::Result<Vec<String>> {
        fs::read_dir(&self.path)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let file = OpenOptions::new().read(true).write(self.is_writable).open(self.path.join(name))?;
        Ok(Arc::new(file))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true).mode(FILE_MODE);
        Ok(Arc::new(options.open(self.path.join(name))?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    fn sync(&self) -> io::Result<()> {
        fs::File::open(&self.path)?.sync_all()
    }

    fn check(&self) -> Result<(), String> {
        match place(&self.path) {
            Ok(place) if place == self.place => Ok(()),
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("find", &self.path, &error)),
            _ => Err(format!(
                "`{}` was removed or replaced while the server runs: put it back",
                self.path.display()
            )),
        }
    }
}

impl File for fs::File {
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match FileExt::read_at(self, &mut buffer[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

/// What a lock that is held by another process means.
fn take(folder: &Path, locked: Result<(), TryLockError>) -> Result<(), String> {
    // The folder that `--data` names is the one above.
    let data = folder.parent().unwrap_or(folder);
    match locked {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(format!(
            "`{}` is in use by another callout: stop that one, or use another --data",
            data.display()
        )),
        Err(TryLockError::Error(error)) => Err(failed("lock", folder, &error)),
    }
}

/// Makes a folder and those above it where they are missing, so that they survive a power cut. A link that leads to
/// nothing is refused: what is made there would be another place than was meant.
pub(crate) fn create_missing(path: &Path) -> Result<(), String> {
    if let Some(complaint) = dangling_link(path) {
        return Err(complaint);
    }
    if path.is_dir() {
        return Ok(());
    }
    let created = DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(path);
    created.map_err(|error| failed("create", path, &error))?;
    // Those above may be new too. One that this process may not open is not synced.
    for above in path.ancestors().skip(1).take(2) {
        let above = if above.as_os_str().is_empty() { Path::new(".") } else { above };
        fs::File::open(above)
            .map_or(Ok(()), |above| above.sync_all())
            .map_err(|error| failed("create", path, &error))?;
    }
    Ok(())
}

fn place(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = fs::metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

/// The text of a failure.
pub(crate) fn failed(verb: &str, path: &Path, error: &io::Error) -> String {
    format!("failed to {verb} `{}`: {error}", path.display())
}
