//! What this process uses, as the kernel counts it in Linux's `/proc/self` (proc(5)). On other systems all is
//! `None`.

use rlimit::Resource;
use std::fs;
use std::time::Duration;

/// The kernel's clock tick in `/proc/self/stat`: `USER_HZ`, which is 100 on all of Linux's common machines.
const TICKS_PER_SEC: u64 = 100;

/// What the process uses at one moment. A figure is `None` where it is not known.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// Resident memory.
    pub memory_bytes: Option<u64>,
    /// Processor time of all threads since the process began, in steps of 10 ms.
    pub cpu: Option<Duration>,
    /// Threads.
    pub threads: Option<u64>,
    /// Open descriptors.
    pub descriptors: Option<u64>,
    /// The limit of open descriptors.
    pub descriptors_max: Option<u64>,
}

impl Usage {
    /// Asks the kernel: reads four short system files.
    pub fn now() -> Usage {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            line.split_whitespace().next()?.parse::<u64>().ok()
        };
        Usage {
            memory_bytes: field("VmRSS").map(|kilobytes| kilobytes * 1024),
            cpu: cpu(),
            threads: field("Threads"),
            descriptors: descriptors(),
            descriptors_max: Resource::NOFILE.get_soft().ok(),
        }
    }
}

fn cpu() -> Option<Duration> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is a name, which may hold spaces; the 14th and 15th are the times.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(11).map_while(|field| field.parse::<u64>().ok());
    Some(Duration::from_millis((times.next()? + times.next()?) * 1_000 / TICKS_PER_SEC))
}

fn descriptors() -> Option<u64> {
    // Since Linux 6.2 the directory's size is their number; before that it is 0 and they are counted.
    match fs::metadata("/proc/self/fd").ok()?.len() {
        0 => fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count() as u64),
        count => Some(count),
    }
}
