//! Pauses of the workspace or of one agent, ordered by a person or by HQ.

use jiff::fmt::serde::timestamp::millisecond;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::agents::model::Agent;
use kernel::key::{Key, KeyBuf};
use kernel::{AccountId, AgentId, HaltHow, Timestamp, TypedId};
use store::{Class, OnDelete, Record, Refs, Table};

pub const HALTS: Table = Table::new(172, "halts");

/// Scope of a pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HaltOf {
    Workspace,
    Agent(AgentId),
}

impl Key for HaltOf {
    fn encode(&self, out: &mut KeyBuf) {
        match self {
            Self::Workspace => out.u8(0),
            Self::Agent(id) => out.u8(1).part(*id),
        };
    }
    fn take(bytes: &mut &[u8]) -> Option<Self> {
        match u8::take(bytes)? {
            0 => Some(Self::Workspace),
            1 => Some(Self::Agent(AgentId::take(bytes)?)),
            _ => None,
        }
    }
}

/// A pause; deleted when work resumes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Halt {
    pub of: HaltOf,
    /// What happened to running runs.
    pub how: HaltHow,
    /// `None` for HQ itself.
    pub by: Option<AccountId>,
    #[serde(with = "millisecond::required")]
    pub at: Timestamp,
}

/// Why work stands still.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HaltCause {
    /// Somebody ordered it.
    Person,
    /// It was restored, copied with its data folder, or came in from a file.
    Copy,
    /// The program ended again and again soon after its start.
    Crashes,
}

impl Halt {
    /// Cause of the pause. HQ itself stops running work only in a copy; after crashes no work is running.
    #[must_use]
    pub fn cause(&self) -> HaltCause {
        match (self.by, self.how) {
            (Some(_), _) => HaltCause::Person,
            (None, HaltHow::Now) => HaltCause::Copy,
            (None, HaltHow::AfterStep) => HaltCause::Crashes,
        }
    }
}

impl Record for Halt {
    type Id = HaltOf;
    const TABLE: Table = HALTS;
    // Not tracked, so undo never resumes work.
    const CLASS: Class = Class::Work;
    fn id(&self) -> HaltOf {
        self.of
    }
    fn refs(&self, refs: &mut Refs) {
        if let HaltOf::Agent(id) = self.of {
            refs.to::<Agent>(1, Some(id), OnDelete::Cascade);
        }
    }
    fn sample() -> Self {
        Self {
            of: HaltOf::Agent(AgentId::from_bytes([5; 16])),
            how: HaltHow::Now,
            by: Some(AccountId::from_bytes([1; 16])),
            at: kernel::time::from_ms(1_700_000_000_000),
        }
    }
}
