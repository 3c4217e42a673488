//! Revert orders for agents' files.

use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use crate::runs::model::FileMark;
use kernel::{Actor, AgentId, JobId, Part, RunId, Timestamp, TypedId};
use store::{Class, DecodeError, Index, Keys, Record, Table, codec};

pub const FILE_REVERTS: Table = Table::new(90, "file_reverts");
/// Open orders in creation order.
pub const REVERTS_OPEN: Index = Index::multi(91, "file_reverts_open");
/// Run, then creation order.
pub const REVERTS_BY_RUN: Index = Index::multi(92, "file_reverts_by_run");

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RevertState {
    /// Waits for the engine.
    Queued,
    Done,
    /// Failed, with the reason.
    Failed(String),
    /// Undone before it began.
    Cancelled,
    /// The engine is working on it. It can no longer be cancelled, only undone.
    Begun,
}

/// A file that was not reverted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptFile {
    /// Path in the agent's folder.
    pub path: String,
    pub why: String,
}

/// An order to revert the files of commits on an agent's branch in a new commit. Written with the undo; the engine
/// processes orders one by one in creation order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRevert {
    pub id: JobId,
    pub run: RunId,
    /// The order to be undone, if an undo was undone. `None` reverts the work of the run.
    pub of: Option<JobId>,
    /// `true` restores the run's work.
    pub returns: bool,
    /// The order of which this is a part.
    pub part_of: Option<JobId>,
    /// Files to revert. `None` means all files of the commits.
    pub paths: Option<Vec<String>>,
    pub agent: AgentId,
    /// The undoer.
    pub by: Actor,
    /// Oldest first.
    pub commits: Vec<String>,
    /// State of each file before the run's first and after its last change.
    pub marks: Vec<FileMark>,
    pub state: RevertState,
    /// The reverting commit.
    pub commit: Option<String>,
    /// Reverted files.
    pub restored: Vec<String>,
    /// Files that were not reverted.
    pub kept: Vec<KeptFile>,
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
    #[serde(with = "millisecond::optional")]
    pub ended_at: Option<Timestamp>,
}

impl FileRevert {
    /// Returns `true` if it waits or is in progress.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.state, RevertState::Queued | RevertState::Begun)
    }

    /// Id of the order that the undo created: this one, or the order of which it is a part.
    #[must_use]
    pub fn whole(&self) -> JobId {
        self.part_of.unwrap_or(self.id)
    }
}

#[derive(Deserialize)]
struct FileRevertV1 {
    id: JobId,
    run: RunId,
    agent: AgentId,
    by: Actor,
    commits: Vec<String>,
    marks: Vec<FileMark>,
    state: RevertState,
    commit: Option<String>,
    restored: Vec<String>,
    kept: Vec<KeptFile>,
    #[serde(with = "millisecond::required")]
    created_at: Timestamp,
    #[serde(with = "millisecond::optional")]
    ended_at: Option<Timestamp>,
}

impl From<FileRevertV1> for FileRevert {
    fn from(old: FileRevertV1) -> Self {
        let FileRevertV1 { id, run, agent, by, commits, marks, state, commit, .. } = old;
        Self {
            id,
            run,
            of: None,
            returns: false,
            part_of: None,
            paths: None,
            agent,
            by,
            commits,
            marks,
            state,
            commit,
            restored: old.restored,
            kept: old.kept,
            created_at: old.created_at,
            ended_at: old.ended_at,
        }
    }
}

impl Record for FileRevert {
    type Id = JobId;
    const TABLE: Table = FILE_REVERTS;
    const CLASS: Class = Class::Work;
    const VERSION: u8 = 2;
    const INDEXES: &'static [Index] = &[REVERTS_OPEN, REVERTS_BY_RUN];
    fn id(&self) -> JobId {
        self.id
    }
    fn index(&self, keys: &mut Keys) {
        if self.is_open() {
            keys.entry(REVERTS_OPEN);
        }
        keys.entry(REVERTS_BY_RUN).part(self.run);
    }
    fn upgrade(version: u8, body: &[u8]) -> Result<Self, DecodeError> {
        match version {
            1 => codec::decode::<FileRevertV1>(body).map(Self::from),
            _ => Err(DecodeError::UnknownVersion { table: FILE_REVERTS.name, version }),
        }
    }
    fn sample() -> Self {
        let at = kernel::time::from_ms(1_700_000_000_000);
        Self {
            id: JobId::from_bytes([15; 16]),
            run: RunId::from_bytes([8; 16]),
            of: Some(JobId::from_bytes([16; 16])),
            returns: true,
            part_of: Some(JobId::from_bytes([17; 16])),
            paths: Some(vec!["notes.md".into()]),
            agent: AgentId::from_bytes([5; 16]),
            by: Actor::System(Part::Setup),
            commits: vec!["0123456789012345678901234567890123456789".into()],
            marks: vec![FileMark { path: "notes.md".into(), before: None, after: Some([7; 32]) }],
            state: RevertState::Failed("the branch is gone".into()),
            commit: None,
            restored: vec!["notes.md".into()],
            kept: vec![KeptFile { path: "plan.md".into(), why: "changed since".into() }],
            created_at: at,
            ended_at: Some(at),
        }
    }
}
