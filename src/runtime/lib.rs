//! The agent engine: dispatcher, loop, journal, prompt, tools.
//!
//! A run is a durable state machine: what it is about to do and what came of it are events of its
//! session, appended through the store before it goes on. What streams is in memory only. The
//! engine knows neither which page or channel asked nor how a model's wire looks.

mod alive;
mod remote;
mod before;
mod bounded;
mod fetch_blobs;
mod calls;
mod card;
mod child;
mod chosen;
mod client;
pub mod command;
mod commit;
mod compact;
mod context;
mod cron;
mod dispatcher;
mod egress;
mod ending;
mod failover;
mod feed;
mod first;
mod file_calls;
mod gate;
mod guard;
mod history;
mod inbox;
mod items;
pub mod jobs;
mod journal;
mod late;
mod limits;
mod manifests;
mod model_call;
mod pictures;
mod piece;
mod plan;
mod port;
mod prompt;
mod prune;
mod questions;
mod resume;
mod reverts;
mod run_slot;
mod stand_ins;
mod toolbox;
pub mod tools;
mod turn;
mod unfit;
mod way_out;
mod withdrawn;

use std::sync::Arc;

use app::Ws;
use app::upstream::Refusal;
use features::connections::jobs as lists;
use features::connections::rules::ConnectionError;
use features::connections::{logins, probes};
use features::inbox::rules::InboxError;
use features::jobs::rules::JobError;
use features::runs::rules::RunError;
use features::trust::rules::TrustError;
use features::usage::rules::UsageError;
use git::GitError;
use kernel::{Actor, Cause, Part, Problem};
use store::StoreError;
use tool::{ToolError, Tools};

pub use items::make_run;
pub use limits::Limits;
pub use remote::{AtHome, OfHome};
pub use stand_ins::Trusted;
pub use way_out::way_of_browsers;

/// What the engine itself does has no other cause.
const BY: (Actor, Cause) = (Actor::System(Part::Engine), Cause::Timer);

/// What all runs share.
#[derive(Clone)]
pub struct Engine {
    pub tools: Tools,
    /// What bounds runs.
    pub limits: Limits,
    /// The programs that go on beside their agents.
    jobs: jobs::Jobs,
    /// Makes pictures smaller that providers would refuse.
    pictures: pictures::Pictures,
    /// One permit for each run that works.
    slots: Arc<tokio::sync::Semaphore>,
    /// One more for each sub-agent among them.
    lane: Arc<tokio::sync::Semaphore>,
    /// Counts the permits that were given back, for workspaces that wait for one.
    freed: Arc<tokio::sync::watch::Sender<u64>>,
}

impl Engine {
    /// An engine with these tools.
    #[must_use]
    pub fn new(tools: Tools, limits: Limits, jobs: jobs::Jobs) -> Self {
        Self {
            tools,
            limits,
            jobs,
            pictures: pictures::Pictures::default(),
            slots: Arc::new(tokio::sync::Semaphore::new(limits.active)),
            lane: Arc::new(tokio::sync::Semaphore::new(limits.children)),
            freed: Arc::new(tokio::sync::watch::Sender::new(0)),
        }
    }

    /// Waits until no run is worked on. While somebody waits for that, none gets a slot.
    pub async fn rests(&self) {
        let all = u32::try_from(self.limits.active).unwrap_or(u32::MAX);
        // ok: they are never closed.
        let _ = self.slots.acquire_many(all).await;
    }
}

/// Resumes what a crash interrupted and begins to dispatch; takes back files that an undo ordered.
pub fn start(engine: Engine, ws: Ws) {
    ws.spawn("reverts", reverts::run(ws.clone()));
    ws.spawn("manifests", manifests::run(ws.clone()));
    ws.spawn("jobs", engine.jobs.clone().serve(ws.clone()));
    ws.spawn("model lists", lists::keep_lists_fresh(ws.clone()));
    ws.spawn("sign-ins", logins::see_to_all(ws.clone()));
    ws.spawn("tries of who rests", probes::keep_trying(ws.clone()));
    dispatcher::start(engine, ws);
}

/// Drives the runs of this host's agents: what a life before left is taken up, what home makes is begun. What is begun, and
/// when, home decides.
pub fn start_away(engine: Engine, ws: Ws) {
    remote::asks::answer(&ws);
    remote::files::bring_home(&ws);
    dispatcher::start(engine, ws);
}

/// Why the engine cannot go on with a run.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A rule of runs refused.
    #[error(transparent)]
    Run(#[from] RunError),
    /// What was asked before a call could not be kept.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// A rule of the inbox refused.
    #[error(transparent)]
    Inbox(#[from] InboxError),
    /// Money could not be set aside or booked.
    #[error(transparent)]
    Usage(#[from] UsageError),
    /// No connection can be used.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// The agent's files could not be kept.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The disk failed.
    #[error("a blob could not be written or read: {0}")]
    Blob(#[from] std::io::Error),
    /// A tool failed that must not.
    #[error("{0}")]
    Tool(String),
    /// Work needs tools, and nobody who may answer takes any.
    #[error("{0} takes no tools: it can talk and not work; choose another model")]
    NoTools(String),
    /// What is written does not fit together.
    #[error("{0}")]
    Broken(&'static str),
    /// Somebody has ordered that nothing is begun, when this was about to be.
    #[error("all work is paused")]
    Halted,
    /// Home has refused it.
    #[error("{}", .0.sentence)]
    Home(Refusal),
}

impl EngineError {
    /// Whether somebody else writes this run now, or nobody is to: this writer just stops.
    fn is_fenced(&self) -> bool {
        matches!(self, Self::Halted | Self::Run(RunError::Fenced | RunError::Ended(_)))
    }

    /// The stable word that stands in a failed run's outcome.
    fn word(&self) -> &str {
        match self {
            Self::Run(e) => e.code(),
            Self::Trust(e) => e.code(),
            Self::Inbox(e) => e.code(),
            Self::Usage(e) => e.code(),
            Self::Connection(e) => e.code(),
            Self::Git(e) => e.code(),
            Self::Store(e) => e.code(),
            Self::Blob(_) => "storage_failed",
            Self::Tool(_) => "tool",
            Self::NoTools(_) => "no_tools",
            Self::Broken(_) => "internal",
            Self::Halted => "halted",
            Self::Home(refusal) => &refusal.code,
        }
    }
}

impl From<JobError> for EngineError {
    fn from(error: JobError) -> Self {
        match error {
            JobError::Store(error) => Self::Store(error),
            other => Self::Tool(other.to_string()),
        }
    }
}

impl From<ToolError> for EngineError {
    fn from(error: ToolError) -> Self {
        match error {
            ToolError::Refused { message, .. } | ToolError::Failed { message, .. } => {
                Self::Tool(message)
            }
        }
    }
}
