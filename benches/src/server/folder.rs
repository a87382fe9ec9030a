//! A folder for one server, removed when it is dropped, also by a panic. Only a bench that is killed
//! leaves it behind.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result};

static DISK: Mutex<Option<PathBuf>> = Mutex::new(None);

pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// A folder on the disk: beside the bench's program, since the system's folder for temporary
    /// files may be memory; or where a phase has put the disk.
    pub fn on_disk() -> Result<Folder> {
        if let Some(disk) = DISK.lock().expect("nobody panics with it").as_ref() {
            return Folder::new(disk);
        }
        let bench = std::env::current_exe().context("failed to find the bench's own program")?;
        Folder::new(bench.parent().context("failed to find the folder of the bench's program")?)
    }

    /// From now on folders on the disk are here; with none, they are where they were.
    pub fn put_disk(disk: Option<&Path>) {
        *DISK.lock().expect("nobody panics with it") = disk.map(Path::to_owned);
    }

    /// A folder that every user can reach, as nginx's workers have to.
    pub fn temporary() -> Result<Folder> {
        Folder::new(&std::env::temp_dir())
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    fn new(parent: &Path) -> Result<Folder> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("callout-bench-{}-{number}", std::process::id()));
        fs::create_dir(&path).with_context(|| format!("failed to make `{}`", path.display()))?;
        Ok(Folder { path })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left over takes room and harms nothing else.
        let _ = fs::remove_dir_all(&self.path);
    }
}
