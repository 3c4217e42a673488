//! Kit for agent tools: the four tool traits, their spec, the registry.
//!
//! The trait that a tool implements says how it behaves after a crash, so the kind cannot be wrong:
//!
//! | trait | kind | after a crash between start and result |
//! |---|---|---|
//! | [`ReadTool`] | pure | run again |
//! | [`WriteTool`] | workspace | effect and result are one transaction: exactly once |
//! | [`FileTool`] | file | settled by the hash of the file |
//! | [`ActTool`] | external | never repeated silently |
//!
//! The engine owns transactions; a tool never opens one.

#![warn(missing_docs)]

pub mod args;
pub mod diff;
pub mod document;
pub mod edits;
pub mod globs;
pub mod leaks;
pub mod lease;
pub mod masks;
pub mod media;
pub mod merge;
pub mod patch;
pub mod picture;
pub mod rank;
pub mod reduce;
pub mod registry;
pub mod take;
pub mod text;
pub mod untrusted;

use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use app::Ws;
use kernel::{
    AgentId, Can, ItemId, Problem, ProblemKind, RunId, SessionId, TaskId, TaskState, Timestamp,
    WaitFor,
};
use store::{StoreError, WriteTx};

pub use lease::Lease;
pub use registry::{AnyTool, Registry};

/// The most of a result that is kept in its event rather than in a blob, in bytes (16 KiB).
pub const MAX_OUTPUT: usize = 16 * 1024;

/// Other names of a tool's arguments that models know from elsewhere, with the names they stand for.
/// They are accepted and never shown.
pub type Aliases = &'static [(&'static str, &'static str)];

/// What a tool does to the world, for policy and for the page. Records keep it: it only grows at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Looks.
    Read,
    /// Adds something to the workspace.
    Add,
    /// Changes something in the workspace.
    Change,
    /// Removes something.
    Delete,
    /// Changes the agent's own files.
    File,
    /// Runs a program.
    Exec,
    /// Reaches outside.
    External,
    /// Steers the run itself.
    Control,
}

/// What a tool belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// Tasks, comments, deliverables.
    Tasks,
    /// Contacts, organizations, collections.
    Customers,
    /// Pages, skills, files.
    Knowledge,
    /// Colleagues.
    Agents,
    /// The run itself.
    Work,
    /// The agent's files.
    Files,
    /// Programs.
    Machine,
    /// The web.
    Web,
}

/// Where a reading tool finds its facts when its run works on another machine than the primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Looks {
    /// On the machine where the run works: its files, its programs, the web.
    Here,
    /// On the primary, which has all of the workspace.
    Home,
    /// On the primary, or in the rows that the host of the run has while the link is cut. Such a tool reads only replicated
    /// tables (`src/mirror/replication_policy.rs`) and writes nothing. What it cannot answer from them it refuses; the run
    /// then waits for the link.
    Copy,
}

/// What a tool says of itself.
#[derive(Clone, Copy, Debug)]
pub struct ToolSpec {
    /// `noun_verb`, or the name that models know.
    pub name: &'static str,
    /// What it belongs to.
    pub group: Group,
    /// The capability that its agent needs.
    pub needs: Can,
    /// What it does to the world.
    pub effect: Effect,
    /// For the model: one or two short sentences.
    pub about: &'static str,
}

/// How a tool ends the run that called it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunEnd {
    /// The work is done.
    Done {
        /// What was done.
        summary: String,
        /// What becomes of the task.
        task_state: TaskState,
    },
    /// The work cannot be done.
    Failed {
        /// Why.
        reason: String,
    },
    /// The work goes on later.
    Snoozed {
        /// When.
        until: Timestamp,
        /// Why.
        reason: String,
    },
}

/// A result: what the model reads, and what it does to the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolOutput {
    /// The text for the model; the engine cuts what is too long for its window.
    pub text: String,
    /// Whether it is an error that the model should mend.
    pub is_error: bool,
    /// Whether, and how, the run ends with this result.
    pub end: Option<RunEnd>,
    /// What the run waits for before this call has a result.
    pub wait: Option<ToolWait>,
    /// Tools that the session has from now on.
    pub load: Vec<String>,
    /// Files as the agent knows them from now on: path and SHA-256.
    pub seen: Vec<(String, [u8; 32])>,
    /// All of which `text` is a part: kept, so that `read` and `search` find the rest.
    pub whole: Option<String>,
    /// A picture for the model to look at.
    pub picture: Option<Picture>,
}

/// What a run waits for before a call has a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolWait {
    /// For what.
    pub waits_for: WaitFor,
    /// In one sentence.
    pub detail: String,
    /// When it ends by itself.
    pub until: Option<Timestamp>,
}

/// A picture among results.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Such as `image/png`.
    pub media_type: String,
    /// The file's bytes.
    pub data: Vec<u8>,
}

impl ToolOutput {
    /// A plain text.
    pub fn text(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            is_error: false,
            end: None,
            wait: None,
            load: Vec::new(),
            seen: Vec::new(),
            whole: None,
            picture: None,
        }
    }

    /// A structured answer as compact JSON.
    #[must_use]
    pub fn of<T: serde::Serialize>(value: &T) -> Self {
        match serde_json::to_string(value) {
            Ok(text) => Self::text(text),
            Err(error) => Self::error(format!("the result could not be written: {error}")),
        }
    }

    /// An error that the model should mend.
    pub fn error(text: impl Into<String>) -> Self {
        Self { is_error: true, ..Self::text(text) }
    }

    /// Lets the run wait before the call has a result; only a workspace tool can.
    #[must_use]
    pub fn waiting(mut self, wait: ToolWait) -> Self {
        self.wait = Some(wait);
        self
    }

    /// Ends the run with this result.
    #[must_use]
    pub fn ending(mut self, end: RunEnd) -> Self {
        self.end = Some(end);
        self
    }
}

/// Why a tool gave no result.
#[derive(Debug)]
pub enum ToolError {
    /// The tool refuses; the model reads why.
    Refused {
        /// Stable name.
        code: &'static str,
        /// What is wrong and what would be right.
        message: String,
    },
    /// The program itself failed, so that nothing is known of the call.
    Failed {
        /// Stable name.
        code: &'static str,
        /// What happened.
        message: String,
    },
}

impl ToolError {
    /// A refusal.
    pub fn refused(code: &'static str, message: impl Into<String>) -> Self {
        Self::Refused { code, message: message.into() }
    }

    /// A refusal as the call's result.
    ///
    /// # Errors
    /// A failure of the program stays an error.
    pub fn into_output(self) -> Result<ToolOutput, StoreError> {
        match self {
            Self::Refused { code, message } => {
                Ok(ToolOutput::error(format!("Error({code}): {message}")))
            }
            Self::Failed { message, .. } => Err(StoreError::Failed(message)),
        }
    }
}

/// What a rule refuses, the model can mend; when the program fails, nobody may say it was refused.
impl<E: Problem> From<E> for ToolError {
    fn from(error: E) -> Self {
        let (code, message) = (error.code(), error.to_string());
        match error.kind() {
            ProblemKind::Internal | ProblemKind::Unavailable | ProblemKind::Full => {
                Self::Failed { code, message }
            }
            _ => Self::Refused { code, message },
        }
    }
}

/// Where a call happens.
#[derive(Clone)]
pub struct ToolCx {
    /// The workspace.
    pub ws: Ws,
    /// The agent.
    pub agent: AgentId,
    /// Its run.
    pub run: RunId,
    /// The number of its run.
    pub number: u32,
    /// The number of the call within the run.
    pub step: u32,
    /// Its session.
    pub session: SessionId,
    /// The inbox item that the run serves.
    pub item: Option<ItemId>,
    /// The task that the run works on.
    pub task: Option<TaskId>,
    /// The agent's folder.
    pub folder: PathBuf,
    /// The most that the model sees of one result, in bytes.
    pub max_result: usize,
    /// The files of the folder as the run has last read or written them: path to SHA-256.
    pub seen: Arc<BTreeMap<String, [u8; 32]>>,
    /// What is different for a sub-agent.
    pub child: Option<ChildCx>,
    /// Set when a person stops the run.
    pub cancel: CancellationToken,
}

impl ToolCx {
    /// The path by which `read` and `search` find all of this call's result, in later runs too.
    #[must_use]
    pub fn result_name(&self) -> String {
        format!("result:{}.{}", self.number, self.step)
    }
}

/// What is different for a run that is a sub-agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChildCx {
    /// The folder in its agent's, below which alone it writes.
    pub folder: String,
    /// Whether it may make sub-agents itself.
    pub may_spawn: bool,
    /// Whether it may run programs, if its agent may.
    pub may_exec: bool,
    /// Whether those may use the network, if its agent's may.
    pub may_network: bool,
    /// For how many minutes it may work.
    pub minutes: Option<u32>,
}

/// A tool without effect.
pub trait ReadTool: Send + Sync + 'static {
    /// What it takes.
    type Args: DeserializeOwned + JsonSchema + Send + 'static;
    /// What it says of itself.
    const SPEC: ToolSpec;
    /// Other names of its arguments.
    const ALIASES: Aliases = &[];
    /// Where it finds its facts.
    const LOOKS: Looks = Looks::Home;
    /// Does it.
    fn read(
        &self,
        cx: &ToolCx,
        args: Self::Args,
    ) -> impl Future<Output = Result<ToolOutput, ToolError>> + Send;
}

/// A tool that changes the workspace.
pub trait WriteTool: Send + Sync + 'static {
    /// What it takes.
    type Args: DeserializeOwned + JsonSchema + Send + Sync + 'static;
    /// What `ready` prepares.
    type Ready: Default + Send + 'static;
    /// What it says of itself.
    const SPEC: ToolSpec;
    /// Other names of its arguments.
    const ALIASES: Aliases = &[];
    /// Reads, parses, hashes, writes blobs; may run twice.
    fn ready(
        &self,
        _cx: &ToolCx,
        _args: &Self::Args,
    ) -> impl Future<Output = Result<Self::Ready, ToolError>> + Send {
        async { Ok(Self::Ready::default()) }
    }
    /// The change itself, through the same rules as a page. The engine owns the transaction.
    ///
    /// # Errors
    /// What the rules refuse.
    fn commit(
        &self,
        cx: &ToolCx,
        tx: &mut WriteTx<'_>,
        args: Self::Args,
        ready: Self::Ready,
    ) -> Result<ToolOutput, ToolError>;
}

/// The change of one file of the agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileChange {
    /// The path within the agent's folder, checked and normal.
    pub path: String,
    /// SHA-256 of the file before; none when it is new.
    pub before: Option<[u8; 32]>,
    /// The content that it will have; none deletes it.
    pub content: Option<Vec<u8>>,
    /// Whether it is a program.
    pub executable: bool,
}

/// Changes of files of the agent, planned but not made: all of them or none.
#[derive(Clone, Debug)]
pub struct FilePlan {
    /// The files, each once.
    pub changes: Vec<FileChange>,
    /// What the model reads when it is done.
    pub output: ToolOutput,
}

/// A tool that changes files of the agent.
pub trait FileTool: Send + Sync + 'static {
    /// What it takes.
    type Args: DeserializeOwned + JsonSchema + Send + 'static;
    /// What it says of itself.
    const SPEC: ToolSpec;
    /// Other names of its arguments.
    const ALIASES: Aliases = &[];
    /// Works out the change; the engine notes the hashes, makes it and notes the result.
    fn plan(
        &self,
        cx: &ToolCx,
        args: Self::Args,
    ) -> impl Future<Output = Result<FilePlan, ToolError>> + Send;
}

/// A place among the calls of a tool that are made at once. It is free again when this is dropped.
#[derive(Debug, Default)]
pub struct Slot {
    _permit: Option<OwnedSemaphorePermit>,
    /// Whether the call had to wait for it.
    pub waited: bool,
}

impl Slot {
    /// A place of these, as soon as one is free.
    pub async fn of(places: &Arc<Semaphore>) -> Self {
        let free = Arc::clone(places).try_acquire_owned();
        match free {
            Ok(permit) => Self { _permit: Some(permit), waited: false },
            // ok: nobody closes them, and without them there is no limit.
            Err(_) => Self { _permit: Arc::clone(places).acquire_owned().await.ok(), waited: true },
        }
    }
}

/// A tool that reaches outside: never repeated silently.
pub trait ActTool: Send + Sync + 'static {
    /// What it takes.
    type Args: DeserializeOwned + JsonSchema + Send + 'static;
    /// What it says of itself.
    const SPEC: ToolSpec;
    /// Other names of its arguments.
    const ALIASES: Aliases = &[];
    /// Waits until the call may begin. Ends soon after `cx.cancel` is set.
    fn slot(&self, _: &ToolCx) -> impl Future<Output = Result<Slot, ToolError>> + Send {
        std::future::ready(Ok(Slot::default()))
    }
    /// Does it. Must end soon after `cx.cancel` is set.
    fn act(
        &self,
        cx: &ToolCx,
        args: Self::Args,
    ) -> impl Future<Output = Result<ToolOutput, ToolError>> + Send;
}

/// The tools of the program, shared.
pub type Tools = Arc<Registry>;
