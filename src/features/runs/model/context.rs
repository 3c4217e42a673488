//! Context of a session: which part of it models read.

use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use super::Session;
use kernel::{Actor, Part, SessionId, Timestamp, TypedId};
use store::{Class, OnDelete, Record, Refs, Root, Table};

pub const CONTEXTS: Table = Table::new(180, "session_contexts");

/// Which part of a session models read. Events are never removed; only the start position moves. Without a record,
/// models read the whole session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Context {
    pub session: SessionId,
    /// First event sent unchanged; earlier ones are in the summary.
    pub first_kept: u32,
    /// Number of the event with the latest summary.
    pub summary: Option<u32>,
    /// Long tool results before this event are cut to beginning and end.
    pub trimmed: u32,
    /// Tool results before this event are reduced to their names.
    pub cleared: u32,
    /// Number of events when `trimmed` or `cleared` last changed.
    pub pruned_at: u32,
    /// Number of compactions.
    pub compactions: u32,
    /// Requested compaction.
    pub asked: Option<CompactionRequest>,
}

/// Request for a compaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompactionRequest {
    pub by: Actor,
    /// Focus for the summary; often empty.
    pub focus: String,
    #[serde(with = "millisecond::required")]
    pub at: Timestamp,
}

impl Context {
    /// A context that includes the whole session.
    #[must_use]
    pub fn whole(session: SessionId) -> Self {
        Self {
            session,
            first_kept: 0,
            summary: None,
            trimmed: 0,
            cleared: 0,
            pruned_at: 0,
            compactions: 0,
            asked: None,
        }
    }
}

impl Record for Context {
    type Id = SessionId;
    const TABLE: Table = CONTEXTS;
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
            session: SessionId::from_bytes([12; 16]),
            first_kept: 140,
            summary: Some(180),
            trimmed: 150,
            cleared: 145,
            pruned_at: 160,
            compactions: 2,
            asked: Some(CompactionRequest {
                by: Actor::System(Part::Setup),
                focus: "the prices".into(),
                at: kernel::time::from_ms(1_700_000_000_000),
            }),
        }
    }
}
