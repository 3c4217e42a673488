//! Files of agents that are to go back.

use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use crate::runs::model::FileMark;
use kernel::{Actor, AgentId, JobId, Part, RunId, Timestamp, TypedId};
use store::{Class, DecodeError, Index, Keys, Record, Table, codec};

/// Files of agents that are to go back.
pub const FILE_REVERTS: Table = Table::new(90, "file_reverts");
/// Those that wait, in the order of making.
pub const REVERTS_OPEN: Index = Index::multi(91, "file_reverts_open");
/// Run, then the order of making.
pub const REVERTS_BY_RUN: Index = Index::multi(92, "file_reverts_by_run");

/// Where it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RevertState {
    /// It waits for the engine.
    Queued,
    Done,
    /// It could not be done, with the reason.
    Failed(String),
    /// It was undone before it was done.
    Cancelled,
    /// The engine is at it: it cannot be withdrawn any more, only taken back.
    Begun,
}

/// A file that stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptFile {
    /// Its path in the agent's folder.
    pub path: String,
    pub why: String,
}

/// Commits on an agent's branch whose files are to go back in a commit of their own. Written with the
/// undo, worked off by the engine one after the other, in the order of making.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRevert {
    pub id: JobId,
    /// The run whose files go back.
    pub run: RunId,
    /// The order whose work goes back: of an undo that was undone. None for the work of the run.
    pub of: Option<JobId>,
    /// Whether it brings back what the run did.
    pub returns: bool,
    /// The order of which this is a slice.
    pub part_of: Option<JobId>,
    /// Only these files; none for all that the commits changed.
    pub paths: Option<Vec<String>>,
    pub agent: AgentId,
    /// Who undid the run.
    pub by: Actor,
    /// The commits, oldest first.
    pub commits: Vec<String>,
    /// What the run noted of each file: before its first change, after its last.
    pub marks: Vec<FileMark>,
    pub state: RevertState,
    /// The commit that took them back.
    pub commit: Option<String>,
    /// The files that went back.
    pub restored: Vec<String>,
    /// The files that stayed.
    pub kept: Vec<KeptFile>,
    /// When it was asked for.
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
    #[serde(with = "millisecond::optional")]
    pub ended_at: Option<Timestamp>,
}

impl FileRevert {
    /// Whether it waits, or the engine is at it.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.state, RevertState::Queued | RevertState::Begun)
    }

    /// The order that was made by the undo: itself, or the one of which it is a slice.
    #[must_use]
    pub fn whole(&self) -> JobId {
        self.part_of.unwrap_or(self.id)
    }
}

/// The first layout.
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
