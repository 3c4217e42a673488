//! Watches running programs: time, output, number of processes, disk. Sleeps if there are none.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};
use rustix::process::{Pid, WaitOptions};

use super::job::{Job, Shared, StopReason};
use super::kill;
use super::procfs::{self, Stat};
use super::space::{self, Past};

const TICK: Duration = Duration::from_millis(20);
const TICKS_A_LOOK: u32 = 5;
const TICKS_A_COUNT: u32 = 25;
/// Interval of free space checks.
const SPACE: Duration = Duration::from_millis(200);
/// Increase of the host's thread count that triggers an immediate count: a fork bomb doubles within milliseconds and
/// soon leaves no time to end it.
const SURGE: usize = 100;
/// Threads cost as much as processes. Programs with a thread per core and connection stay far below.
pub(super) const MAX_THREADS: usize = 4096;

/// The started programs with remaining processes.
#[derive(Default)]
pub(super) struct Watch {
    state: Mutex<WatchState>,
    woken: Condvar,
    /// Held while a program is started: until it is among the jobs, its processes look like orphans.
    starting: Mutex<()>,
    /// Disk state of earlier programs.
    past: Past,
}

#[derive(Default)]
struct WatchState {
    jobs: Vec<Arc<Shared>>,
    closed: bool,
}

impl Watch {
    pub(super) fn add(&self, job: Arc<Shared>) {
        self.state.lock().jobs.push(job);
        self.woken.notify_all();
    }

    /// While this is held, no orphans are reaped.
    pub(super) fn starting(&self) -> MutexGuard<'_, ()> {
        self.starting.lock()
    }

    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.woken.notify_all();
    }

    pub(super) fn jobs(&self) -> Vec<Job> {
        self.state.lock().jobs.iter().map(|job| Job(Arc::clone(job))).collect()
    }

    fn take_empty(&self) -> Vec<Arc<Shared>> {
        self.state.lock().jobs.extract_if(.., |job| job.state.lock().empty).collect()
    }

    /// The watcher thread.
    pub(super) fn run(&self) {
        let adopts = adopts();
        let mut tick: u32 = 0;
        let mut usual = usize::MAX;
        loop {
            // Dropped without the lock: dropping a job's last reference ends what is left in its control group.
            drop(self.take_empty());
            let jobs = {
                let mut state = self.state.lock();
                if state.closed {
                    return;
                }
                if state.jobs.is_empty() {
                    if adopts {
                        self.woken.wait_for(&mut state, TICK * TICKS_A_COUNT);
                    } else {
                        self.woken.wait(&mut state);
                    }
                } else {
                    self.woken.wait_for(&mut state, TICK);
                }
                state.jobs.clone()
            };
            tick = tick.wrapping_add(1);
            if tick.is_multiple_of(TICKS_A_LOOK) {
                check_time_and_output(&jobs);
            }
            let threads = procfs::threads_of_host();
            let surge = usual.saturating_add(SURGE) < threads;
            let due = tick.is_multiple_of(TICKS_A_COUNT) || jobs.is_empty();
            usual = if surge || due { threads } else { usual.min(threads) };
            if surge {
                // Before counting, which takes time in which more processes are created.
                jobs.iter().for_each(hold);
                end_bombs(&jobs);
            }
            if !jobs.is_empty() && (surge || due) {
                count(&jobs, &procfs::all());
            }
            if surge {
                jobs.iter().for_each(release);
            }
            if adopts && due {
                self.reap_orphans();
            }
        }
    }

    /// Disk state of earlier programs.
    pub(super) fn past(&self) -> &Past {
        &self.past
    }

    /// The disk watcher thread: counting files takes longer than a tick.
    pub(super) fn run_space(&self) {
        loop {
            let jobs = {
                let mut state = self.state.lock();
                if state.closed {
                    return;
                }
                if !state.jobs.iter().any(|job| job.looks.lock().is_some()) {
                    self.woken.wait(&mut state);
                    continue;
                }
                state.jobs.clone()
            };
            jobs.iter().for_each(|job| space::check_usage(job, &self.past));
            thread::sleep(SPACE);
        }
    }

    /// Reaps ended processes that were reparented to HQ. Own children are reaped elsewhere: job leaders by their
    /// threads, other processes of HQ's session by their starters.
    fn reap_orphans(&self) {
        // ok: whatever is there now is found at the next tick too.
        let Some(_quiet) = self.starting.try_lock() else { return };
        let leaders: BTreeSet<i32> =
            self.state.lock().jobs.iter().map(|job| job.mark.session).collect();
        let all = procfs::all();
        let own = rustix::process::getpid().as_raw_pid();
        let own_session = all.iter().find(|p| p.pid == own).map(|p| p.session);
        let left = |p: &&Stat| {
            let ours = Some(p.session) == own_session || leaders.contains(&p.pid);
            p.is_gone() && p.parent == own && !ours
        };
        for orphan in all.iter().filter(left) {
            if let Some(pid) = Pid::from_raw(orphan.pid) {
                rustix::process::waitpid(Some(pid), WaitOptions::NOHANG).ok(); // ok: reaped already
            }
        }
    }
}

/// Returns `true` if orphaned processes are reparented to HQ independently of jobs: HQ is process 1 of a container, or
/// a subreaper.
fn adopts() -> bool {
    let chosen = || rustix::process::child_subreaper().is_ok_and(|chosen| chosen.is_some());
    rustix::process::getpid().is_init() || chosen()
}

fn check_time_and_output(jobs: &[Arc<Shared>]) {
    let now = Instant::now();
    for job in jobs {
        if job.deadline.is_some_and(|deadline| deadline <= now) {
            Job(Arc::clone(job)).stop(StopReason::TimedOut);
        }
        let written: u64 =
            job.files.iter().filter_map(|file| file.metadata().ok()).map(|meta| meta.len()).sum();
        if job.output_cap < written {
            Job(Arc::clone(job)).stop(StopReason::TooMuchOutput);
        }
    }
}

/// Stops the process group of a program's first process.
fn hold(job: &Arc<Shared>) {
    if job.state.lock().end.is_none() {
        kill::hold(&job.mark);
    }
}

/// Resumes a stopped program that is not being ended.
fn release(job: &Arc<Shared>) {
    let state = job.state.lock();
    if state.end.is_none() && state.reason != Some(StopReason::TooManyProcesses) {
        kill::release(&job.mark);
    }
}

/// Ends programs with too many processes as soon as enough living ones were seen, and stops their other process groups
/// until then. The newest processes are inspected first.
///
/// Every program that is stopped here is also ended. By the time of another count, many of a bomb's processes are gone,
/// and a program stopped because of the first count would stay stopped.
fn end_bombs(jobs: &[Arc<Shared>]) {
    let mut seen: HashMap<i32, Vec<Stat>> = HashMap::new();
    for process in procfs::numbers().into_iter().rev().filter_map(|pid| procfs::stat(pid).ok()) {
        let Some(job) = jobs.iter().find(|job| job.mark.session == process.session) else {
            continue;
        };
        if process.is_gone() {
            continue;
        }
        let members = seen.entry(process.session).or_default();
        members.push(process);
        if job.max_processes < members.len() {
            kill::freeze(&job.mark, members);
            too_many(job, members.len(), members.iter().map(|p| p.threads).sum());
            members.clear();
        }
    }
}

fn too_many(job: &Arc<Shared>, processes: usize, threads: usize) {
    if job.state.lock().reason.is_some() {
        return; // it is being ended already
    }
    let pid = job.mark.session;
    tracing::warn!(
        job.pid = pid,
        "session {pid} has {processes} processes and {threads} threads and is ended"
    );
    Job(Arc::clone(job)).stop(StopReason::TooManyProcesses);
}

fn count(jobs: &[Arc<Shared>], all: &[Stat]) {
    for job in jobs {
        let members = job.members_among(all);
        let threads: usize = members.iter().map(|p| p.threads).sum();
        let is_over = {
            let mut state = job.state.lock();
            state.processes = members.len();
            state.empty |= members.is_empty() && state.end.is_some();
            members.is_empty() && state.end.is_some()
        };
        if is_over {
            job.remove_group();
            continue;
        }
        if job.max_processes < members.len() || MAX_THREADS < threads {
            too_many(job, members.len(), threads);
        }
    }
}
