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

/// Which kind of model suits a template; what that means is decided by what is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelClass {
    /// Quick and cheap.
    Fast,
    /// Good at most things.
    Balanced,
    /// Slow, dear and thorough.
    Deep,
}

pub const AGENTS: Table = Table::new(45, "agents");
/// The slug; archived agents keep theirs.
pub const BY_SLUG: Index = Index::unique(46, "agents_by_slug");

/// Hosts that agents reach.
pub const REACH: Table = Table::new(189, "agent_reach");

/// A long-lived worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agent {
    pub id: AgentId,
    pub name: String,
    /// Its name in addresses, mentions and branches; never changes.
    pub slug: String,
    pub emoji: String,
    pub description: String,
    /// What it is, in a few words.
    pub role: String,
    /// Which team it belongs to; may be empty.
    pub team: String,
    /// What it answers for.
    pub domains: Vec<String>,
    /// What it does.
    pub capabilities: Vec<String>,
    /// The template that its files come from.
    pub template: String,
    /// The version of that template; none for an agent from before they were noted.
    pub template_commit: Option<CommitId>,
    /// The version of a template that somebody has declined.
    pub template_passed: Option<CommitId>,
    /// What is stored of its state.
    pub status: AgentStatus,
    /// Why, when the status is `error`.
    pub status_reason: Option<String>,
    /// The connection it uses, in place of the workspace's.
    pub connection: Option<ConnectionId>,
    /// The model it uses, in place of the workspace's.
    pub model: Option<String>,
    /// How much it thinks.
    pub thinking: Option<Thinking>,
    /// Whether it may run programs in the jail.
    pub exec: bool,
    /// Whether those programs may use the network.
    pub network: bool,
    /// Monthly budget in micro-dollars.
    pub budget_micros: Option<i64>,
    /// At which share of the budget, in percent, the person is told.
    pub budget_soft_pct: u8,
    /// The most that one answer may have, in tokens.
    pub max_output: u32,
    /// Whom it reports to.
    pub reports_to: Option<Manager>,
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
    #[serde(with = "millisecond::required")]
    pub updated_at: Timestamp,
    /// Since when it is out of the way.
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
            // A model belongs to its connection: the workspace's takes its place.
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

/// Whose lists of hosts and limits of runs they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReachOf {
    /// Of all agents.
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
    /// Of an agent: what it reaches, and nothing else (`example.com`, `*.example.com`); without a row all that is
    /// public. Of the workspace: what all reach beside that in private networks (`wiki.lan:8080`).
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
