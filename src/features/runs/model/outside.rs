//! What a conversation has read from outside: words that nobody of the workspace wrote.

use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use super::Session;
use kernel::{RunId, SessionId, Timestamp, TypedId};
use store::{Class, OnDelete, Record, Refs, Root, Table};

/// Conversations that have read words from outside.
pub const OUTSIDE: Table = Table::new(376, "outside_labels");

/// One piece of words from outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Brought {
    /// The run that read them.
    pub run: RunId,
    /// The number of the call that brought them; 0 when they were said to the run.
    pub step: u32,
    /// The tool that brought them; empty when they were said to the run.
    pub tool: String,
}

/// The label of a conversation: it has read words from outside, and nobody has lifted that since.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outside {
    /// The conversation.
    pub session: SessionId,
    /// What it read first, in order.
    pub brought: Vec<Brought>,
    /// When it read the first of it.
    #[serde(with = "millisecond::required")]
    pub since: Timestamp,
}

impl Record for Outside {
    type Id = SessionId;
    const TABLE: Table = OUTSIDE;
    const CLASS: Class = Class::Work;
    fn id(&self) -> SessionId {
        self.session
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Session>(1, Some(self.session), OnDelete::Cascade);
    }
    fn root(&self) -> Root {
        Root::of::<Session>(self.session)
    }
    fn sample() -> Self {
        Self {
            session: SessionId::from_bytes([9; 16]),
            brought: vec![Brought {
                run: RunId::from_bytes([8; 16]),
                step: 3,
                tool: "web_fetch".into(),
            }],
            since: kernel::time::from_ms(1_700_000_000_000),
        }
    }
}
