//! The agent engine: dispatcher, loop, journal, prompt, tools.
//!
//! A run is a durable state machine: what it is about to do and what came of it are events of its
//! session, appended through the store before it goes on. What streams is in memory only. The
//! engine knows neither which page or channel asked nor how a model's wire looks.

mod card;
mod chosen;
mod commit;
mod dispatcher;
mod history;
mod journal;
mod model_call;
mod prompt;
mod resume;
mod toolbox;
pub mod tools;
mod turn;

use std::sync::Arc;

use crate::app::App;
use crate::features::connections::rules::ConnectionError;
use crate::features::inbox::rules::InboxError;
use crate::features::runs::rules::RunError;
use crate::features::usage::rules::UsageError;
use crate::git::GitError;
use crate::kernel::Problem;
use crate::store::StoreError;
use crate::tool::{ToolError, Tools};

pub use dispatcher::start;

/// How many runs one host works on at once.
pub const MAX_ACTIVE: usize = 32;

/// What all runs share.
#[derive(Clone)]
pub struct Engine {
    /// The program.
    pub app: App,
    /// The tools.
    pub tools: Tools,
    /// One permit for each run that works.
    slots: Arc<tokio::sync::Semaphore>,
}

impl Engine {
    /// An engine with these tools.
    #[must_use]
    pub fn new(app: App, tools: Tools) -> Self {
        Self { app, tools, slots: Arc::new(tokio::sync::Semaphore::new(MAX_ACTIVE)) }
    }
}

/// Why the engine cannot go on with a run.
#[derive(Debug, thiserror::Error)]
enum EngineError {
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    Inbox(#[from] InboxError),
    #[error(transparent)]
    Usage(#[from] UsageError),
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    #[error(transparent)]
    Git(#[from] GitError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("a blob could not be written or read: {0}")]
    Blob(#[from] std::io::Error),
    #[error("{0}")]
    Tool(String),
    #[error("{0}")]
    Broken(&'static str),
}

impl EngineError {
    /// Whether somebody else writes this run now: this writer just stops.
    fn is_fenced(&self) -> bool {
        matches!(self, Self::Run(RunError::Fenced | RunError::Ended(_)))
    }

    /// The stable word that stands in a failed run's outcome.
    fn word(&self) -> &'static str {
        match self {
            Self::Run(e) => e.code(),
            Self::Inbox(e) => e.code(),
            Self::Usage(e) => e.code(),
            Self::Connection(e) => e.code(),
            Self::Git(e) => e.code(),
            Self::Store(e) => e.code(),
            Self::Blob(_) => "storage_failed",
            Self::Tool(_) => "tool",
            Self::Broken(_) => "internal",
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
