//! What the kernel tells of a process and those it has started, and which cores there are.

use std::fs::{read_dir, read_to_string};
use std::time::Duration;

/// Linux counts CPU time in hundredths of a second, on every architecture (`USER_HZ`).
const TICK: Duration = Duration::from_millis(10);

/// A process and all below it: nginx's workers are children of its master.
pub(crate) fn tree(root: u32) -> Vec<u32> {
    let parents: Vec<(u32, u32)> = read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let pid = entry.ok()?.file_name().to_str()?.parse().ok()?;
            Some((pid, stat(pid)?.get(1)?.parse().ok()?))
        })
        .collect();
    let mut tree = vec![root];
    let mut next = 0;
    while let Some(&parent) = tree.get(next) {
        tree.extend(parents.iter().filter(|(_, its)| *its == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    tree
}

/// The fields behind the name, which may itself contain spaces and brackets: state, parent, …
fn stat(pid: u32) -> Option<Vec<String>> {
    let stat = read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(") ")?;
    Some(fields.split(' ').map(str::to_owned).collect())
}

/// User and system time of all threads, those that have ended included.
pub(crate) fn cpu(pids: &[u32]) -> Duration {
    let ticks = pids.iter().filter_map(|pid| {
        let fields = stat(*pid)?;
        // Numbers 14 and 15 of proc(5), which counts from the process id.
        Some(fields.get(11)?.parse::<u32>().ok()? + fields.get(12)?.parse::<u32>().ok()?)
    });
    TICK * ticks.sum::<u32>()
}

/// A line of `/proc/PID/status` in KiB, summed: `VmHWM`, `VmRSS`, `RssAnon`.
pub(crate) fn memory(pids: &[u32], field: &str) -> u64 {
    pids.iter().filter_map(|pid| status(&format!("/proc/{pid}/status"), field)).sum()
}

/// How often any thread has gone to sleep, which is as often as one was woken.
pub(crate) fn naps(pids: &[u32]) -> u64 {
    let threads = pids.iter().flat_map(|pid| read_dir(format!("/proc/{pid}/task")).into_iter().flatten());
    threads
        .filter_map(|entry| {
            let path = entry.ok()?.path().join("status");
            status(path.to_str()?, "voluntary_ctxt_switches")
        })
        .sum()
}

fn status(path: &str, field: &str) -> Option<u64> {
    let content = read_to_string(path).ok()?;
    let line = content.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The cores that this process may use.
pub(crate) fn cores() -> Vec<u32> {
    let text = read_to_string("/proc/self/status").unwrap_or_default();
    let list = text.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap_or_default();
    let range = |part: &str| {
        let (from, to) = part.trim().split_once('-').unwrap_or((part.trim(), part.trim()));
        Some(from.parse::<u32>().ok()?..=to.parse().ok()?)
    };
    list.split(',').filter_map(range).flatten().collect()
}

/// `uname -r` and the name of the processor, for the head of a report.
pub(crate) fn machine() -> String {
    let cpus = read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let kernel = read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{} × {}, Linux {}", cores().len(), model.map_or("?", |(_, name)| name), kernel.trim())
}

/// As many open files as this process and those it starts may have.
pub(crate) fn raise_file_limit() -> u64 {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}
