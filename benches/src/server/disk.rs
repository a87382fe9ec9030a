//! A disk of its own: a file system in memory behind a loop device, whose kernel counts each sector
//! that is written. What a process wrote leaves out what the file system writes for it, which for a
//! file that grows with each event is as much again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Sparse: only what is written takes memory. Electric's server lays out a large log at its start.
const BYTES: u64 = 6 * 1024 * 1024 * 1024;

const SECTOR_BYTES: u64 = 512;

pub struct Disk {
    image: PathBuf,
    folder: PathBuf,
    /// The loop device's counters.
    stat: PathBuf,
}

impl Disk {
    /// Makes and mounts it. Fails where the bench may not do that, as without the rights of root.
    pub fn mount() -> Result<Disk> {
        let name = format!("callout-bench-disk-{}", std::process::id());
        let image = Path::new("/dev/shm").join(&name);
        let folder = std::env::temp_dir().join(&name);
        fs::File::create(&image).and_then(|file| file.set_len(BYTES)).context("failed to make the image")?;
        fs::create_dir_all(&folder)?;
        let mut disk = Disk { image, folder, stat: PathBuf::new() };
        run(Command::new("mkfs.ext4").args(["-q", "-F", "-b", "4096"]).arg(&disk.image))?;
        let device = run(Command::new("losetup").args(["--find", "--show"]).arg(&disk.image))?;
        let device = device.trim();
        let name = device.rsplit('/').next().unwrap_or_default();
        disk.stat = Path::new("/sys/block").join(name).join("stat");
        run(Command::new("mount").arg(device).arg(&disk.folder))?;
        Ok(disk)
    }

    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// Bytes written to it so far. Blocks until all that was written has reached it.
    pub fn written_bytes(&self) -> Result<u64> {
        run(Command::new("sync").arg("-f").arg(&self.folder))?;
        let stat = fs::read_to_string(&self.stat)?;
        let sectors = stat.split_whitespace().nth(6).context("the device has no count of sectors")?;
        Ok(sectors.parse::<u64>()? * SECTOR_BYTES)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // What is left over takes memory and harms nothing else.
        let _ = run(Command::new("umount").arg(&self.folder));
        if let Some(name) = self.stat.parent().and_then(Path::file_name) {
            let _ = run(Command::new("losetup").arg("--detach").arg(Path::new("/dev").join(name)));
        }
        let _ = fs::remove_dir(&self.folder);
        let _ = fs::remove_file(&self.image);
    }
}

fn run(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("failed to run {command:?}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {said}");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
