//! Agent tool kit: the four tool traits, their spec, and the registry.
//!
//! The trait that a tool implements determines what happens after a crash between start and result: a [`ReadTool`]
//! (pure) runs again; a [`WriteTool`] (workspace) runs exactly once, because effect and result are one transaction; a
//! [`FileTool`] (file) is settled by the file's hash; an [`ActTool`] (external) is never repeated silently. The engine
//! owns transactions; a tool never opens one.

#![warn(missing_docs)]

pub mod args;
pub mod diff;
pub mod document;
pub mod edits;
pub mod globs;
pub mod layer;
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
pub mod schema;
pub mod take;
pub mod text;
pub mod untrusted;

use std::borrow::Cow;
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

pub use layer::{Layer, Layers, Toolset};
pub use lease::Lease;
pub use registry::{AnyTool, Registry};

/// Maximum size of a result stored in its event, in bytes (16 KiB). Longer results are blobs.
pub const MAX_OUTPUT: usize = 16 * 1024;

/// Alternative argument names that models know from other systems, with the names they stand for. Accepted, but not in
/// the schema.
pub type Aliases = &'static [(&'static str, &'static str)];

/// The effect of a tool, for policy and for display. Stored in records: append only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Reads only.
    Read,
    /// Adds to the workspace.
    Add,
    /// Changes the workspace.
    Change,
    /// Deletes from the workspace.
    Delete,
    /// Changes the agent's own files.
    File,
    /// Runs a program.
    Exec,
    /// Has external effects.
    External,
    /// Controls the run itself.
    Control,
}

/// Tool group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// Tasks, comments, deliverables.
    Tasks,
    /// Contacts, organizations, collections.
    Customers,
    /// Pages, skills, files.
    Knowledge,
    /// Other agents.
    Agents,
    /// The run itself.
    Work,
    /// The agent's files.
    Files,
    /// Programs.
    Machine,
    /// The web.
    Web,
    /// Connected servers and plugins. Their data is private.
    Connected,
}

/// Where a read tool gets its data if the run is not on the primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Looks {
    /// On the machine of the run: its files, programs and web access.
    Here,
    /// On the primary, which has the whole workspace.
    Home,
    /// On the primary, or from the host's replica while the link is down. Such a tool reads only replicated tables
    /// (`src/mirror/replication_policy.rs`) and writes nothing. It refuses what it cannot answer from them; the run
    /// then waits for the link.
    Copy,
}

/// Description of a tool: a constant of HQ's own tools, built at run time for those of a [`Layer`].
#[derive(Clone, Debug)]
pub struct ToolSpec {
    /// `noun_verb`, or an established name that models know.
    pub name: Cow<'static, str>,
    /// Tool group.
    pub group: Group,
    /// Capability that the agent needs.
    pub needs: Can,
    /// Effect of the tool.
    pub effect: Effect,
    /// Description for the model: one or two short sentences.
    pub about: Cow<'static, str>,
}

/// How a tool call ends its run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunEnd {
    /// The work is done.
    Done {
        /// Summary of the work.
        summary: String,
        /// New state of the task.
        task_state: TaskState,
    },
    /// The work cannot be done.
    Failed {
        /// Reason of the failure.
        reason: String,
    },
    /// The work continues later.
    Snoozed {
        /// When to continue.
        until: Timestamp,
        /// Reason for the delay.
        reason: String,
    },
}

/// The result of a call: text for the model, and its effect on the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolOutput {
    /// Text for the model. The engine shortens it to fit the context window.
    pub text: String,
    /// Whether this is an error that the model should correct.
    pub is_error: bool,
    /// Ends the run with this result, if set.
    pub end: Option<RunEnd>,
    /// Makes the run wait before the call has a result, if set.
    pub wait: Option<ToolWait>,
    /// Tools to add to the session.
    pub load: Vec<String>,
    /// Files that the agent has now seen: path and SHA-256.
    pub seen: Vec<(String, [u8; 32])>,
    /// The complete result, if `text` is an excerpt. Stored so that `read` and `search` find the rest.
    pub whole: Option<String>,
    /// An image for the model.
    pub picture: Option<Picture>,
    /// Binary parts. The engine stores them in the agent's folder and adds their paths to the text.
    pub files: Vec<ResultFile>,
}

/// What a run waits for before a call has a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolWait {
    /// The kind of event that the run waits for.
    pub waits_for: WaitFor,
    /// Explanation in one sentence.
    pub detail: String,
    /// When the wait times out.
    pub until: Option<Timestamp>,
    /// Set if a server asks during a call that has begun, or wants a sign-in. The call is made again afterwards.
    pub question: Option<Box<ServerQuestion>>,
}

/// The answer to a call that is no longer allowed as it was when it began to wait.
pub const APPROVAL_CHANGED: &str =
    "The approval of the tool has just been changed. Nothing was called.";

/// A question of a server to a person, or its demand for a sign-in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerQuestion {
    /// The server's name in the workspace.
    pub server: String,
    /// The server's own words; empty for a sign-in.
    pub message: String,
    /// JSON Schema of a flat form; `None` for an address to visit.
    pub schema: Option<String>,
    /// Address that the server wants to be visited; for a sign-in, the path of the server's page in the workspace.
    pub url: Option<String>,
    /// What the call needs to continue after a restart, as JSON.
    pub state: Option<String>,
}

/// An image in a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Media type, such as `image/png`.
    pub media_type: String,
    /// The file's bytes.
    pub data: Vec<u8>,
}

/// A binary part of a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultFile {
    /// Media type in lower case without parameters, such as `audio/wav`.
    pub media_type: String,
    /// The file's bytes.
    pub data: Vec<u8>,
}

impl ToolOutput {
    /// A text result.
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
            files: Vec::new(),
        }
    }

    /// A structured result as compact JSON.
    #[must_use]
    pub fn of<T: serde::Serialize>(value: &T) -> Self {
        match serde_json::to_string(value) {
            Ok(text) => Self::text(text),
            Err(error) => Self::error(format!("couldn't write the result: {error}")),
        }
    }

    /// An error that the model should correct.
    pub fn error(text: impl Into<String>) -> Self {
        Self { is_error: true, ..Self::text(text) }
    }

    /// Adds pictures. Models get the first one; the text says how many were left out.
    #[must_use]
    pub fn with_pictures(mut self, pictures: impl IntoIterator<Item = Picture>) -> Self {
        let mut rest = pictures.into_iter();
        if self.picture.is_none() {
            self.picture = rest.next();
        }
        let more = rest.count();
        if 0 < more {
            let noun = if more == 1 { "image" } else { "images" };
            self.text.push_str(&format!("\n[{more} more {noun} not shown]"));
        }
        self
    }

    /// Makes the run wait before the call has a result. Only for workspace tools.
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
    /// The tool refused the call. The model reads the message.
    Refused {
        /// Stable error code.
        code: &'static str,
        /// What is wrong and what would be right.
        message: String,
    },
    /// HQ failed, so the effect of the call is unknown.
    Failed {
        /// Stable error code.
        code: &'static str,
        /// What happened.
        message: String,
    },
}

impl ToolError {
    /// Builds a refusal.
    pub fn refused(code: &'static str, message: impl Into<String>) -> Self {
        Self::Refused { code, message: message.into() }
    }

    /// Converts a refusal into the call's result.
    ///
    /// # Errors
    /// A failure of HQ stays an error.
    pub fn into_output(self) -> Result<ToolOutput, StoreError> {
        match self {
            Self::Refused { code, message } => {
                Ok(ToolOutput::error(format!("Error({code}): {message}")))
            }
            Self::Failed { message, .. } => Err(StoreError::Failed(message)),
        }
    }
}

/// A rejection by a rule can be corrected by the model. An internal failure must not be reported as a refusal.
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

/// Context of a call.
#[derive(Clone)]
pub struct ToolCx {
    /// The workspace.
    pub ws: Ws,
    /// The calling agent.
    pub agent: AgentId,
    /// Run of the call.
    pub run: RunId,
    /// Number of the run.
    pub number: u32,
    /// Number of the call within the run.
    pub step: u32,
    /// Session of the run.
    pub session: SessionId,
    /// The inbox item that the run serves.
    pub item: Option<ItemId>,
    /// The task that the run works on.
    pub task: Option<TaskId>,
    /// The agent's folder.
    pub folder: PathBuf,
    /// Maximum size of a result shown to the model, in bytes.
    pub max_result: usize,
    /// Files of the folder as last read or written by the run: path to SHA-256.
    pub seen: Arc<BTreeMap<String, [u8; 32]>>,
    /// Restrictions of a sub-agent.
    pub child: Option<ChildCx>,
    /// The tools that the agent has at the time of the call.
    pub tools: Toolset,
    /// Cancelled when a person stops the run.
    pub cancel: CancellationToken,
}

impl ToolCx {
    /// The path by which `read` and `search` find the complete result of this call, also in later runs.
    #[must_use]
    pub fn result_name(&self) -> String {
        format!("result:{}.{}", self.number, self.step)
    }
}

/// Restrictions of a sub-agent's run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChildCx {
    /// The only folder that it may write to, relative to the agent's folder.
    pub folder: String,
    /// Whether it may start sub-agents.
    pub may_spawn: bool,
    /// Whether it may run programs, if its agent may.
    pub may_exec: bool,
    /// Whether its programs may use the network, if its agent's may.
    pub may_network: bool,
    /// Time limit in minutes.
    pub minutes: Option<u32>,
}

/// A tool without side effects.
pub trait ReadTool: Send + Sync + 'static {
    /// Argument type.
    type Args: DeserializeOwned + JsonSchema + Send + 'static;
    /// Description of the tool.
    const SPEC: ToolSpec;
    /// Alternative argument names.
    const ALIASES: Aliases = &[];
    /// Where the tool gets its data.
    const LOOKS: Looks = Looks::Home;
    /// Executes the call.
    fn read(
        &self,
        cx: &ToolCx,
        args: Self::Args,
    ) -> impl Future<Output = Result<ToolOutput, ToolError>> + Send;
}

/// A tool that changes the workspace.
pub trait WriteTool: Send + Sync + 'static {
    /// Argument type.
    type Args: DeserializeOwned + JsonSchema + Send + Sync + 'static;
    /// Result of `ready`.
    type Ready: Default + Send + 'static;
    /// Description of the tool.
    const SPEC: ToolSpec;
    /// Alternative argument names.
    const ALIASES: Aliases = &[];
    /// Prepares the change: reads, parses, hashes, writes blobs. May run twice.
    fn ready(
        &self,
        _cx: &ToolCx,
        _args: &Self::Args,
    ) -> impl Future<Output = Result<Self::Ready, ToolError>> + Send {
        async { Ok(Self::Ready::default()) }
    }
    /// Makes the change through the same rules as a page. The engine owns the transaction.
    ///
    /// # Errors
    /// Rejections by the rules.
    fn commit(
        &self,
        cx: &ToolCx,
        tx: &mut WriteTx<'_>,
        args: Self::Args,
        ready: Self::Ready,
    ) -> Result<ToolOutput, ToolError>;
}

/// A change of one of the agent's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileChange {
    /// Normalized, validated path in the agent's folder.
    pub path: String,
    /// SHA-256 of the current file; `None` for a new file.
    pub before: Option<[u8; 32]>,
    /// New content; `None` deletes the file.
    pub content: Option<Vec<u8>>,
    /// Whether the file is executable.
    pub executable: bool,
}

/// Planned file changes, applied all or not at all.
#[derive(Clone, Debug)]
pub struct FilePlan {
    /// The changes; each file occurs once.
    pub changes: Vec<FileChange>,
    /// The result of the call once the changes are applied.
    pub output: ToolOutput,
}

/// A tool that changes files of the agent.
pub trait FileTool: Send + Sync + 'static {
    /// Argument type.
    type Args: DeserializeOwned + JsonSchema + Send + 'static;
    /// Description of the tool.
    const SPEC: ToolSpec;
    /// Alternative argument names.
    const ALIASES: Aliases = &[];
    /// Plans the change. The engine records the hashes, applies the change and records the result.
    fn plan(
        &self,
        cx: &ToolCx,
        args: Self::Args,
    ) -> impl Future<Output = Result<FilePlan, ToolError>> + Send;
}

/// A permit that limits concurrent calls of a tool. Released on drop.
#[derive(Debug, Default)]
pub struct Slot {
    _permit: Option<OwnedSemaphorePermit>,
    /// Whether the call had to wait.
    pub waited: bool,
}

impl Slot {
    /// Waits for a free permit.
    pub async fn of(places: &Arc<Semaphore>) -> Self {
        let free = Arc::clone(places).try_acquire_owned();
        match free {
            Ok(permit) => Self { _permit: Some(permit), waited: false },
            // ok: the semaphore is never closed; if it were, there would be no limit
            Err(_) => Self { _permit: Arc::clone(places).acquire_owned().await.ok(), waited: true },
        }
    }
}

/// A tool with external effects. Never repeated silently.
pub trait ActTool: Send + Sync + 'static {
    /// Argument type.
    type Args: DeserializeOwned + JsonSchema + Send + 'static;
    /// Description of the tool.
    const SPEC: ToolSpec;
    /// Alternative argument names.
    const ALIASES: Aliases = &[];
    /// Waits until the call may start. Must return soon after `cx.cancel` is cancelled.
    fn slot(&self, _: &ToolCx) -> impl Future<Output = Result<Slot, ToolError>> + Send {
        std::future::ready(Ok(Slot::default()))
    }
    /// Executes the call. Must return soon after `cx.cancel` is cancelled.
    fn act(
        &self,
        cx: &ToolCx,
        args: Self::Args,
    ) -> impl Future<Output = Result<ToolOutput, ToolError>> + Send;
}

/// Shared registry of all tools.
pub type Tools = Arc<Registry>;

#[cfg(test)]
mod tests {
    use super::{Picture, ToolOutput};

    #[test]
    fn of_several_pictures_one_is_shown_and_the_others_are_counted() {
        let picture = |n: u8| Picture { media_type: "image/png".into(), data: vec![n] };
        let one = ToolOutput::text("A chart").with_pictures([picture(1)]);
        assert_eq!((one.text.as_str(), one.picture), ("A chart", Some(picture(1))));
        let many = ToolOutput::text("Charts").with_pictures([1, 2, 3].map(picture));
        assert_eq!(many.text, "Charts\n[2 more images not shown]");
        assert_eq!(many.picture, Some(picture(1)));
        assert_eq!(ToolOutput::text("None").with_pictures([]).text, "None");
    }
}
