//! Records of jobs.

use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use crate::agents::model::Agent;
use crate::runs::model::StopRequest;
use kernel::{AgentId, JobId, RunId, SessionId, Timestamp, TypedId};
use store::{BlobId, BlobRefs, Class, Index, Keys, OnDelete, Record, Refs, Table};

pub const JOBS: Table = Table::new(160, "jobs");
pub const JOB_BY_NUMBER: Index = Index::unique(161, "jobs_by_number");
/// Agent, then creation order.
pub const JOB_BY_AGENT: Index = Index::multi(162, "jobs_by_agent");
/// Jobs with running processes.
pub const JOBS_RUNNING: Index = Index::multi(163, "jobs_running");

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum JobOutcome {
    /// Exit code.
    Exited(i32),
    /// Killed by a signal that HQ did not send.
    Signalled(i32),
    TimedOut,
    Stopped,
    TooManyProcesses,
    TooMuchOutput,
    /// HQ ended first, or the agent left its host. The end was not observed.
    Lost,
    /// Could not be started in the sandbox, with the reason.
    NotStarted(String),
    TooMuchDisk,
    /// Killed by the kernel's OOM killer, wholly or in part. Contains what was killed, in words.
    OutOfMemory(String),
}

impl JobOutcome {
    #[must_use]
    pub fn is_good(&self) -> bool {
        matches!(self, Self::Exited(0))
    }

    /// Stable API word.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Exited(0) => "completed",
            Self::Exited(_) | Self::Signalled(_) => "failed",
            Self::TimedOut => "timeout",
            Self::Stopped => "killed",
            Self::TooManyProcesses => "too_many_processes",
            Self::TooMuchOutput => "too_much_output",
            Self::Lost => "lost",
            Self::NotStarted(_) => "not_started",
            Self::TooMuchDisk => "too_much_disk",
            Self::OutOfMemory(_) => "out_of_memory",
        }
    }

    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Exited(code) => format!("exit code {code}"),
            Self::Signalled(signal) => format!("ended by signal {signal}"),
            Self::TimedOut => "ended: time limit reached".to_owned(),
            Self::Stopped => "stopped".to_owned(),
            Self::TooManyProcesses => "ended: too many processes".to_owned(),
            Self::TooMuchOutput => "ended: too much output".to_owned(),
            Self::Lost => {
                "lost: HQ or its machine stopped first, so its progress is unknown".to_owned()
            }
            Self::NotStarted(why) => format!("not started: {why}"),
            Self::TooMuchDisk => "ended: used too much disk space".to_owned(),
            Self::OutOfMemory(what) => format!("failed: {what}"),
        }
    }
}

/// Stored output of an ended job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobOutput {
    /// Text with secrets masked.
    pub id: BlobId,
    /// Length in bytes.
    pub len: u64,
}

/// A background program of an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    pub id: JobId,
    /// Unique in the workspace.
    pub number: u32,
    pub agent: AgentId,
    /// The run that started it.
    pub run: RunId,
    /// Number of the call in the run.
    pub step: u32,
    /// The session that is informed of its end.
    pub session: SessionId,
    /// Command line with secrets masked, at most 4 KiB.
    pub command: String,
    /// Timeout in seconds.
    pub timeout_secs: u32,
    /// `None` while it runs.
    pub outcome: Option<JobOutcome>,
    /// `None` while it runs, or if it wrote nothing.
    pub output: Option<JobOutput>,
    /// End of the output, at most 1 KiB.
    pub tail: String,
    /// Number of processes that outlived the main process.
    pub detached: u32,
    pub stop: Option<StopRequest>,
    #[serde(with = "millisecond::required")]
    pub started_at: Timestamp,
    #[serde(with = "millisecond::optional")]
    pub ended_at: Option<Timestamp>,
    /// Time at which the agent removed it from its list.
    #[serde(with = "millisecond::optional")]
    pub cleared_at: Option<Timestamp>,
}

impl Job {
    /// Returns `true` if the main process is running.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.outcome.is_none()
    }

    /// Returns `true` if any process is running.
    #[must_use]
    pub fn goes_on(&self) -> bool {
        self.is_running() || self.detached > 0
    }

    /// Folder name below the jobs folder.
    #[must_use]
    pub fn folder(&self) -> String {
        folder_of(self.run, self.step)
    }

    /// Running time in seconds, until the end or `now`.
    #[must_use]
    pub fn seconds(&self, now: Timestamp) -> u64 {
        let until = self.ended_at.unwrap_or(now);
        u64::try_from(until.duration_since(self.started_at).as_secs()).unwrap_or(0)
    }
}

/// Folder name for the program of a call.
#[must_use]
pub fn folder_of(run: RunId, step: u32) -> String {
    format!("{run}-{step}")
}

/// Output file in a job's folder.
pub const OUTPUT: &str = "output.txt";

impl Record for Job {
    type Id = JobId;
    const TABLE: Table = JOBS;
    const CLASS: Class = Class::Work;
    const INDEXES: &'static [Index] = &[JOB_BY_NUMBER, JOB_BY_AGENT, JOBS_RUNNING];
    const BLOBS: Option<fn(&Self, &mut BlobRefs)> = Some(|job, blobs| {
        if let Some(output) = &job.output {
            blobs.one(output.id);
        }
    });
    fn id(&self) -> JobId {
        self.id
    }
    fn index(&self, keys: &mut Keys) {
        keys.entry(JOB_BY_NUMBER).part(self.number);
        keys.entry(JOB_BY_AGENT).part(self.agent);
        if self.goes_on() {
            keys.entry(JOBS_RUNNING).part(self.agent);
        }
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Agent>(1, Some(self.agent), OnDelete::Cascade);
    }
    fn sample() -> Self {
        let at = kernel::time::from_ms(1_700_000_000_000);
        Self {
            id: JobId::from_bytes([16; 16]),
            number: 7,
            agent: AgentId::from_bytes([5; 16]),
            run: RunId::from_bytes([8; 16]),
            step: 3,
            session: SessionId::from_bytes([12; 16]),
            command: "make test".into(),
            timeout_secs: 1_800,
            outcome: Some(JobOutcome::Exited(2)),
            output: Some(JobOutput { id: BlobId::of(b"one failed\n"), len: 11 }),
            tail: "one failed\n".into(),
            detached: 1,
            stop: Some(StopRequest { by: None, at }),
            started_at: at,
            ended_at: Some(at),
            cleared_at: None,
        }
    }
}
