//! Watches running programs: their time, their output, the number of their processes. Sleeps when there are none.

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
/// How often it is seen how much room the disk has.
const SPACE: Duration = Duration::from_millis(200);
/// As many more threads on the host since the last count are a reason to count at once: a program that forks without
/// end doubles within milliseconds, and soon leaves no time to anybody who would end it.
const SURGE: usize = 100;
/// Threads cost as much as processes; programs with a thread for each core and connection stay far below.
pub(super) const MAX_THREADS: usize = 4096;

/// The programs that were started and of which something is left.
#[derive(Default)]
pub(super) struct Watch {
    state: Mutex<WatchState>,
    woken: Condvar,
    /// Held while a program is started: from then on until it is among the jobs nobody could tell it from one
    /// that was left to us.
    starting: Mutex<()>,
    /// What was seen of the disk before.
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

    /// Nothing is collected that may be ours as long as this is held.
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

    /// The watching thread.
    pub(super) fn run(&self) {
        let adopts = adopts();
        let mut tick: u32 = 0;
        let mut usual = usize::MAX;
        loop {
            // Dropped without the lock: the last holder of a job ends what is left in its control group.
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
                // Before anybody is looked at: looking takes time, and each moment makes more of them.
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

    /// What was seen of the disk before.
    pub(super) fn past(&self) -> &Past {
        &self.past
    }

    /// The thread that looks at the disk: counting files takes longer than any tick.
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
            jobs.iter().for_each(|job| space::look(job, &self.past));
            thread::sleep(SPACE);
        }
    }

    /// Collects ended processes that were left to us because their parent ended first. Those that we started are
    /// collected by whoever waits for them: the leaders of a job by its thread, everything else of our own session
    /// elsewhere.
    fn reap_orphans(&self) {
        // ok: whatever is there now is there at the next look, too.
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
                rustix::process::waitpid(Some(pid), WaitOptions::NOHANG).ok(); // ok: collected already
            }
        }
    }
}

/// Whether processes whose parent has ended become ours, with or without jobs: as process 1 of a
/// container, or when whoever started HQ made it the one that takes them in.
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

/// Holds the process group of a program's first process, and with it all that did not move to another.
fn hold(job: &Arc<Shared>) {
    if job.state.lock().end.is_none() {
        kill::hold(&job.mark);
    }
}

/// Lets a program go on that was held and is none of those that are being ended.
fn release(job: &Arc<Shared>) {
    let state = job.state.lock();
    if state.end.is_none() && state.reason != Some(StopReason::TooManyProcesses) {
        kill::release(&job.mark);
    }
}

/// Ends the programs that have too many processes, as soon as enough of these were seen alive, and holds those that
/// moved to groups of their own until that is done. The newest are looked at first.
///
/// Whoever is held here is always ended, too: by the time everything has been counted again many of a bomb's processes
/// are gone, and a program that was held on the strength of the first look would otherwise stay so for good.
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
