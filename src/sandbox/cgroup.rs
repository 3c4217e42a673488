//! One control group (cgroup v2) per program. The kernel adds all descendants of a program to it whatever their
//! session, ends them, and limits their memory. Where there are no control groups (in most containers, and for users
//! without delegation), processes are found by session only ([`super::kill`]).
//!
//! A helper is moved into a new group while it starts, because moving takes up to some hundredths of a second. Each HQ
//! process has one folder of groups, named after it. The next HQ ends what is left in folders of processes that are
//! gone.

use std::fmt::Display;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Once};
use std::time::{Duration, Instant};

use rustix::fs::Access;
use rustix::io::Errno;
use rustix::process::{Pid, Signal};
use serde::Serialize;

use super::kill;
use super::mounts;
use super::procfs;
use super::watch::MAX_THREADS;

/// HQ's own group, if it must leave its original group so that child groups can have controllers.
const MAIN: &str = "hq-main";
/// Name prefix of the group folders.
const PREFIX: &str = "hq-";
/// Controllers for limits. Counting and ending need none.
const CONTROLLERS: [&str; 2] = ["memory", "pids"];
/// Above the limit per program, so that an excess is detected rather than only prevented.
const MAX_TASKS: usize = MAX_THREADS + 128;
/// How long to wait for the end of processes left by an earlier run.
const PATIENCE: Duration = Duration::from_secs(2);
/// Memory reserved for HQ: a quarter of the total, at least this many bytes unless that exceeds half of it.
const KEPT: u64 = 512 << 20;

/// Why programs have no control groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    NotMounted,
    ReadOnly,
    NotDelegated,
    OldKernel,
    /// Disabled by a test.
    Unwanted,
}

impl Missing {
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::NotMounted => "cgroup v2 is not mounted",
            Self::ReadOnly => "cgroup v2 is read-only here, as in most containers",
            Self::NotDelegated => "HQ can't create any in its own; for a service, set Delegate=yes",
            Self::OldKernel => "they require Linux 5.14",
            Self::Unwanted => "turned off",
        }
    }
}

/// Memory limits of programs, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct MemoryLimit {
    /// Limit per program including its descendants.
    pub each: u64,
    /// Limit for all programs together.
    pub all: u64,
}

impl MemoryLimit {
    /// The limits for a machine or container with `total` bytes.
    fn of(total: u64) -> Self {
        let kept = (total / 4).max(KEPT.min(total / 2));
        let all = total - kept;
        Self { each: (total / 2).max(KEPT).min(all), all }
    }
}

/// Reports that the kernel killed processes of a program because memory ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct OutOfMemory {
    /// Number of processes killed by the kernel.
    pub processes: u64,
    /// Memory limits on this machine.
    pub limit: Option<MemoryLimit>,
}

impl OutOfMemory {
    /// Describes the event as a part of a sentence.
    #[must_use]
    pub fn describe(self) -> String {
        let processes = match self.processes {
            1 => "one of its processes".to_owned(),
            many => format!("{many} of its processes"),
        };
        let limit = self.limit.map(|MemoryLimit { each, all }| {
            let (each, all) = (each >> 20, all >> 20);
            format!(" (a program can use {each} MB, all programs together {all} MB)")
        });
        format!("memory ran out, so the kernel ended {processes}{}", limit.unwrap_or_default())
    }
}

/// Group folder of one run of HQ. Removed together with its last group.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

/// Creates control groups.
pub(super) struct Groups {
    folder: Arc<Folder>,
    next: AtomicU64,
    memory: Option<MemoryLimit>,
    limits_tasks: bool,
}

impl Groups {
    /// Ends and removes what earlier runs left, and creates a folder for this one. Blocking.
    pub(super) fn set_up() -> Result<Self, Missing> {
        let (table, own) =
            (fs::read("/proc/self/mountinfo"), fs::read_to_string("/proc/self/cgroup"));
        // ok: what is unreadable cannot be used
        let (table, own) = (table.unwrap_or_default(), own.unwrap_or_default());
        let base = base(&table, &own).ok_or(Missing::NotMounted)?;
        let folder = Arc::new(make(&base)?);
        let controllers = controllers(&base, &folder.0);
        let memory = controllers.contains(&"memory").then(|| MemoryLimit::of(memory_above(&base)));
        let memory = memory.filter(|limit| write(&folder.0.join("memory.max"), limit.all).is_ok());
        Ok(Self {
            folder,
            next: AtomicU64::new(1),
            memory,
            limits_tasks: controllers.contains(&"pids"),
        })
    }

    pub(super) fn memory(&self) -> Option<MemoryLimit> {
        self.memory
    }

    /// Moves a process that has no children yet into a new group.
    pub(super) fn place(&self, pid: i32) -> io::Result<Group> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let folder = self.folder.0.join(number.to_string());
        fs::create_dir(&folder)?;
        let group = Group {
            folder,
            _parent: Arc::clone(&self.folder),
            memory: self.memory,
            killed: AtomicU64::new(0),
        };
        if let Some(limit) = self.memory {
            write(&group.folder.join("memory.max"), limit.each)?;
        }
        if self.limits_tasks {
            write(&group.folder.join("pids.max"), MAX_TASKS)?;
        }
        write(&group.folder.join("cgroup.procs"), pid)?;
        Ok(group)
    }
}

/// The control group of one program. Remaining processes are ended on drop.
pub(super) struct Group {
    folder: PathBuf,
    _parent: Arc<Folder>,
    memory: Option<MemoryLimit>,
    /// Number of processes killed for lack of memory, as last read.
    killed: AtomicU64,
}

impl Group {
    /// Process ids in the group.
    pub(super) fn processes(&self) -> Vec<i32> {
        numbers(&self.folder, "cgroup.procs")
    }

    /// Kills everything in the group, even if it forks meanwhile.
    pub(super) fn kill(&self) {
        kill_all(&self.folder);
    }

    /// The out-of-memory report, if processes were killed.
    pub(super) fn out_of_memory(&self) -> Option<OutOfMemory> {
        // ok: the file does not exist without the controller, or after removal.
        if let Ok(events) = fs::read_to_string(self.folder.join("memory.events")) {
            self.killed.fetch_max(value(&events, "oom_kill"), Ordering::AcqRel);
        }
        let processes = self.killed.load(Ordering::Acquire);
        (0 < processes).then_some(OutOfMemory { processes, limit: self.memory })
    }

    /// Removes the group once it is empty.
    pub(super) fn remove(&self) {
        self.out_of_memory();
        remove(&self.folder);
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if self.folder.exists() {
            end(&self.folder);
        }
    }
}

/// The parent group for programs, from the kernel's tables: the group of this process, or the one that it was in before
/// it moved to [`MAIN`].
fn base(mounts: &[u8], own: &str) -> Option<PathBuf> {
    let own = Path::new(own.lines().find_map(|line| line.strip_prefix("0::"))?);
    let mounted = |line: &[u8]| {
        let text = String::from_utf8_lossy(line);
        let (about, source) = text.split_once(" - ")?;
        let mut fields = about.split(' ').skip(3);
        let (root, at) = (fields.next()?, fields.next()?);
        let below = own.strip_prefix(root).ok()?;
        (source.split(' ').next() == Some("cgroup2"))
            .then(|| mounts::path(at.as_bytes()).join(below))
    };
    let here = mounts.split(|byte| *byte == b'\n').find_map(mounted)?;
    if here.components().any(|part| part.as_os_str() == "..") {
        return None; // outside of what this namespace shows
    }
    match (here.file_name(), here.parent()) {
        (Some(name), Some(parent)) if name == MAIN => Some(parent.to_owned()),
        _ => Some(here),
    }
}

/// Name prefix with the PID namespace, because process ids are unique only within their namespace.
fn prefix_here() -> io::Result<String> {
    Ok(format!("{PREFIX}{}-", fs::metadata("/proc/self/ns/pid")?.ino()))
}

fn make(base: &Path) -> Result<Folder, Missing> {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    static FIRST: Once = Once::new();
    let why = |error: io::Error| match error.kind() {
        io::ErrorKind::ReadOnlyFilesystem => Missing::ReadOnly,
        _ => Missing::NotDelegated,
    };
    let prefix = prefix_here().map_err(why)?;
    let pid = process::id().cast_signed();
    let started = procfs::stat(pid).map_err(why)?.started;
    let own = format!("{prefix}{pid}-{started}-");
    sweep(base, |name| is_over(name, &prefix));
    // A process that restarted in place keeps its process id and start time.
    FIRST.call_once(|| sweep(base, |name| name.starts_with(&own)));
    // Moving a process also requires write permission in the common ancestor group.
    rustix::fs::access(base.join("cgroup.procs"), Access::WRITE_OK).map_err(|e| why(e.into()))?;
    let path = base.join(format!("{own}{}", NEXT.fetch_add(1, Ordering::Relaxed)));
    fs::create_dir(&path).map_err(why)?;
    let folder = Folder(path);
    if folder.0.join("cgroup.kill").exists() { Ok(folder) } else { Err(Missing::OldKernel) }
}

/// Returns `true` if the folder's process is gone. An unreadable process counts as present.
fn is_over(name: &str, prefix: &str) -> bool {
    let of = || {
        let mut numbers = name.strip_prefix(prefix)?.split('-');
        Some((numbers.next()?.parse().ok()?, numbers.next()?.parse::<u64>().ok()?))
    };
    let Some((pid, started)) = of() else { return false };
    match procfs::stat(pid) {
        Ok(stat) => stat.started != started || stat.is_gone(),
        Err(error) => {
            error.kind() == io::ErrorKind::NotFound
                || error.raw_os_error() == Some(Errno::SRCH.raw_os_error())
        }
    }
}

/// Ends and removes the matching folders.
fn sweep(base: &Path, is_meant: impl Fn(&str) -> bool) {
    // ok: an unreadable folder contains nothing of ours.
    for entry in fs::read_dir(base).into_iter().flatten().flatten() {
        if is_meant(&entry.file_name().to_string_lossy()) && end(&entry.path()) {
            tracing::info!("ended programs that an earlier HQ left in {}", entry.path().display());
        }
    }
}

/// Kills everything in a group and below. `cgroup.kill` signals only the first thread of each process, which has no
/// effect if that thread has ended while others still run (seen with Linux 6.18). Such processes are signalled
/// individually.
fn kill_all(folder: &Path) {
    // ok, here and below: it is removed already, or its processes are found through `/proc`
    write(&folder.join("cgroup.kill"), 1).ok();
    for pid in numbers(folder, "cgroup.procs") {
        let is_headless = procfs::stat(pid).is_ok_and(|stat| stat.state == 'Z' && !stat.is_gone());
        if let Some(pid) = Pid::from_raw(pid).filter(|_| is_headless) {
            rustix::process::kill_process(pid, Signal::KILL).ok();
        }
    }
    groups_in(folder).for_each(|group| kill_all(&group));
}

/// Ends and removes a group with its child groups. Returns whether it had any processes.
fn end(folder: &Path) -> bool {
    let begun = Instant::now();
    let was_populated = is_populated(folder);
    while is_populated(folder) && begun.elapsed() < PATIENCE {
        kill_all(folder);
        kill::pause();
    }
    remove(folder);
    was_populated
}

/// Removes a group and its child groups, as far as they are empty.
fn remove(folder: &Path) {
    groups_in(folder).for_each(|group| remove(&group));
    // ok: it is gone, or its processes are ended at the next start
    fs::remove_dir(folder).ok();
}

fn is_populated(folder: &Path) -> bool {
    // ok: a missing group has no processes
    fs::read_to_string(folder.join("cgroup.events"))
        .is_ok_and(|text| value(&text, "populated") != 0)
}

/// Enables the available controllers for the groups below `folder`. Returns the enabled ones.
fn controllers(base: &Path, folder: &Path) -> Vec<&'static str> {
    let words = |path: PathBuf| {
        let text = fs::read_to_string(path).unwrap_or_default(); // ok: then nothing is available
        text.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    let offered = words(base.join("cgroup.controllers"));
    let on = words(base.join("cgroup.subtree_control"));
    let has = |words: &[String], name: &str| words.iter().any(|word| word == name);
    let mut wanted = CONTROLLERS.to_vec();
    wanted.retain(|name| has(&offered, name));
    let is_free = wanted.iter().all(|name| has(&on, name)) || make_room(base);
    if !is_free {
        wanted.clear();
    }
    wanted.retain(|name| {
        let switch = |at: &Path| write(&at.join("cgroup.subtree_control"), format!("+{name}"));
        (has(&on, name) || switch(base).is_ok()) && switch(folder).is_ok()
    });
    wanted
}

/// Child groups can have controllers only if their parent contains no process. HQ moves to a child group if it is alone
/// in the parent and may manage it. Returns whether the parent is now empty.
fn make_room(base: &Path) -> bool {
    if !base.join("cgroup.type").exists() {
        return true; // the root group may contain processes
    }
    let own = process::id().cast_signed();
    let inside = numbers(base, "cgroup.procs");
    let is_ours =
        |pid: &i32| *pid == own || procfs::stat(*pid).map_or(true, |stat| stat.parent == own);
    if inside.is_empty() {
        return true;
    }
    if !is_delegated(base) || !inside.iter().all(is_ours) {
        return false;
    }
    let main = base.join(MAIN);
    if let Err(error) = fs::create_dir(&main)
        && error.kind() != io::ErrorKind::AlreadyExists
    {
        return false;
    }
    for pid in inside {
        // ok: an ended process needs no move, and a remaining one keeps controllers disabled
        write(&main.join("cgroup.procs"), pid).ok();
    }
    numbers(base, "cgroup.procs").is_empty()
}

/// Returns `true` if the group is delegated to HQ: it is a container's root, or marked by systemd.
fn is_delegated(base: &Path) -> bool {
    let noted = |name: &str| {
        let mut value = [0; 8];
        rustix::fs::getxattr(base, name, &mut value[..]).is_ok_and(|count| &value[..count] == b"1")
    };
    let is_first = fs::read_to_string("/proc/self/cgroup")
        .is_ok_and(|text| text.lines().any(|line| line == "0::/" || line == format!("0::/{MAIN}")));
    is_first || noted("user.delegate") || noted("trusted.delegate")
}

/// Memory available to this group: that of the machine, or a lower limit of an ancestor.
fn memory_above(base: &Path) -> u64 {
    let info = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kilobytes = value(&info, "MemTotal:");
    let limit =
        |group: &Path| fs::read_to_string(group.join("memory.max")).ok()?.trim().parse().ok();
    base.ancestors().filter_map(limit).fold(kilobytes << 10, u64::min)
}

fn groups_in(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let all = fs::read_dir(folder).into_iter().flatten().flatten();
    all.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path())
}

fn numbers(folder: &Path, file: &str) -> Vec<i32> {
    let text = fs::read_to_string(folder.join(file)).unwrap_or_default(); // ok: it is gone
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

/// The number after a keyword at the start of a line; 0 if it is missing.
fn value(text: &str, name: &str) -> u64 {
    let of = |line: &str| {
        let mut words = line.split_whitespace();
        (words.next() == Some(name)).then(|| words.next()?.parse().ok()).flatten()
    };
    text.lines().find_map(of).unwrap_or(0)
}

/// Writes to an existing kernel file; never creates one.
fn write(path: &Path, value: impl Display) -> io::Result<()> {
    OpenOptions::new().write(true).open(path)?.write_all(value.to_string().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIFIED: &str = "30 24 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup rw,nsdelegate\n";

    fn found(mounts: &str, own: &str) -> Option<String> {
        base(mounts.as_bytes(), own).map(|path| path.display().to_string())
    }

    #[test]
    fn the_own_group_is_found_below_its_mount() {
        let at = |own| found(UNIFIED, own);
        assert_eq!(
            at("0::/system.slice/hq.service\n").as_deref(),
            Some("/sys/fs/cgroup/system.slice/hq.service")
        );
        assert_eq!(at("0::/hq/hq-main\n").as_deref(), Some("/sys/fs/cgroup/hq"), "it has moved");
        assert_eq!(at("0::/\n").as_deref(), Some("/sys/fs/cgroup/"));
        assert_eq!(at("0::/../other\n"), None, "outside of the namespace");
        assert_eq!(at("4:memory:/hq\n"), None, "cgroup v1 alone");
        let mixed = "31 24 0:27 / /sys/fs/cgroup/memory rw - cgroup none rw,memory\n\
            32 24 0:28 /box /sys/fs/cgroup/uni\\040fied rw - cgroup2 none rw\n";
        let own = "4:memory:/x\n0::/box/hq\n";
        assert_eq!(found(mixed, own).as_deref(), Some("/sys/fs/cgroup/uni fied/hq"));
        assert_eq!(found(mixed, "0::/elsewhere\n"), None);
    }

    #[test]
    fn programs_leave_memory_for_hq() {
        let mb = |total: u64| {
            let MemoryLimit { each, all } = MemoryLimit::of(total << 20);
            (each >> 20, all >> 20)
        };
        assert_eq!(mb(24_576), (12_288, 18_432));
        assert_eq!(mb(1_024), (512, 512));
        assert_eq!(mb(256), (128, 128));
        assert_eq!(mb(1_536), (768, 1_024));
    }

    #[test]
    fn memory_and_tasks_are_limited_where_the_kernel_offers_it() {
        let base = tempfile::tempdir().unwrap();
        let path = |name: &str| base.path().join(name);
        fs::create_dir(path("life")).unwrap();
        fs::write(path("cgroup.controllers"), "cpu memory pids\n").unwrap();
        for file in ["cgroup.subtree_control", "life/cgroup.subtree_control"] {
            fs::write(path(file), "").unwrap();
        }
        assert_eq!(controllers(base.path(), &path("life")), CONTROLLERS);

        fs::write(path("cgroup.type"), "domain\n").unwrap();
        fs::write(path("cgroup.procs"), "1\n").unwrap();
        assert!(controllers(base.path(), &path("life")).is_empty(), "others are in that group");
        fs::write(path("cgroup.subtree_control"), "memory pids\n").unwrap();
        assert_eq!(controllers(base.path(), &path("life")), CONTROLLERS, "they are on already");

        fs::write(path("memory.max"), "1048576\n").unwrap();
        assert_eq!(memory_above(&path("life")), 1 << 20, "a limit above counts");
        fs::write(path("memory.max"), "max\n").unwrap();
        assert!(1 << 20 < memory_above(&path("life")));
    }

    #[test]
    fn what_the_kernel_has_ended_for_want_of_memory_is_read_once_more_before_it_goes() {
        let folder = tempfile::tempdir().unwrap();
        let life = folder.path().join("life");
        fs::create_dir_all(life.join("1")).unwrap();
        let events = |killed: u32| {
            fs::write(life.join("1/memory.events"), format!("oom 9\noom_kill {killed}\n")).unwrap();
        };
        let limit = Some(MemoryLimit { each: 1, all: 2 });
        let group = Group {
            folder: life.join("1"),
            _parent: Arc::new(Folder(life.clone())),
            memory: limit,
            killed: AtomicU64::new(0),
        };
        events(0);
        assert_eq!(group.out_of_memory(), None);
        events(2);
        group.remove();
        fs::remove_dir_all(life.join("1")).unwrap();
        assert_eq!(group.out_of_memory(), Some(OutOfMemory { processes: 2, limit }));
        drop(group);
        assert!(!life.exists(), "the folder goes with the last group");
    }
}
