//! Stream records.

use jiff::civil::Date;
use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use crate::agents::model::Agent;
use kernel::{AgentId, Assignee, Hue, ProofMode, StreamId, StreamKind, Timestamp, TypedId, rank};
use store::codec::{self, DecodeError};
use store::{Class, Index, Keys, OnDelete, Record, Refs, Table};

pub const STREAMS: Table = Table::new(200, "streams");
/// Name in lower case. Excludes archived streams.
pub const BY_NAME: Index = Index::unique(201, "streams_by_name");
/// Manual order.
pub const BY_RANK: Index = Index::multi(202, "streams_by_rank");

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stream {
    pub id: StreamId,
    pub name: String,
    /// One line.
    pub description: String,
    pub colour: Hue,
    /// One emoji, or empty.
    pub icon: String,
    /// Manual order: a key of [`rank`].
    pub rank: String,
    pub kind: StreamKind,
    /// Markdown.
    pub goal: String,
    /// Responsible person or agent.
    pub lead: Option<Assignee>,
    pub target_date: Option<Date>,
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
    #[serde(with = "millisecond::required")]
    pub updated_at: Timestamp,
    #[serde(with = "millisecond::optional")]
    pub archived_at: Option<Timestamp>,
    /// Whether agents must give evidence with finished work.
    pub proof: ProofMode,
}

impl Record for Stream {
    type Id = StreamId;
    const TABLE: Table = STREAMS;
    const CLASS: Class = Class::Tracked;
    const VERSION: u8 = 2;
    const INDEXES: &'static [Index] = &[BY_NAME, BY_RANK];
    fn id(&self) -> StreamId {
        self.id
    }
    fn index(&self, keys: &mut Keys) {
        if self.archived_at.is_none() {
            keys.entry(BY_NAME).text(&self.name.to_lowercase());
        }
        keys.entry(BY_RANK).text(&self.rank);
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Agent>(1, self.lead.and_then(Assignee::agent), OnDelete::Clear);
    }
    fn clear(&mut self, _field: u8) {
        self.lead = None;
    }
    fn upgrade(version: u8, body: &[u8]) -> Result<Self, DecodeError> {
        match version {
            // The older layout only lacks the last field, whose first value is encoded as a zero.
            1 => codec::decode(&[body, [0_u8].as_slice()].concat()),
            _ => Err(DecodeError::UnknownVersion { table: STREAMS.name, version }),
        }
    }
    fn sample() -> Self {
        let at = kernel::time::from_ms(1_700_000_000_000);
        Self {
            id: StreamId::from_bytes([20; 16]),
            name: "Launch".into(),
            description: "Cargo bikes for shops".into(),
            colour: Hue::C6,
            icon: "🚲".into(),
            rank: rank::nth(1),
            kind: StreamKind::Project,
            goal: "Sell **200** by May.".into(),
            lead: Some(Assignee::Agent(AgentId::from_bytes([5; 16]))),
            target_date: Some(Date::constant(2026, 5, 1)),
            created_at: at,
            updated_at: at,
            archived_at: None,
            proof: ProofMode::Require,
        }
    }
}
