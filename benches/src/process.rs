//! What the kernel says about a process: its CPU time, its memory, its children.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

/// The unit of times in `/proc/PID/stat`. It is USER_HZ, which Linux fixes at 100 for programs,
/// whatever the kernel's own tick.
const TICKS_PER_SEC: u64 = 100;

/// The unit of `/proc/PID/status`.
const STATUS_UNIT_BYTES: u64 = 1024;

/// Time on a CPU since the process started, of all its threads, in the program and in the kernel.
/// See proc_pid_stat(5), fields 14 and 15.
pub fn cpu_time(pid: u32) -> Result<Duration> {
    let path = format!("/proc/{pid}/stat");
    let stat = read(&path)?;
    // The second field, the name, is in parentheses and may contain spaces.
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let mut times = after_name.split_ascii_whitespace().skip(11);
    let mut ticks = || -> Option<u64> { times.next()?.parse().ok() };
    let (user_ticks, system_ticks) =
        ticks().zip(ticks()).with_context(|| format!("failed to read the times in `{path}`"))?;
    Ok(Duration::from_millis((user_ticks + system_ticks) * 1000 / TICKS_PER_SEC))
}

/// Memory in use: `VmRSS`.
pub fn resident_bytes(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/status");
    let status = read(&path)?;
    let kilobytes: u64 = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|value| value.split_ascii_whitespace().next()?.parse().ok())
        .with_context(|| format!("failed to find `VmRSS` in `{path}`"))?;
    Ok(kilobytes * STATUS_UNIT_BYTES)
}

/// The processes that the first thread of this one has started.
pub fn children(pid: u32) -> Result<Vec<u32>> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    Ok(read(&path)?.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect())
}

fn read(path: &str) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("failed to read `{path}`"))
}
