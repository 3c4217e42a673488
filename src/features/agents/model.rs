//! Agent records. A released layout is frozen in `old`: add it there, raise `VERSION`, extend `upgrade`.

mod old;

use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use crate::connections::model::Connection;
use git::CommitId;
use kernel::key::{Key, KeyBuf};
use kernel::{
    AccountId, AgentId, AgentStatus, ConnectionId, Manager, Thinking, Timestamp, TypedId,
};
use store::{Class, DecodeError, Index, Keys, OnDelete, Record, Refs, Table};

/// Class of model that suits a template. The connected models decide which model this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelClass {
    /// Quick and cheap.
    Fast,
    Balanced,
    /// Slow, expensive and thorough.
    Deep,
}

pub const AGENTS: Table = Table::new(45, "agents");
/// Slug; archived agents keep theirs.
pub const BY_SLUG: Index = Index::unique(46, "agents_by_slug");

pub const REACH: Table = Table::new(189, "agent_reach");

/// A long-lived worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agent {
    pub id: AgentId,
    pub name: String,
    /// Name in URLs, mentions and branches; never changes.
    pub slug: String,
    pub emoji: String,
    pub description: String,
    /// A few words.
    pub role: String,
    /// May be empty.
    pub team: String,
    /// Areas of responsibility.
    pub domains: Vec<String>,
    pub capabilities: Vec<String>,
    pub template: String,
    /// Template version; `None` for agents older than this field.
    pub template_commit: Option<CommitId>,
    /// Template version that was declined.
    pub template_passed: Option<CommitId>,
    /// Stored part of the state.
    pub status: AgentStatus,
    /// Set if the status is `error`.
    pub status_reason: Option<String>,
    /// Overrides the workspace's default.
    pub connection: Option<ConnectionId>,
    /// Overrides the workspace's default.
    pub model: Option<String>,
    pub thinking: Option<Thinking>,
    /// Whether it may run programs in the sandbox.
    pub exec: bool,
    /// Whether its programs may use the network.
    pub network: bool,
    /// Monthly budget in micro-dollars.
    pub budget_micros: Option<i64>,
    /// Warning level of the budget in percent.
    pub budget_soft_pct: u8,
    /// Maximum tokens of one response.
    pub max_output: u32,
    pub reports_to: Option<Manager>,
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
    #[serde(with = "millisecond::required")]
    pub updated_at: Timestamp,
    #[serde(with = "millisecond::optional")]
    pub archived_at: Option<Timestamp>,
}

impl Record for Agent {
    type Id = AgentId;
    const TABLE: Table = AGENTS;
    const CLASS: Class = Class::Tracked;
    const VERSION: u8 = 3;
    const INDEXES: &'static [Index] = &[BY_SLUG];
    const TOGETHER: &'static [&'static [&'static str]] =
        &[&["connection", "model"], &["status", "status_reason"], &["template", "template_commit"]];
    fn id(&self) -> AgentId {
        self.id
    }
    fn index(&self, keys: &mut Keys) {
        keys.entry(BY_SLUG).text(&self.slug);
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Connection>(1, self.connection, OnDelete::Clear);
        refs.to::<Self>(2, self.reports_to.and_then(Manager::agent), OnDelete::Clear);
    }
    fn clear(&mut self, field: u8) {
        match field {
            // The model belongs to the removed connection, so the workspace's default replaces it.
            1 => (self.connection, self.model) = (None, None),
            _ => self.reports_to = None,
        }
    }
    fn upgrade(version: u8, body: &[u8]) -> Result<Self, DecodeError> {
        match version {
            1 => old::first(body),
            2 => old::second(body),
            _ => Err(DecodeError::UnknownVersion { table: Self::TABLE.name, version }),
        }
    }
    fn sample() -> Self {
        let at = kernel::time::from_ms(1_700_000_000_000);
        let commit = CommitId::from_bytes([9; 20]);
        Self {
            id: AgentId::from_bytes([5; 16]),
            name: "Ada".into(),
            slug: "ada".into(),
            emoji: "🔭".into(),
            description: "Research".into(),
            role: "researcher".into(),
            team: "research".into(),
            domains: vec!["prices".into(), "rivals".into()],
            capabilities: vec!["compare offers".into()],
            template: "default".into(),
            template_commit: Some(commit),
            template_passed: None,
            status: AgentStatus::Ready,
            status_reason: None,
            connection: Some(ConnectionId::from_bytes([7; 16])),
            model: Some("claude".into()),
            thinking: Some(Thinking::Medium),
            exec: true,
            network: false,
            budget_micros: Some(40_000_000),
            budget_soft_pct: 80,
            max_output: 16_384,
            reports_to: Some(Manager::Person(AccountId::from_bytes([1; 16]))),
            created_at: at,
            updated_at: at,
            archived_at: None,
        }
    }
}

/// Level of host lists and run limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReachOf {
    /// All agents.
    Workspace,
    Agent(AgentId),
}

impl Key for ReachOf {
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

/// A list of hosts for agents and their programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reach {
    pub of: ReachOf,
    /// For an agent: the only hosts that it may reach (`example.com`, `*.example.com`); without a row all public
    /// hosts. For the workspace: additional hosts in private networks for all agents (`wiki.lan:8080`).
    pub hosts: Vec<String>,
}

impl Record for Reach {
    type Id = ReachOf;
    const TABLE: Table = REACH;
    const CLASS: Class = Class::Tracked;
    fn id(&self) -> ReachOf {
        self.of
    }
    fn refs(&self, refs: &mut Refs) {
        if let ReachOf::Agent(id) = self.of {
            refs.to::<Agent>(1, Some(id), OnDelete::Cascade);
        }
    }
    fn sample() -> Self {
        let hosts = vec!["*.docs.test".into(), "example.com".into()];
        Self { of: ReachOf::Agent(AgentId::from_bytes([5; 16])), hosts }
    }
}
