//! What the kernel knows about a process: its CPU time, its memory, its children.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::time::ClockId;
use nix::unistd::Pid;

/// The unit of `/proc/net/sockstat`.
const PAGE_BYTES: u64 = 4096;

/// The unit of `/proc/PID/status` and `/proc/meminfo`.
const STATUS_UNIT_BYTES: u64 = 1024;

/// CPU time since the process started, of all its threads, in the program and in the kernel.
///
/// The process's own clock counts nanoseconds (clock_getcpuclockid(3)), where `/proc/PID/stat`
/// counts hundredths of a second, too coarse for a load of a second.
pub fn cpu_time(pid: u32) -> Result<Duration> {
    let clock = ClockId::pid_cpu_clock_id(Pid::from_raw(pid.cast_signed())).and_then(ClockId::now);
    let time = clock.with_context(|| format!("failed to read the CPU clock of process {pid}"))?;
    Ok(time.into())
}

/// Memory in use: `VmRSS`.
pub fn resident_bytes(pid: u32) -> Result<u64> {
    Ok(figure(&format!("/proc/{pid}/status"), "VmRSS")? * STATUS_UNIT_BYTES)
}

/// The part of the memory in use that is of no file: `RssAnon`.
pub fn anonymous_bytes(pid: u32) -> Result<u64> {
    Ok(figure(&format!("/proc/{pid}/status"), "RssAnon")? * STATUS_UNIT_BYTES)
}

/// The page tables: `VmPTE`.
pub fn page_table_bytes(pid: u32) -> Result<u64> {
    Ok(figure(&format!("/proc/{pid}/status"), "VmPTE")? * STATUS_UNIT_BYTES)
}

pub fn threads(pid: u32) -> Result<u64> {
    figure(&format!("/proc/{pid}/status"), "Threads")
}

/// What the process made the kernel write to a disk, at once or later: whole pages.
pub fn written_bytes(pid: u32) -> Result<u64> {
    figure(&format!("/proc/{pid}/io"), "write_bytes")
}

/// The kernel's small objects: sockets, files and their names, waiting lists, threads; those of the
/// whole machine. What it remembers of file systems is left out, as far as this process may know it:
/// whoever looks into `/proc/PID/fd` meanwhile makes that grow by thousands.
pub fn slab_bytes() -> Result<u64> {
    let all = figure("/proc/meminfo", "Slab")? * STATUS_UNIT_BYTES;
    // Only root may read it.
    let caches = fs::read_to_string("/proc/slabinfo").unwrap_or_default();
    Ok(all.saturating_sub(caches.lines().filter_map(file_system_bytes).sum()))
}

/// The bytes of a line of `/proc/slabinfo`, where it is of the inodes of a file system.
fn file_system_bytes(line: &str) -> Option<u64> {
    let mut columns = line.split_ascii_whitespace();
    let name = columns.next()?;
    if !name.ends_with("inode_cache") || name == "sock_inode_cache" {
        return None;
    }
    let objects: u64 = columns.nth(1)?.parse().ok()?;
    let object_bytes: u64 = columns.next()?.parse().ok()?;
    Some(objects * object_bytes)
}

/// CPU time of the threads of this name, so far.
pub fn thread_cpu_time(pid: u32, name: &str) -> Result<Duration> {
    let tasks = format!("/proc/{pid}/task");
    let mut nanos = 0;
    for task in fs::read_dir(&tasks).with_context(|| format!("failed to list `{tasks}`"))? {
        let task = task?.path();
        // A thread may end meanwhile.
        let read = |file: &str| fs::read_to_string(task.join(file)).unwrap_or_default();
        if read("comm").trim() == name {
            // The first figure is the time on a processor, in nanoseconds.
            let time = read("schedstat").split_ascii_whitespace().next().and_then(|text| text.parse().ok());
            nanos += time.unwrap_or(0);
        }
    }
    Ok(Duration::from_nanos(nanos))
}

/// What the kernel has taken for TCP, of all connections of the machine, both ends: pages in `/proc/net/sockstat`.
pub fn tcp_bytes() -> Result<u64> {
    let path = "/proc/net/sockstat";
    let pages: u64 = read(path)?
        .lines()
        .find_map(|line| line.strip_prefix("TCP:")?.split(" mem ").nth(1)?.trim().parse().ok())
        .with_context(|| format!("failed to find TCP's `mem` in `{path}`"))?;
    Ok(pages * PAGE_BYTES)
}

/// The processes that the first thread of this one has started.
pub fn children(pid: u32) -> Result<Vec<u32>> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    Ok(read(&path)?.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect())
}

/// A number in a file of lines like `name: 12 kB`.
fn figure(path: &str, name: &str) -> Result<u64> {
    read(path)?
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        .and_then(|value| value.split_ascii_whitespace().next()?.parse().ok())
        .with_context(|| format!("failed to find `{name}` in `{path}`"))
}

fn read(path: &str) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("failed to read `{path}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inodes_are_counted_where_they_are_of_a_file_system() {
        let line = |name: &str| format!("{name}  20064  20100  680  12  2 : tunables  0  0  0");
        assert_eq!(file_system_bytes(&line("proc_inode_cache")), Some(20100 * 680));
        assert_eq!(file_system_bytes(&line("sock_inode_cache")), None);
        assert_eq!(file_system_bytes("slabinfo - version: 2.1"), None);
    }
}
