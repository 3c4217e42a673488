//! Ends a whole session: every process that a program started, whatever process group it moved to. All process groups
//! are stopped first, so that nobody forks while others are killed, and it is looked again until none is left. Where the
//! program has a control group ([`super::cgroup`]), the kernel ends all that is in it at once.
//!
//! These functions block for as long as they need; call them from a thread of their own.

use std::collections::{BTreeSet, HashSet};
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use serde::{Deserialize, Serialize};

use super::cgroup::Group;
use super::procfs::{self, Stat};

/// How long a program that is asked to stop may take.
pub const GRACE: Duration = Duration::from_millis(700);
/// How long killing is repeated before the rest is reported as not endable (stuck in the kernel).
pub const PATIENCE: Duration = Duration::from_secs(5);

const PAUSE: Duration = Duration::from_millis(5);

/// Names one session for good, even after its first process ended and after a restart of HQ. Recorded with the job.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SessionMark {
    /// The session's number: that of its first process.
    pub session: i32,
    /// When that process was started, in clock ticks since the host was.
    pub started: u64,
    /// Which start of the host that was.
    pub boot: String,
}

impl SessionMark {
    /// The mark of the session that this process leads or will lead.
    pub fn of(pid: i32) -> io::Result<Self> {
        let stat = procfs::stat(pid)?;
        Ok(Self { session: pid, started: stat.started, boot: procfs::boot_id()? })
    }

    /// Its living processes.
    #[must_use]
    pub fn members(&self) -> Vec<Stat> {
        match procfs::boot_id() {
            Ok(boot) if boot == self.boot => self.among(&procfs::all()),
            _ => Vec::new(),
        }
    }

    /// Its living processes that carry the marks of our jail: a mark that was read from the disk is not believed so far
    /// that it could name somebody else's session.
    fn jailed(&self) -> Vec<Stat> {
        let mut members = self.members();
        members.retain(|p| procfs::is_jailed(p.pid));
        members
    }

    /// Its living processes among those found in `/proc`.
    ///
    /// A number is not given again while a session of it lives. So if its first process is still there, it tells
    /// by its start whether the session is ours; if it is gone, only processes that carry the marks of our jail and
    /// are younger count. The first process counts even before it has opened the session.
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

/// What ending a session did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Ended {
    /// Processes that were found and are gone.
    pub ended: usize,
    /// Whether the session's first process was one of them.
    pub first: bool,
    /// Processes that could not be ended.
    pub left: usize,
}

/// Adds the processes of a program's control group that are not among those of its session.
pub(super) fn add(group: Option<&Group>, all: &[Stat], members: &mut Vec<Stat>) {
    for pid in group.map(Group::processes).unwrap_or_default() {
        if members.iter().any(|member| member.pid == pid) {
            continue;
        }
        // One that was started after the look at all is looked at now.
        let here = all.iter().find(|p| p.pid == pid).copied();
        let here = here.or_else(|| procfs::stat(pid).ok()); // ok: it has ended meanwhile
        members.extend(here.filter(|p| !p.is_gone()));
    }
}

/// What is there of a program: its session, and its control group where it has one.
fn whole(mark: &SessionMark, group: Option<&Group>) -> Vec<Stat> {
    let Some(group) = group else { return mark.members() };
    let all = procfs::all();
    let mut members = mark.among(&all);
    add(Some(group), &all, &mut members);
    members
}

/// Asks every process to end, and ends those that have not after the grace time.
pub(super) fn stop(mark: &SessionMark, group: Option<&Group>, grace: Duration) -> Ended {
    let begun = Instant::now();
    let mut seen = BTreeSet::new();
    let mut asked = HashSet::new();
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
            // Once each: a handler that tidies up is not interrupted again.
            if asked.insert(target) {
                target.signal(Signal::TERM);
                target.signal(Signal::CONT);
            }
        }
        pause();
    }
    end_seen(mark, group, PATIENCE, seen, whole)
}

/// Holds the group of a session's first process at once, without looking for its members. Only while nobody has
/// collected that process: its number is no other's then.
pub fn hold(mark: &SessionMark) {
    first_group(mark, Signal::STOP);
}

/// Lets the group of a session's first process go on, as long as nobody has collected that process.
pub fn release(mark: &SessionMark) {
    first_group(mark, Signal::CONT);
}

fn first_group(mark: &SessionMark, signal: Signal) {
    if let Some(group) = Pid::from_raw(mark.session) {
        Target::Group(group).signal(signal);
    }
}

/// Holds every process where it is, so that none starts another until the session is ended.
pub fn freeze(mark: &SessionMark, members: &[Stat]) {
    for target in targets(mark, members) {
        target.signal(Signal::STOP);
    }
}

/// Ends every process at once.
pub(super) fn end(mark: &SessionMark, group: Option<&Group>, patience: Duration) -> Ended {
    end_seen(mark, group, patience, BTreeSet::new(), whole)
}

/// Ends what former runs of the program left behind; only what carries the marks of our jail.
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

/// `/proc` has no event to wait for; the callers end after their time.
pub(super) fn pause() {
    thread::sleep(PAUSE);
}

fn result(mark: &SessionMark, seen: &BTreeSet<i32>, left: usize) -> Ended {
    let first = seen.contains(&mark.session);
    Ended { ended: seen.len().saturating_sub(left), first, left }
}

/// Whom a signal goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Target {
    Group(Pid),
    /// The first process before it has opened the session: its group is still the server's.
    Process(Pid),
}

impl Target {
    fn signal(self, signal: Signal) {
        // ok: whoever is gone needs no signal, and whoever is left is found on the next look
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
