//! Records of jobs.

use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use crate::agents::model::Agent;
use crate::runs::model::StopRequest;
use kernel::{AgentId, JobId, RunId, SessionId, Timestamp, TypedId};
use store::{BlobId, BlobRefs, Class, Index, Keys, OnDelete, Record, Refs, Table};

pub const JOBS: Table = Table::new(160, "jobs");
pub const JOB_BY_NUMBER: Index = Index::unique(161, "jobs_by_number");
/// Agent, then the order of making.
pub const JOB_BY_AGENT: Index = Index::multi(162, "jobs_by_agent");
/// Those of which something runs.
pub const JOBS_RUNNING: Index = Index::multi(163, "jobs_running");

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum JobOutcome {
    /// By itself, with this code.
    Exited(i32),
    /// By this signal, which HQ did not send.
    Signalled(i32),
    /// Its time was up.
    TimedOut,
    /// Somebody stopped it.
    Stopped,
    /// It had too many processes.
    TooManyProcesses,
    /// It wrote too much.
    TooMuchOutput,
    /// HQ ended before it did, or its agent left its machine; nobody saw its end.
    Lost,
    /// It could not be started in the sandbox, with the reason.
    NotStarted(String),
    /// It had too much on the disk.
    TooMuchDisk,
    /// The kernel ended it, or a part of it, because memory ran out. What that was, in words.
    OutOfMemory(String),
}

impl JobOutcome {
    /// Whether it did what it was to do.
    #[must_use]
    pub fn is_good(&self) -> bool {
        matches!(self, Self::Exited(0))
    }

    /// A stable word.
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

    /// In words, for models and people.
    #[must_use]
    pub fn told(&self) -> String {
        match self {
            Self::Exited(code) => format!("exit code {code}"),
            Self::Signalled(signal) => format!("ended by signal {signal}"),
            Self::TimedOut => "ended, because its time was up".to_owned(),
            Self::Stopped => "stopped".to_owned(),
            Self::TooManyProcesses => "ended: too many processes".to_owned(),
            Self::TooMuchOutput => "ended: too much output".to_owned(),
            Self::Lost => {
                "lost: HQ ended before it did, or left its machine; nobody knows how far it came"
                    .to_owned()
            }
            Self::NotStarted(why) => format!("not started: {why}"),
            Self::TooMuchDisk => "ended: too much on the disk".to_owned(),
            Self::OutOfMemory(what) => format!("failed: {what}"),
        }
    }
}

/// What a job wrote, kept after its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobOutput {
    /// The text, secrets taken out.
    pub id: BlobId,
    /// Its length in bytes.
    pub len: u64,
}

/// A program of an agent that runs beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    pub id: JobId,
    /// Its number in the workspace.
    pub number: u32,
    pub agent: AgentId,
    /// The run that began it.
    pub run: RunId,
    /// The number of the call in the run.
    pub step: u32,
    /// The session that hears of its end.
    pub session: SessionId,
    /// The command line, secrets taken out, at most 4 KiB.
    pub command: String,
    /// Seconds until it is ended.
    pub timeout_secs: u32,
    /// How it ended; none while it runs.
    pub outcome: Option<JobOutcome>,
    /// What it wrote; none while it runs, or when it wrote nothing.
    pub output: Option<JobOutput>,
    /// The end of what it wrote, at most 1 KiB.
    pub tail: String,
    /// Processes that went on after its first one had ended.
    pub detached: u32,
    /// Who asked for its end.
    pub stop: Option<StopRequest>,
    #[serde(with = "millisecond::required")]
    pub started_at: Timestamp,
    #[serde(with = "millisecond::optional")]
    pub ended_at: Option<Timestamp>,
    /// Since when its agent does not want to see it any more.
    #[serde(with = "millisecond::optional")]
    pub cleared_at: Option<Timestamp>,
}

impl Job {
    /// Whether its first process has not ended.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.outcome.is_none()
    }

    /// Whether anything of it runs.
    #[must_use]
    pub fn goes_on(&self) -> bool {
        self.is_running() || self.detached > 0
    }

    /// The name of its folder below the folder of jobs.
    #[must_use]
    pub fn folder(&self) -> String {
        folder_of(self.run, self.step)
    }

    /// How long it ran, or has run by now, in seconds.
    #[must_use]
    pub fn seconds(&self, now: Timestamp) -> u64 {
        let until = self.ended_at.unwrap_or(now);
        u64::try_from(until.duration_since(self.started_at).as_secs()).unwrap_or(0)
    }
}

/// The name of the folder in which the program of a call works.
#[must_use]
pub fn folder_of(run: RunId, step: u32) -> String {
    format!("{run}-{step}")
}

/// The file in a job's folder that takes what its program writes.
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
