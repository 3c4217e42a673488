//! Branches of conversations: a run that begins again at a step of another.
//!
//! A branch has the first events of another conversation in common with it, by reference: its own
//! events are counted on from there, so that whatever names an event of the common part stays right.

use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use super::{Run, Session};
use kernel::{Actor, RunId, SessionId, Thinking, Timestamp, TypedId};
use store::{Class, OnDelete, Record, Refs, Root, Table};

pub const BRANCHES: Table = Table::new(183, "session_branches");

/// The field that refers to the conversation with the common part.
pub const BRANCH_PARENT: u8 = 2;
/// The field that refers to the run that was begun again.
pub const BRANCH_OF: u8 = 3;

/// Why a run was begun again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BranchWhy {
    /// In place of what it did from there on: the conversation goes on in the branch.
    Retry,
    /// Beside it, to see what comes of it: the conversation stays as it is.
    Fork,
    /// A person said something in place of what they had said: the conversation goes on in the branch.
    Edit,
    /// A person asked something beside the conversation, which stays as it is: answered in words alone,
    /// and gone after a day.
    Aside,
}

impl BranchWhy {
    /// The word for programs.
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

/// A conversation that begins as another one did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Branch {
    /// The conversation.
    pub session: SessionId,
    /// The one that it shares its beginning with.
    pub parent: SessionId,
    /// The first event of that one that is not shared, and the number of the first own one.
    pub upto: u32,
    pub why: BranchWhy,
    /// The run that was begun again.
    pub of: RunId,
    /// The step of that run at which it was, as on its page; none for its beginning.
    pub step: Option<u32>,
    /// The run that began with the branch.
    pub run: RunId,
    /// How much that run thinks; none for what is usual.
    pub thinking: Option<Thinking>,
    /// What its model is told of what lies between; often nothing.
    pub note: String,
    /// Who began it again.
    pub by: Actor,
    #[serde(with = "millisecond::required")]
    pub at: Timestamp,
}

impl Branch {
    /// Where the run was begun again, in words: "from step 7".
    #[must_use]
    pub fn place(&self) -> String {
        match self.step {
            Some(step) => format!("from step {step}"),
            None => "from the beginning".to_owned(),
        }
    }
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
        // Its first events lie there.
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
