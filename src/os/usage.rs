//! What this process uses, as the kernel counts it in Linux's `/proc/self` (proc(5)). On other systems all is
//! `None`.

use rlimit::Resource;
use std::fs;
use std::path::Path;
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

/// The most memory that this process may have, in bytes: the least of what the machine has, what the control groups
/// allow (cgroups(7)) and what the address space may grow to. `u64::MAX` where nothing of it is known.
pub fn memory_max() -> u64 {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
    });
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let groups =
        groups.lines().filter_map(|line| group_limit(line, "memory", "memory.max", "memory.limit_in_bytes"));
    groups.chain(machine).chain(address_space_max()).min().unwrap_or(u64::MAX)
}

/// What the address space may grow to (`ulimit -v`), in bytes; none where that is not limited.
pub(crate) fn address_space_max() -> Option<u64> {
    Resource::AS.get_soft().ok().filter(|bytes| *bytes != rlimit::INFINITY)
}

/// What the process has beside the threads that are counted here: a share of the mappings and of the addresses, and some
/// threads of its own.
const OTHERS_SHARE: u64 = 2;
const OTHER_THREADS: u64 = 16;

/// A thread takes its stack, the guard before it, and the same for the stack of its signal handlers.
const THREAD_MAPPINGS: u64 = 4;

/// The most threads with stacks of so many bytes that the system lets this process have, whatever it is asked for: by
/// the number of mappings (`vm.max_map_count`), past which starting a thread ends the process, by addresses
/// (`ulimit -v`), by the machine's threads, and by what the control groups allow (`pids.max`). At least 2.
pub(crate) fn threads_max(stack_bytes: usize) -> usize {
    let number = |path: &str| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let mappings = number("/proc/sys/vm/max_map_count").map(|count| count / OTHERS_SHARE / THREAD_MAPPINGS);
    let addresses = address_space_max().map(|bytes| {
        let heap_bytes = stack_bytes as u64 / 4;
        bytes / OTHERS_SHARE / (stack_bytes as u64 + heap_bytes)
    });
    let machine = number("/proc/sys/kernel/threads-max").map(|count| count / OTHERS_SHARE);
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let groups = groups.lines().filter_map(|line| group_limit(line, "pids", "pids.max", "pids.max"));
    let groups = groups.map(|count| count.saturating_sub(OTHER_THREADS));
    let least = groups.chain(mappings).chain(addresses).chain(machine).min();
    usize::try_from(least.unwrap_or(u64::MAX)).unwrap_or(usize::MAX).max(2)
}

/// The limit of a group that a line of `/proc/self/cgroup` names, and of all groups above it:
/// `number:controllers:path`, where version 2 names no controllers.
fn group_limit(line: &str, controller: &str, file: &str, file_of_version_1: &str) -> Option<u64> {
    let mut fields = line.splitn(3, ':');
    let (controllers, path) = (fields.nth(1)?, fields.next()?);
    let (root, file) = match controllers {
        "" => (Path::new("/sys/fs/cgroup").to_path_buf(), file),
        found if found.split(',').any(|found| found == controller) => {
            (Path::new("/sys/fs/cgroup").join(found), file_of_version_1)
        }
        _ => return None,
    };
    let groups = Path::new(path.trim_start_matches('/')).ancestors();
    let limit = |group: &Path| fs::read_to_string(root.join(group).join(file)).ok();
    // `max` is no number.
    groups.filter_map(|group| limit(group)?.trim().parse::<u64>().ok()).min()
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
