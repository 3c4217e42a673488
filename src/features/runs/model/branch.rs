//! Branches: conversations whose first events are those of another conversation.
//!
//! A branch refers to the shared events and numbers its own events after them, so references to shared events stay
//! valid.

use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use super::{Run, Session};
use kernel::{Actor, RunId, SessionId, Thinking, Timestamp, TypedId};
use store::{Class, OnDelete, Record, Refs, Root, Table};

pub const BRANCHES: Table = Table::new(183, "session_branches");

/// Field that refers to the conversation with the shared events.
pub const BRANCH_PARENT: u8 = 2;
/// Field that refers to the run that was started again.
pub const BRANCH_OF: u8 = 3;

/// Kind of a branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BranchWhy {
    /// Replaces the run from the step on; the branch becomes the current conversation.
    Retry,
    /// Runs beside the original, which stays unchanged.
    Fork,
    /// A person edited a message; the branch becomes the current conversation.
    Edit,
    /// A side question of a person, answered without tools. The original stays unchanged; the branch is deleted after
    /// a day.
    Aside,
}

impl BranchWhy {
    /// API name.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Fork => "fork",
            Self::Edit => "edit",
            Self::Aside => "aside",
        }
    }
}

/// A conversation that shares its beginning with another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Branch {
    pub session: SessionId,
    /// The conversation with the shared events.
    pub parent: SessionId,
    /// First event of the parent that is not shared, and number of the first own event.
    pub upto: u32,
    pub why: BranchWhy,
    /// The run that was started again.
    pub of: RunId,
    /// Step number of that run, as on its page; `None` for the beginning.
    pub step: Option<u32>,
    /// The first run of the branch.
    pub run: RunId,
    /// Thinking level of that run; `None` for the default.
    pub thinking: Option<Thinking>,
    /// Note for the model about the discarded part; often empty.
    pub note: String,
    pub by: Actor,
    #[serde(with = "millisecond::required")]
    pub at: Timestamp,
}

impl Record for Branch {
    type Id = SessionId;
    const TABLE: Table = BRANCHES;
    const CLASS: Class = Class::Work;
    fn id(&self) -> SessionId {
        self.session
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Session>(1, Some(self.session), OnDelete::Cascade);
        // The branch reads its first events from the parent.
        refs.to::<Session>(BRANCH_PARENT, Some(self.parent), OnDelete::Refuse);
        refs.to::<Run>(BRANCH_OF, Some(self.of), OnDelete::Refuse);
    }
    fn root(&self) -> Root {
        Root::of::<Session>(self.session)
    }
    fn sample() -> Self {
        Self {
            session: SessionId::from_bytes([14; 16]),
            parent: SessionId::from_bytes([12; 16]),
            upto: 9,
            why: BranchWhy::Fork,
            of: RunId::from_bytes([8; 16]),
            step: Some(7),
            run: RunId::from_bytes([9; 16]),
            thinking: Some(Thinking::High),
            note: "What you did after this is not part of it.".into(),
            by: Actor::System(kernel::Part::Setup),
            at: kernel::time::from_ms(1_700_000_000_000),
        }
    }
}
