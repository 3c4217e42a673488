//! Background activity: programs that agents left running, sub-agents, and runs waiting for a time, each with what it
//! waits for.

use crate::agents::model::Agent;
use crate::jobs::model::{Job, JobOutcome};
use crate::runs::model::{Child, Run};
use crate::runs::queries::{self as runs, waits, words};
use app::Ws;
use kernel::{RunTrigger, Timestamp, WaitFor};
use store::{Read, ReadExt, StoreError};
use web::parts::ShownState;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A program that an agent left running.
    Program,
    /// A run that another run started for part of its work.
    Subagent,
    /// A run that waits for a time.
    Timer,
}

impl Kind {
    /// All kinds, in display order.
    pub const ALL: [Self; 3] = [Self::Program, Self::Subagent, Self::Timer];

    /// Word in URLs and the API.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Program => "program",
            Self::Subagent => "subagent",
            Self::Timer => "timer",
        }
    }

    /// Singular and plural label.
    #[must_use]
    pub fn label(self) -> (&'static str, &'static str) {
        match self {
            Self::Program => ("Program", "Programs"),
            Self::Subagent => ("Sub-agent", "Sub-agents"),
            Self::Timer => ("Timer", "Timers"),
        }
    }

    #[must_use]
    pub fn icon(self) -> &'static str {
        match self {
            Self::Program => "terminal",
            Self::Subagent => "sub",
            Self::Timer => "clock",
        }
    }

    /// Parses a word.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

pub struct Going {
    pub kind: Kind,
    pub agent: Option<Agent>,
    /// The job. `None` for a run.
    pub job: Option<Job>,
    /// The run itself, or the run that started the job.
    pub run: Option<Run>,
    /// Parent run of a sub-agent.
    pub parent: Option<Run>,
    pub title: String,
    pub state: ShownState,
    pub since: Timestamp,
    /// Time at which it ends or continues on its own.
    pub until: Option<Timestamp>,
    /// Why it does not continue, in one sentence.
    pub why: String,
}

/// State of a program as shown everywhere. It is unknown while its machine is silent.
#[must_use]
pub fn state(job: &Job, is_silent: bool) -> ShownState {
    match &job.outcome {
        None if is_silent => words::stalled(),
        None => running(job),
        Some(outcome) if outcome.is_good() => ShownState::new("done", "Done", "done"),
        Some(JobOutcome::Stopped) => ShownState::new("stopped", "Stopped", "stop"),
        Some(JobOutcome::TimedOut) => ShownState::new("failed", "Timed out", "missed"),
        Some(JobOutcome::Lost) => ShownState::new("failed", "Lost", "missed"),
        Some(_) => ShownState::new("failed", "Failed", "missed"),
    }
}

/// State of a program of which a process still runs.
fn running(job: &Job) -> ShownState {
    match job.stop {
        Some(_) => ShownState::new("running", "Stopping", "stop"),
        None => ShownState::new("running", "Running", "play"),
    }
}

/// Activities that the viewer may see, oldest first.
pub fn going(
    ws: &Ws,
    tx: &dyn Read,
    sees: &dyn Fn(&Run) -> Result<bool, StoreError>,
) -> Result<Vec<Going>, StoreError> {
    let mut all = Vec::new();
    for job in super::running(tx, None)? {
        let run = tx.get::<Run>(job.run)?;
        let seen = match &run {
            Some(run) => sees(run)?,
            None => true,
        };
        if seen {
            all.push(program(tx, job, run)?);
        }
    }
    for run in runs::live(tx)? {
        let waits_for = run.waits_for();
        let kind = match (run.trigger, waits_for) {
            (RunTrigger::Child, _) => Kind::Subagent,
            (_, Some(WaitFor::Timer)) => Kind::Timer,
            _ => continue,
        };
        if sees(&run)? {
            all.push(of_run(ws, tx, kind, run)?);
        }
    }
    all.sort_by_key(|one| {
        let job = one.job.as_ref().map(|job| job.number);
        (one.since, job, one.run.as_ref().map(|run| run.number))
    });
    Ok(all)
}

fn program(tx: &dyn Read, job: Job, run: Option<Run>) -> Result<Going, StoreError> {
    let agent = tx.get::<Agent>(job.agent)?;
    let until = job.started_at + jiff::SignedDuration::from_secs(i64::from(job.timeout_secs));
    let title = job.command.lines().next().unwrap_or_default().to_owned();
    let why = match (job.is_running(), job.detached) {
        (true, _) => String::new(),
        (false, 1) => "Its first process has ended. One that it started continues.".to_owned(),
        (false, n) => format!("Its first process has ended. {n} that it started continue."),
    };
    Ok(Going {
        kind: Kind::Program,
        agent,
        run,
        parent: None,
        title,
        state: running(&job),
        since: job.started_at,
        until: job.is_running().then_some(until),
        why,
        job: Some(job),
    })
}

fn of_run(ws: &Ws, tx: &dyn Read, kind: Kind, run: Run) -> Result<Going, StoreError> {
    let agent = tx.get::<Agent>(run.agent)?;
    let parent = match tx.get::<Child>(run.id)? {
        Some(child) => tx.get::<Run>(child.parent)?,
        None => None,
    };
    let waiting = run.waiting.as_ref();
    let since = match kind {
        Kind::Timer => waiting.map_or(run.created_at, |waiting| waiting.since),
        _ => run.started_at.unwrap_or(run.created_at),
    };
    let why = waits::of(tx, &run, agent.as_ref())?.map(|why| why.text).unwrap_or_default();
    Ok(Going {
        kind,
        job: None,
        parent,
        title: if run.title.is_empty() { run.name() } else { run.title.clone() },
        state: words::seen(ws, tx, &run)?,
        since,
        until: waiting.and_then(|waiting| waiting.until),
        why,
        agent,
        run: Some(run),
    })
}
