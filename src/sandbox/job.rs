//! A started program: wait for it, stop it, and get its result.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use serde::Serialize;
use tokio::sync::Notify;

use super::cgroup::{Group, OutOfMemory};
use super::kill::{self, SessionMark};
use super::output::{self, Excerpt};
use super::procfs::{self, Stat};
use super::space::Looks;

/// Interval at which remaining processes are counted after the first one has ended.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Why HQ ended a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// Requested by a person or the run.
    Stopped,
    /// Time limit.
    TimedOut,
    /// Limit of processes or threads.
    TooManyProcesses,
    /// Output limit.
    TooMuchOutput,
    /// Disk limit, or the disk was nearly full.
    TooMuchDisk,
    /// HQ is stopping.
    Shutdown,
}

/// How the program's first process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Exit code.
    Code(i32),
    Signal(i32),
}

/// Result of a program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct JobEnd {
    /// How the first process ended.
    pub outcome: Outcome,
    /// Why HQ ended the program; `None` if it ended on its own.
    pub reason: Option<StopReason>,
    /// Why nothing ran, if the jail setup failed.
    pub not_started: Option<String>,
    /// Out-of-memory report of the kernel, if any.
    pub out_of_memory: Option<OutOfMemory>,
    /// Number of remaining processes that were ended too.
    pub ended_children: usize,
    /// Number of processes that continue because the command allows it.
    pub running_children: usize,
    /// Duration in milliseconds.
    pub duration_ms: u64,
}

impl JobEnd {
    /// Returns `true` if the program ran to its end with exit code 0.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.outcome == Outcome::Code(0) && self.reason.is_none()
    }
}

/// A handle to a started program. Dropping it has no effect.
#[derive(Clone)]
pub struct Job(pub(super) Arc<Shared>);

/// State shared by the handle, the waiting thread and the watcher.
pub(super) struct Shared {
    pub(super) mark: SessionMark,
    /// Control group, if the machine supports them.
    pub(super) group: Option<Group>,
    pub(super) started: Instant,
    pub(super) deadline: Option<Instant>,
    /// Output files, opened at creation: later changes of their paths have no effect.
    pub(super) files: Vec<File>,
    pub(super) output_cap: u64,
    pub(super) max_processes: usize,
    /// Disk state; `None` if disk usage is not checked.
    pub(super) looks: Mutex<Option<Looks>>,
    pub(super) state: Mutex<State>,
    /// Held while the session is being ended, so that this happens only once at a time.
    pub(super) ending: Mutex<()>,
    pub(super) changed: Condvar,
    pub(super) notify: Notify,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) reason: Option<StopReason>,
    pub(super) end: Option<JobEnd>,
    /// No process of the session is left; the watcher may drop it.
    pub(super) empty: bool,
    pub(super) processes: usize,
    /// Number of processes other than the first that were ended.
    pub(super) ended_children: usize,
}

impl Job {
    /// Id of the first process, which is also the session id.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.0.mark.session
    }

    /// Session mark to record, so that a later start of HQ finds remaining processes.
    #[must_use]
    pub fn mark(&self) -> &SessionMark {
        &self.0.mark
    }

    /// The result, if the program has ended.
    #[must_use]
    pub fn end(&self) -> Option<JobEnd> {
        self.0.state.lock().end.clone()
    }

    /// An excerpt of the first output file, read through the original descriptor; empty without an output file.
    /// Blocking.
    pub fn excerpt(&self, head: usize, tail: usize) -> io::Result<Excerpt> {
        match self.0.files.first() {
            Some(file) => output::excerpt_of(file, head, tail),
            None => Ok(Excerpt::default()),
        }
    }

    /// Number of bytes in the first output file, and the time since the last write.
    pub fn written(&self) -> io::Result<(u64, Duration)> {
        let Some(file) = self.0.files.first() else { return Ok((0, Duration::ZERO)) };
        let meta = file.metadata()?;
        // If the clock was set back, this is zero.
        let quiet = meta.modified()?.elapsed().unwrap_or_default();
        Ok((meta.len(), quiet))
    }

    /// Output of the first output file from a byte offset, and the offset to continue from.
    pub fn output_from(&self, offset: u64, bytes: usize) -> io::Result<(String, u64)> {
        match self.0.files.first() {
            Some(file) => output::from_file(file, offset, bytes),
            None => Ok((String::new(), 0)),
        }
    }

    /// Number of processes in the session at the last count.
    #[must_use]
    pub fn processes(&self) -> usize {
        let state = self.0.state.lock();
        // After the session is empty, it is not counted any more.
        if state.empty { 0 } else { state.processes }
    }

    /// Waits for the end. Cancel-safe; can be called repeatedly.
    pub async fn wait(&self) -> JobEnd {
        loop {
            // Registered before the check, so that an end in between is not missed.
            let mut notified = std::pin::pin!(self.0.notify.notified());
            notified.as_mut().enable();
            if let Some(end) = self.end() {
                return end;
            }
            notified.await;
        }
    }

    /// Waits for the end for at most `time`; `None` if the program still runs.
    pub async fn wait_for(&self, time: Duration) -> Option<JobEnd> {
        tokio::time::timeout(time, self.wait()).await.ok()
    }

    /// Waits until no process of the program is left.
    pub async fn wait_for_all(&self) {
        self.wait().await;
        while 0 < self.processes() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Waits for the end on a blocking thread.
    #[must_use]
    pub fn wait_blocking(&self) -> JobEnd {
        let mut state = self.0.state.lock();
        loop {
            if let Some(end) = &state.end {
                return end.clone();
            }
            self.0.changed.wait(&mut state);
        }
    }

    /// Ends the program with all its processes: SIGTERM, then SIGKILL after 700 ms. Returns immediately; [`Job::wait`]
    /// reports the end. The first reason is kept.
    pub fn stop(&self, reason: StopReason) {
        {
            let mut state = self.0.state.lock();
            if state.empty || state.reason.is_some() {
                return;
            }
            state.reason = Some(reason);
        }
        let shared = Arc::clone(&self.0);
        let grace = match reason {
            StopReason::TooManyProcesses => Duration::ZERO,
            _ => kill::GRACE,
        };
        let work = move || shared.end_session(grace);
        if let Err(error) = thread::Builder::new()
            .name("hq-stop".into())
            .stack_size(super::spawn::STACK)
            .spawn(work)
        {
            tracing::warn!(job.pid = self.pid(), "no thread to stop a program gently: {error}");
            self.0.end_session(Duration::ZERO);
        }
    }
}

impl Shared {
    /// Living processes of the program among `all`, whatever their session.
    pub(super) fn members_among(&self, all: &[Stat]) -> Vec<Stat> {
        let mut members = self.mark.among(all);
        kill::add(self.group.as_ref(), all, &mut members);
        members
    }

    pub(super) fn members(&self) -> Vec<Stat> {
        self.members_among(&procfs::all())
    }

    /// Called once no process is left.
    pub(super) fn remove_group(&self) {
        if let Some(group) = &self.group {
            group.remove();
        }
    }

    /// Ends the session's processes and records if none is left.
    pub(super) fn end_session(&self, grace: Duration) {
        let _ending = self.ending.lock();
        let ended = if grace.is_zero() {
            kill::end(&self.mark, self.group.as_ref(), kill::PATIENCE)
        } else {
            kill::stop(&self.mark, self.group.as_ref(), grace)
        };
        if ended.left == 0 {
            self.remove_group();
        } else {
            tracing::error!(
                job.pid = self.mark.session,
                "{} processes of session {} cannot be ended",
                ended.left,
                self.mark.session
            );
        }
        let mut state = self.state.lock();
        // Before the end of the first process is known, the session may still grow.
        state.empty = state.end.is_some() && ended.left == 0;
        state.ended_children += ended.ended - usize::from(ended.first && 0 < ended.ended);
    }

    pub(super) fn finish(&self, end: JobEnd) {
        let is_empty = end.running_children == 0;
        if is_empty {
            self.remove_group();
        }
        let mut state = self.state.lock();
        state.empty = is_empty;
        state.processes = end.running_children;
        state.end = Some(end);
        drop(state);
        self.changed.notify_all();
        self.notify.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended_with(running_children: usize) -> JobEnd {
        JobEnd {
            outcome: Outcome::Code(0),
            reason: Some(StopReason::Stopped),
            not_started: None,
            out_of_memory: None,
            ended_children: 0,
            running_children,
            duration_ms: 1,
        }
    }

    #[test]
    fn what_is_ended_right_after_the_first_process_does_not_count_for_ever() {
        let shared = Arc::new(Shared {
            // From an earlier boot: it has no processes.
            mark: SessionMark { session: 50, started: 0, boot: "before".to_owned() },
            group: None,
            started: Instant::now(),
            deadline: None,
            files: Vec::new(),
            output_cap: 1,
            max_processes: 1,
            looks: Mutex::default(),
            state: Mutex::default(),
            ending: Mutex::default(),
            changed: Condvar::new(),
            notify: Notify::new(),
        });
        let job = Job(Arc::clone(&shared));
        shared.state.lock().processes = 3;
        shared.finish(ended_with(2));
        assert_eq!(
            job.processes(),
            2,
            "as many as were left behind, whenever they were counted last"
        );
        // The watcher drops it now and counts no more.
        shared.end_session(Duration::ZERO);
        assert_eq!(job.processes(), 0);
    }
}
