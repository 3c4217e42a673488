//! Ends a whole session: every process that a program started, whatever its process group. All process groups are
//! stopped first, so that nothing forks while others are killed. This repeats until none is left. For a program with a
//! control group ([`super::cgroup`]), the kernel also ends everything in it.
//!
//! These functions block; call them from a thread of their own.

use std::collections::{BTreeSet, HashSet};
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use serde::{Deserialize, Serialize};

use super::cgroup::Group;
use super::procfs::{self, Stat};

/// Time between SIGTERM and SIGKILL.
pub const GRACE: Duration = Duration::from_millis(700);
/// How long killing is repeated before remaining processes are reported as unkillable (stuck in the kernel).
pub const PATIENCE: Duration = Duration::from_secs(5);

const PAUSE: Duration = Duration::from_millis(5);

/// Identifies a session permanently, even after its first process has ended and after a restart of HQ. Recorded with
/// the job.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SessionMark {
    /// Session id, which is the id of the first process.
    pub session: i32,
    /// Start time of the first process, in clock ticks since boot.
    pub started: u64,
    /// Boot id of the host.
    pub boot: String,
}

impl SessionMark {
    /// The mark of the session that process `pid` leads or will lead.
    pub fn of(pid: i32) -> io::Result<Self> {
        let stat = procfs::stat(pid)?;
        Ok(Self { session: pid, started: stat.started, boot: procfs::boot_id()? })
    }

    /// Living processes of the session.
    #[must_use]
    pub fn members(&self) -> Vec<Stat> {
        match procfs::boot_id() {
            Ok(boot) if boot == self.boot => self.among(&procfs::all()),
            _ => Vec::new(),
        }
    }

    /// Living processes with the marks of the jail. A mark read from the disk must not be able to name another session.
    fn jailed(&self) -> Vec<Stat> {
        let mut members = self.members();
        members.retain(|p| procfs::is_jailed(p.pid));
        members
    }

    /// Living processes of the session among `all`.
    ///
    /// A process id is not reused while a session with that id exists. If the first process still exists, its start
    /// time tells whether the session is ours. If not, only younger processes with the marks of the jail count. The
    /// first process counts even before it has created the session.
    #[must_use]
    pub fn among(&self, all: &[Stat]) -> Vec<Stat> {
        let first = all.iter().find(|p| p.pid == self.session);
        if first.is_some_and(|p| p.started != self.started) {
            return Vec::new();
        }
        all.iter()
            .filter(|p| !p.is_gone() && (p.session == self.session || p.pid == self.session))
            .filter(|p| first.is_some() || (self.started <= p.started && procfs::is_jailed(p.pid)))
            .copied()
            .collect()
    }
}

/// Result of ending a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Ended {
    /// Number of processes ended.
    pub ended: usize,
    /// Whether the session's first process was among them.
    pub first: bool,
    /// Number of processes that could not be ended.
    pub left: usize,
}

/// Adds the processes of a program's control group that are not in its session.
pub(super) fn add(group: Option<&Group>, all: &[Stat], members: &mut Vec<Stat>) {
    for pid in group.map(Group::processes).unwrap_or_default() {
        if members.iter().any(|member| member.pid == pid) {
            continue;
        }
        // A process started after the snapshot is read now.
        let here = all.iter().find(|p| p.pid == pid).copied();
        let here = here.or_else(|| procfs::stat(pid).ok()); // ok: it has ended meanwhile
        members.extend(here.filter(|p| !p.is_gone()));
    }
}

/// All processes of a program: those of its session and of its control group.
fn whole(mark: &SessionMark, group: Option<&Group>) -> Vec<Stat> {
    let Some(group) = group else { return mark.members() };
    let all = procfs::all();
    let mut members = mark.among(&all);
    add(Some(group), &all, &mut members);
    members
}

/// Sends SIGTERM to every process, and kills those left after the grace time.
pub(super) fn stop(mark: &SessionMark, group: Option<&Group>, grace: Duration) -> Ended {
    let begun = Instant::now();
    let mut seen = BTreeSet::new();
    let mut signalled = HashSet::new();
    loop {
        let members = whole(mark, group);
        if members.is_empty() {
            return result(mark, &seen, 0);
        }
        seen.extend(members.iter().map(|p| p.pid));
        if grace <= begun.elapsed() {
            break;
        }
        for target in targets(mark, &members) {
            // Once each, so that a cleanup handler is not interrupted again.
            if signalled.insert(target) {
                target.signal(Signal::TERM);
                target.signal(Signal::CONT);
            }
        }
        pause();
    }
    end_seen(mark, group, PATIENCE, seen, whole)
}

/// Stops the process group of a session's first process immediately, without listing its members. Only valid until that
/// process is reaped: its id could be reused afterwards.
pub fn hold(mark: &SessionMark) {
    first_group(mark, Signal::STOP);
}

/// Resumes the process group of a session's first process, until that process is reaped.
pub fn release(mark: &SessionMark) {
    first_group(mark, Signal::CONT);
}

fn first_group(mark: &SessionMark, signal: Signal) {
    if let Some(group) = Pid::from_raw(mark.session) {
        Target::Group(group).signal(signal);
    }
}

/// Stops every process, so that none starts another until the session is ended.
pub fn freeze(mark: &SessionMark, members: &[Stat]) {
    for target in targets(mark, members) {
        target.signal(Signal::STOP);
    }
}

/// Kills every process.
pub(super) fn end(mark: &SessionMark, group: Option<&Group>, patience: Duration) -> Ended {
    end_seen(mark, group, patience, BTreeSet::new(), whole)
}

/// Ends what former runs of HQ left behind. Only processes with the marks of the jail.
pub fn clean_up(marks: &[SessionMark]) -> Ended {
    let jailed = |mark: &SessionMark, _: Option<&Group>| mark.jailed();
    let end = |mark| end_seen(mark, None, PATIENCE, BTreeSet::new(), jailed);
    marks.iter().map(end).fold(Ended::default(), |sum, one| Ended {
        ended: sum.ended + one.ended,
        first: sum.first || one.first,
        left: sum.left + one.left,
    })
}

fn end_seen(
    mark: &SessionMark,
    group: Option<&Group>,
    patience: Duration,
    mut seen: BTreeSet<i32>,
    members: fn(&SessionMark, Option<&Group>) -> Vec<Stat>,
) -> Ended {
    let begun = Instant::now();
    loop {
        let members = members(mark, group);
        if members.is_empty() {
            return result(mark, &seen, 0);
        }
        seen.extend(members.iter().map(|p| p.pid));
        if let Some(group) = group {
            group.kill();
        }
        let targets = targets(mark, &members);
        for target in &targets {
            target.signal(Signal::STOP);
        }
        for target in &targets {
            target.signal(Signal::KILL);
        }
        if patience <= begun.elapsed() {
            return result(mark, &seen, members.len());
        }
        pause();
    }
}

/// `/proc` has no event to wait for. Callers have their own time limits.
pub(super) fn pause() {
    thread::sleep(PAUSE);
}

fn result(mark: &SessionMark, seen: &BTreeSet<i32>, left: usize) -> Ended {
    let first = seen.contains(&mark.session);
    Ended { ended: seen.len().saturating_sub(left), first, left }
}

/// Recipient of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Target {
    Group(Pid),
    /// The first process before it has created the session: its group is still the server's.
    Process(Pid),
}

impl Target {
    fn signal(self, signal: Signal) {
        // ok: an ended process needs no signal, and a remaining one is found in the next pass
        match self {
            Self::Group(group) => rustix::process::kill_process_group(group, signal).ok(),
            Self::Process(pid) => rustix::process::kill_process(pid, signal).ok(),
        };
    }
}

fn targets(mark: &SessionMark, members: &[Stat]) -> HashSet<Target> {
    let target = |p: &Stat| match (p.session == mark.session, p.group) {
        (true, group) if 1 < group => Pid::from_raw(group).map(Target::Group),
        _ => Pid::from_raw(p.pid).map(Target::Process),
    };
    members.iter().filter_map(target).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: i32, session: i32, started: u64, state: char) -> Stat {
        Stat { pid, state, parent: 1, group: session, session, threads: 1, started }
    }

    #[test]
    fn a_number_that_was_given_again_is_not_our_session() {
        let mark = SessionMark { session: 50, started: 1000, boot: "b".into() };
        let theirs = [process(50, 50, 2000, 'S'), process(51, 50, 2001, 'S')];
        assert!(mark.among(&theirs).is_empty());
    }

    #[test]
    fn a_process_that_has_ended_does_not_count() {
        let mark = SessionMark { session: 50, started: 1000, boot: "b".into() };
        let ours =
            [process(50, 50, 1000, 'Z'), process(51, 50, 1001, 'S'), process(52, 7, 1001, 'S')];
        assert_eq!(mark.among(&ours), [ours[1]]);
    }

    #[test]
    fn a_program_that_has_not_opened_its_session_yet_is_met_alone() {
        let mark = SessionMark { session: 50, started: 1000, boot: "b".into() };
        let helper = Stat { group: 7, ..process(50, 7, 1000, 'R') };
        let members = mark.among(&[helper, process(7, 7, 1, 'S')]);
        assert_eq!(members, [helper]);
        let pid = Pid::from_raw(50).unwrap();
        assert_eq!(targets(&mark, &members), HashSet::from([Target::Process(pid)]));
    }

    #[test]
    fn without_its_first_process_only_jailed_ones_count() {
        let me = procfs::stat(rustix::process::getpid().as_raw_pid()).unwrap();
        let mark = SessionMark { session: 50, started: 0, boot: "b".into() };
        assert!(mark.among(&[Stat { session: 50, ..me }]).is_empty());
    }

    #[test]
    fn a_mark_of_an_earlier_start_of_the_host_names_nobody() {
        let me = rustix::process::getpid().as_raw_pid();
        let mark = SessionMark { boot: "before".into(), ..SessionMark::of(me).unwrap() };
        assert!(mark.members().is_empty());
        assert_eq!(clean_up(&[mark]), Ended::default());
    }
}
