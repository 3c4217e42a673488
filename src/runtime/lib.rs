//! The agent engine: dispatcher, run loop, journal, prompt and tools.
//!
//! A run is a durable state machine. Each step and its result are events of the session, written through the store
//! before the run continues. Streamed text is only in memory. The engine does not know which page or channel started a
//! run, or the wire format of a provider.

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
mod result_files;
mod resume;
mod reverts;
mod run_slot;
mod server_asks;
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
use kernel::{Actor, AgentId, Cause, Part, Problem};
use store::StoreError;
use tool::{Layers, ToolError, Tools, Toolset};

pub use items::make_run;
pub use limits::Limits;
pub use remote::{AtHome, OfHome};
pub use stand_ins::Trusted;
pub use way_out::way_of_browsers;

/// Actor and cause of the engine's own writes.
const BY: (Actor, Cause) = (Actor::System(Part::Engine), Cause::Timer);

/// State shared by all runs.
#[derive(Clone)]
pub struct Engine {
    pub tools: Tools,
    /// Tools of connected servers and plugins, by workspace and agent.
    pub layers: Layers,
    pub limits: Limits,
    /// Programs that continue beside their agents.
    jobs: jobs::Jobs,
    /// Resizes pictures that providers would refuse.
    pictures: pictures::Pictures,
    /// One permit per working run.
    slots: Arc<tokio::sync::Semaphore>,
    /// One additional permit per working sub-agent.
    lane: Arc<tokio::sync::Semaphore>,
    /// Counts returned permits; wakes workspaces that wait for a slot.
    freed: Arc<tokio::sync::watch::Sender<u64>>,
}

impl Engine {
    #[must_use]
    pub fn new(tools: Tools, limits: Limits, jobs: jobs::Jobs) -> Self {
        Self {
            tools,
            layers: Layers::default(),
            limits,
            jobs,
            pictures: pictures::Pictures::default(),
            slots: Arc::new(tokio::sync::Semaphore::new(limits.active)),
            lane: Arc::new(tokio::sync::Semaphore::new(limits.children)),
            freed: Arc::new(tokio::sync::watch::Sender::new(0)),
        }
    }

    /// Adds the tools of connected servers and plugins.
    #[must_use]
    pub fn with_layers(self, layers: Layers) -> Self {
        Self { layers, ..self }
    }

    /// The tools that an agent has now.
    fn toolset(&self, ws: &Ws, agent: AgentId) -> Result<Toolset, StoreError> {
        self.layers.toolset(&self.tools, ws, agent)
    }

    /// Waits until no run works. No run gets a slot while a caller waits here.
    pub async fn rests(&self) {
        let all = u32::try_from(self.limits.active).unwrap_or(u32::MAX);
        // ok: the semaphore is never closed.
        let _ = self.slots.acquire_many(all).await;
    }
}

/// Resumes interrupted runs and starts dispatching and the background tasks of a workspace.
pub fn start(engine: Engine, ws: Ws) {
    ws.spawn("reverts", reverts::run(ws.clone()));
    ws.spawn("manifests", manifests::run(ws.clone()));
    ws.spawn("jobs", engine.jobs.clone().serve(ws.clone()));
    ws.spawn("model lists", lists::keep_lists_fresh(ws.clone()));
    ws.spawn("sign-ins", logins::see_to_all(ws.clone()));
    ws.spawn("tries of who rests", probes::keep_trying(ws.clone()));
    dispatcher::start(engine, ws);
}

/// Starts the engine on a host: resumes interrupted runs and drives the runs that the primary creates. The primary
/// decides which runs start, and when.
pub fn start_away(engine: Engine, ws: Ws) {
    remote::asks::answer(&ws);
    remote::files::bring_home(&ws);
    dispatcher::start(engine, ws);
}

/// Why the engine cannot continue a run.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error(transparent)]
    Run(#[from] RunError),
    /// An approval could not be stored.
    #[error(transparent)]
    Trust(#[from] TrustError),
    #[error(transparent)]
    Inbox(#[from] InboxError),
    /// Money could not be reserved or booked.
    #[error(transparent)]
    Usage(#[from] UsageError),
    /// No connection is usable.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// The agent's files could not be committed.
    #[error(transparent)]
    Git(#[from] GitError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("a file couldn't be written or read: {0}")]
    Blob(#[from] std::io::Error),
    /// An internal tool failed that is not allowed to fail.
    #[error("{0}")]
    Tool(String),
    /// The run does work, and no candidate model supports tools.
    #[error("{0} doesn't support tools, so it can chat but not work; choose another model")]
    NoTools(String),
    /// Stored data is inconsistent.
    #[error("{0}")]
    Broken(&'static str),
    /// Work was paused before this step started.
    #[error("all work is paused")]
    Halted,
    /// The primary refused the command.
    #[error("{}", .0.sentence)]
    Home(Refusal),
}

impl EngineError {
    /// Returns `true` if another writer owns this run or no writer may continue it: this writer just stops.
    fn is_fenced(&self) -> bool {
        matches!(self, Self::Halted | Self::Run(RunError::Fenced | RunError::Ended(_)))
    }

    /// The stable code in a failed run's outcome.
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
