//! All that goes on beside what people look at: programs that agents left running, sub-agents, runs that
//! wait for a moment. With what each waits for.

use crate::agents::model::Agent;
use crate::jobs::model::Job;
use crate::runs::model::{Child, Run};
use crate::runs::queries::{self as runs, waits, words};
use kernel::{RunTrigger, Timestamp, WaitFor};
use store::{Read, ReadExt, StoreError};

/// What goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A program that an agent left running.
    Program,
    /// A run that another run made for a part of its work.
    Subagent,
    /// A run that waits for a moment.
    Timer,
}

impl Kind {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 3] = [Self::Program, Self::Subagent, Self::Timer];

    /// The word in addresses and for programs.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Program => "program",
            Self::Subagent => "subagent",
            Self::Timer => "timer",
        }
    }

    /// The words for people: one of them, and many.
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

    /// The kind with this word.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

/// One thing that goes on.
pub struct Going {
    pub kind: Kind,
    pub agent: Option<Agent>,
    /// The program; none for a run.
    pub job: Option<Job>,
    /// The run itself; of a program the one that began it.
    pub run: Option<Run>,
    /// The run that made a sub-agent.
    pub parent: Option<Run>,
    /// What it is about.
    pub title: String,
    /// A state word with the word for people.
    pub state: (&'static str, &'static str),
    pub since: Timestamp,
    /// When it ends, or goes on, by itself.
    pub until: Option<Timestamp>,
    /// Why it does not go on, in one sentence.
    pub why: String,
}

/// All that goes on and that somebody may see, the oldest first.
pub fn going(
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
        let waits_for = run.waiting.as_ref().map(|waiting| waiting.waits_for);
        let kind = match (run.trigger, waits_for) {
            (RunTrigger::Child, _) => Kind::Subagent,
            (_, Some(WaitFor::Timer)) => Kind::Timer,
            _ => continue,
        };
        if sees(&run)? {
            all.push(of_run(tx, kind, run)?);
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
        (false, 1) => "Its first process has ended; one that it began goes on.".to_owned(),
        (false, n) => format!("Its first process has ended; {n} that it began go on."),
    };
    Ok(Going {
        kind: Kind::Program,
        agent,
        run,
        parent: None,
        title,
        state: match job.stop {
            Some(_) => ("working", "Stopping"),
            None => ("working", "Running"),
        },
        since: job.started_at,
        until: job.is_running().then_some(until),
        why,
        job: Some(job),
    })
}

fn of_run(tx: &dyn Read, kind: Kind, run: Run) -> Result<Going, StoreError> {
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
        state: words::state(&run),
        since,
        until: waiting.and_then(|waiting| waiting.until),
        why,
        agent,
        run: Some(run),
    })
}
