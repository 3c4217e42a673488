//! Records of checked claims.

use jiff::fmt::serde::timestamp::millisecond;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::runs::model::Run;
use crate::tasks::model::Task;
use kernel::{
    Actor, ClaimKind, ClaimState, Part, ProofMode, RunId, TaskId, Timestamp, TypedId, VersionId,
};
use store::{Class, Index, Keys, OnDelete, Record, Refs, Root, Table};

pub const CLAIM_CHECKS: Table = Table::new(480, "claim_checks");
/// The delivered version that a check belongs to.
pub const CHECK_BY_VERSION: Index = Index::unique(481, "claim_checks_by_version");

/// Tasks whose evidence mode overrides that of their streams.
pub const TASK_PROOFS: Table = Table::new(476, "task_proofs");

/// A claim as an agent makes it. Its text names a path, command, address or record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    pub text: String,
    pub kind: ClaimKind,
    /// Number of the call that shows it.
    pub step: Option<u32>,
}

impl Claim {
    /// The schema of a list of claims. Two tools of each request have it, so it is written as short as models
    /// understand.
    pub fn list(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "array",
            "items": { "type": "object" },
            "description": "[{text, kind: file|command|sent|record|source, step?}]",
        })
    }
}

/// A call that supports or contradicts a claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallRef {
    /// Number of its run, which is the run itself or one of its sub-agents.
    pub run: u32,
    /// Number of the call in that run, from 1.
    pub step: u32,
    /// Address of the call on the page of that run, after `s-`.
    pub key: String,
    pub tool: String,
    /// `None` if the call ran no program, or the program has not ended.
    pub exit_code: Option<i32>,
}

impl CallRef {
    /// Where the call is shown, below the workspace.
    #[must_use]
    pub fn path(&self) -> String {
        match self.key.as_str() {
            "" => format!("runs/R-{}", self.run),
            key => format!("runs/R-{}#s-{key}", self.run),
        }
    }
}

/// A claim with its verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckedClaim {
    pub text: String,
    pub kind: ClaimKind,
    pub state: ClaimState,
    /// One line; empty for a claim that needs no explanation.
    pub reason: String,
    pub call: Option<CallRef>,
}

impl CheckedClaim {
    #[must_use]
    pub fn is_supported(&self) -> bool {
        self.state == ClaimState::Supported
    }
}

/// The claims of one submission with their verdicts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimCheck {
    pub run: RunId,
    /// The call that submitted the work.
    pub step: u32,
    /// The delivered version; `None` for the end of the run. The version may have been undone since.
    pub version: Option<VersionId>,
    pub claims: Vec<CheckedClaim>,
    /// Paths and links of the text that no call touched.
    pub untouched: Vec<String>,
    /// Whether the stream required evidence.
    pub required: bool,
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
}

impl ClaimCheck {
    /// Whether claims are missing or not all of them are supported.
    #[must_use]
    pub fn is_lacking(&self) -> bool {
        is_lacking(&self.claims)
    }
}

/// Whether claims are missing or not all of them are supported.
#[must_use]
pub fn is_lacking(claims: &[CheckedClaim]) -> bool {
    claims.is_empty() || !claims.iter().all(CheckedClaim::is_supported)
}

impl Record for ClaimCheck {
    type Id = (RunId, u32);
    const TABLE: Table = CLAIM_CHECKS;
    const CLASS: Class = Class::Work;
    const INDEXES: &'static [Index] = &[CHECK_BY_VERSION];
    fn id(&self) -> (RunId, u32) {
        (self.run, self.step)
    }
    fn index(&self, keys: &mut Keys) {
        if let Some(version) = self.version {
            keys.entry(CHECK_BY_VERSION).part(version);
        }
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Run>(1, Some(self.run), OnDelete::Cascade);
    }
    fn root(&self) -> Root {
        Root::of::<Run>(self.run)
    }
    fn sample() -> Self {
        Self {
            run: RunId::from_bytes([8; 16]),
            step: 9,
            version: Some(VersionId::from_bytes([7; 16])),
            claims: vec![CheckedClaim {
                text: "`cargo test` passes".into(),
                kind: ClaimKind::Command,
                state: ClaimState::Contradicted,
                reason: "The command failed.".into(),
                call: Some(CallRef {
                    run: 2291,
                    step: 7,
                    key: "14-2".into(),
                    tool: "exec".into(),
                    exit_code: Some(101),
                }),
            }],
            untouched: vec!["notes/prices.md".into()],
            required: true,
            created_at: kernel::time::from_ms(1_700_000_000_000),
        }
    }
}

/// Whether agents must give evidence for one task. Overrides its stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskProof {
    pub task: TaskId,
    pub mode: ProofMode,
    pub by: Actor,
    #[serde(with = "millisecond::required")]
    pub at: Timestamp,
}

impl Record for TaskProof {
    type Id = TaskId;
    const TABLE: Table = TASK_PROOFS;
    const CLASS: Class = Class::Work;
    fn id(&self) -> TaskId {
        self.task
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Task>(1, Some(self.task), OnDelete::Cascade);
    }
    fn root(&self) -> Root {
        Root::of::<Task>(self.task)
    }
    fn sample() -> Self {
        Self {
            task: TaskId::from_bytes([2; 16]),
            mode: ProofMode::Require,
            by: Actor::System(Part::Setup),
            at: kernel::time::from_ms(1_700_000_000_000),
        }
    }
}
