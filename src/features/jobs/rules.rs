//! All writes of jobs.

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::runs::model::{Run, StopRequest};
use crate::workspace::model::{Counter, Counting};
use kernel::text::cut;
use kernel::{AgentId, Event, JobId, Problem, ProblemKind, RunId, SessionId};
use store::{ReadExt, StoreError, WriteTx};
use tool::reduce;

use super::model::{Job, JobOutcome, JobOutput};
use super::queries;
use super::typing::MAX_TYPED;

/// Maximum number of running jobs per agent.
pub const MAX_RUNNING: usize = 8;
/// Number of ended jobs kept per agent.
const MAX_KEPT: usize = 200;
/// Maximum length of a stored command, in bytes.
const MAX_COMMAND: usize = 4 * 1024;
/// Maximum length of the stored output tail, in bytes.
const MAX_TAIL: usize = 1024;

#[derive(Debug, thiserror::Error)]
pub enum JobError {
    #[error("program {0} does not exist")]
    NotFound(String),
    #[error("program {0} has already ended")]
    Ended(u32),
    #[error("program {0} is still running; stop it first")]
    Running(u32),
    #[error("{MAX_RUNNING} of your programs are already running; wait for one or end one")]
    TooMany,
    /// The run that started it is about to end.
    #[error("the run was stopped")]
    RunOver,
    /// Its input is closed.
    #[error(
        "program {0} doesn't read input: its input was closed, or it wasn't started with \
         background: true"
    )]
    Deaf(u32),
    #[error("there is nothing to write: give text or end the input")]
    NoInput,
    #[error("write at most {} KB at once", MAX_TYPED / 1024)]
    LongInput,
    /// Only part of the input was accepted.
    #[error(
        "it has read {taken} of {of} bytes and isn't reading more right now; write the rest \
        later"
    )]
    FullInput {
        /// Bytes accepted.
        taken: usize,
        /// Bytes sent.
        of: usize,
    },
    /// The job's host is silent.
    #[error("{0} is offline; try again when it is back")]
    Silent(String),
    /// The job's host rejected the request, with this message.
    #[error("{0}")]
    Told(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Problem for JobError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "job_not_found",
            Self::Ended(_) => "job_ended",
            Self::Running(_) => "job_running",
            Self::TooMany => "unavailable",
            Self::RunOver => "aborted",
            Self::Deaf(_) => "job_reads_nothing",
            Self::NoInput => "no_input",
            Self::LongInput => "too_large",
            Self::FullInput { .. } => "job_input_full",
            Self::Silent(_) => "gateway_offline",
            Self::Told(_) => "refused",
            Self::Store(error) => error.code(),
        }
    }

    fn kind(&self) -> ProblemKind {
        match self {
            Self::NotFound(_) => ProblemKind::NotFound,
            Self::Ended(_)
            | Self::Running(_)
            | Self::RunOver
            | Self::Deaf(_)
            | Self::Told(_)
            | Self::FullInput { .. } => ProblemKind::Conflict,
            Self::NoInput => ProblemKind::Invalid,
            Self::LongInput => ProblemKind::TooLarge,
            Self::TooMany => ProblemKind::Limited,
            Self::Silent(_) => ProblemKind::Unavailable,
            Self::Store(error) => error.kind(),
        }
    }
}

/// A job to be recorded.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NewJob {
    pub agent: AgentId,
    /// The run that started it.
    pub run: RunId,
    /// Number of the call in the run.
    pub step: u32,
    /// The session that is informed of its end.
    pub session: SessionId,
    /// Command line with secrets masked.
    pub command: String,
    /// Timeout in seconds.
    pub timeout_secs: u32,
    /// Time that it has been running already.
    pub since: SignedDuration,
}

/// Records a running job.
///
/// # Errors
/// `TooMany`, `RunOver`.
pub fn begin(tx: &mut WriteTx<'_>, new: NewJob) -> Result<Job, JobError> {
    if queries::running(tx, Some(new.agent))?.len() >= MAX_RUNNING {
        return Err(JobError::TooMany);
    }
    // A requested stop of the run does not know this program.
    let own = |run: &Run| (run.agent, run.session) == (new.agent, new.session);
    let run = tx.get::<Run>(new.run)?.filter(own);
    if run.is_none_or(|run| run.stop.is_some() || !run.is_live()) {
        return Err(JobError::RunOver);
    }
    for old in queries::of_agent(tx, new.agent, 2 * MAX_KEPT)?.into_iter().skip(MAX_KEPT) {
        if !old.is_running() {
            tx.delete::<Job>(old.id)?;
        }
    }
    let mut counter =
        tx.get::<Counter>(Counting::Jobs)?.unwrap_or(Counter { counting: Counting::Jobs, last: 0 });
    counter.last += 1;
    tx.put(&counter)?;
    let job = Job {
        id: tx.new_id(),
        number: counter.last,
        agent: new.agent,
        run: new.run,
        step: new.step,
        session: new.session,
        command: cut(&new.command, MAX_COMMAND).to_owned(),
        timeout_secs: new.timeout_secs,
        outcome: None,
        output: None,
        tail: String::new(),
        detached: 0,
        stop: None,
        started_at: tx.now() - new.since,
        ended_at: None,
        cleared_at: None,
    };
    tx.put(&job)?;
    Ok(job)
}

/// Result of a job.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Finished {
    pub outcome: JobOutcome,
    pub output: Option<JobOutput>,
    /// End of the output.
    pub tail: String,
    /// Number of processes still running.
    pub detached: u32,
}

/// Records the end of a job and informs its session. An ended job stays unchanged.
///
/// # Errors
/// `NotFound`.
pub fn finish(tx: &mut WriteTx<'_>, id: JobId, end: Finished) -> Result<Job, JobError> {
    let mut job = tx.get::<Job>(id)?.ok_or_else(|| JobError::NotFound(id.to_string()))?;
    if !job.is_running() {
        return Ok(job);
    }
    job.outcome = Some(end.outcome);
    job.output = end.output;
    // The end of the output, as a terminal would display it.
    let tail = reduce::plain(last(&end.tail, 16 * MAX_TAIL));
    job.tail = last(&tail, MAX_TAIL).to_owned();
    job.detached = end.detached;
    job.ended_at = Some(tx.now());
    tx.put(&job)?;
    tx.emit(Event::JobEnded { job: job.id, agent: job.agent, run: job.run, session: job.session });
    Ok(job)
}

/// Marks an agent's running jobs on a silent host as lost, because the agent leaves it. They are ended there when the
/// host returns.
pub fn give_up(tx: &mut WriteTx<'_>, agent: AgentId) -> Result<(), JobError> {
    for job in queries::running(tx, Some(agent))? {
        let (outcome, tail) = (JobOutcome::Lost, String::new());
        finish(tx, job.id, Finished { outcome, output: None, tail, detached: 0 })?;
        settle(tx, job.id)?;
    }
    Ok(())
}

/// Last bytes of a text, cut at a character boundary.
fn last(text: &str, max: usize) -> &str {
    let mut start = text.len().saturating_sub(max);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    &text[start..]
}

/// Requests the end of a job; its supervisor ends it. Idempotent.
///
/// # Errors
/// `NotFound`, `Ended` if no process is running.
pub fn request_stop(tx: &mut WriteTx<'_>, id: JobId) -> Result<Job, JobError> {
    let mut job = tx.get::<Job>(id)?.ok_or_else(|| JobError::NotFound(id.to_string()))?;
    if !job.goes_on() {
        return Err(JobError::Ended(job.number));
    }
    if job.stop.is_none() {
        job.stop = Some(StopRequest { by: tx.by().account(), at: tx.now() });
        tx.put(&job)?;
        tx.emit(Event::JobStopRequested { job: job.id, agent: job.agent });
    }
    Ok(job)
}

/// Records that a person wrote to a running job. Records the length but never the text, which may be a password.
///
/// # Errors
/// `NotFound`, `Ended`.
pub fn note_input(
    tx: &mut WriteTx<'_>,
    id: JobId,
    bytes: usize,
    end: bool,
) -> Result<(), JobError> {
    let job = tx.get::<Job>(id)?.ok_or_else(|| JobError::NotFound(id.to_string()))?;
    if !job.is_running() {
        return Err(JobError::Ended(job.number));
    }
    let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
    tx.emit(Event::JobInputSent { job: id, agent: job.agent, bytes, end });
    Ok(())
}

/// Records that no process of an ended job is running any more.
///
/// # Errors
/// `NotFound`.
pub fn settle(tx: &mut WriteTx<'_>, id: JobId) -> Result<(), JobError> {
    let mut job = tx.get::<Job>(id)?.ok_or_else(|| JobError::NotFound(id.to_string()))?;
    if job.detached > 0 {
        job.detached = 0;
        tx.put(&job)?;
    }
    Ok(())
}

/// Removes an ended job from its agent's list. People can still find it.
///
/// # Errors
/// `NotFound`, `Running`.
pub fn clear(tx: &mut WriteTx<'_>, id: JobId) -> Result<(), JobError> {
    let mut job = tx.get::<Job>(id)?.ok_or_else(|| JobError::NotFound(id.to_string()))?;
    if job.is_running() {
        return Err(JobError::Running(job.number));
    }
    job.cleared_at = Some(tx.now());
    tx.put(&job)?;
    Ok(())
}
