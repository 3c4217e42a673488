//! Watches running programs: their time, their output, the number of their processes. Sleeps when there are none.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use rustix::process::{Pid, WaitOptions};

use super::job::{Job, Shared, StopReason};
use super::procfs::{self, Stat};

const TICK: Duration = Duration::from_millis(100);
const TICKS_A_COUNT: u32 = 5;
/// Threads cost as much as processes; programs with a thread for each core and connection stay far below.
const MAX_THREADS: usize = 4096;

/// The programs that were started and of which something is left.
#[derive(Default)]
pub(super) struct Watch {
    state: Mutex<WatchState>,
    woken: Condvar,
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

    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.woken.notify_all();
    }

    pub(super) fn jobs(&self) -> Vec<Job> {
        self.state.lock().jobs.iter().map(|job| Job(Arc::clone(job))).collect()
    }

    /// The watching thread.
    pub(super) fn run(&self) {
        // As process 1 of a container HQ inherits what others leave behind, with or without jobs.
        let is_init = rustix::process::getpid().is_init();
        let mut tick = 0;
        loop {
            let jobs = {
                let mut state = self.state.lock();
                state.jobs.retain(|job| !job.state.lock().empty);
                if state.closed {
                    return;
                }
                if state.jobs.is_empty() {
                    if is_init {
                        self.woken.wait_for(&mut state, TICK * TICKS_A_COUNT);
                    } else {
                        self.woken.wait(&mut state);
                    }
                } else {
                    self.woken.wait_for(&mut state, TICK);
                }
                state.jobs.clone()
            };
            tick += 1;
            check_time_and_output(&jobs);
            if (is_init || !jobs.is_empty()) && (tick % TICKS_A_COUNT == 0 || jobs.is_empty()) {
                let all = procfs::all();
                count(&jobs, &all);
                reap_orphans(&jobs, &all);
            }
        }
    }
}

fn check_time_and_output(jobs: &[Arc<Shared>]) {
    let now = Instant::now();
    for job in jobs {
        if job.deadline.is_some_and(|deadline| deadline <= now) {
            Job(Arc::clone(job)).stop(StopReason::TimedOut);
        }
        let written: u64 = job
            .files
            .iter()
            .filter_map(|path| fs::metadata(path).ok())
            .map(|meta| meta.len())
            .sum();
        if job.output_cap < written {
            Job(Arc::clone(job)).stop(StopReason::TooMuchOutput);
        }
    }
}

fn count(jobs: &[Arc<Shared>], all: &[Stat]) {
    for job in jobs {
        let members = job.mark.among(all);
        let threads: usize = members.iter().map(|p| p.threads).sum();
        {
            let mut state = job.state.lock();
            state.processes = members.len();
            if members.is_empty() && state.end.is_some() {
                state.empty = true;
                continue;
            }
        }
        if job.max_processes < members.len() || MAX_THREADS < threads {
            tracing::warn!(
                job.pid = job.mark.session,
                "session {} has {} processes and {threads} threads and is ended",
                job.mark.session,
                members.len()
            );
            Job(Arc::clone(job)).stop(StopReason::TooManyProcesses);
        }
    }
}

/// Collects ended processes that were left to us because their parent ended first. Those that we started are
/// collected by whoever waits for them: the leaders of a job here, everything else of our own session elsewhere.
fn reap_orphans(jobs: &[Arc<Shared>], all: &[Stat]) {
    let own = rustix::process::getpid().as_raw_pid();
    let own_session = all.iter().find(|p| p.pid == own).map(|p| p.session);
    let leaders: BTreeSet<i32> = jobs.iter().map(|job| job.mark.session).collect();
    for orphan in all.iter().filter(|p| {
        p.is_gone()
            && p.parent == own
            && Some(p.session) != own_session
            && p.session != p.pid
            && !leaders.contains(&p.pid)
    }) {
        if let Some(pid) = Pid::from_raw(orphan.pid) {
            rustix::process::waitpid(Some(pid), WaitOptions::NOHANG).ok(); // ok: collected already
        }
    }
}
