//! What of a session its model is shown.

use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use super::Session;
use kernel::{Actor, Part, SessionId, Timestamp, TypedId};
use store::{Class, OnDelete, Record, Refs, Root, Table};

/// What of sessions their models are shown.
pub const CONTEXTS: Table = Table::new(180, "session_contexts");

/// What of a session its model is shown. The events themselves stay: only where the model begins to
/// read moves on. A session without such a record is shown whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Context {
    pub session: SessionId,
    /// The first event that is shown as it was; what came before stands in the summary.
    pub first_kept: u32,
    /// The number of the event with the newest summary.
    pub summary: Option<u32>,
    /// Of long results of tools before this event, the beginning and the end are shown.
    pub trimmed: u32,
    /// Of results of tools before this event, only the names are shown.
    pub cleared: u32,
    /// How many events there were when one of the two last changed.
    pub pruned_at: u32,
    /// How often it was compacted.
    pub compactions: u32,
    /// A compaction that somebody wants.
    pub asked: Option<CompactionRequest>,
}

/// Somebody wants a conversation compacted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompactionRequest {
    pub by: Actor,
    /// What the summary should look at above all; often nothing.
    pub focus: String,
    #[serde(with = "millisecond::required")]
    pub at: Timestamp,
}

impl Context {
    /// The context of a session that is shown whole.
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
