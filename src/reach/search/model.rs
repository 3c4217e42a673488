//! Search engines of a workspace, and how often each agent has searched.

use features::agents::model::Agent;
use jiff::fmt::serde::timestamp::millisecond;
use kernel::{AccountId, Actor, AgentId, Part, Timestamp, TypedId as _, ids};
use serde::{Deserialize, Serialize};
use store::{Class, Index, Keys, OnDelete, Record, Refs, Root, Table};
use vault::model::SecretId;

use crate::engines::EngineKind;

pub const SEARCH_ENGINES: Table = Table::new(460, "search_engines");
/// Position, then id.
pub const BY_POSITION: Index = Index::multi(461, "search_engines_by_position");
pub const SEARCH_DAYS: Table = Table::new(462, "search_days");
pub const MEMBER_SEARCH_DAYS: Table = Table::new(463, "member_search_days");

ids! {
    /// A search engine of a workspace.
    SearchEngineId,
}

/// A search engine, or the switch for services without a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SearchEngine {
    pub id: SearchEngineId,
    pub name: String,
    pub kind: EngineKind,
    /// Empty for the maker's own address.
    pub address: String,
    /// JSON, for engines of this kind only.
    pub manifest: String,
    /// Lower ones are asked first.
    pub position: u32,
    /// Price of a search in micro-dollars.
    pub cost_micros: u32,
    /// Whether results may be kept for 15 minutes.
    pub may_cache: bool,
    pub is_enabled: bool,
    pub secret: Option<SecretId>,
    pub by: Actor,
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
    /// Also rises with the key, so that the answers of other settings are not used.
    #[serde(with = "millisecond::required")]
    pub updated_at: Timestamp,
}

impl Record for SearchEngine {
    type Id = SearchEngineId;
    const TABLE: Table = SEARCH_ENGINES;
    const CLASS: Class = Class::Tracked;
    const INDEXES: &'static [Index] = &[BY_POSITION];
    fn id(&self) -> SearchEngineId {
        self.id
    }
    fn index(&self, keys: &mut Keys) {
        keys.entry(BY_POSITION).part(self.position).part(self.id);
    }
    fn sample() -> Self {
        let at = kernel::time::from_ms(1_700_000_000_000);
        Self {
            id: SearchEngineId::from_bytes([101; 16]),
            name: "Brave ü".into(),
            kind: EngineKind::Brave,
            address: "https://search.example/".into(),
            manifest: String::new(),
            position: 10,
            cost_micros: 5_000,
            may_cache: true,
            is_enabled: true,
            secret: Some(SecretId::from_bytes([90; 16])),
            by: Actor::System(Part::Setup),
            created_at: at,
            updated_at: at,
        }
    }
}

/// Searches of an agent on its latest day with any.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SearchDay {
    pub agent: AgentId,
    /// Days since 1970, UTC.
    pub day: u32,
    pub searches: u32,
}

impl Record for SearchDay {
    type Id = AgentId;
    const TABLE: Table = SEARCH_DAYS;
    const CLASS: Class = Class::Work;
    fn id(&self) -> AgentId {
        self.agent
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Agent>(0, Some(self.agent), OnDelete::Cascade);
    }
    fn root(&self) -> Root {
        Root::of::<Agent>(self.agent)
    }
    fn sample() -> Self {
        Self { agent: AgentId::from_bytes([5; 16]), day: 19_675, searches: 3 }
    }
}

/// Searches of a person on their latest day with any.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberSearchDay {
    pub member: AccountId,
    /// Days since 1970, UTC.
    pub day: u32,
    pub searches: u32,
}

impl Record for MemberSearchDay {
    type Id = AccountId;
    const TABLE: Table = MEMBER_SEARCH_DAYS;
    const CLASS: Class = Class::Work;
    fn id(&self) -> AccountId {
        self.member
    }
    fn sample() -> Self {
        Self { member: AccountId::from_bytes([1; 16]), day: 19_675, searches: 3 }
    }
}
