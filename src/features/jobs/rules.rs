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

/// How many jobs of one agent run at once.
pub const MAX_RUNNING: usize = 8;
/// How many ended jobs of one agent are kept.
const MAX_KEPT: usize = 200;
/// How much of a command is kept, in bytes.
const MAX_COMMAND: usize = 4 * 1024;
/// How much of the end of an output stands in the record, in bytes.
const MAX_TAIL: usize = 1024;

/// What a rule of jobs refuses.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// No such job.
    #[error("job {0} does not exist")]
    NotFound(String),
    #[error("job {0} has ended already")]
    Ended(u32),
    /// It runs.
    #[error("job {0} still runs; stop it first")]
    Running(u32),
    /// Too many run.
    #[error("{MAX_RUNNING} programs of yours run already; wait for one or end one")]
    TooMany,
    /// The run that began it is to end.
    #[error("the run was stopped")]
    RunOver,
    /// Nothing can be written to it.
    #[error(
        "job {0} reads nothing: its input was closed, or it was not begun with background: true"
    )]
    Deaf(u32),
    /// There is nothing to write.
    #[error("there is nothing to write: give text, or end the input")]
    NoInput,
    /// There is too much to write.
    #[error("write at most {} KB at once", MAX_TYPED / 1024)]
    LongInput,
    /// It took a part.
    #[error("it took {taken} of {of} bytes and reads no more for now; write the rest later")]
    FullInput {
        /// So many bytes.
        taken: usize,
        /// Of so many.
        of: usize,
    },
    /// It runs on this machine, of which nothing is heard.
    #[error("{0} is silent; try again when it is back")]
    Silent(String),
    /// Another machine has refused it, in these words.
    #[error("{0}")]
    Told(String),
    /// The store refused.
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

/// A program that goes on beside its agent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NewJob {
    pub agent: AgentId,
    /// The run that began it.
    pub run: RunId,
    /// The number of the call in the run.
    pub step: u32,
    /// The session that hears of its end.
    pub session: SessionId,
    /// The command line, secrets taken out.
    pub command: String,
    /// Seconds until it is ended.
    pub timeout_secs: u32,
    /// For how long it has run already.
    pub since: SignedDuration,
}

/// Notes a program that goes on.
///
/// # Errors
/// `TooMany`.
pub fn begin(tx: &mut WriteTx<'_>, new: NewJob) -> Result<Job, JobError> {
    if queries::running(tx, Some(new.agent))?.len() >= MAX_RUNNING {
        return Err(JobError::TooMany);
    }
    // Whoever asked for the end of the run has not heard of this program.
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

/// What became of a job.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Finished {
    /// How it ended.
    pub outcome: JobOutcome,
    /// What it wrote.
    pub output: Option<JobOutput>,
    /// The end of that.
    pub tail: String,
    /// Processes that go on.
    pub detached: u32,
}

/// Notes the end of a job; its session hears of it. One that has ended stays as it is.
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
    // What a terminal would show of it, and of that the end.
    let tail = reduce::plain(last(&end.tail, 16 * MAX_TAIL));
    job.tail = last(&tail, MAX_TAIL).to_owned();
    job.detached = end.detached;
    job.ended_at = Some(tx.now());
    tx.put(&job)?;
    tx.emit(Event::JobEnded { job: job.id, agent: job.agent, run: job.run, session: job.session });
    Ok(job)
}

/// Gives up what goes on of an agent's programs on a machine of which nothing is heard, since the agent leaves it: they are
/// lost, and end there when it is back.
pub fn give_up(tx: &mut WriteTx<'_>, agent: AgentId) -> Result<(), JobError> {
    for job in queries::running(tx, Some(agent))? {
        let (outcome, tail) = (JobOutcome::Lost, String::new());
        finish(tx, job.id, Finished { outcome, output: None, tail, detached: 0 })?;
        settle(tx, job.id)?;
    }
    Ok(())
}

/// The last bytes of a text, cut at a character.
fn last(text: &str, max: usize) -> &str {
    let mut start = text.len().saturating_sub(max);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    &text[start..]
}

/// Asks a job to end; whoever runs it does so. Asked twice, it is asked once.
///
/// # Errors
/// `NotFound`, `Ended` when nothing of it goes on.
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

/// Notes that a person writes to a running job: how much, never what, since it may be a password.
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

/// Nothing of an ended job goes on any more.
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

/// Takes an ended job off its agent's list. People still find it.
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
