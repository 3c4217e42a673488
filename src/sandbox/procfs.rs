//! Reads `/proc`: the process fields needed to find and end a session.

use std::fs;
use std::io;

/// A process as shown in `/proc/<pid>/stat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    pub pid: i32,
    /// State letter, such as R, S, T or Z.
    pub state: char,
    pub parent: i32,
    /// Process group id.
    pub group: i32,
    pub session: i32,
    pub threads: usize,
    /// Start time in clock ticks since boot.
    pub started: u64,
}

impl Stat {
    /// Returns `true` for a zombie. The state is that of the first thread: if only that has ended, other threads still
    /// run.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        matches!(self.state, 'Z' | 'X') && self.threads <= 1
    }
}

/// Reads a process. Fails if it does not exist.
pub fn stat(pid: i32) -> io::Result<Stat> {
    let text = fs::read(format!("/proc/{pid}/stat"))?;
    parse(&text).ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidData, format!("/proc/{pid}/stat cannot be understood"))
    })
}

/// All visible processes of the host. Processes that end meanwhile are omitted.
#[must_use]
pub fn all() -> Vec<Stat> {
    numbers().into_iter().filter_map(|pid| stat(pid).ok()).collect() // ok: a process that ended meanwhile is omitted
}

/// The ids of all processes, listed before any is read. New ones come last in `/proc`, and a fork bomb would create
/// them faster than they can be read.
#[must_use]
pub fn numbers() -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Number of threads on the host, from one short read; 0 if unknown.
#[must_use]
pub fn threads_of_host() -> usize {
    let Ok(text) = fs::read_to_string("/proc/loadavg") else { return 0 };
    // "0.20 0.18 0.12 1/80 11206": one of 80 threads is running.
    let all = text.split(' ').nth(3).and_then(|part| part.split('/').nth(1));
    all.and_then(|n| n.parse().ok()).unwrap_or(0)
}

/// Result of checking a process for the marks of the jail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Jailed {
    /// The process is jailed.
    Yes,
    /// The process is not jailed.
    No,
    /// The process cannot be inspected, for example because it has ended.
    Unknown,
}

/// Returns `true` if the process exists and is jailed.
#[must_use]
pub fn is_jailed(pid: i32) -> bool {
    jailed(pid) == Jailed::Yes
}

/// Checks a process for the marks of the jail, which it cannot remove: no new privileges, and at least two more filters
/// than HQ, which may run in a container with filters. The server's local socket uses this to reject jailed programs.
#[must_use]
pub fn jailed(pid: i32) -> Jailed {
    let read = |whose: &str| fs::read_to_string(format!("/proc/{whose}/status"));
    let (Ok(theirs), Ok(ours)) = (read(&pid.to_string()), read("self")) else {
        return Jailed::Unknown;
    };
    if has_marks(&theirs, &ours) { Jailed::Yes } else { Jailed::No }
}

/// Returns `true` if this process is jailed, whatever filters it started with.
#[must_use]
pub fn is_self_jailed() -> bool {
    fs::read_to_string("/proc/self/status").is_ok_and(|status| has_marks(&status, ""))
}

fn has_marks(theirs: &str, ours: &str) -> bool {
    let value = |text: &str, name: &str| {
        text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u32>().ok())
    };
    // Kernels before 5.9 do not count filters.
    let filters = |text| value(text, "Seccomp_filters:");
    value(theirs, "NoNewPrivs:") == Some(1)
        && value(theirs, "Seccomp:") == Some(2)
        && filters(theirs).is_none_or(|n| filters(ours).unwrap_or(0) + 2 <= n)
}

/// The boot id of the host. Clock ticks are meaningful only together with it.
pub fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

/// Program names may contain spaces and brackets, so fields are counted from the last bracket.
fn parse(text: &[u8]) -> Option<Stat> {
    let open = text.iter().position(|b| *b == b'(')?;
    let close = text.iter().rposition(|b| *b == b')')?;
    let pid = std::str::from_utf8(&text[..open]).ok()?.trim().parse().ok()?;
    let rest: Vec<&str> =
        std::str::from_utf8(&text[close + 1..]).ok()?.split_whitespace().collect();
    Some(Stat {
        pid,
        state: rest.first()?.chars().next()?,
        parent: rest.get(1)?.parse().ok()?,
        group: rest.get(2)?.parse().ok()?,
        session: rest.get(3)?.parse().ok()?,
        threads: rest.get(17)?.parse().ok()?,
        started: rest.get(19)?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_named_like_a_stat_line_does_not_move_the_fields() {
        let line = b"77 (a) R 1 2 (b) S 5 70 69 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 3 0 12345 0 0";
        let stat = parse(line).unwrap();
        assert_eq!((stat.pid, stat.state, stat.parent), (77, 'S', 5));
        assert_eq!((stat.group, stat.session, stat.threads, stat.started), (70, 69, 3, 12345));
    }

    #[test]
    fn a_process_is_there_as_long_as_one_of_its_threads_is() {
        let of = |state: &str, threads: usize| {
            let line = format!("7 (a) {state} 1 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 {threads} 0 9 0 0");
            parse(line.as_bytes()).unwrap().is_gone()
        };
        assert!(of("Z", 1) && of("X", 0), "only to be collected");
        assert!(!of("Z", 2) && !of("X", 2), "another thread works");
        assert!(!of("S", 1) && !of("T", 3));
    }

    #[test]
    fn the_filters_of_a_container_are_no_jail() {
        let status = |privileges: u32, filters: u32| {
            let mode = if filters == 0 { 0 } else { 2 };
            format!("NoNewPrivs:\t{privileges}\nSeccomp:\t{mode}\nSeccomp_filters:\t{filters}\n")
        };
        assert!(has_marks(&status(1, 2), &status(0, 0)));
        assert!(has_marks(&status(1, 3), &status(1, 1)));
        assert!(!has_marks(&status(1, 2), &status(1, 2)), "a neighbour in the same container");
        assert!(!has_marks(&status(0, 2), &status(0, 0)));
        assert!(has_marks("NoNewPrivs:\t1\nSeccomp:\t2\n", "NoNewPrivs:\t0\nSeccomp:\t0\n"));
    }

    #[test]
    fn this_process_is_found_and_is_not_jailed() {
        let me = rustix::process::getpid().as_raw_pid();
        assert!(all().iter().any(|p| p.pid == me && !p.is_gone()));
        assert_eq!(jailed(me), Jailed::No);
        assert_eq!(jailed(i32::MAX), Jailed::Unknown);
        assert!(0 < threads_of_host());
        assert!(!boot_id().unwrap().is_empty());
    }
}
