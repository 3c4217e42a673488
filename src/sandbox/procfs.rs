//! What `/proc` says about processes: the few fields that finding and ending a session needs.

use std::fs;
use std::io;

/// One process as `/proc/<pid>/stat` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Its number.
    pub pid: i32,
    /// One letter: running, sleeping, stopped, zombie.
    pub state: char,
    pub parent: i32,
    /// Its process group.
    pub group: i32,
    pub session: i32,
    pub threads: usize,
    /// When it was started, in clock ticks since the host was.
    pub started: u64,
}

impl Stat {
    /// Whether it has ended and only waits to be collected. The state is that of its first thread: one that ends alone
    /// leaves a zombie whose other threads work on.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        matches!(self.state, 'Z' | 'X') && self.threads <= 1
    }
}

/// Reads one process; an error when there is none of this number.
pub fn stat(pid: i32) -> io::Result<Stat> {
    let text = fs::read(format!("/proc/{pid}/stat"))?;
    parse(&text).ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidData, format!("/proc/{pid}/stat cannot be understood"))
    })
}

/// All processes of the host that can be seen. Those that end while we look are left out.
#[must_use]
pub fn all() -> Vec<Stat> {
    numbers().into_iter().filter_map(|pid| stat(pid).ok()).collect() // ok: whoever ended in between is not there
}

/// The numbers of all processes. Taken down before any is looked at: new ones come last in `/proc`, and a program that
/// forks without end would make them faster than they can be read.
#[must_use]
pub fn numbers() -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// How many threads the host has in all, in one short read; 0 where it does not say.
#[must_use]
pub fn threads_of_host() -> usize {
    let Ok(text) = fs::read_to_string("/proc/loadavg") else { return 0 };
    // "0.20 0.18 0.12 1/80 11206": of 80 threads one runs.
    let all = text.split(' ').nth(3).and_then(|part| part.split('/').nth(1));
    all.and_then(|n| n.parse().ok()).unwrap_or(0)
}

/// What the marks of a process say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Jailed {
    /// It is in our jail.
    Yes,
    /// It is not.
    No,
    /// It cannot be looked at, for instance because it has ended.
    Unknown,
}

/// Whether this process carries the marks of our jail, and is there.
#[must_use]
pub fn is_jailed(pid: i32) -> bool {
    jailed(pid) == Jailed::Yes
}

/// Whether this process carries the marks of our jail, which it cannot take off: no new privileges, and at least
/// two filters more than HQ itself has, which may live in a container that filters too. The server's local socket
/// asks this to keep jailed programs out.
#[must_use]
pub fn jailed(pid: i32) -> Jailed {
    let read = |whose: &str| fs::read_to_string(format!("/proc/{whose}/status"));
    let (Ok(theirs), Ok(ours)) = (read(&pid.to_string()), read("self")) else {
        return Jailed::Unknown;
    };
    if has_marks(&theirs, &ours) { Jailed::Yes } else { Jailed::No }
}

/// Whether this process itself carries the marks of the jail, whatever filters it began with.
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

/// A name for this start of the host: clock ticks mean something only together with it.
pub fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

/// The name of a program may hold spaces and brackets, so fields are counted from the last bracket.
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
