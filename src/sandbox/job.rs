//! One started program: how to wait for it, stop it, and what became of it.

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

/// How often it is looked whether processes are left when the first one has ended.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Why HQ ended a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// A person or the run asked for it.
    Stopped,
    /// Its time was up.
    TimedOut,
    /// It had too many processes or threads.
    TooManyProcesses,
    /// It wrote too much.
    TooMuchOutput,
    /// Its folders held too much, or the disk was nearly full.
    TooMuchDisk,
    /// HQ is stopping.
    Shutdown,
}

/// How the program's first process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// By itself, with this code.
    Code(i32),
    Signal(i32),
}

/// What became of a program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct JobEnd {
    /// How its first process ended.
    pub outcome: Outcome,
    /// Why HQ ended it; none when it ended by itself.
    pub reason: Option<StopReason>,
    /// Why nothing ran, when the jail could not be set up.
    pub not_started: Option<String>,
    /// That memory ran out for it, if the kernel says so.
    pub out_of_memory: Option<OutOfMemory>,
    /// Processes that it left behind and that were ended with it.
    pub ended_children: usize,
    /// Processes that go on, because the command asked for that.
    pub running_children: usize,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
}

impl JobEnd {
    /// Whether it ran to its end with code 0.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.outcome == Outcome::Code(0) && self.reason.is_none()
    }
}

/// A handle on a started program. Dropping it changes nothing.
#[derive(Clone)]
pub struct Job(pub(super) Arc<Shared>);

/// What the handle, the waiting thread and the watcher share.
pub(super) struct Shared {
    pub(super) mark: SessionMark,
    /// Its control group, where the machine gives one.
    pub(super) group: Option<Group>,
    pub(super) started: Instant,
    pub(super) deadline: Option<Instant>,
    /// The output files, open since they were made: what their paths lead to by now does not matter.
    pub(super) files: Vec<File>,
    pub(super) output_cap: u64,
    pub(super) max_processes: usize,
    /// What is known of the disk; nothing when nobody looks.
    pub(super) looks: Mutex<Option<Looks>>,
    pub(super) state: Mutex<State>,
    /// Held while the session is being ended, so that two ways of ending do not meet.
    pub(super) ending: Mutex<()>,
    pub(super) changed: Condvar,
    pub(super) notify: Notify,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) reason: Option<StopReason>,
    pub(super) end: Option<JobEnd>,
    /// Nothing of the session is left; the watcher may forget it.
    pub(super) empty: bool,
    pub(super) processes: usize,
    /// Processes besides the first that were ended so far.
    pub(super) ended_children: usize,
}

impl Job {
    /// The number of its first process, which is also its session's.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.0.mark.session
    }

    /// What to record, so that a later start of HQ finds what is left of it.
    #[must_use]
    pub fn mark(&self) -> &SessionMark {
        &self.0.mark
    }

    /// Its end, if it has come.
    #[must_use]
    pub fn end(&self) -> Option<JobEnd> {
        self.0.state.lock().end.clone()
    }

    /// What it wrote to its first output file, read through the descriptor with which the file was made. Nothing when
    /// its output goes to no file. Blocking.
    pub fn excerpt(&self, head: usize, tail: usize) -> io::Result<Excerpt> {
        match self.0.files.first() {
            Some(file) => output::excerpt_of(file, head, tail),
            None => Ok(Excerpt::default()),
        }
    }

    /// How many bytes it has written to its first output file, and how long ago the last of them.
    pub fn written(&self) -> io::Result<(u64, Duration)> {
        let Some(file) = self.0.files.first() else { return Ok((0, Duration::ZERO)) };
        let meta = file.metadata()?;
        // A clock that was set back means now.
        let quiet = meta.modified()?.elapsed().unwrap_or_default();
        Ok((meta.len(), quiet))
    }

    /// What it wrote to its first output file from this byte on, and the byte to go on from.
    pub fn output_from(&self, offset: u64, bytes: usize) -> io::Result<(String, u64)> {
        match self.0.files.first() {
            Some(file) => output::from_file(file, offset, bytes),
            None => Ok((String::new(), 0)),
        }
    }

    /// How many processes its session had when last counted.
    #[must_use]
    pub fn processes(&self) -> usize {
        let state = self.0.state.lock();
        // Once it is empty nobody counts any more.
        if state.empty { 0 } else { state.processes }
    }

    /// Waits for its end. May be dropped and called again.
    pub async fn wait(&self) -> JobEnd {
        loop {
            // Registered before the look, so that an end in between is not missed.
            let mut notified = std::pin::pin!(self.0.notify.notified());
            notified.as_mut().enable();
            if let Some(end) = self.end() {
                return end;
            }
            notified.await;
        }
    }

    /// Waits for its end for at most this long; none when it still runs.
    pub async fn wait_for(&self, time: Duration) -> Option<JobEnd> {
        tokio::time::timeout(time, self.wait()).await.ok()
    }

    /// Waits until nothing of it is left: its first process and all that this one has started.
    pub async fn wait_for_all(&self) {
        self.wait().await;
        while 0 < self.processes() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Waits for its end in a thread that may block.
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

    /// Ends the program with everything that it started: asks, and kills what is left after 700 ms. Returns at once;
    /// the end comes through [`Job::wait`]. The first reason given is kept.
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
    /// Its living processes among those found in `/proc`, whatever session they are in.
    pub(super) fn members_among(&self, all: &[Stat]) -> Vec<Stat> {
        let mut members = self.mark.among(all);
        kill::add(self.group.as_ref(), all, &mut members);
        members
    }

    pub(super) fn members(&self) -> Vec<Stat> {
        self.members_among(&procfs::all())
    }

    /// Once nothing of it is left.
    pub(super) fn remove_group(&self) {
        if let Some(group) = &self.group {
            group.remove();
        }
    }

    /// Ends what is there of the session and notes that nothing is left.
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
        // Before the end of the first process is known, the session is not empty for good.
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
            // Of an earlier start of the host: nobody is in it.
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
        // The watcher forgets it now and counts no more.
        shared.end_session(Duration::ZERO);
        assert_eq!(job.processes(), 0);
    }
}
