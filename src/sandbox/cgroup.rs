//! A control group (cgroup v2) for each program. The kernel puts whatever a program starts into it, whatever session it
//! has, ends it, and limits its memory. Sessions ([`super::kill`]) stay the way to find processes where
//! there are none: in most containers, and for a user to whom no group was delegated.
//!
//! A helper is moved into a new group while it gets ready: moving takes the kernel up to some hundredths of a second.
//! Each HQ has one folder of groups, named after its process; the next HQ ends what is left in folders whose process is gone.

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

/// The group of HQ itself, where it has to leave its own to have controllers for the others.
const MAIN: &str = "hq-main";
/// How the folders of groups begin.
const PREFIX: &str = "hq-";
/// What is asked of the kernel besides counting and ending.
const CONTROLLERS: [&str; 2] = ["memory", "pids"];
/// Beyond what a program may have, so that it is seen to have too many and not only kept from it.
const MAX_TASKS: usize = MAX_THREADS + 128;
/// How long the end of what an earlier life left is waited for.
const PATIENCE: Duration = Duration::from_secs(2);
/// What HQ keeps for itself: a quarter of the memory, and so much at least where that is not more than a half.
const KEPT: u64 = 512 << 20;

/// Why programs have no groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    NotMounted,
    ReadOnly,
    NotDelegated,
    OldKernel,
    /// Switched off by a test.
    Unwanted,
}

impl Missing {
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::NotMounted => "cgroup v2 is not mounted",
            Self::ReadOnly => "cgroup v2 is read-only here, as in most containers",
            Self::NotDelegated => {
                "HQ may not make any in its own; for a service, Delegate=yes lets it"
            }
            Self::OldKernel => "they need Linux 5.14",
            Self::Unwanted => "switched off",
        }
    }
}

/// How much memory programs may use, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct MemoryLimit {
    /// One program with all that it has started.
    pub each: u64,
    /// All programs together.
    pub all: u64,
}

impl MemoryLimit {
    /// Of a machine, or a container, with so much.
    fn of(total: u64) -> Self {
        let kept = (total / 4).max(KEPT.min(total / 2));
        let all = total - kept;
        Self { each: (total / 2).max(KEPT).min(all), all }
    }
}

/// A program that the kernel has ended in part or as a whole because there was no memory left for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct OutOfMemory {
    /// Processes that the kernel has ended.
    pub processes: u64,
    /// What programs may use here.
    pub limit: Option<MemoryLimit>,
}

impl OutOfMemory {
    /// What has happened, as a part of a sentence.
    #[must_use]
    pub fn describe(self) -> String {
        let processes = match self.processes {
            1 => "one of its processes".to_owned(),
            many => format!("{many} of its processes"),
        };
        let limit = self.limit.map(|MemoryLimit { each, all }| {
            let (each, all) = (each >> 20, all >> 20);
            format!(" (a program may use {each} MB, all programs together {all} MB)")
        });
        format!("memory ran out, so the kernel ended {processes}{}", limit.unwrap_or_default())
    }
}

/// The folder of a life. It goes with the last group in it.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

/// Where groups are made.
pub(super) struct Groups {
    folder: Arc<Folder>,
    next: AtomicU64,
    memory: Option<MemoryLimit>,
    limits_tasks: bool,
}

impl Groups {
    /// Ends and removes what earlier lives left, and makes a folder for this one. Blocking.
    pub(super) fn set_up() -> Result<Self, Missing> {
        let (table, own) =
            (fs::read("/proc/self/mountinfo"), fs::read_to_string("/proc/self/cgroup"));
        // ok: what cannot be read cannot be used
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

    /// Moves a process that has started no other yet into a new group.
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

/// The group of one program. What is still in it ends when it is dropped.
pub(super) struct Group {
    folder: PathBuf,
    _parent: Arc<Folder>,
    memory: Option<MemoryLimit>,
    /// Processes that the kernel has ended for want of memory, as last read.
    killed: AtomicU64,
}

impl Group {
    /// The numbers of its processes.
    pub(super) fn processes(&self) -> Vec<i32> {
        numbers(&self.folder, "cgroup.procs")
    }

    /// Ends everything in it, whatever it forks meanwhile.
    pub(super) fn kill(&self) {
        kill_all(&self.folder);
    }

    /// What became of it for want of memory.
    pub(super) fn out_of_memory(&self) -> Option<OutOfMemory> {
        // ok: there is no such file without the controller, and none when it is removed.
        if let Ok(events) = fs::read_to_string(self.folder.join("memory.events")) {
            self.killed.fetch_max(value(&events, "oom_kill"), Ordering::AcqRel);
        }
        let processes = self.killed.load(Ordering::Acquire);
        (0 < processes).then_some(OutOfMemory { processes, limit: self.memory })
    }

    /// Removes it, once nothing is in it any more.
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

/// The group below which those of programs are made, as these tables of the kernel say: that of this process, or the one
/// that it was in before it moved to [`MAIN`].
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

/// A name that tells whose folder it is: numbers of processes mean something in their namespace only.
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
    // A process that restarted in place has the number and the start time that it had before.
    FIRST.call_once(|| sweep(base, |name| name.starts_with(&own)));
    // Whoever moves a process needs a right to the group above both of its places, too.
    rustix::fs::access(base.join("cgroup.procs"), Access::WRITE_OK).map_err(|e| why(e.into()))?;
    let path = base.join(format!("{own}{}", NEXT.fetch_add(1, Ordering::Relaxed)));
    fs::create_dir(&path).map_err(why)?;
    let folder = Folder(path);
    if folder.0.join("cgroup.kill").exists() { Ok(folder) } else { Err(Missing::OldKernel) }
}

/// Whether a folder is that of a process that is gone. One that cannot be looked at may be there.
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

/// Ends and removes these folders.
fn sweep(base: &Path, is_meant: impl Fn(&str) -> bool) {
    // ok: what cannot be listed holds nothing of ours.
    for entry in fs::read_dir(base).into_iter().flatten().flatten() {
        if is_meant(&entry.file_name().to_string_lossy()) && end(&entry.path()) {
            tracing::info!("ended programs that an earlier HQ left in {}", entry.path().display());
        }
    }
}

/// Ends everything in a group and below. `cgroup.kill` signals the first thread of each process alone, and nothing happens
/// where that has ended while others work on (seen with Linux 6.18): such a process is signalled as a whole.
fn kill_all(folder: &Path) {
    // ok, here and below: it is removed already, or what is in it is found in `/proc`
    write(&folder.join("cgroup.kill"), 1).ok();
    for pid in numbers(folder, "cgroup.procs") {
        let is_headless = procfs::stat(pid).is_ok_and(|stat| stat.state == 'Z' && !stat.is_gone());
        if let Some(pid) = Pid::from_raw(pid).filter(|_| is_headless) {
            rustix::process::kill_process(pid, Signal::KILL).ok();
        }
    }
    groups_in(folder).for_each(|group| kill_all(&group));
}

/// Ends and removes a group with all below it. Answers whether anything was in it.
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

/// Removes a group and the groups in it, as far as they are empty.
fn remove(folder: &Path) {
    groups_in(folder).for_each(|group| remove(&group));
    // ok: it is gone, or what lives in it is ended at the next start
    fs::remove_dir(folder).ok();
}

fn is_populated(folder: &Path) -> bool {
    // ok: what is gone has nobody in it
    fs::read_to_string(folder.join("cgroup.events"))
        .is_ok_and(|text| value(&text, "populated") != 0)
}

/// Switches on for the groups below `folder` what the kernel offers, and answers what is on.
fn controllers(base: &Path, folder: &Path) -> Vec<&'static str> {
    let words = |path: PathBuf| {
        let text = fs::read_to_string(path).unwrap_or_default(); // ok: then nothing is offered
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

/// Groups have controllers only where the group above holds no process itself: HQ moves, if it is alone there and that
/// group is its own to arrange. Answers whether there is room.
fn make_room(base: &Path) -> bool {
    if !base.join("cgroup.type").exists() {
        return true; // the first group of all may hold processes
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
        // ok: who has ended needs no move, and who is left keeps controllers off
        write(&main.join("cgroup.procs"), pid).ok();
    }
    numbers(base, "cgroup.procs").is_empty()
}

/// Whether whoever manages groups here leaves the inside of this one to HQ: it is all that a container sees, or systemd
/// has noted so.
fn is_delegated(base: &Path) -> bool {
    let noted = |name: &str| {
        let mut value = [0; 8];
        rustix::fs::getxattr(base, name, &mut value[..]).is_ok_and(|count| &value[..count] == b"1")
    };
    let is_first = fs::read_to_string("/proc/self/cgroup")
        .is_ok_and(|text| text.lines().any(|line| line == "0::/" || line == format!("0::/{MAIN}")));
    is_first || noted("user.delegate") || noted("trusted.delegate")
}

/// How much memory there is for this group: that of the machine, or less.
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

/// The number behind a word at the beginning of a line; 0 when there is none.
fn value(text: &str, name: &str) -> u64 {
    let of = |line: &str| {
        let mut words = line.split_whitespace();
        (words.next() == Some(name)).then(|| words.next()?.parse().ok()).flatten()
    };
    text.lines().find_map(of).unwrap_or(0)
}

/// Writes into a file of the kernel; never makes one.
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
